//! A server's pacing: its clock, lead and placement over reports and looks.
//!
//! Whatever asks where a server puts slices asks [`Pacing`], in the search for a server that repeats
//! a recording as well as in a run of the model. A family of servers with another rule is one type that
//! implements [`PacingRule`], and its line in [`Rule`] and [`Pacing`].

use super::trace::{Trace, TracedTick};
use crate::peer::pacing::{LeadController, Placed, Placement, PlayheadClock};
use crate::peer::policy::Policy;
use crate::time::Nanos;

/// What a server reads in a report of the client.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacingReport {
    /// `None`: where it was before.
    pub position_s: Option<f64>,
    pub client_time: Option<f64>,
    pub acked: Option<f64>,
    pub lead_s: Option<f64>,
}

impl PacingReport {
    pub fn of(trace: &Trace, tick: &TracedTick) -> Self {
        let TracedTick { client_time, acked, lead_s, .. } = *tick;
        Self { position_s: trace.position_s(tick), client_time, acked, lead_s }
    }
}

/// How a family of servers decides where slices go.
pub(super) trait PacingRule {
    /// The server takes a report.
    fn take(&mut self, at: Nanos, report: &PacingReport);
    /// The generator looks: where its slice goes.
    fn look(&mut self, at: Nanos) -> Placed;
    /// What a look at that moment would decide.
    fn peek(&self, at: Nanos) -> Placed;
    /// From now on the constants are these; what was learned stays.
    fn change(&mut self, policy: &Policy);
    /// The lead held against leads that were reported too short, in seconds.
    fn transport_s(&self) -> f64;
}

/// The family of a server, as far as a recording shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rule {
    /// Slices go ahead of the listener, as upstream's do.
    #[default]
    AheadOfListener,
    /// The same, but for spells in which they went behind the listener.
    Displaced(Vec<Displaced>),
}

/// The pacing of one server, in some moment.
#[derive(Clone)]
pub(super) enum Pacing<'a> {
    AheadOfListener(AheadOfListener),
    Displaced(DisplacedRule<'a>),
}

impl Rule {
    /// The pacing of a server that began at `began`.
    pub(super) fn pacing(&self, trace: &Trace, policy: &Policy, began: Nanos) -> Pacing<'_> {
        let usual = AheadOfListener::new(trace, policy, began);
        match self {
            Rule::AheadOfListener => Pacing::AheadOfListener(usual),
            Rule::Displaced(spells) => Pacing::Displaced(DisplacedRule { usual, spells }),
        }
    }

    /// The spells in which slices went behind the listener.
    #[must_use]
    pub fn displaced(&self) -> &[Displaced] {
        match self {
            Rule::AheadOfListener => &[],
            Rule::Displaced(spells) => spells,
        }
    }
}

impl PacingRule for Pacing<'_> {
    #[inline]
    fn take(&mut self, at: Nanos, report: &PacingReport) {
        match self {
            Pacing::AheadOfListener(rule) => rule.take(at, report),
            Pacing::Displaced(rule) => rule.take(at, report),
        }
    }

    #[inline]
    fn look(&mut self, at: Nanos) -> Placed {
        match self {
            Pacing::AheadOfListener(rule) => rule.look(at),
            Pacing::Displaced(rule) => rule.look(at),
        }
    }

    #[inline]
    fn peek(&self, at: Nanos) -> Placed {
        match self {
            Pacing::AheadOfListener(rule) => rule.peek(at),
            Pacing::Displaced(rule) => rule.peek(at),
        }
    }

    fn change(&mut self, policy: &Policy) {
        match self {
            Pacing::AheadOfListener(rule) => rule.change(policy),
            Pacing::Displaced(rule) => rule.change(policy),
        }
    }

    #[inline]
    fn transport_s(&self) -> f64 {
        match self {
            Pacing::AheadOfListener(rule) => rule.transport_s(),
            Pacing::Displaced(rule) => rule.transport_s(),
        }
    }
}

/// Upstream's rule: the estimated position plus the advance of the lead controller.
#[derive(Clone)]
pub(super) struct AheadOfListener {
    clock: PlayheadClock,
    lead: LeadController,
    placement: Placement,
}

