//! When each frame of the loop was last written.
//!
//! Enters: writes of regions, in the order in which they were applied. Leaves: the last write of
//! any frame, and how far to the right it is the same. A slice overlaps the one before for most of
//! its length, so a loop has about one region for each slice of the last lap.

use crate::capture::{LastWrite, WrittenBy};
use crate::time::Nanos;

/// Regions kept at most. Real loops have some thousands; beyond this bound a write takes the
/// regions that it cuts whole, and the map is no longer exact to the frame.
const MAX_REGIONS: usize = 1 << 16;

/// Regions that are looked at from a hint on, before all are searched.
const NEAR: usize = 4;

/// Where a region is expected: it says nothing of the loop, so that all hints are alike.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RegionHint(pub usize);

impl PartialEq for RegionHint {
    fn eq(&self, _: &RegionHint) -> bool {
        true
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Region {
    start: u64,
    write: LastWrite,
}

/// The last write of every frame of one loop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LastWrites {
    frames: u64,
    /// Sorted; the first starts at 0, each reaches to the next, the last to the loop's end.
    regions: Vec<Region>,
    /// The region that was written last.
    written: RegionHint,
}

impl LastWrites {
    /// A loop of which nothing was patched since its buffer came. A length of 0 becomes 1.
    pub fn new(frames: u64, at: Nanos) -> Self {
        let write = LastWrite { at, by: WrittenBy::Buffer, due_ns: 0 };
        let regions = vec![Region { start: 0, write }];
        LastWrites { frames: frames.max(1), regions, written: RegionHint::default() }
    }

    /// A loop with these writes, each from its first frame to the next one's; `None` when they do
    /// not begin at 0 and ascend.
    pub(super) fn resume(frames: u64, writes: &[(u64, LastWrite)]) -> Option<Self> {
        let regions: Vec<_> =
            writes.iter().map(|&(start, write)| Region { start, write }).collect();
        let ascends = regions.is_sorted_by(|a, b| a.start < b.start);
        let fits = regions.first().is_some_and(|first| first.start == 0)
            && regions.last().is_some_and(|last| last.start < frames);
        let written = RegionHint::default();
        (ascends && fits && regions.len() <= MAX_REGIONS).then_some(LastWrites {
            frames,
            regions,
            written,
        })
    }

    /// The first frame and the write of each region, in order.
    pub(super) fn state(&self) -> Vec<(u64, LastWrite)> {
        self.regions.iter().map(|region| (region.start, region.write)).collect()
    }

    /// Length of the loop in frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Regions with different writes.
    pub fn regions(&self) -> usize {
        self.regions.len()
    }

    /// Writes `len` frames from `start`, as far as they lie in the loop.
    pub fn write(&mut self, start: u64, len: u64, write: LastWrite) {
        let mut start = start;
        let mut end = start.saturating_add(len).min(self.frames);
        if start >= end {
            return;
        }
        let mut hint = self.written;
        let first = self.index_near(start, &mut hint);
        let last = self.index_near(end - 1, &mut hint);
        if self.regions.len() + 2 > MAX_REGIONS {
            start = self.regions[first].start;
            end = self.end(last);
        }
        let from = first + usize::from(self.regions[first].start < start);
        let tail =
            (end < self.end(last)).then(|| Region { start: end, write: self.regions[last].write });
        let new = Region { start, write };
        self.written = RegionHint(from);
        if from > last {
            // The write lies inside one region, whose head and perhaps tail stay.
            match tail {
                Some(tail) => drop(self.regions.splice(from..from, [new, tail])),
                None => self.regions.insert(from, new),
            }
            return;
        }
        self.regions[from] = new;
        match (tail, last - from) {
            (Some(tail), 0) => self.regions.insert(from + 1, tail),
            (Some(tail), _) => {
                self.regions[from + 1] = tail;
                self.regions.drain(from + 2..=last);
            }
            (None, _) => drop(self.regions.drain(from + 1..=last)),
        }
    }

    /// The region that holds a frame.
    pub(super) fn index_of(&self, frame: u64) -> usize {
        self.regions.partition_point(|region| region.start <= frame) - 1
    }

    /// The same, looked for where the hint says first and in the regions right behind it.
    pub(super) fn index_near(&self, frame: u64, hint: &mut RegionHint) -> usize {
        let near = hint.0..(hint.0 + NEAR).min(self.regions.len());
        let holds = |index: &usize| (self.start(*index)..self.end(*index)).contains(&frame);
        hint.0 = near.into_iter().find(holds).unwrap_or_else(|| self.index_of(frame));
        hint.0
    }

    /// First frame of a region.
    pub(super) fn start(&self, index: usize) -> u64 {
        self.regions[index].start
    }

