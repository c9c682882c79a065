//! What the server knew whenever it placed a slice of the recording.
//!
//! Enters: a trace, the turns of a fit, a policy and a round trip. Leaves: one [`Look`] for each turn,
//! in order, as the pacing has it that is fed with the recorded reports. Nothing here is predicted:
//! every report is the recorded one, taken when that policy takes it.

use super::fit::Fit;
use super::generations::{Generation, shifted};
use super::trace::{Trace, TracedTick};
use crate::peer::pacing::{LeadController, PlayheadClock};
use crate::peer::policy::Policy;
use crate::time::Nanos;

/// One look of the generator.
pub(super) struct Look {
    /// When.
    pub at: Nanos,
    /// Where it took the listener to be, in frames.
    pub estimate: f64,
    /// How far ahead of that it aimed, in seconds.
    pub advance_s: f64,
    /// Whether its slice was never sent.
    pub shed: bool,
}

/// The looks of a recording.
pub(super) struct Looks<'a> {
    fit: &'a Fit,
    trace: &'a Trace,
    turns: std::slice::Iter<'a, Generation>,
    round_trip_ns: i64,
    report_ns: u64,
    clock: PlayheadClock,
    lead: LeadController,
    heard: usize,
    /// When the last report was taken.
    taken: Nanos,
    /// The last hand-over.
    at: Nanos,
}

impl<'a> Looks<'a> {
    /// Before the first look of a server with that policy, that far away.
    pub fn new(fit: &'a Fit, trace: &'a Trace, policy: &Policy, round_trip_ns: i64) -> Self {
        Self {
            fit,
            trace,
            turns: fit.generations.iter(),
            round_trip_ns,
            report_ns: report_ns(policy),
            clock: trace.server_clock(&policy.clock, trace.begins),
            lead: LeadController::new(&policy.lead, policy.placement.window_s),
            heard: 0,
            taken: Nanos(0),
            at: trace.begins,
        }
    }

    fn taken_at(&self, tick: &TracedTick) -> Nanos {
        let arrives = shifted(tick.at, self.round_trip_ns);
        match self.report_ns {
            0 => arrives,
            report_ns => Nanos(arrives.max(self.taken).0.saturating_add(report_ns)),
        }
    }
}

impl Iterator for Looks<'_> {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        let turn = self.turns.next()?;
        let at = shifted(self.at, turn.rest_ns + turn.tick_ns);
        self.at = shifted(at, turn.decode_ns);
        while let Some(tick) = self.trace.ticks.get(self.heard) {
            let taken = self.taken_at(tick);
            if taken > at {
                break;
            }
            (self.heard, self.taken) = (self.heard + 1, taken);
            self.clock.report(taken, tick.position_s.unwrap_or(0.0), tick.client_time);
            let heeded = tick.lead_s.filter(|_| self.fit.heeds_leads(taken));
            heeded.into_iter().for_each(|lead_s| self.lead.report(lead_s));
        }
        let estimate = self.clock.look(at);
        let advance_s = self.lead.look(at, false);
        Some(Look { at, estimate, advance_s, shed: turn.shed })
    }
}

/// How long a server of that policy takes for each report, in nanoseconds.
pub(super) fn report_ns(policy: &Policy) -> u64 {
    policy.intake.backlog_per_s.map_or(0, |per_s| (1e9 / per_s.max(1e-3)) as u64)
}
