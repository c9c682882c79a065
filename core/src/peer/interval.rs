//! Intervals of time within a session, as incidents and links need them.

use serde::{Deserialize, Serialize};

/// A stretch of time in seconds from the beginning of the session.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interval {
    /// Its beginning.
    pub at_s: f64,
    /// Its length.
    pub for_s: f64,
}

impl Interval {
    /// Its end, which it does not contain.
    #[must_use]
    pub fn end_s(self) -> f64 {
        self.at_s + self.for_s.max(0.0)
    }

    /// Whether that moment lies within it.
    #[must_use]
    pub fn contains(self, at_s: f64) -> bool {
        (self.at_s..self.end_s()).contains(&at_s)
    }
}

/// Spells that repeat.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pulses {
    /// From the beginning of one to that of the next, in seconds; infinite: there is one.
    pub every_s: f64,
    /// Length of each, in seconds.
    pub for_s: f64,
}

impl Pulses {
    /// When the pulse ends that holds so many seconds after the first began, on the same scale;
    /// `None` between two pulses.
    #[must_use]
    pub fn end_s(self, since_s: f64) -> Option<f64> {
        let repeats = self.every_s.is_finite() && self.every_s > 0.0;
        let begins_s = if repeats { (since_s / self.every_s).floor() * self.every_s } else { 0.0 };
        let end_s = begins_s + self.for_s;
        (begins_s..end_s).contains(&since_s).then_some(end_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_repeat_unless_their_period_is_infinite() {
        let pulses = Pulses { every_s: 5.0, for_s: 2.0 };
        let ends = [-0.1, 0.0, 1.9, 2.0, 5.0, 11.5].map(|since_s| pulses.end_s(since_s));
        assert_eq!(ends, [None, Some(2.0), Some(2.0), None, Some(7.0), Some(12.0)]);
        let once = Pulses { every_s: f64::INFINITY, for_s: f64::INFINITY };
        assert_eq!([once.end_s(-1.0), once.end_s(1e9)], [None, Some(f64::INFINITY)]);
    }
}
