//! Which frames a slice covers. Regions lie within the loop and are never empty.

use crate::peer::policy::{EndRule, PlacementPolicy};
use crate::playhead::wrapped;

/// Frames `start .. start + frames` of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The first frame.
    pub start: u32,
    pub frames: u32,
}

impl Region {
    /// One past the last frame.
    #[must_use]
    pub fn end(self) -> u32 {
        self.start.saturating_add(self.frames)
    }
}

/// A loop band: the listener asked for frames `start .. end` over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    start: u32,
    frames: u32,
}

/// Where one slice goes; a second region where the first would pass the end of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    pub region: Region,
    /// The slice at 0 that carries what did not fit, under [`EndRule::Spill`].
    pub spill: Option<Region>,
}

/// The rule that places slices on one loop.
#[derive(Clone, Debug)]
pub struct Placement {
    frames: u32,
    sample_rate: f64,
    window: u32,
    grid: u32,
    at_end: EndRule,
    band: Option<Band>,
}

impl Placement {
    /// The rule for a loop of that many frames.
    #[must_use]
    pub fn new(policy: &PlacementPolicy, frames: u32, sample_rate: u32) -> Self {
        let sample_rate = f64::from(sample_rate);
        Self {
            frames: frames.max(1),
            sample_rate,
            window: ((policy.window_s * sample_rate).round() as u32).max(1),
            grid: policy.grid_frames.max(1),
            at_end: policy.at_end,
            band: None,
        }
    }

    /// A swap: another loop, without a band.
    pub fn restart(&mut self, frames: u32) {
        self.frames = frames.max(1);
        self.band = None;
    }

    /// Arms the loop band between two moments of the loop, in seconds; clears it when they are
    /// missing, no numbers, or leave nothing between them.
    pub fn set_band(&mut self, bounds_s: Option<(f64, f64)>) {
        let frame = |at_s: f64| (at_s * self.sample_rate).clamp(0.0, f64::from(self.frames)) as u32;
        self.band = bounds_s
            .filter(|(start_s, end_s)| start_s.is_finite() && end_s.is_finite())
            .map(|(start_s, end_s)| (frame(start_s), frame(end_s)))
            .filter(|(start, end)| start < end)
            .map(|(start, end)| Band { start, frames: end - start });
    }

    /// The armed band, if any.
    #[must_use]
    pub fn band(&self) -> Option<Band> {
        self.band
    }

    /// Length of a whole slice in frames.
    #[must_use]
    pub fn window(&self) -> u32 {
        self.window.min(self.frames)
    }

    /// The slice for a listener who is at `estimate` (frames), aimed `advance_s` ahead of them.
    #[must_use]
    #[inline]
    pub fn place(&self, estimate: f64, advance_s: f64) -> Placed {
        let ahead = estimate + advance_s * self.sample_rate;
        let target = match self.band {
            None => wrapped(ahead, f64::from(self.frames)),
            Some(Band { start, frames }) => {
                let start = f64::from(start);
                start + (ahead - start).rem_euclid(f64::from(frames))
            }
        };
        let target = (target as u32).min(self.frames - 1);
        self.window_from(target - target % self.grid)
    }

    /// The slice that begins exactly at `at_s`, for regions that the client asked for.
    #[must_use]
    pub fn place_exactly(&self, at_s: f64) -> Placed {
        let frame = (at_s * self.sample_rate).trunc().rem_euclid(f64::from(self.frames));
        self.window_from((frame as u32).min(self.frames - 1))
    }

    /// Whether a region is the last step of the grid before the end of the loop.
    #[must_use]
    pub fn is_last(&self, region: Region) -> bool {
        region.end() == self.frames && region.frames <= self.grid
    }

    #[inline]
    fn window_from(&self, start: u32) -> Placed {
        let window = self.window();
        let room = self.frames - start;
        if window <= room {
            return Placed { region: Region { start, frames: window }, spill: None };
        }
        let truncated = Region { start, frames: room };
        match self.at_end {
            EndRule::Truncate => Placed { region: truncated, spill: None },
            EndRule::Clamp => {
                let region = Region { start: self.frames - window, frames: window };
                Placed { region, spill: None }
            }
            EndRule::Spill => {
                let spill = Region { start: 0, frames: window - room };
                Placed { region: truncated, spill: Some(spill) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loop of 2 s (96,000 frames) and slices of 17,280.
    fn rule(at_end: EndRule) -> Placement {
        Placement::new(&PlacementPolicy { at_end, ..PlacementPolicy::default() }, 96_000, 48_000)
    }

    #[track_caller]
    fn check(rule: &Placement, estimate: f64, advance_s: f64, expected: &[(u32, u32)]) {
        let placed = rule.place(estimate, advance_s);
        let regions: Vec<(u32, u32)> = std::iter::once(placed.region)
            .chain(placed.spill)
            .map(|region| (region.start, region.frames))
            .collect();
        assert_eq!(regions, expected, "from {estimate} by {advance_s} s");
    }

    #[test]
    fn starts_are_rounded_down_to_the_grid() {
        let rule = rule(EndRule::Truncate);
        check(&rule, 0.0, 0.25, &[(11_520, 17_280)]);
        check(&rule, 1_439.0, 0.25, &[(11_520, 17_280)]);
        check(&rule, 1_440.0, 0.25, &[(13_440, 17_280)]);
    }

    #[test]
    fn targets_wrap_around_the_loop() {
        let rule = rule(EndRule::Truncate);
        check(&rule, 95_000.0, 0.25, &[(9_600, 17_280)]);
        check(&rule, 0.0, -0.5, &[(71_040, 17_280)]);
        check(&rule, 0.0, 200.0, &[(0, 17_280)]);
    }

    #[test]
    fn three_ways_to_end_a_loop() {
        check(&rule(EndRule::Truncate), 92_160.0, 0.0, &[(92_160, 3_840)]);
        check(&rule(EndRule::Clamp), 92_160.0, 0.0, &[(78_720, 17_280)]);
        check(&rule(EndRule::Spill), 92_160.0, 0.0, &[(92_160, 3_840), (0, 13_440)]);
        check(&rule(EndRule::Spill), 78_720.0, 0.0, &[(78_720, 17_280)]);
    }

    #[test]
    fn a_band_keeps_slices_to_itself() {
        let mut rule = rule(EndRule::Truncate);
        rule.set_band(Some((0.4, 0.8)));
        check(&rule, 38_000.0, 0.25, &[(30_720, 17_280)]);
        check(&rule, 0.0, 0.0, &[(19_200, 17_280)]);
        for cleared in [None, Some((0.8, 0.4)), Some((f64::NAN, 1.0)), Some((5.0, 6.0))] {
            rule.set_band(cleared);
            assert_eq!(rule.band(), None, "{cleared:?}");
        }
    }

    #[test]
    fn loops_shorter_than_a_slice() {
        let rule = Placement::new(&PlacementPolicy::default(), 1_000, 48_000);
        check(&rule, 999.0, 0.25, &[(0, 1_000)]);
        assert_eq!(rule.window(), 1_000);
    }

    #[test]
    fn an_asked_region_ignores_the_grid() {
        let rule = rule(EndRule::Truncate);
        assert_eq!(rule.place_exactly(0.5001).region, Region { start: 24_004, frames: 17_280 });
        assert_eq!(rule.place_exactly(1.999).region, Region { start: 95_952, frames: 48 });
        assert_eq!(rule.place_exactly(-0.5).region.start, 72_000);
        assert_eq!(rule.place_exactly(f64::NAN).region.start, 0);
        assert_eq!(rule.place_exactly(f64::INFINITY).region.start, 0);
    }
}
