//! The playhead: where in the loop the listener is.
//!
//! Every question and command comes with its time in seconds. Positions are frames (`f64`, not yet
//! truncated) in `[0, frames)`, whatever the commands were. The position follows from the last command
//! alone, so asking for it never moves it.

use crate::capture::{Marker, SimulatedState};

mod either;
mod reported;
mod walk;

pub use either::{Playhead, PlayheadSource};
pub use reported::{JUMP_S, Movement, PAUSED_AFTER_S, PlacedReport, ReportedPlayhead};
pub use walk::PlayheadWalk;

/// A position within a loop of that length: `position.rem_euclid(length)` to the bit, without the
/// library's slow remainder where the length is a whole number.
#[must_use]
pub(crate) fn wrapped(position: f64, length: f64) -> f64 {
    /// Below it products of whole numbers are exact.
    const EXACT: f64 = (1_u64 << 52) as f64;
    if (0.0..length).contains(&position) {
        return position;
    }
    if (0.0..EXACT).contains(&position) && length as i64 as f64 == length {
        let laps = (position / length) as i64 as f64;
        // Both are within a factor of two of each other, so that the difference is exact. Of laps that
        // the division has rounded up it is negative.
        let rest = position - laps * length;
        if rest >= 0.0 {
            return rest;
        }
    }
    position.rem_euclid(length)
}

/// The simulated playhead of the reference client.
///
/// The position is `(anchor + max(0, elapsed) × rate × sample rate) mod frames`, in `f64` and in
/// that order of multiplication. `new` and `reset` start at frame 0.
#[derive(Clone, Debug, PartialEq)]
pub struct PlayheadSim {
    frames: u64,
    sample_rate: u32,
    rate: f64,
    paused: bool,
    /// Position in frames at `anchored_s`.
    anchor: f64,
    anchored_s: f64,
}

impl PlayheadSim {
    /// A playhead at frame 0 of a loop, running at rate 1. A length of 0 becomes 1.
    #[must_use]
    pub fn new(frames: u64, sample_rate: u32, now_s: f64) -> Self {
        Self {
            frames: frames.max(1),
            sample_rate,
            rate: 1.0,
            paused: false,
            anchor: 0.0,
            anchored_s: now_s,
        }
    }

    /// A playhead that goes on from a state, in a loop of this length.
    #[must_use]
    pub fn resume(state: &SimulatedState, frames: u64, sample_rate: u32) -> Self {
        Self {
            frames: frames.max(1),
            sample_rate,
            rate: state.rate,
            paused: state.paused,
            anchor: state.anchor,
            anchored_s: state.anchored_s,
        }
    }

    /// All that moves it.
    #[must_use]
    pub fn state(&self) -> SimulatedState {
        SimulatedState {
            anchor: self.anchor,
            anchored_s: self.anchored_s,
            rate: self.rate,
            paused: self.paused,
        }
    }

