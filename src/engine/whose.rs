//! Whether the client's reports fit the simulated playhead, whichever of the two counts.
//!
//! A client that really has the simulated playhead reports what that shows, to within a tick. One that
//! jumps without an op, or walks at another speed, is seen from outside, whatever its capture says.

use crate::time::Nanos;

/// Reports that lie farther than this from the simulated playhead are apart from it.
pub const APART_S: f64 = 0.25;
/// They are another playhead's when they stay apart for this long.
pub const APART_SUSTAINED_S: f64 = 1.0;

/// How the reports lie against the simulated playhead, up to the last tick.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlayheadEvidence {
    /// Ticks with a position.
    pub reports: u64,
    /// How often they came apart from the simulated playhead, and stayed so.
    pub departures: u64,
    /// The first time that they did.
    pub first: Option<Nanos>,
    apart_since: Option<Nanos>,
    counted: bool,
}

impl PlayheadEvidence {
    /// Whether the client cannot have had the simulated playhead.
    #[must_use]
    pub fn contradicts_simulation(&self) -> bool {
        self.departures > 0
    }

    /// Takes a report that lies `apart_s` from the simulated playhead.
    pub(super) fn note(&mut self, t: Nanos, apart_s: f64) {
        self.reports += 1;
        if !apart_s.is_finite() || apart_s <= APART_S {
            self.apart_since = None;
            self.counted = false;
            return;
        }
        let since = *self.apart_since.get_or_insert(t);
        if !self.counted && t.seconds_since(since) >= APART_SUSTAINED_S {
            self.counted = true;
            self.departures += 1;
            self.first.get_or_insert(since);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(apart_s: &[f64], expected: u64) {
        let mut evidence = PlayheadEvidence::default();
        for (tick, apart_s) in (0..).zip(apart_s) {
            evidence.note(Nanos(tick * 500_000_000), *apart_s);
        }
        assert_eq!(evidence.departures, expected);
    }

    #[test]
    fn reports_must_stay_apart_to_be_another_playheads() {
        check(&[0.0, 0.1, 0.25, 0.1], 0);
        check(&[0.0, 5.0, 5.0, 0.0, 5.0, 0.0], 0);
        check(&[f64::NAN, f64::NAN, f64::NAN, f64::INFINITY], 0);
        check(&[0.0, 5.0, 5.0, 5.0, 5.0], 1);
        check(&[5.0, 5.0, 5.0, 0.0, 5.0, 5.0, 5.0], 2);
    }
}
