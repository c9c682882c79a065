//! The pacing of a server that takes the reports of a recording.
//!
//! [`PacingReplay`] goes from look to look, [`Peeks`] asks what one at any moment would decide, and [`KnownLooks`]
//! takes the reports once for servers that differ in their lead.

use super::generations::{Generation, shifted};
use super::pacing::{Displaced, Intake, Pacing, PacingReport, PacingRule, Rule};
use super::trace::Trace;
use crate::peer::pacing::{LeadController, Placed, Placement};
use crate::peer::policy::Policy;
use crate::time::Nanos;

/// The reports of a recording, as a server takes them that is so far away.
#[derive(Clone)]
struct TakenReports<'a> {
    trace: &'a Trace,
    round_trip_ns: i64,
    intake: Intake,
    /// How many it has taken.
    taken: usize,
}

impl<'a> TakenReports<'a> {
    fn new(trace: &'a Trace, policy: &Policy, round_trip_ns: i64) -> Self {
        Self { trace, round_trip_ns, intake: Intake::new(policy), taken: 0 }
    }

    /// When the next one is taken, if that is by then.
    #[inline]
    fn next_by(&self, by: Nanos) -> Option<Nanos> {
        let tick = self.trace.ticks.get(self.taken)?;
        Some(self.intake.taken_at(shifted(tick.at, self.round_trip_ns))).filter(|at| *at <= by)
    }

    /// The next one is taken then.
    #[inline]
    fn take(&mut self, at: Nanos) -> PacingReport {
        let tick = &self.trace.ticks[self.taken];
        self.intake.take(at);
        self.taken += 1;
        PacingReport::of(self.trace, tick)
    }
}

/// The pacing of a server that is fed with the reports of a recording.
#[derive(Clone)]
pub(super) struct PacingReplay<'a> {
    reports: TakenReports<'a>,
    pacing: Pacing<'a>,
}

impl<'a> PacingReplay<'a> {
    /// A server that far away, which began at `began`, before its first look.
    pub fn new(
        trace: &'a Trace,
        rule: &'a Rule,
        policy: &Policy,
        round_trip_ns: i64,
        began: Nanos,
    ) -> Self {
        let reports = TakenReports::new(trace, policy, round_trip_ns);
        Self { reports, pacing: rule.pacing(trace, policy, began) }
    }

    /// The recording whose reports it is fed with.
    pub fn trace(&self) -> &'a Trace {
        self.reports.trace
    }

    /// A look, with all reports that the server has taken by then.
    pub fn look(&mut self, at: Nanos) -> Placed {
        self.take_until(at);
        self.pacing.look(at)
    }

    #[inline]
    fn take_until(&mut self, at: Nanos) {
        while let Some(taken) = self.reports.next_by(at) {
            let report = self.reports.take(taken);
            self.pacing.take(taken, &report);
        }
    }
}

/// What a server knows at each of its looks, whatever lead it keeps: that depends on the way, on its clock
/// and on how fast it takes reports, so that many leads can be weighed by one.
pub(super) struct KnownLooks<'a> {
    trace: &'a Trace,
    rule: &'a Rule,
    looks: Vec<KnownLook<'a>>,
}

/// A look, and what the server knows by then.
#[derive(Clone, Copy)]
pub(super) struct KnownLook<'a> {
    pub at: Nanos,
    pub turn: &'a Generation,
    /// Where the server takes the listener to be, in frames.
    pub estimate: f64,
    /// The least lead that was reported since the look before and is heeded, in seconds.
    lead_s: Option<f64>,
}

impl<'a> KnownLooks<'a> {
    /// What a server that far away knows at the looks of these turns. Of the policy its clock and its intake
    /// count.
    pub fn of(
        trace: &'a Trace,
        rule: &'a Rule,
        policy: &Policy,
        round_trip_ns: i64,
        turns: &'a [Generation],
    ) -> Self {
        let mut reports = TakenReports::new(trace, policy, round_trip_ns);
        let mut clock = trace.server_clock(&policy.clock, trace.begins);
        let mut handed_over = trace.begins;
        let looks = turns.iter().map(|turn| {
            let at = shifted(handed_over, turn.rest_ns + turn.tick_ns);
            handed_over = shifted(at, turn.decode_ns);
            let mut least_s: Option<f64> = None;
            while let Some(taken) = reports.next_by(at) {
                let PacingReport { position_s, client_time, lead_s, .. } = reports.take(taken);
                if let Some(position_s) = position_s {
                    clock.report(taken, position_s, client_time);
                }
                if let Some(lead_s) = Displaced::heeded(rule.displaced(), taken, lead_s) {
                    least_s = Some(least_s.map_or(lead_s, |least_s| least_s.min(lead_s)));
                }
            }
            KnownLook { at, turn, estimate: clock.look(at), lead_s: least_s }
        });
        KnownLooks { trace, rule, looks: looks.collect() }
    }

