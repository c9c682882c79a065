//! Bars and steps of a loop. Its length and a wished tempo enter; frame positions leave. A step is a
//! sixteenth note. Bars fill the loop exactly: the last one ends where the first begins.

use std::ops::Range;

/// Steps in one beat.
const BEAT_STEPS: usize = 4;
/// Beats in a whole bar. Only a loop that is too short for one has fewer.
const BAR_BEATS: usize = 4;
/// How many bars after its own a note may still sound in.
const REACH_BARS: usize = 2;

/// The musical grid of a loop.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    frames: usize,
    bars: usize,
    bar_beats: usize,
    step_frames: f32,
    sample_rate: u32,
}

impl Grid {
    /// The grid whose tempo is nearest to `beats_per_minute`, with a liking for bars in fours, as
    /// progressions are.
    pub(super) fn fit(frames: usize, sample_rate: u32, beats_per_minute: f32) -> Self {
        let wished = beats_per_minute / 60.0 * frames as f32 / sample_rate as f32;
        let (bars, bar_beats) = nearest(wished);
        let step_frames = frames as f32 / (bars * bar_beats * BEAT_STEPS) as f32;
        Self { frames, bars, bar_beats, step_frames, sample_rate }
    }

    pub(super) fn frames(&self) -> usize {
        self.frames
    }

    pub(super) fn bars(&self) -> usize {
        self.bars
    }

    /// Steps in each bar.
    pub(super) fn bar_steps(&self) -> usize {
        self.bar_beats * BEAT_STEPS
    }

    /// Frames in the longest bar.
    pub(super) fn bar_frames(&self) -> usize {
        self.frames.div_ceil(self.bars)
    }

    /// The frame at a position within a bar.
    pub(super) fn frame_at(&self, bar: usize, steps: f32) -> usize {
        // In u64, because the product of a long loop passes 32 bits.
        (bar as u64 * self.frames as u64 / self.bars as u64) as usize + self.steps(steps)
    }

    /// Frames in a number of steps.
    pub(super) fn steps(&self, steps: f32) -> usize {
        (steps * self.step_frames) as usize
    }

    /// Frames in a number of seconds.
    pub(super) fn seconds(&self, seconds: f32) -> usize {
        (seconds * self.sample_rate as f32) as usize
    }

    /// The bars whose notes can sound in a range of frames.
    pub(super) fn bars_sounding(&self, start: usize, end: usize) -> Range<usize> {
        let first = self.bar_of(start).saturating_sub(REACH_BARS);
        first..self.bar_of(end - 1) + 1
    }

    /// The frame before which every note of a bar is over: no note crosses the loop point.
    pub(super) fn last_frame_of(&self, bar: usize) -> usize {
        self.frame_at((bar + 1 + REACH_BARS).min(self.bars), 0.0)
    }

    fn bar_of(&self, frame: usize) -> usize {
        // The inverse of the rounded-down division in `frame_at`.
        ((frame as u64 + 1) * self.bars as u64).div_ceil(self.frames as u64) as usize - 1
    }
}

/// Bars and beats in each, for a number of beats wished.
fn nearest(wished: f32) -> (usize, usize) {
    let around = (wished / BAR_BEATS as f32) as usize;
    let whole = (around.saturating_sub(2).max(1)..=around + 3).map(|bars| (bars, BAR_BEATS));
    let short = (1..BAR_BEATS).map(|beats| (1, beats));
    let cost = |&(bars, beats): &(usize, usize)| {
        let stretch = libm::logf((bars * beats) as f32 / wished.max(f32::MIN_POSITIVE));
        let oddity = match bars % 4 {
            0 => 0.0,
            2 => 0.1,
            _ => 0.2,
        };
        stretch.abs() + oddity
    };
    let best = short.chain(whole).min_by(|a, b| cost(a).total_cmp(&cost(b)));
    best.unwrap_or((1, BAR_BEATS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(seconds: f32, bars: usize, bar_beats: usize) {
        let grid = Grid::fit((seconds * 48_000.0) as usize, 48_000, 80.0);
        assert_eq!((grid.bars, grid.bar_beats), (bars, bar_beats));
    }

    #[test]
    fn tempo_fits_the_loop() {
        check(0.1, 1, 1);
        check(1.6, 1, 2);
        check(3.0, 1, 4);
        check(6.0, 2, 4);
        check(12.5, 4, 4);
        check(60.0, 20, 4);
        check(61.0, 20, 4);
        check(64.0, 20, 4);
        check(600.0, 200, 4);
    }

    #[test]
    fn every_frame_is_in_the_bar_that_begins_before_it() {
        for (frames, bars) in [(1, 1), (97, 4), (100, 7), (4_801, 20)] {
            let grid = Grid { frames, bars, bar_beats: 4, step_frames: 1.0, sample_rate: 48_000 };
            for frame in 0..frames {
                let bar = grid.bar_of(frame);
                assert!(grid.frame_at(bar, 0.0) <= frame, "{frame} of {frames}");
                assert!(frame < grid.frame_at(bar + 1, 0.0), "{frame} of {frames}");
            }
        }
    }
}
