//! What nobody can ask for and what differs from one run of the model to the next.

use crate::time::{Nanos, Span};

use super::generations::shifted;

/// What chance decides in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Perturbation {
    pub seed: u64,
    /// By how much ops, and changes during the session, come later than asked, in nanoseconds.
    pub shift_ns: i64,
    /// By how much reports from then on come later than recorded, in nanoseconds.
    pub tick_shift_ns: i64,
    /// By what share more new frames than were recorded cost more than the recording says.
    pub new_frames_cost: f64,
    /// Whether the way to the server takes a different time for each report, like the recorded way
    /// from it.
    pub jitters: bool,
}

impl Perturbation {
    /// How far the moments of this run are from those asked for.
    pub(super) fn distance_ns(&self) -> u64 {
        self.shift_ns.unsigned_abs().saturating_add(self.tick_shift_ns.unsigned_abs())
    }

    /// When something changes: at the beginning, or about when it was asked to.
    pub(super) fn moment(&self, origin: Nanos, asked: Span) -> Nanos {
        let at = origin.checked_add(asked).unwrap_or(Nanos(u64::MAX));
        if asked == Span(0) { at } else { shifted(at, self.shift_ns).max(origin) }
    }
}