    /// Restarts at frame 0 of a loop of another length, as a swap does. Rate and pause stay.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        self.frames = frames.max(1);
        self.anchor = 0.0;
        self.anchored_s = now_s;
    }

    /// The position in frames, in `[0, frames)`.
    ///
    /// The modulo rounds up to `frames` itself just below a multiple, and a rate that is not a
    /// number poisons it; both read as 0, so that the result is always a place in the loop.
    #[must_use]
    pub fn position(&self, now_s: f64) -> f64 {
        let position = self.unguarded(now_s);
        if position > 0.0 && position < self.frames as f64 { position } else { 0.0 }
    }

    /// The frame that is heard: the position cut to a whole frame.
    #[must_use]
    pub fn frame(&self, now_s: f64) -> u64 {
        self.position(now_s) as u64
    }

    /// The position in seconds from the start of the loop.
    #[must_use]
    pub fn seconds(&self, now_s: f64) -> f64 {
        self.position(now_s) / f64::from(self.sample_rate)
    }

    /// How far `at_s` lies from the position, either way round the loop, in seconds.
    #[must_use]
    pub fn distance_s(&self, at_s: f64, now_s: f64) -> f64 {
        let loop_s = self.frames as f64 / f64::from(self.sample_rate);
        let ahead_s = wrapped(at_s - self.seconds(now_s), loop_s);
        ahead_s.min(loop_s - ahead_s)
    }

    /// Jumps to `to_s` seconds modulo the loop. A paused playhead jumps too and stays paused.
    pub fn seek(&mut self, to_s: f64, now_s: f64) {
        self.anchor = (to_s * f64::from(self.sample_rate)).rem_euclid(self.frames as f64);
        self.anchored_s = now_s;
    }

    /// Goes on from here at another rate; a negative rate runs backwards.
    pub fn set_rate(&mut self, rate: f64, now_s: f64) {
        self.rebase(now_s);
        self.rate = rate;
    }

    /// Stops here, or goes on from here.
    pub fn set_paused(&mut self, paused: bool, now_s: f64) {
        self.rebase(now_s);
        self.paused = paused;
    }

    /// Does what the listener did at `now_s`; a mark is nothing to it.
    pub fn operate(&mut self, op: &Marker, now_s: f64) {
        match *op {
            Marker::Seek { to_s } => self.seek(to_s, now_s),
            Marker::Rate { rate } => self.set_rate(rate, now_s),
            Marker::Pause => self.set_paused(true, now_s),
            Marker::Resume => self.set_paused(false, now_s),
            Marker::Point { .. } => {}
        }
    }

    /// Length of the loop in frames, at least 1.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames per second at rate 1.
    #[must_use]
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Playback rate: 1 is the speed of the wall clock. Kept while paused.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the playhead stands still.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// Always re-bases, even when nothing changes: each re-basing rounds, as in the reference.
    fn rebase(&mut self, now_s: f64) {
        self.anchor = self.unguarded(now_s);
        self.anchored_s = now_s;
    }

    fn unguarded(&self, now_s: f64) -> f64 {
        let frames = self.frames as f64;
        if self.paused {
            return wrapped(self.anchor, frames);
        }
        let elapsed_s = (now_s - self.anchored_s).max(0.0);
        wrapped(self.anchor + elapsed_s * self.rate * f64::from(self.sample_rate), frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn wrapped_is_the_remainder_to_the_bit(
            position in -1e3..1e17_f64, near in -3_i64..3, length in 0_u64..5_000_000, part in 0.0..1.0_f64,
        ) {
            let whole = length as f64;
            // Anywhere, within a loop or so, and next to whole laps.
            let laps = f64::from_bits((whole * (position % 1e4).floor()).to_bits().wrapping_add_signed(near));
            for position in [position, position % 1e9, position % 1e6, laps, laps + part] {
                for length in [whole, whole + part] {
                    let (found, expected) = (wrapped(position, length), position.rem_euclid(length));
                    prop_assert_eq!(found.to_bits(), expected.to_bits(), "{} {}", position, length);
                }
            }
        }
    }

    #[track_caller]
    fn check(command: impl FnOnce(&mut PlayheadSim), at_s: f64, expected: f64) {
        let mut playhead = PlayheadSim::new(48_000, 48_000, 10.0);
        command(&mut playhead);
        let position = playhead.position(at_s);
        assert_eq!(position.to_bits(), expected.to_bits(), "{position} is not {expected}");
        assert_eq!(playhead.frame(at_s), expected as u64);
    }

    #[test]
    fn positions_stay_inside_the_loop() {
        check(|_| (), 10.5, 24_000.0);
        check(|_| (), 11.0, 0.0);
        check(|p| p.seek(-1e-20, 10.0), 10.0, 0.0);
        check(|p| p.seek(f64::NAN, 10.0), 10.5, 0.0);
        check(|p| p.seek(f64::INFINITY, 10.0), 10.5, 0.0);
        check(|p| p.set_rate(f64::NAN, 10.0), 10.5, 0.0);
        check(|p| p.set_rate(f64::NEG_INFINITY, 10.0), 10.5, 0.0);
        check(|p| p.set_rate(-1.0, 10.0), 11.0, 0.0);
        check(|p| p.set_rate(-1e-30, 10.0), 10.5, 0.0);
    }

    #[test]
    fn a_seek_makes_a_poisoned_playhead_whole() {
        check(
            |p| {
                p.set_rate(f64::NAN, 10.0);
                p.set_rate(1.0, 10.25);
                p.seek(0.25, 10.5);
            },
            10.75,
            24_000.0,
        );
    }
}