impl AheadOfListener {
    fn new(trace: &Trace, policy: &Policy, began: Nanos) -> Self {
        let Policy { clock, lead, placement, .. } = policy;
        Self {
            clock: trace.server_clock(clock, began),
            lead: LeadController::new(lead, placement.window_s),
            placement: Placement::new(placement, trace.loop_frames(), trace.sample_rate),
        }
    }

    /// A look whose slice is aimed elsewhere by `aim`, which is given the usual advance in seconds.
    #[inline]
    fn look_aimed(&mut self, at: Nanos, aim: impl FnOnce(f64) -> f64) -> Placed {
        let estimate = self.clock.look(at);
        let advance_s = aim(self.lead.look(at, false));
        self.placement.place(estimate, advance_s)
    }

    /// What [`AheadOfListener::look_aimed`] would decide.
    #[inline]
    fn peek_aimed(&self, at: Nanos, aim: impl FnOnce(f64) -> f64) -> Placed {
        let estimate = self.clock.peek(at);
        self.placement.place(estimate, aim(self.lead.peek(at, false)))
    }
}

impl PacingRule for AheadOfListener {
    #[inline]
    fn take(&mut self, at: Nanos, report: &PacingReport) {
        if let Some(position_s) = report.position_s {
            self.clock.report(at, position_s, report.client_time);
        }
        report.lead_s.into_iter().for_each(|lead_s| self.lead.report(lead_s));
    }

    #[inline]
    fn look(&mut self, at: Nanos) -> Placed {
        self.look_aimed(at, |advance_s| advance_s)
    }

    #[inline]
    fn peek(&self, at: Nanos) -> Placed {
        self.peek_aimed(at, |advance_s| advance_s)
    }

    fn change(&mut self, policy: &Policy) {
        self.clock.change(&policy.clock);
        self.lead.change(&policy.lead);
    }

    #[inline]
    fn transport_s(&self) -> f64 {
        self.lead.transport_s()
    }
}

/// A spell in which the server put slices that far behind where it took the listener to be.
///
/// No lead controller does that, whatever its constants, so it is kept as a fact: in a
/// counterfactual session the server aims there at the same moments. Leads that the client
/// reports of these slices were not heeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displaced {
    pub from: Nanos,
    pub to: Nanos,
    /// How far behind, in seconds.
    pub behind_s: f64,
}

/// For this long after a spell the leads reported may still be of its slices, in nanoseconds.
const ECHO_NS: u64 = 1_000_000_000;

impl Displaced {
    /// Whether the look at that moment lies in the spell.
    pub(super) fn contains(&self, at: Nanos) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Whether leads taken at that moment may be of its slices.
    fn echoes(&self, at: Nanos) -> bool {
        self.from <= at && at.0 <= self.to.0.saturating_add(ECHO_NS)
    }

    /// The lead that a report taken at that moment says, where it is heeded.
    pub(super) fn heeded(spells: &[Displaced], at: Nanos, lead_s: Option<f64>) -> Option<f64> {
        lead_s.filter(|_| !spells.iter().any(|spell| spell.echoes(at)))
    }

    /// How far ahead a slice is aimed at that moment where it usually would be so far.
    pub(super) fn aim(spells: &[Displaced], at: Nanos, usual_s: f64) -> f64 {
        let spell = spells.iter().find(|spell| spell.contains(at));
        spell.map_or(usual_s, |spell| -spell.behind_s)
    }
}

/// Upstream's rule but for some spells.
#[derive(Clone)]
pub(super) struct DisplacedRule<'a> {
    usual: AheadOfListener,
    spells: &'a [Displaced],
}

impl PacingRule for DisplacedRule<'_> {
    fn take(&mut self, at: Nanos, report: &PacingReport) {
        let lead_s = Displaced::heeded(self.spells, at, report.lead_s);
        self.usual.take(at, &PacingReport { lead_s, ..*report });
    }

    fn look(&mut self, at: Nanos) -> Placed {
        let spells = self.spells;
        self.usual.look_aimed(at, |usual_s| Displaced::aim(spells, at, usual_s))
    }

    fn peek(&self, at: Nanos) -> Placed {
        self.usual.peek_aimed(at, |usual_s| Displaced::aim(self.spells, at, usual_s))
    }

    fn change(&mut self, policy: &Policy) {
        self.usual.change(policy);
    }

    fn transport_s(&self) -> f64 {
        self.usual.transport_s()
    }
}