    /// All looks, oldest first.
    pub fn into_looks(self) -> impl Iterator<Item = KnownLook<'a>> {
        self.looks.into_iter()
    }

    /// Whether the look at that moment lies in a spell behind the listener.
    pub fn is_displaced(&self, at: Nanos) -> bool {
        self.rule.displaced().iter().any(|spell| spell.contains(at))
    }

    /// Where a server with the lead and the placement of that policy puts the slice of each look.
    pub fn placed(&self, policy: &Policy) -> impl Iterator<Item = (&KnownLook<'a>, Placed)> {
        let Policy { lead, placement, .. } = policy;
        let mut lead = LeadController::new(lead, placement.window_s);
        let placement = Placement::new(placement, self.trace.loop_frames(), self.trace.sample_rate);
        self.looks.iter().map(move |known| {
            known.lead_s.into_iter().for_each(|lead_s| lead.report(lead_s));
            let usual_s = lead.look(known.at, false);
            let advance_s = Displaced::aim(self.rule.displaced(), known.at, usual_s);
            (known, placement.place(known.estimate, advance_s))
        })
    }
}

/// What a server would decide at moments after its last look, in whatever order it is asked.
pub(super) struct Peeks<'s, 'a> {
    server: &'s PacingReplay<'a>,
    /// The server with the reports that it has taken by some moment; without any it is as it was.
    then: Option<PacingReplay<'a>>,
}

impl<'s, 'a> Peeks<'s, 'a> {
    pub fn of(server: &'s PacingReplay<'a>) -> Self {
        Peeks { server, then: None }
    }

    /// What a look at that moment would decide.
    pub fn at(&mut self, at: Nanos) -> Placed {
        if self.then.as_ref().is_some_and(|then| then.reports.intake.last() > at) {
            self.then = None;
        }
        let newest = self.then.as_ref().unwrap_or(self.server);
        if newest.reports.next_by(at).is_some() {
            self.then.get_or_insert_with(|| self.server.clone()).take_until(at);
        }
        self.then.as_ref().unwrap_or(self.server).pacing.peek(at)
    }
}

#[cfg(test)]
mod tests {
    use super::super::trace::TracedTick;
    use super::*;
    use crate::peer::rng::{Rng, Stream};

    const MS: u64 = 1_000_000;

    /// A recording with jumps, a pause and short leads, and the turns of its server.
    fn session(rng: &mut Rng) -> (Trace, Vec<Generation>) {
        let mut ms = |least: u64, most: u64| least + rng.next_u64() % (most - least + 1);
        let mut at_ms = 0;
        let ticks = (0..200).map(|number| {
            at_ms += ms(5, 60);
            TracedTick {
                at: Nanos(at_ms * MS),
                position_s: (ms(0, 9) > 0)
                    .then(|| (at_ms / 100 * 100 + ms(0, 1) * 3_000) as f64 / 1e3 % 10.0),
                client_time: (ms(0, 3) > 0).then(|| (at_ms + ms(0, 30)) as f64 / 1e3),
                acked: None,
                lead_s: (number % 3 > 0).then(|| {
                    if ms(0, 20) == 0 { f64::NAN } else { ms(0, 40) as f64 / 100.0 - 0.05 }
                }),
                bytes: 80,
            }
        });
        let trace = Trace {
            ticks: ticks.collect(),
            frames: 480_000,
            sample_rate: 48_000,
            ..Trace::default()
        };
        let turn = |_| Generation {
            rest_ns: (ms(0, 2) * MS) as i64,
            tick_ns: (ms(20, 90) * MS) as i64,
            decode_ns: (ms(0, 9) * MS) as i64,
            ..Generation::default()
        };
        (trace, (0..150).map(turn).collect())
    }

    /// Upstream's rule and one with a spell behind the listener, by a server that takes reports slowly.
    fn check_sessions(check: impl Fn(&mut Rng, &Trace, &Rule, &Policy, &[Generation])) {
        let mut rng = Rng::new(8, Stream::Names);
        let mut policy = Policy::default();
        policy.intake.backlog_per_s = Some(40.0);
        let (from, to) = (Nanos(2_000 * MS), Nanos(3_000 * MS));
        for rule in
            [Rule::AheadOfListener, Rule::Displaced(vec![Displaced { from, to, behind_s: 0.5 }])]
        {
            for _ in 0..20 {
                let (trace, turns) = session(&mut rng);
                check(&mut rng, &trace, &rule, &policy, &turns);
            }
        }
    }

    #[test]
    fn what_was_taken_once_is_placed_as_the_replay_places_it() {
        check_sessions(|_, trace, rule, policy, turns| {
            let known = KnownLooks::of(trace, rule, policy, 25_000_000, turns);
            for floor_s in [0.25, 0.4] {
                let mut policy = policy.clone();
                policy.lead.floor_s = floor_s;
                let mut replay = PacingReplay::new(trace, rule, &policy, 25_000_000, trace.begins);
                for (look, placed) in known.placed(&policy) {
                    assert_eq!(placed, replay.look(look.at), "{rule:?} {:?}", look.at);
                }
            }
        });
    }

    #[test]
    fn a_peek_sees_what_a_look_would_decide_in_any_order() {
        check_sessions(|rng, trace, rule, policy, turns| {
            let mut replay = PacingReplay::new(trace, rule, policy, 0, trace.begins);
            for (number, look) in
                KnownLooks::of(trace, rule, policy, 0, turns).into_looks().enumerate()
            {
                replay.look(look.at);
                if number % 10 > 0 {
                    continue;
                }
                let mut peeks = Peeks::of(&replay);
                for _ in 0..20 {
                    let at = Nanos(look.at.0 + rng.next_u64() % 400 * MS);
                    assert_eq!(
                        peeks.at(at),
                        replay.clone().look(at),
                        "{rule:?} {:?} {at:?}",
                        look.at
                    );
                }
            }
        });
    }
}
