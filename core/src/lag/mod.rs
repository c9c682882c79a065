//! How far ahead of the listener slices land, and how old the audio is that the listener hears.
//!
//! [`LagTracker`] takes slices and ticks with their times in seconds and the playhead in frames, keeps
//! one record of each, and makes a [`LagReport`] over a window of them. It follows the reference client
//! exactly, and like it knows nothing of seeks: it only sees where the playhead is.

use std::collections::VecDeque;

mod args;
mod figures;
pub mod quantiles;
mod report;
pub mod stats;

pub use args::{DEFAULT_STALE_THRESHOLD_S, MAX_TIMELINE_ROWS, ReportArgs, ReportArgsError};
pub use figures::Figures;
pub use report::{LagReport, SliceSummary, TickSummary, TimelineRow, WorstStale};
use stats::{Buckets, fold_lead, staleness_s};

/// Length of loop that shares one time of refreshing, in seconds.
pub const DEFAULT_BUCKET_S: f64 = 0.25;

/// A slice that arrived, and where the listener was then.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arrival {
    /// First frame of the slice.
    pub start: u32,
    /// Frames in the slice, also those past the end of the loop.
    pub frames: u32,
    /// Frame of the playhead.
    pub playhead: u64,
    /// Generation time that the slice declares.
    pub tick_ms: f64,
    /// Decoding time that the slice declares.
    pub dec_ms: f64,
    /// Generation count that the slice declares.
    pub generations: u32,
}

/// What is remembered of one slice.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceRecord {
    pub t_s: f64,
    /// First frame.
    pub start: u32,
    pub frames: u32,
    /// Distance from the playhead to the start, folded to half a lap; negative is behind.
    pub lead_s: f64,
    /// Time since the slice before; 0 for the first of an epoch.
    pub interval_s: f64,
    /// Generation time that the slice declares.
    pub tick_ms: f64,
    /// Decoding time that the slice declares.
    pub dec_ms: f64,
    /// Generation count that the slice declares.
    pub generations: u32,
}

/// What is remembered of one tick.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TickRecord {
    pub t_s: f64,
    /// The listening position: frame of the playhead over the sample rate.
    pub playhead_s: f64,
    /// Age of the audio there.
    pub staleness_s: f64,
}

/// The lag tracker of the reference client.
#[derive(Clone, Debug)]
pub struct LagTracker {
    frames: u64,
    sample_rate: u32,
    bucket_s: f64,
    bound: Option<usize>,
    buckets: Buckets,
    /// When each bucket was last refreshed.
    refreshed_s: Vec<f64>,
    last_slice_s: Option<f64>,
    slices: VecDeque<SliceRecord>,
    ticks: VecDeque<TickRecord>,
}

impl LagTracker {
    /// A tracker of a loop whose audio is all fresh at `now_s`. A length of 0 becomes 1.
    #[must_use]
    pub fn new(frames: u64, sample_rate: u32, now_s: f64) -> Self {
        Self::with_limits(frames, sample_rate, now_s, DEFAULT_BUCKET_S, None)
    }

    /// The same with another width of buckets, and only the newest `bound` slices and as many
    /// ticks remembered.
    #[must_use]
    pub fn with_limits(
        frames: u64,
        sample_rate: u32,
        now_s: f64,
        bucket_s: f64,
        bound: Option<usize>,
    ) -> Self {
        let frames = frames.max(1);
        let buckets = Buckets::new(frames, sample_rate, bucket_s);
        Self {
            frames,
            sample_rate,
            bucket_s,
            bound,
            buckets,
            refreshed_s: vec![now_s; buckets.count()],
            last_slice_s: None,
            slices: VecDeque::new(),
            ticks: VecDeque::new(),
        }
    }

    /// A tracker of a loop in the middle of an epoch: its buckets were refreshed at these times.
    /// Nothing is remembered. `None` when the loop has another number of buckets.
    #[must_use]
    pub fn resume(
        frames: u64,
        sample_rate: u32,
        bound: Option<usize>,
        refreshed_s: Vec<f64>,
        last_slice_s: Option<f64>,
    ) -> Option<Self> {
        let frames = frames.max(1);
        let buckets = Buckets::new(frames, sample_rate, DEFAULT_BUCKET_S);
        (buckets.count() == refreshed_s.len()).then(|| Self {
            frames,
            sample_rate,
            bucket_s: DEFAULT_BUCKET_S,
            bound,
            buckets,
            refreshed_s,
            last_slice_s,
            slices: VecDeque::new(),
            ticks: VecDeque::new(),
        })
    }