/// When a server takes the reports that reach it: one after another, and as slowly as it does.
#[derive(Clone, Debug)]
pub(super) struct Intake {
    each_ns: u64,
    /// When the last report was taken.
    last: Nanos,
}

impl Intake {
    pub fn new(policy: &Policy) -> Self {
        let each_ns = policy.intake.backlog_per_s.map_or(0, |per_s| (1e9 / per_s.max(1e-3)) as u64);
        Self { each_ns, last: Nanos(0) }
    }

    /// When the next report is taken if it arrives at that moment.
    #[inline]
    pub fn taken_at(&self, arrives: Nanos) -> Nanos {
        Nanos(arrives.max(self.last).0.saturating_add(self.each_ns))
    }

    /// The next report is taken then.
    #[inline]
    pub fn take(&mut self, at: Nanos) {
        self.last = at;
    }

    /// When the last report was taken.
    pub fn last(&self) -> Nanos {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[track_caller]
    fn check_intake(per_s: Option<f64>, arrive_ms: &[u64], expected_ms: &[u64]) {
        let mut policy = Policy::default();
        policy.intake.backlog_per_s = per_s;
        let mut intake = Intake::new(&policy);
        let taken_ms = arrive_ms.iter().map(|ms| {
            let at = intake.taken_at(Nanos(ms * MS));
            intake.take(at);
            at.0 / MS
        });
        assert_eq!(taken_ms.collect::<Vec<_>>(), expected_ms);
    }

    #[test]
    fn reports_are_taken_in_turn() {
        check_intake(None, &[10, 30, 20, 40], &[10, 30, 30, 40]);
        check_intake(Some(50.0), &[10, 20, 30, 200], &[30, 50, 70, 220]);
    }

    fn trace() -> Trace {
        Trace { frames: 480_000, sample_rate: 48_000, ..Trace::default() }
    }

    #[track_caller]
    fn check_start(rule: &Rule, at_ms: u64, expected_s: f64) {
        let trace = trace();
        let mut pacing = rule.pacing(&trace, &Policy::default(), Nanos(0));
        let start = pacing.look(Nanos(at_ms * MS)).region.start;
        assert_eq!(f64::from(start) / 48_000.0, expected_s);
    }

    #[test]
    fn slices_go_ahead_of_the_listener_and_behind_them_in_a_spell() {
        // The floor of 0.25 s ahead, rounded down to the grid of 0.04 s.
        check_start(&Rule::AheadOfListener, 2_000, 2.24);
        let (from, to) = (Nanos(1_000 * MS), Nanos(3_000 * MS));
        let displaced = Rule::Displaced(vec![Displaced { from, to, behind_s: 0.8 }]);
        check_start(&displaced, 2_000, 1.2);
        check_start(&displaced, 4_000, 4.24);
    }

    #[test]
    fn leads_of_displaced_slices_are_not_heeded() {
        let trace = trace();
        let spell = Displaced { from: Nanos(0), to: Nanos(MS), behind_s: 0.8 };
        let transport_s = |rule: &Rule, taken: Nanos| {
            let mut pacing = rule.pacing(&trace, &Policy::default(), Nanos(0));
            let lead_s = Some(-0.5);
            let report =
                PacingReport { position_s: Some(0.0), client_time: None, acked: None, lead_s };
            pacing.take(taken, &report);
            pacing.look(Nanos(5_000 * MS));
            pacing.transport_s()
        };
        let displaced = Rule::Displaced(vec![spell]);
        assert!(transport_s(&Rule::AheadOfListener, Nanos(500 * MS)) > 0.6);
        assert_eq!(transport_s(&displaced, Nanos(500 * MS)), 0.0);
        assert!(transport_s(&displaced, Nanos(1_002 * MS)) > 0.6);
    }
}
