//! The path of the playhead between two events, and the regions that it crosses when.
//!
//! Enters: a straight line of the position over time, and the last writes of the loop. Leaves:
//! spans of time, each over one region. A span ends at the first nanosecond at which the position
//! has reached the region's end; that moment is computed from the line alone, so it is the same
//! wherever a walk begins.

use super::writes::{LastWrites, RegionHint};
use crate::capture::{LastWrite, PlayheadLine};
use crate::playhead::wrapped;
use crate::time::Nanos;

/// Laps walked at once at most. Whoever says nothing for longer than that is not known to listen.
const MAX_LAPS: f64 = 2.0;
/// A loop that goes by faster than this is nothing that somebody listens to.
const MIN_LAP_NS: f64 = 1e6;
const NS_PER_S: f64 = 1e9;
/// Positions, also those of a playhead that stands still, are computed from seconds, and rounded by
/// less than this; it is a fifth of a nanosecond of the usual 48,000 frames a second.
const ROUNDING_FRAMES: f64 = 1e-5;

/// A stretch of time in which the listener heard frames of one region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub from: Nanos,
    pub to: Nanos,
    pub write: LastWrite,
    /// The region's first frame.
    pub region: u64,
}

impl PlayheadLine {
    /// The position at a moment, not wrapped. Before the line begins it stands where that begins.
    pub(super) fn walked(&self, at: Nanos) -> f64 {
        self.position + at.0.saturating_sub(self.at.0) as f64 / NS_PER_S * self.speed
    }

    /// The frame that is heard, in a loop of this length. A position that is short of a frame by what
    /// may be rounding has reached it: else rounding would put the listener a whole frame back.
    #[must_use]
    pub fn frame(&self, at: Nanos, frames: u64) -> u64 {
        let frames = frames.max(1);
        let reached = self.walked(at) + ROUNDING_FRAMES;
        (wrapped(reached, frames as f64) as u64).min(frames - 1)
    }

    /// The first nanosecond at which a frame is reached; where the line begins if that is beyond it.
    /// `None` where a playhead that stands still does not reach it.
    pub(super) fn crosses(&self, frame: f64) -> Option<Nanos> {
        if self.speed == 0.0 {
            return (self.position + ROUNDING_FRAMES >= frame).then_some(self.at);
        }
        let distance = (frame - self.position) * self.speed.signum();
        let after_ns = ceil(distance * (NS_PER_S / self.speed.abs()));
        Some(Nanos(self.at.0.saturating_add(after_ns)))
    }

    /// Hands over what is heard between two moments, in order and without a gap. `hint` remembers where
    /// a walk ended, which is where the next one mostly begins.
    pub(super) fn walk(
        &self,
        (from, to): (Nanos, Nanos),
        writes: &LastWrites,
        hint: &mut RegionHint,
        mut heard: impl FnMut(Span),
    ) {
        if from >= to || !self.position.is_finite() || !self.speed.is_finite() {
            return;
        }
        if self.speed == 0.0 {
            let index = writes.index_near(self.frame(from, writes.frames()), hint);
            let (write, region) = (writes.write_of(index), writes.start(index));
            heard(Span { from, to, write, region });
            return;
        }
        if writes.frames() as f64 / self.speed.abs() * NS_PER_S < MIN_LAP_NS {
            return;
        }
        let mut walk = Walk::new(self, from, writes, hint);
        let to = to.min(walk.reaches(walk.distance + MAX_LAPS * walk.frames));
        let mut at = from;
        while at < to {
            let (index, leaves_at) = walk.step();
            let until = leaves_at.clamp(at, to);
            if until > at {
                let (write, region) = (writes.write_of(index), writes.start(index));
                heard(Span { from: at, to: until, write, region });
                at = until;
            }
            hint.0 = index;
        }
    }
}

/// A walk over regions. Distances are frames in the direction of the walk from the edge of the loop
/// at which it would begin.
struct Walk<'a> {
    line: &'a PlayheadLine,
    writes: &'a LastWrites,
    backwards: bool,
    frames: f64,
    ns_per_frame: f64,
    origin: f64,
    /// Whole frames walked at the beginning of this walk.
    distance: f64,
    lap: f64,
    index: usize,
}

impl<'a> Walk<'a> {
    fn new(
        line: &'a PlayheadLine,
        from: Nanos,
        writes: &'a LastWrites,
        hint: &mut RegionHint,
    ) -> Self {
        let frames = writes.frames() as f64;
        let backwards = line.speed < 0.0;
        let origin = if backwards { frames - line.position } else { line.position };
        let elapsed_s = from.0.saturating_sub(line.at.0) as f64 / NS_PER_S;
        let mut walk = Walk {
            line,
            writes,
            backwards,
            frames,
            ns_per_frame: NS_PER_S / line.speed.abs(),
            origin,
            distance: floor(origin + elapsed_s * line.speed.abs()),
            lap: 0.0,
            index: 0,
        };
        // The moments at which frames are reached decide, not the rounding of the position.
        if walk.distance > 0.0 && walk.reaches(walk.distance) > from {
            walk.distance -= 1.0;
        } else if walk.reaches(walk.distance + 1.0) <= from {
            walk.distance += 1.0;
        }
        walk.lap = floor(walk.distance / frames);
        let frame = (walk.distance - walk.lap * frames) as u64;
        let last = writes.frames() - 1;
        let frame = frame.min(last);
        walk.index = writes.index_near(if backwards { last - frame } else { frame }, hint);
        walk
    }

