//! Open loop: the recorded slices stay, and only the listener moves.
//!
//! Enters: [`Columns`], what a report is to cover, and scenarios that move the playhead. Leaves:
//! the reference's report of the session since the last swap, equal to the engine's to the last
//! byte, and how far it holds. This is the only second walker beside the engine, and tests hold
//! the two against each other. Never decodes anything, and once its [`Scratch`] has grown it
//! allocates nothing that grows with the capture.
//!
//! The answer is exact until the server could have reacted: the first report that would have
//! differed, one generation and the way there and back. A recording does not tell the way, so it
//! counts as nothing, and the generation as the shortest declared: the horizon errs early.

use std::ops::Range;

use serde::Serialize;

use super::columns::{Columns, EpochColumns, Place};
use super::moves::{Piece, diverges, pieces};
use super::quantiles::Quantiles;
use super::{Playback, Scenario, Tier};
use crate::engine::PlayheadSource;
use crate::lag::stats::{fold_lead, staleness_s};
use crate::lag::{LagReport, ReportArgs, SliceRecord, TickRecord, WorstStale};
use crate::playhead::PlayheadWalk;
use crate::time::Nanos;

/// What would have been heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// [`Tier::Exact`] or [`Tier::Horizon`].
    pub tier: Tier,
    /// Until when the answer is exact, in seconds from the initial buffer; `None`: to the end.
    pub valid_until_s: Option<f64>,
    /// Share of the report's slices that came later.
    pub beyond_share: f64,
    /// The report.
    pub lag: LagReport,
}

/// Why a scenario has no answer in the open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenLoopError {
    /// It changes more than the listener.
    #[error(
        "recorded slices cannot stay when the link, the client's reports or the server change; \
         ask without open loop"
    )]
    MoreThanPlayhead,
    /// The recorded playhead is known only where the client reported it.
    #[error(
        "the playhead is the client's own and cannot be moved; \
         replay the capture with the simulated playhead"
    )]
    ReportedPlayhead,
}

/// Buffers that are reused from scenario to scenario.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pieces: Vec<Piece>,
    slice_playhead: Vec<u64>,
    tick_playhead: Vec<u64>,
    lead_s: Vec<f64>,
    staleness_s: Vec<f64>,
    refreshed_s: Vec<f64>,
    quantiles: Quantiles,
}

/// A capture and the coverage of reports, ready for any number of scenarios.
#[derive(Clone, Debug)]
pub struct OpenLoop<'a> {
    columns: &'a Columns,
    args: ReportArgs,
    /// What of a report no scenario of this kind changes.
    unmoved: LagReport,
    /// The window as rows, where it is a tail of the columns and no timeline is asked for.
    tail: Option<(usize, usize)>,
    /// The shortest generation that was declared.
    reaction_ns: u64,
}

impl<'a> OpenLoop<'a> {
    /// Prepares reports over `args`, which should have been checked.
    #[must_use]
    pub fn new(columns: &'a Columns, args: ReportArgs) -> Self {
        let epoch = columns.last();
        let now_s = columns.report_at.seconds();
        let since_s = args.window_s.map_or(f64::NEG_INFINITY, |window_s| now_s - window_s);
        let tail = tail(&epoch.slices.t_s, since_s)
            .zip(tail(&epoch.ticks.t_s, since_s))
            .filter(|_| args.timeline_step_s.is_none());
        let slices: Vec<_> =
            (0..epoch.slices.t_s.len()).map(|row| slice_record(epoch, row, 0.0)).collect();
        let unmoved = LagReport::of(loop_s(columns), slices.iter(), [].iter(), now_s, &args);
        OpenLoop { columns, args, unmoved, tail, reaction_ns: shortest_generation_ns(columns) }
    }

    /// What would have been heard under `scenario`.
    pub fn answer(
        &self,
        scenario: &Scenario,
        scratch: &mut Scratch,
    ) -> Result<Answer, OpenLoopError> {
        if !scenario.only_moves_playhead() {
            return Err(OpenLoopError::MoreThanPlayhead);
        }
        self.listen(&scenario.playback, scratch)?;
        let valid_until = self.valid_until(&scenario.playback, scratch);
        let lag = self.report(scratch);
        Ok(Answer {
            tier: if valid_until.is_some() { Tier::Horizon } else { Tier::Exact },
            valid_until_s: valid_until.map(|at| at.seconds_since(self.columns.origin)),
            beyond_share: valid_until.map_or(0.0, |at| self.share_after(at)),
            lag,
        })
    }

