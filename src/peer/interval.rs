//! An interval of time within a session, as incidents and links need it.

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
