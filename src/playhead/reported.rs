//! The playhead of a foreign client, as far as its reports show.
//!
//! Between reports the position is extrapolated at 1×; while reports repeat, it stands still.

use super::wrapped;
use crate::capture::ReportedState;

/// A jump of the reported position by more than this, against the extrapolation, is a seek.
pub const JUMP_S: f64 = 0.25;

/// A position held for this long is a paused player; coarse ones stand still for 0.1 s at most.
pub const PAUSED_AFTER_S: f64 = 0.5;

/// How a report lies against the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Movement {
    /// It went on.
    Moved,
    /// The same position again.
    Held,
    /// It is somewhere else: a seek.
    Jumped,
}

/// The last report, extrapolated.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedPlayhead {
    frames: u64,
    sample_rate: u32,
    position_s: f64,
    at_s: f64,
    held_since_s: Option<f64>,
    reports: u64,
}

impl ReportedPlayhead {
    /// Starts at 0 with a buffer of `frames` that arrived at `now_s`.
    #[must_use]
    pub fn new(frames: u64, sample_rate: u32, now_s: f64) -> Self {
        ReportedPlayhead {
            frames: frames.max(1),
            sample_rate,
            position_s: 0.0,
            at_s: now_s,
            held_since_s: None,
            reports: 0,
        }
    }

    /// A playhead that goes on from a state, in a loop of this length.
    #[must_use]
    pub fn resume(state: &ReportedState, frames: u64, sample_rate: u32) -> Self {
        ReportedPlayhead {
            frames: frames.max(1),
            sample_rate,
            position_s: state.position_s,
            at_s: state.at_s,
            held_since_s: state.held_since_s,
            reports: state.reports,
        }
    }

    /// All that the next positions follow from.
    #[must_use]
    pub fn state(&self) -> ReportedState {
        ReportedState {
            position_s: self.position_s,
            at_s: self.at_s,
            held_since_s: self.held_since_s,
            reports: self.reports,
        }
    }

    /// A new buffer; the playhead restarts at 0.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        *self = Self::new(frames, self.sample_rate, now_s);
    }

    /// Frames per second.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Takes a report that arrived at `now_s`.
    pub fn report(&mut self, position_s: f64, now_s: f64) -> Movement {
        if !position_s.is_finite() {
            return Movement::Held;
        }
        let movement = if self.reports > 0 && position_s == self.position_s {
            Movement::Held
        } else if self.reports > 0 && self.distance_s(position_s, now_s) > JUMP_S {
            Movement::Jumped
        } else {
            Movement::Moved
        };
        self.held_since_s = match movement {
            Movement::Held => self.held_since_s.or(Some(now_s)),
            Movement::Moved | Movement::Jumped => None,
        };
        self.position_s = position_s;
        self.at_s = now_s;
        self.reports += 1;
        movement
    }

    /// Whether the position has been held for so long that the player must be paused.
    #[must_use]
    pub fn paused(&self, now_s: f64) -> bool {
        self.held_since_s.is_some_and(|since_s| now_s - since_s >= PAUSED_AFTER_S)
    }

    /// The position of the last report, as it was given; 0 before the first.
    #[must_use]
    pub fn reported_s(&self) -> f64 {
        self.position_s
    }

    /// Whether the position of the last report was that of the one before.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.held_since_s.is_some()
    }

    /// The position in frames of the loop.
    #[must_use]
    pub fn position(&self, now_s: f64) -> f64 {
        let elapsed_s = if self.is_held() { 0.0 } else { (now_s - self.at_s).max(0.0) };
        let position = (self.position_s + elapsed_s) * f64::from(self.sample_rate);
        wrapped(position, self.frames as f64)
    }

    /// The frame under the listener.
    #[must_use]
    pub fn frame(&self, now_s: f64) -> u64 {
        (self.position(now_s) as u64).min(self.frames - 1)
    }

    /// The position in seconds from the start of the loop.
    #[must_use]
    pub fn seconds(&self, now_s: f64) -> f64 {
        self.frame(now_s) as f64 / f64::from(self.sample_rate)
    }

    /// How far a position lies from the extrapolated one, either way round the loop.
    fn distance_s(&self, position_s: f64, now_s: f64) -> f64 {
        let loop_s = self.frames as f64 / f64::from(self.sample_rate);
        let expected_s = self.frame(now_s) as f64 / f64::from(self.sample_rate);
        let ahead_s = wrapped(position_s - expected_s, loop_s);
        ahead_s.min(loop_s - ahead_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extrapolates_holds_and_sees_jumps() {
        let mut playhead = ReportedPlayhead::new(480_000, 48_000, 100.0);
        assert_eq!(playhead.frame(100.5), 24_000);
        assert_eq!(playhead.report(0.6, 100.5), Movement::Moved);
        assert_eq!(playhead.frame(101.5), 76_800);
        assert_eq!(playhead.report(0.6, 101.5), Movement::Held);
        assert_eq!(playhead.frame(102.0), 28_800);
        assert!(!playhead.paused(101.9) && playhead.paused(102.0));
        assert_eq!(playhead.report(0.7, 102.1), Movement::Moved);
        assert_eq!(playhead.report(5.0, 102.2), Movement::Jumped);
        assert_eq!(playhead.report(9.9, 107.1), Movement::Moved);
        assert_eq!(playhead.report(0.05, 107.2), Movement::Moved, "the lap wrap is no seek");
        assert_eq!(playhead.report(f64::NAN, 107.3), Movement::Held);
    }
}