    /// Finds the playhead, lead and staleness of every row of the last epoch.
    fn listen(&self, playback: &Playback, scratch: &mut Scratch) -> Result<(), OpenLoopError> {
        let epoch = self.columns.last();
        match self.columns.source {
            PlayheadSource::Simulated => {
                pieces(self.columns, playback, &mut scratch.pieces);
                scratch.walk_playhead(epoch, self.columns.epochs.len() - 1);
            }
            PlayheadSource::Reported => {
                let quantum_only =
                    Playback { quantum_frames: playback.quantum_frames, ..Playback::default() };
                if *playback != quantum_only {
                    return Err(OpenLoopError::ReportedPlayhead);
                }
                scratch.pieces.clear();
                scratch.slice_playhead.clone_from(&epoch.slices.playhead);
                scratch.tick_playhead.clone_from(&epoch.ticks.playhead);
            }
        }
        if let Some(quantum) = playback.quantum_frames {
            scratch.round_down(quantum.max(1));
        }
        scratch.fold_leads(epoch, self.columns.sample_rate);
        scratch.age_audio(epoch);
        Ok(())
    }

    fn report(&self, scratch: &mut Scratch) -> LagReport {
        let Some((slice, tick)) = self.tail else { return self.report_of_records(scratch) };
        let mut lag = self.unmoved.clone();
        let lead_s = &scratch.lead_s[slice..];
        lag.slices.behind_playhead = lead_s.iter().filter(|&&lead_s| lead_s < 0.0).count();
        lag.slices.lead_s = scratch.quantiles.figures(lead_s);
        let staleness_s = &scratch.staleness_s[tick..];
        let threshold_s = self.args.stale_threshold_s;
        lag.ticks.count = staleness_s.len();
        lag.ticks.stale_ticks = staleness_s.iter().filter(|&&age_s| age_s > threshold_s).count();
        lag.ticks.staleness_s = scratch.quantiles.figures(staleness_s);
        lag.ticks.worst_stale =
            (lag.ticks.stale_ticks > 0).then(|| self.worst_stale(scratch, tick)).flatten();
        lag
    }

    /// The first of the stalest ticks.
    fn worst_stale(&self, scratch: &Scratch, from: usize) -> Option<WorstStale> {
        let rows = from..scratch.staleness_s.len();
        let stalest = rows.reduce(|worst, row| {
            let is_worse = scratch.staleness_s[row] > scratch.staleness_s[worst];
            if is_worse { row } else { worst }
        });
        let now_s = self.columns.report_at.seconds();
        stalest.map(|row| WorstStale::of(&self.tick_record(scratch, row), now_s))
    }

    /// The same report from records, where the window is no tail or a timeline is asked for.
    fn report_of_records(&self, scratch: &Scratch) -> LagReport {
        let epoch = self.columns.last();
        let slices: Vec<_> = (0..scratch.lead_s.len())
            .map(|row| slice_record(epoch, row, scratch.lead_s[row]))
            .collect();
        let ticks: Vec<_> =
            (0..scratch.staleness_s.len()).map(|row| self.tick_record(scratch, row)).collect();
        let now_s = self.columns.report_at.seconds();
        LagReport::of(loop_s(self.columns), slices.iter(), ticks.iter(), now_s, &self.args)
    }

    fn tick_record(&self, scratch: &Scratch, row: usize) -> TickRecord {
        TickRecord {
            t_s: self.columns.last().ticks.t_s[row],
            playhead_s: scratch.tick_playhead[row] as f64 / f64::from(self.columns.sample_rate),
            staleness_s: scratch.staleness_s[row],
        }
    }

    /// When the server's reaction to the first report that differs could have arrived.
    fn valid_until(&self, playback: &Playback, scratch: &Scratch) -> Option<Nanos> {
        let changed = self.first_changed_report(playback, scratch)?;
        Some(Nanos(changed.0.saturating_add(self.reaction_ns)))
    }

    fn first_changed_report(&self, playback: &Playback, scratch: &Scratch) -> Option<Nanos> {
        let from = diverges(self.columns, playback)?;
        let quantum = playback.quantum_frames.unwrap_or(1).max(1);
        let mut playheads = scratch.pieces.iter().peekable();
        let mut walk: Option<PlayheadWalk> = None;
        for (number, epoch) in self.columns.epochs.iter().enumerate().skip(from.epoch) {
            let first = if number == from.epoch { from.tick } else { 0 };
            for tick in first..epoch.ticks.t_s.len() {
                let begun = |piece: &&Piece| (piece.from.epoch, piece.from.tick) <= (number, tick);
                while let Some(piece) = playheads.next_if(begun) {
                    walk = Some(PlayheadWalk::new(&piece.playhead));
                }
                let recorded = epoch.ticks.playhead[tick];
                let frame = walk.as_mut().map_or(recorded, |w| w.frame(epoch.ticks.t_s[tick]));
                if frame - frame % quantum != recorded {
                    return Some(epoch.ticks.latest[tick]);
                }
            }
        }
        None
    }