    /// The first nanosecond at which so many frames are walked.
    fn reaches(&self, distance: f64) -> Nanos {
        let after_ns = ceil((distance - self.origin) * self.ns_per_frame);
        Nanos(self.line.at.0.saturating_add(after_ns))
    }

    /// The region that the walk is in, and when it leaves it for the next.
    fn step(&mut self) -> (usize, Nanos) {
        let index = self.index;
        let edge = if self.backwards {
            self.writes.frames() - self.writes.start(index)
        } else {
            self.writes.end(index)
        };
        let leaves_at = self.reaches(self.lap * self.frames + edge as f64);
        let last = self.writes.regions() - 1;
        let (end, begin) = if self.backwards { (0, last) } else { (last, 0) };
        if index == end {
            self.index = begin;
            self.lap += 1.0;
        } else {
            self.index = if self.backwards { index - 1 } else { index + 1 };
        }
        (index, leaves_at)
    }
}

/// `f64::floor`, without a call into the library for numbers that are no less than 0.
fn floor(value: f64) -> f64 {
    /// From here on all numbers are whole.
    const WHOLE: f64 = (1_u64 << 52) as f64;
    if (0.0..WHOLE).contains(&value) { value as i64 as f64 } else { value.floor() }
}

/// The least whole number that is not below a value, or 0; without a call into the library.
fn ceil(value: f64) -> u64 {
    let below = value as i64;
    (below.max(0) as u64).saturating_add(u64::from((below as f64) < value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::WrittenBy;

    const RATE: f64 = 1000.0;

    /// A loop of 1000 frames at 1 ms each; frames 200..300 are slice 1, 900..1000 slice 2.
    fn writes() -> LastWrites {
        let mut writes = LastWrites::new(1000, Nanos(0));
        writes.write(200, 100, LastWrite { at: Nanos(1), by: WrittenBy::Slice(1), due_ns: 0 });
        writes.write(900, 500, LastWrite { at: Nanos(2), by: WrittenBy::Slice(2), due_ns: 0 });
        writes
    }

    #[track_caller]
    fn check(position: f64, speed: f64, (from, to): (u64, u64), expected: &[(u64, u64, u32)]) {
        let line = PlayheadLine { at: Nanos(0), position, speed };
        let mut spans = Vec::new();
        let ms = |ms: u64| Nanos(ms * 1_000_000);
        line.walk((ms(from), ms(to)), &writes(), &mut RegionHint::default(), |span| {
            let slice = match span.write.by {
                WrittenBy::Slice(slice) => slice,
                _ => 0,
            };
            spans.push((span.from.0 / 1_000_000, span.to.0.div_ceil(1_000_000), slice));
        });
        assert_eq!(spans, expected);
    }

    #[test]
    fn path_crosses_regions_and_the_loop_point() {
        check(0.0, RATE, (0, 100), &[(0, 100, 0)]);
        check(0.0, RATE, (100, 350), &[(100, 200, 0), (200, 300, 1), (300, 350, 0)]);
        check(850.0, RATE, (0, 400), &[(0, 50, 0), (50, 150, 2), (150, 350, 0), (350, 400, 1)]);
        check(0.0, 2.0 * RATE, (0, 150), &[(0, 100, 0), (100, 150, 1)]);
        check(250.0, 0.0, (10, 5000), &[(10, 5000, 1)]);
        check(350.0, -RATE, (0, 200), &[(0, 50, 0), (50, 150, 1), (150, 200, 0)]);
        check(50.0, -RATE, (0, 200), &[(0, 50, 0), (50, 150, 2), (150, 200, 0)]);
        check(0.0, -RATE, (0, 50), &[(0, 50, 2)]);
    }

    /// Lines that are at a whole frame, up to rounding.
    #[test]
    fn path_is_at_the_frame_that_it_has_reached_whatever_positions_round_to() {
        let frame = |position, speed, ms: u64| {
            let line = PlayheadLine { at: Nanos(0), position, speed };
            line.frame(Nanos(ms * 1_000_000), 300)
        };
        assert_eq!(frame(12.0 - 1e-12, RATE, 238), 250);
        assert_eq!(frame(12.0 + 1e-12, RATE, 238), 250);
        assert_eq!(frame(250.0 - 1e-12, -RATE, 50), 200);
        assert_eq!(frame(250.0 + 1e-12, -RATE, 50), 200);
        assert_eq!(frame(300.0 - 1e-12, 0.5 * RATE, 0), 0);
        assert_eq!(frame(12.9, RATE, 238), 250);
        assert_eq!(frame(12.9, 0.0, 238), 12);
        assert_eq!(frame(85.0 - 1e-12, 0.0, 144), 85);
    }

    #[test]
    fn path_is_walked_two_laps_at_once_and_nowhere_when_it_is_no_number() {
        let mut heard = 0;
        let line = PlayheadLine { at: Nanos(0), position: 0.0, speed: RATE };
        let span = (Nanos(0), Nanos(9_000_000_000));
        line.walk(span, &writes(), &mut RegionHint::default(), |span| {
            heard += span.to.0 - span.from.0;
        });
        assert_eq!(heard, 2_000_000_000);
        check(f64::NAN, RATE, (0, 100), &[]);
        check(0.0, f64::NAN, (0, 100), &[]);
        check(0.0, 1e300, (0, 100), &[]);
        check(5.0, 1e-300, (0, 100), &[(0, 100, 0)]);
    }
}
