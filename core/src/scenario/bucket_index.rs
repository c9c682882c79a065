//! How old the audio under a moving listener is.
//!
//! Enters: the slices and ticks of an epoch, once; then, for each scenario, a playhead and a range of
//! ticks. Leaves: the age of the audio at every tick, in seconds, as the tracker would have found it.
//! Which slice refreshes what, and between which ticks, does not depend on the listener. So it is
//! laid out once, bucket by bucket, and a scenario walks from bucket to bucket: while the listener
//! stays in one that nothing refreshes, a tick costs a few comparisons.

use std::ops::Range;

use super::columns::EpochColumns;
use crate::lag::stats::{Buckets, staleness_s};
use crate::playhead::PlayheadWalk;

/// Most refreshes for each slice, on average: slices as long as 16 s of the loop. Above it the
/// layout would take more memory than the capture.
const MOST_PER_SLICE: usize = 64;

/// The refreshes of an epoch, bucket by bucket.
#[derive(Clone, Debug)]
pub(super) struct BucketIndex {
    buckets: Buckets,
    /// First frame of each bucket, and twice the end of the loop.
    edges: Vec<u64>,
    /// The second entry of each bucket. Its first is what was there before any slice, and its last
    /// holds from no tick on.
    second: Vec<u32>,
    /// From which tick on an entry holds; each from a later one than the entry before.
    from_tick: Vec<u32>,
    t_s: Vec<f64>,
}

/// For each bucket the first entry that does not hold yet at the last tick there.
#[derive(Clone, Debug, Default)]
pub(super) struct Cursors(Vec<u32>);

impl BucketIndex {
    /// Lays out an epoch; `None` where slices cover so much that it would not pay.
    pub fn of(epoch: &EpochColumns) -> Option<BucketIndex> {
        let EpochColumns { buckets, slices, .. } = epoch;
        let lengths = slices.refreshed.iter().map(|&(from, until)| (until - from) as usize);
        let most = slices.refreshed.len() * MOST_PER_SLICE;
        if lengths.fold(0_usize, usize::saturating_add) > most {
            return None;
        }
        let mut counts = vec![0_u32; buckets.count()];
        for &(from, until) in &slices.refreshed {
            counts[from as usize..until as usize].iter_mut().for_each(|count| *count += 1);
        }
        let mut entries = 0;
        let second: Vec<u32> = counts
            .iter()
            .map(|count| {
                entries += count + 2;
                entries - count - 1
            })
            .collect();
        let mut from_tick = vec![u32::MAX; entries as usize];
        let mut t_s = vec![epoch.began.seconds(); entries as usize];
        let mut next = second.clone();
        for (&second, &refreshed_s) in second.iter().zip(&epoch.refreshed_s) {
            from_tick[second as usize - 1] = 0;
            t_s[second as usize - 1] = refreshed_s;
        }
        let rows = slices.refreshed.iter().zip(&slices.ticks_before).zip(&slices.t_s);
        for ((&(from, until), &tick), &arrived_s) in rows {
            for entry in &mut next[from as usize..until as usize] {
                // Nobody hears what is refreshed again before the next tick.
                *entry -= u32::from(from_tick[*entry as usize - 1] == tick);
                from_tick[*entry as usize] = tick;
                t_s[*entry as usize] = arrived_s;
                *entry += 1;
            }
        }
        let edges = (0..=buckets.count() + 1).map(|bucket| buckets.first_frame(bucket)).collect();
        Some(BucketIndex { buckets: *buckets, edges, second, from_tick, t_s })
    }

    /// Begins a walk through the ticks.
    pub fn rewind(&self, cursors: &mut Cursors) {
        cursors.0.clone_from(&self.second);
    }

    /// The ages at the ticks of `rows`, which follow on those asked for before. Positions are
    /// rounded down to multiples of `quantum`.
    pub fn age(
        &self,
        ticks_s: &[f64],
        rows: Range<usize>,
        walk: &mut PlayheadWalk,
        quantum: u64,
        cursors: &mut Cursors,
        ages_s: &mut [f64],
    ) {
        let (ticks_s, ages_s) = (&ticks_s[..rows.end], &mut ages_s[..rows.end]);
        let (mut row, mut bucket) = (rows.start, 0);
        while row < rows.end {
            // Most often the listener goes on to the next bucket.
            let position = walk.lap_position(ticks_s[row]);
            let mut positions = self.positions(bucket + 1, quantum);
            if positions.contains(&position) {
                bucket += 1;
            } else {
                let frame = walk.frame(ticks_s[row]);
                bucket = self.buckets.of_frame(frame - frame % quantum);
                positions = self.positions(bucket, quantum);
            }
            let left = self.stay(ticks_s, row, walk, &positions, &mut cursors.0[bucket], ages_s);
            // A position that is known by its frame alone, as in an endless loop, is in no bucket.
            row = left.max(row + 1);
        }
    }

    /// The ages from `row` to the tick at which the listener has left `positions`, which is
    /// returned; at least one.
    #[inline]
    fn stay(
        &self,
        ticks_s: &[f64],
        mut row: usize,
        walk: &PlayheadWalk,
        positions: &Range<f64>,
        cursor: &mut u32,
        ages_s: &mut [f64],
    ) -> usize {
        let mut entry = *cursor as usize;
        while self.from_tick[entry] as usize <= row {
            entry += 1;
        }
        let (mut refreshed_s, mut refreshed_at) = (self.t_s[entry - 1], self.from_tick[entry]);
        ages_s[row] = staleness_s(ticks_s[row], refreshed_s);
        for (&t_s, age_s) in ticks_s[row..].iter().zip(&mut ages_s[row..]) {
            let position = walk.lap_position(t_s);
            if !positions.contains(&position) {
                break;
            }
            // One entry more at most, since each holds from a later tick than the one before.
            if refreshed_at as usize == row {
                entry += 1;
                (refreshed_s, refreshed_at) = (self.t_s[entry - 1], self.from_tick[entry]);
            }
            *age_s = staleness_s(t_s, refreshed_s);
            row += 1;
        }
        *cursor = entry as u32;
        row
    }