    /// Share of the report's slices after that moment.
    fn share_after(&self, at: Nanos) -> f64 {
        let latest = &self.columns.last().slices.latest;
        let first = self.tail.map_or(0, |(slice, _)| slice);
        let covered = latest.len() - first;
        let beyond = latest.len() - latest.partition_point(|latest| *latest <= at).max(first);
        if covered == 0 { 0.0 } else { beyond as f64 / covered as f64 }
    }
}

impl Scratch {
    /// The playhead at every row of the last epoch, whose number is `number`.
    fn walk_playhead(&mut self, epoch: &EpochColumns, number: usize) {
        let (slices, ticks) = (&epoch.slices.t_s, &epoch.ticks.t_s);
        self.slice_playhead.resize(slices.len(), 0);
        self.tick_playhead.resize(ticks.len(), 0);
        // A reset begins the epoch, so the last piece at its beginning holds from there.
        let first = self.pieces.partition_point(|piece| piece.from.epoch < number);
        let end = Place { epoch: number, slice: slices.len(), tick: ticks.len() };
        for i in first..self.pieces.len() {
            let Piece { from, playhead } = &self.pieces[i];
            let until = self.pieces.get(i + 1).map_or(end, |next| next.from);
            let mut walk = PlayheadWalk::new(playhead);
            let rows = from.slice..until.slice;
            follow(&mut walk, &slices[rows.clone()], &mut self.slice_playhead[rows]);
            let rows: Range<usize> = from.tick..until.tick;
            follow(&mut walk, &ticks[rows.clone()], &mut self.tick_playhead[rows]);
        }
    }

    fn round_down(&mut self, quantum: u64) {
        for frame in self.slice_playhead.iter_mut().chain(&mut self.tick_playhead) {
            *frame -= *frame % quantum;
        }
    }

    fn fold_leads(&mut self, epoch: &EpochColumns, sample_rate: u32) {
        let sample_rate = f64::from(sample_rate);
        let rows = epoch.slices.start.iter().zip(&self.slice_playhead);
        self.lead_s.clear();
        self.lead_s.extend(rows.map(|(&start, &playhead)| {
            fold_lead(start, playhead, epoch.frames) as f64 / sample_rate
        }));
    }

    /// The age of the audio at every tick, as slices refresh it in between.
    fn age_audio(&mut self, epoch: &EpochColumns) {
        let EpochColumns { buckets, slices, ticks, .. } = epoch;
        self.refreshed_s.clear();
        self.refreshed_s.resize(buckets.count(), epoch.began.seconds());
        self.staleness_s.resize(ticks.t_s.len(), 0.0);
        let mut done = 0;
        let ends = slices.ticks_before.iter().map(|&ticks| ticks as usize);
        let stamps = slices.refreshed.iter().zip(&slices.t_s).map(Some);
        for (end, stamp) in ends.zip(stamps).chain([(ticks.t_s.len(), None)]) {
            let ages_s = &mut self.staleness_s[done..end];
            let rows = ticks.t_s[done..end].iter().zip(&self.tick_playhead[done..end]);
            for (age_s, (&t_s, &playhead)) in ages_s.iter_mut().zip(rows) {
                *age_s = staleness_s(t_s, self.refreshed_s[buckets.of_frame(playhead)]);
            }
            done = end;
            if let Some((&(from, until), &t_s)) = stamp {
                self.refreshed_s[from as usize..until as usize].fill(t_s);
            }
        }
    }
}

fn shortest_generation_ns(columns: &Columns) -> u64 {
    let ticks_ms = columns.epochs.iter().flat_map(|epoch| &epoch.slices.tick_ms);
    let shortest_ms = ticks_ms.copied().fold(f64::INFINITY, f64::min);
    if shortest_ms.is_finite() { (shortest_ms * 1e6).max(0.0) as u64 } else { 0 }
}

fn follow(walk: &mut PlayheadWalk, times_s: &[f64], frames: &mut [u64]) {
    for (frame, &t_s) in frames.iter_mut().zip(times_s) {
        *frame = walk.frame(t_s);
    }
}

/// The first row of a window, if all rows behind it lie in it too.
fn tail(times_s: &[f64], since_s: f64) -> Option<usize> {
    let first = times_s.iter().position(|&t_s| t_s >= since_s).unwrap_or(times_s.len());
    times_s[first..].iter().all(|&t_s| t_s >= since_s).then_some(first)
}

fn slice_record(epoch: &EpochColumns, row: usize, lead_s: f64) -> SliceRecord {
    let slices = &epoch.slices;
    SliceRecord {
        t_s: slices.t_s[row],
        start: slices.start[row],
        frames: slices.frames[row],
        lead_s,
        interval_s: slices.interval_s[row],
        tick_ms: slices.tick_ms[row],
        dec_ms: slices.dec_ms[row],
        generations: slices.generations[row],
    }
}

fn loop_s(columns: &Columns) -> f64 {
    columns.last().frames as f64 / f64::from(columns.sample_rate)
}