    /// Takes over what was remembered of the same epoch before a hole in the capture.
    pub fn follow(&mut self, before: LagTracker) {
        (self.slices, self.ticks) = (before.slices, before.ticks);
    }

    /// Makes room for that many more slices and ticks at once.
    pub fn reserve(&mut self, slices: usize, ticks: usize) {
        self.slices.reserve_exact(slices);
        self.ticks.reserve_exact(ticks);
    }

    /// When each bucket of the loop was refreshed last, in seconds.
    #[must_use]
    pub fn refreshed_s(&self) -> &[f64] {
        &self.refreshed_s
    }

    /// When the last slice of the epoch landed.
    #[must_use]
    pub fn last_slice_s(&self) -> Option<f64> {
        self.last_slice_s
    }

    /// Begins a new epoch, as a swap does: another length, all fresh, nothing remembered.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        self.frames = frames.max(1);
        self.buckets = Buckets::new(self.frames, self.sample_rate, self.bucket_s);
        self.refreshed_s.clear();
        self.refreshed_s.resize(self.buckets.count(), now_s);
        self.last_slice_s = None;
        self.slices.clear();
        self.ticks.clear();
    }

    /// Ends the epoch: no slice and no tick may follow, and what only they need is let go. Reports
    /// stay as they are.
    pub fn end(&mut self) {
        self.refreshed_s = Vec::new();
    }

    /// Remembers a slice and counts the buckets that it touches as refreshed.
    #[inline]
    pub fn on_slice(&mut self, now_s: f64, arrival: Arrival) -> SliceRecord {
        let lead = fold_lead(arrival.start, arrival.playhead, self.frames);
        let record = SliceRecord {
            t_s: now_s,
            start: arrival.start,
            frames: arrival.frames,
            lead_s: lead as f64 / f64::from(self.sample_rate),
            interval_s: self.last_slice_s.map_or(0.0, |last_s| now_s - last_s),
            tick_ms: arrival.tick_ms,
            dec_ms: arrival.dec_ms,
            generations: arrival.generations,
        };
        self.last_slice_s = Some(now_s);
        self.refreshed_s[self.buckets.of_slice(arrival.start, arrival.frames)].fill(now_s);
        remember(&mut self.slices, record, self.bound);
        record
    }

    /// Remembers how old the audio under the playhead is.
    #[inline]
    pub fn on_tick(&mut self, now_s: f64, playhead: u64) -> TickRecord {
        let refreshed_s = self.refreshed_s[self.buckets.of_frame(playhead)];
        let record = TickRecord {
            t_s: now_s,
            playhead_s: playhead as f64 / f64::from(self.sample_rate),
            staleness_s: staleness_s(now_s, refreshed_s),
        };
        remember(&mut self.ticks, record, self.bound);
        record
    }

    /// The slices remembered, oldest first.
    pub fn slices(
        &self,
    ) -> impl DoubleEndedIterator<Item = &SliceRecord> + ExactSizeIterator + Clone {
        self.slices.iter()
    }

    /// The ticks remembered, oldest first.
    pub fn ticks(
        &self,
    ) -> impl DoubleEndedIterator<Item = &TickRecord> + ExactSizeIterator + Clone {
        self.ticks.iter()
    }

    /// The report as of `now_s`.
    #[must_use]
    pub fn report(&self, now_s: f64, args: &ReportArgs) -> LagReport {
        let buffer_duration_s = self.frames as f64 / f64::from(self.sample_rate);
        LagReport::of(buffer_duration_s, self.slices(), self.ticks(), now_s, args)
    }
}

fn remember<T>(records: &mut VecDeque<T>, record: T, bound: Option<usize>) {
    records.push_back(record);
    if bound.is_some_and(|bound| records.len() > bound) {
        records.pop_front();
    }
}