    /// The positions at which a bucket is heard.
    fn positions(&self, bucket: usize, quantum: u64) -> Range<f64> {
        let (from, until) = (self.edges[bucket], self.edges[bucket + 1]);
        if quantum == 1 {
            return from as f64..until as f64;
        }
        let end = self.edges[self.buckets.count()];
        let edge =
            |frame: u64| frame.checked_next_multiple_of(quantum).map_or(end, |up| up.min(end));
        edge(from) as f64..edge(until) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{Arrival, LagTracker};
    use crate::playhead::PlayheadSim;
    use crate::scenario::columns::{SliceColumns, TickColumns};
    use crate::time::Nanos;
    use proptest::prelude::*;

    const SAMPLE_RATE: u32 = 1_000;

    /// One tick every 10 ms, after each of which some slices may arrive.
    type Arrivals = Vec<Vec<(u32, u32)>>;

    fn epoch(frames: u64, arrivals: &Arrivals) -> EpochColumns {
        let buckets = Buckets::new(frames, SAMPLE_RATE, crate::lag::DEFAULT_BUCKET_S);
        let (mut slices, mut ticks) = (SliceColumns::default(), TickColumns::default());
        for arrived in arrivals {
            let t_s = ticks.t_s.len() as f64 * 0.01;
            ticks.t_s.push(t_s);
            for &(start, length) in arrived {
                let Range { start: from, end: until } = buckets.of_slice(start, length);
                slices.t_s.push(t_s + 0.001);
                slices.ticks_before.push(ticks.t_s.len() as u32);
                slices.refreshed.push((from as u32, until as u32));
            }
        }
        let (began, channels) = (Nanos(0), 2);
        let refreshed_s = vec![began.seconds(); buckets.count()];
        let latest = began;
        EpochColumns { began, latest, frames, channels, buckets, refreshed_s, slices, ticks }
    }

    /// The tracker's own ages.
    fn expected(playhead: &PlayheadSim, quantum: u64, arrivals: &Arrivals) -> Vec<f64> {
        let mut tracker = LagTracker::new(playhead.frames(), SAMPLE_RATE, 0.0);
        for (tick, arrived) in arrivals.iter().enumerate() {
            let t_s = tick as f64 * 0.01;
            let frame = playhead.frame(t_s);
            tracker.on_tick(t_s, frame - frame % quantum);
            for &(start, frames) in arrived {
                let arrival = Arrival {
                    start,
                    frames,
                    playhead: 0,
                    tick_ms: 0.0,
                    dec_ms: 0.0,
                    generations: 0,
                };
                tracker.on_slice(t_s + 0.001, arrival);
            }
        }
        tracker.ticks().map(|tick| tick.staleness_s).collect()
    }

    fn actual(playhead: &PlayheadSim, quantum: u64, epoch: &EpochColumns, cut: usize) -> Vec<f64> {
        let (index, mut cursors) = (BucketIndex::of(epoch).unwrap(), Cursors::default());
        let ticks_s = &epoch.ticks.t_s;
        let mut ages_s = vec![f64::NAN; ticks_s.len()];
        index.rewind(&mut cursors);
        let cut = cut.min(ticks_s.len());
        for rows in [0..cut, cut..ticks_s.len()] {
            let mut walk = PlayheadWalk::new(playhead);
            index.age(ticks_s, rows, &mut walk, quantum, &mut cursors, &mut ages_s);
        }
        ages_s
    }

    proptest! {
        #[test]
        fn ages_are_those_of_the_tracker(
            frames in prop_oneof![1_u64..3_000, Just(2_500)],
            rate in prop_oneof![-3.0..3.0, Just(1.0), Just(0.0), Just(f64::NAN), Just(1e9)],
            seek_s in -5.0..5.0,
            quantum in prop_oneof![Just(1_u64), 1_u64..700, Just(u64::MAX)],
            arrivals in proptest::collection::vec(
                proptest::collection::vec((0_u32..3_500, 0_u32..900), 0..3), 1..200),
            cut in 0_usize..200,
        ) {
            let mut playhead = PlayheadSim::new(frames, SAMPLE_RATE, 0.0);
            playhead.seek(seek_s, 0.0);
            playhead.set_rate(rate, 0.0);
            let epoch = epoch(frames, &arrivals);
            prop_assert_eq!(
                actual(&playhead, quantum, &epoch, cut),
                expected(&playhead, quantum, &arrivals)
            );
        }
    }

    #[test]
    fn slices_that_cover_very_much_are_not_laid_out() {
        let frames = 250 * (MOST_PER_SLICE as u64 + 1);
        let is_laid_out =
            |length| BucketIndex::of(&epoch(frames, &vec![vec![(0, length)]])).is_some();
        assert!(is_laid_out(250 * MOST_PER_SLICE as u32));
        assert!(!is_laid_out(250 * MOST_PER_SLICE as u32 + 1));
    }
}