    /// The frame after the last of a region.
    pub(super) fn end(&self, index: usize) -> u64 {
        self.regions.get(index + 1).map_or(self.frames, |next| next.start)
    }

    /// The write that a region comes from.
    pub(super) fn write_of(&self, index: usize) -> LastWrite {
        self.regions[index].write
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl LastWrites {
        fn at(&self, frame: u64) -> LastWrite {
            self.write_of(self.index_of(frame))
        }
    }

    fn by(slice: u32) -> LastWrite {
        LastWrite { at: Nanos(slice.into()), by: WrittenBy::Slice(slice), due_ns: 0 }
    }

    #[track_caller]
    fn check(writes: &[(u64, u64)], expected: &[u32], regions: usize) {
        let mut map = LastWrites::new(8, Nanos(0));
        for (slice, &(start, len)) in (1..).zip(writes) {
            map.write(start, len, by(slice));
        }
        let found: Vec<u32> = (0..8)
            .map(|frame| match map.at(frame).by {
                WrittenBy::Slice(slice) => slice,
                _ => 0,
            })
            .collect();
        assert_eq!((&found[..], map.regions()), (expected, regions), "{map:?}");
    }

    #[test]
    fn last_writes_cut_and_cover_what_was_there() {
        check(&[], &[0; 8], 1);
        check(&[(2, 3)], &[0, 0, 1, 1, 1, 0, 0, 0], 3);
        check(&[(2, 3), (3, 3)], &[0, 0, 1, 2, 2, 2, 0, 0], 4);
        check(&[(2, 4), (3, 1)], &[0, 0, 1, 2, 1, 1, 0, 0], 5);
        check(&[(2, 2), (4, 2), (1, 6)], &[0, 3, 3, 3, 3, 3, 3, 0], 3);
        check(&[(2, 2), (4, 2), (3, 2)], &[0, 0, 1, 3, 3, 2, 0, 0], 5);
        check(&[(0, 8), (0, 8)], &[2; 8], 1);
        check(&[(2, 3), (2, 3)], &[0, 0, 2, 2, 2, 0, 0, 0], 3);
    }

    #[test]
    fn last_writes_past_the_end_and_of_nothing() {
        check(&[(6, 5)], &[0, 0, 0, 0, 0, 0, 1, 1], 2);
        check(&[(8, 5), (u64::MAX, u64::MAX), (3, 0)], &[0; 8], 1);
    }

    proptest! {
        #[test]
        fn last_writes_are_those_of_an_array(
            writes in proptest::collection::vec((0_u64..70, 0_u64..70), 0..200),
        ) {
            let mut map = LastWrites::new(64, Nanos(0));
            let mut array = [LastWrite { at: Nanos(0), by: WrittenBy::Buffer, due_ns: 0 }; 64];
            for (slice, (start, len)) in (1..).zip(writes) {
                map.write(start, len, by(slice));
                let end = (start + len).min(64) as usize;
                array[(start as usize).min(end)..end].fill(by(slice));
                for (frame, write) in array.iter().enumerate() {
                    prop_assert_eq!(map.at(frame as u64), *write);
                }
                prop_assert!((1..map.regions()).all(|i| map.start(i - 1) < map.start(i)));
            }
        }
    }

    #[test]
    fn last_writes_are_bounded() {
        let mut map = LastWrites::new(1 << 20, Nanos(0));
        for slice in 0..1 << 18 {
            map.write(u64::from(slice) * 4, 1, by(slice));
        }
        assert!(map.regions() <= MAX_REGIONS, "{}", map.regions());
        assert_eq!(map.at(((1 << 18) - 1) * 4), by((1 << 18) - 1));
    }

    #[test]
    fn regions_are_bounded() {
        let all: Vec<_> = (0..=MAX_REGIONS as u64).map(|n| (n, by(n as u32))).collect();
        let frames = MAX_REGIONS as u64 + 1;
        assert!(LastWrites::resume(frames, &all).is_none());
        let mut full = LastWrites::resume(frames, &all[..MAX_REGIONS]).unwrap();
        assert_eq!(full.regions(), MAX_REGIONS);
        // There is no room for the rest of a region: the write covers it.
        full.write(MAX_REGIONS as u64, 1, by(7));
        assert_eq!(full.regions(), MAX_REGIONS);
        assert_eq!((full.at(frames - 1), full.at(frames - 2)), (by(7), by(7)));
        let most = &all[..MAX_REGIONS - 2];
        let mut almost = LastWrites::resume(frames, most).unwrap();
        almost.write(frames - 2, 1, by(7));
        assert_eq!(almost.regions(), MAX_REGIONS);
        assert_eq!((almost.at(frames - 1), almost.at(frames - 2)), (most[most.len() - 1].1, by(7)));
    }
}
