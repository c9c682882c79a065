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

use super::bucket_index::{BucketIndex, Cursors};
use super::columns::{Columns, EpochColumns, Place};
use super::playhead_plan::{Piece, diverges, pieces};
use super::{Playback, Scenario, Tier};
use crate::lag::quantiles::{ListSummary, Quantiles};
use crate::lag::stats::{fold_lead, staleness_s};
use crate::lag::{LagReport, ReportArgs, SliceRecord, TickRecord, WorstStale};
use crate::playhead::PlayheadSource;
use crate::playhead::PlayheadWalk;
use crate::time::Nanos;
use crate::wire::kernel::{self, WideLoop};

/// Values compared side by side.
const LOOKED_AT: usize = 64;

/// What would have been heard.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpenLoopAnswer {
    /// [`Tier::Exact`] or [`Tier::Horizon`].
    pub tier: Tier,
    /// Until when the answer is exact, in seconds from the initial buffer; `None`: to the end.
    pub valid_until_s: Option<f64>,
    /// Share of the report's slices that came later.
    pub beyond_share: f64,
    pub lag: LagReport,
}

/// Why a scenario has no answer in the open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
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

/// What the listener meets in the source buffer that reports are about, row by row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Heard<'a> {
    /// The lead of every slice.
    pub lead_s: &'a [f64],
    /// The age of the audio at every tick.
    pub staleness_s: &'a [f64],
}

/// Buffers that are reused from scenario to scenario.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pieces: Vec<Piece>,
    lead_s: Vec<f64>,
    staleness_s: Vec<f64>,
    cursors: Cursors,
    refreshed_s: Vec<f64>,
    quantiles: Quantiles,
}

/// A capture and the coverage of reports, ready for any number of scenarios.
#[derive(Clone, Debug)]
pub struct OpenLoop<'a> {
    columns: &'a Columns,
    /// What the slices of the last epoch refresh, unless that is too much to lay out.
    index: Option<BucketIndex>,
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
        let (index, reaction_ns) = (BucketIndex::of(epoch), shortest_generation_ns(columns));
        OpenLoop { columns, index, args, unmoved, tail, reaction_ns }
    }

    /// What would have been heard under `scenario`.
    pub fn answer(
        &self,
        scenario: &Scenario,
        scratch: &mut Scratch,
    ) -> Result<OpenLoopAnswer, OpenLoopError> {
        if !scenario.only_moves_playhead() {
            return Err(OpenLoopError::MoreThanPlayhead);
        }
        self.listen(&scenario.playback, scratch)?;
        let valid_until = self.valid_until(&scenario.playback, scratch);
        let lag = self.report(quantum(&scenario.playback), scratch);
        Ok(OpenLoopAnswer {
            tier: if valid_until.is_some() { Tier::Horizon } else { Tier::Exact },
            valid_until_s: valid_until.map(|at| at.seconds_since(self.columns.origin)),
            beyond_share: valid_until.map_or(0.0, |at| self.share_after(at)),
            lag,
        })
    }

    /// Leads and staleness under `playback`, of which a report gives the figures.
    pub fn hear<'s>(
        &self,
        playback: &Playback,
        scratch: &'s mut Scratch,
    ) -> Result<Heard<'s>, OpenLoopError> {
        self.listen(playback, scratch)?;
        Ok(Heard { lead_s: &scratch.lead_s, staleness_s: &scratch.staleness_s })
    }

    /// Finds the lead and the staleness of every row of the last epoch.
    fn listen(&self, playback: &Playback, scratch: &mut Scratch) -> Result<(), OpenLoopError> {
        let epoch = self.columns.last();
        scratch.lead_s.resize(epoch.slices.t_s.len(), 0.0);
        scratch.staleness_s.resize(epoch.ticks.t_s.len(), 0.0);
        match self.columns.source {
            PlayheadSource::Simulated => {
                pieces(self.columns, playback, &mut scratch.pieces);
                self.follow(quantum(playback), scratch);
            }
            PlayheadSource::Reported => {
                let quantum_only =
                    Playback { quantum_frames: playback.quantum_frames, ..Playback::default() };
                if *playback != quantum_only {
                    return Err(OpenLoopError::ReportedPlayhead);
                }
                scratch.pieces.clear();
                self.look(quantum(playback), scratch);
            }
        }
        Ok(())
    }

    /// Follows a simulated playhead, piece by piece.
    fn follow(&self, quantum: u64, scratch: &mut Scratch) {
        let (epoch, number) = (self.columns.last(), self.columns.epochs.len() - 1);
        let EpochColumns { slices, ticks, .. } = epoch;
        let Scratch { pieces, lead_s, staleness_s, cursors, .. } = scratch;
        if let Some(index) = &self.index {
            index.rewind(cursors);
        }
        // A reset begins the epoch, so the last piece at its beginning holds from there.
        let first = pieces.partition_point(|piece| piece.from.epoch < number);
        let end = Place { epoch: number, slice: slices.t_s.len(), tick: ticks.t_s.len() };
        for i in first..pieces.len() {
            let Piece { from, playhead } = &pieces[i];
            let until = pieces.get(i + 1).map_or(end, |next| next.from);
            let mut walk = PlayheadWalk::new(playhead);
            let rows = from.slice..until.slice;
            let frames = slices.t_s[rows.clone()].iter().map(|&t_s| walk.frame(t_s));
            self.fold_leads(rows, frames, quantum, lead_s);
            if let Some(index) = &self.index {
                let rows = from.tick..until.tick;
                index.age(&ticks.t_s, rows, &mut walk, quantum, cursors, staleness_s);
            }
        }
        if self.index.is_none() {
            self.age_in_turn(quantum, scratch);
        }
    }

    /// Takes the playhead as it was reported.
    fn look(&self, quantum: u64, scratch: &mut Scratch) {
        let slices = &self.columns.last().slices;
        let rows = 0..slices.t_s.len();
        self.fold_leads(rows, slices.playhead.iter().copied(), quantum, &mut scratch.lead_s);
        self.age_in_turn(quantum, scratch);
    }

    fn fold_leads(
        &self,
        rows: Range<usize>,
        playheads: impl Iterator<Item = u64>,
        quantum: u64,
        leads_s: &mut [f64],
    ) {
        let (epoch, sample_rate) = (self.columns.last(), f64::from(self.columns.sample_rate));
        let starts = &epoch.slices.start[rows.clone()];
        let leads_s = &mut leads_s[rows];
        for ((lead_s, &start), playhead) in leads_s.iter_mut().zip(starts).zip(playheads) {
            *lead_s = fold_lead(start, round_down(playhead, quantum), epoch.frames) as f64;
        }
        // By themselves several divisions take no longer than one.
        kernel::wide(Divide { values: leads_s, by: sample_rate });
    }

    /// The age of the audio at every tick, as slices refresh it in between: the slow way, for
    /// playheads that were reported and slices that cover very much.
    fn age_in_turn(&self, quantum: u64, scratch: &mut Scratch) {
        let EpochColumns { buckets, refreshed_s, slices, ticks, .. } = self.columns.last();
        scratch.refreshed_s.clone_from(refreshed_s);
        let mut arrived = 0;
        for (tick, &t_s) in ticks.t_s.iter().enumerate() {
            while slices.ticks_before.get(arrived).is_some_and(|&ticks| ticks as usize <= tick) {
                let (from, until) = slices.refreshed[arrived];
                scratch.refreshed_s[from as usize..until as usize].fill(slices.t_s[arrived]);
                arrived += 1;
            }
            let bucket = buckets.of_frame(self.playhead_at(tick, quantum, scratch));
            scratch.staleness_s[tick] = staleness_s(t_s, scratch.refreshed_s[bucket]);
        }
    }

    /// The playhead at a tick of the last epoch.
    fn playhead_at(&self, tick: usize, quantum: u64, scratch: &Scratch) -> u64 {
        let (ticks, number) = (&self.columns.last().ticks, self.columns.epochs.len() - 1);
        let begun = |piece: &Piece| (piece.from.epoch, piece.from.tick) <= (number, tick);
        let piece = scratch.pieces.partition_point(begun).checked_sub(1);
        let playhead = match piece {
            Some(piece) => scratch.pieces[piece].playhead.frame(ticks.t_s[tick]),
            None => ticks.playhead[tick],
        };
        round_down(playhead, quantum)
    }

    fn report(&self, quantum: u64, scratch: &mut Scratch) -> LagReport {
        let Some((slice, tick)) = self.tail else {
            return self.report_of_records(quantum, scratch);
        };
        let mut lag = self.unmoved.clone();
        let lead_s = &scratch.lead_s[slice..];
        lag.slices.behind_playhead = lead_s.iter().filter(|&&lead_s| lead_s < 0.0).count();
        lag.slices.lead_s = scratch.quantiles.of(lead_s).map(|found| found.figures);
        let staleness_s = &scratch.staleness_s[tick..];
        let threshold_s = self.args.stale_threshold_s;
        lag.ticks.count = staleness_s.len();
        lag.ticks.stale_ticks = staleness_s.iter().filter(|&&age_s| age_s > threshold_s).count();
        let found = scratch.quantiles.of(staleness_s);
        lag.ticks.staleness_s = found.map(|found| found.figures);
        if let Some(ListSummary { highest, .. }) = found.filter(|_| lag.ticks.stale_ticks > 0) {
            let worst = tick + first_of(staleness_s, highest);
            let now_s = self.columns.report_at.seconds();
            let worst = self.tick_record(worst, quantum, scratch);
            lag.ticks.worst_stale = Some(WorstStale::of(&worst, now_s));
        }
        lag
    }

    /// The same report from records, where the window is no tail or a timeline is asked for.
    fn report_of_records(&self, quantum: u64, scratch: &Scratch) -> LagReport {
        let epoch = self.columns.last();
        let slices: Vec<_> = (0..scratch.lead_s.len())
            .map(|row| slice_record(epoch, row, scratch.lead_s[row]))
            .collect();
        let ticks: Vec<_> = (0..scratch.staleness_s.len())
            .map(|row| self.tick_record(row, quantum, scratch))
            .collect();
        let now_s = self.columns.report_at.seconds();
        LagReport::of(loop_s(self.columns), slices.iter(), ticks.iter(), now_s, &self.args)
    }

    fn tick_record(&self, row: usize, quantum: u64, scratch: &Scratch) -> TickRecord {
        let playhead = self.playhead_at(row, quantum, scratch);
        TickRecord {
            t_s: self.columns.last().ticks.t_s[row],
            playhead_s: playhead as f64 / f64::from(self.columns.sample_rate),
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
        let quantum = quantum(playback);
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
                if round_down(frame, quantum) != recorded {
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

/// Divides all values by the same one.
struct Divide<'a> {
    values: &'a mut [f64],
    by: f64,
}

impl WideLoop for Divide<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        self.values.iter_mut().for_each(|value| *value /= self.by);
    }
}

fn shortest_generation_ns(columns: &Columns) -> u64 {
    let ticks_ms = columns.epochs.iter().flat_map(|epoch| &epoch.slices.tick_ms);
    let shortest_ms = ticks_ms.copied().fold(f64::INFINITY, f64::min);
    if shortest_ms.is_finite() { (shortest_ms * 1e6).max(0.0) as u64 } else { 0 }
}

/// The multiple of which positions are.
fn quantum(playback: &Playback) -> u64 {
    playback.quantum_frames.unwrap_or(1).max(1)
}

fn round_down(frame: u64, quantum: u64) -> u64 {
    // The division costs more than all the rest.
    if quantum == 1 { frame } else { frame - frame % quantum }
}

/// Where a value stands first; 0 where it does not.
fn first_of(values: &[f64], wanted: f64) -> usize {
    let is_in = |few: &[f64]| few.iter().fold(false, |found, &value| found | (value == wanted));
    let block = values.chunks(LOOKED_AT).position(is_in).unwrap_or(0) * LOOKED_AT;
    block + values[block..].iter().position(|&value| value == wanted).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::TickReport;
    use crate::engine::{Hearing, Options};
    use crate::lag::stats::Buckets;
    use crate::playhead::PlayheadSim;
    use crate::scenario::columns::{SliceColumns, TickColumns};

    /// Ticks every 10 ms and slices every 40 ms, a bit ahead of a listener who goes round in 3 s.
    fn columns() -> Columns {
        let (frames, sample_rate, began) = (3_000, 1_000, Nanos(0));
        let buckets = Buckets::new(frames, sample_rate, crate::lag::DEFAULT_BUCKET_S);
        let (mut slices, mut ticks) = (SliceColumns::default(), TickColumns::default());
        for tick in 0..2_000_u32 {
            let t = Nanos(u64::from(tick) * 10_000_000);
            ticks.t_s.push(t.seconds());
            ticks.t.push(t);
            ticks.turned.push(false);
            ticks.latest.push(t);
            ticks.playhead.push(u64::from(tick) * 10 % frames);
            ticks.report.push(TickReport::default());
            if tick % 4 == 1 {
                let start = (tick * 10 + 150 + tick % 90) % 3_000;
                let refreshed = buckets.of_slice(start, 300);
                slices.t_s.push(t.seconds());
                slices.t.push(t);
                slices.latest.push(t);
                slices.ticks_before.push(tick + 1);
                slices.start.push(start);
                slices.frames.push(300);
                slices.refreshed.push((refreshed.start as u32, refreshed.end as u32));
                slices.playhead.push(u64::from(tick) * 10 % frames);
                slices.interval_s.push(0.04);
                slices.tick_ms.push(30.0);
                slices.dec_ms.push(8.0);
                slices.generations.push(tick);
                slices.bytes.push(600);
            }
        }
        let (report_at, source) = (Nanos(20_000_000_000), PlayheadSource::Simulated);
        let (latest, channels) = (began, 2);
        let refreshed_s = vec![began.seconds(); buckets.count()];
        let epoch =
            EpochColumns { began, latest, frames, channels, buckets, refreshed_s, slices, ticks };
        let (epochs, ops) = (vec![epoch], Vec::new());
        let playhead = PlayheadSim::new(frames, sample_rate, began.seconds());
        let rule = Options::default().heard_rule();
        Columns {
            sample_rate,
            source,
            origin: began,
            begins: began,
            playhead,
            hearing: Hearing::new(source, began, frames, sample_rate, rule),
            report_at,
            epochs,
            ops,
            commands: Vec::new(),
            no_verdict: None,
            quiet: Vec::new(),
            rejoined: None,
        }
    }

    #[track_caller]
    fn check_both_ways(playback: Playback, args: ReportArgs) {
        let columns = columns();
        let laid_out = OpenLoop::new(&columns, args);
        let in_turn = OpenLoop { index: None, ..laid_out.clone() };
        assert!(laid_out.index.is_some());
        let scenario = Scenario { playback, ..Scenario::default() };
        let ask = |open_loop: &OpenLoop<'_>| {
            open_loop.answer(&scenario, &mut Scratch::default()).unwrap()
        };
        assert_eq!(ask(&laid_out), ask(&in_turn));
    }

    #[test]
    fn slices_laid_out_or_taken_in_turn() {
        let playback = |ops: &[&str]| Playback {
            rate: Some(1.03),
            ops: ops.iter().map(|op| op.parse().unwrap()).collect(),
            ..Playback::default()
        };
        let stale = ReportArgs { stale_threshold_s: 0.1, ..ReportArgs::default() };
        check_both_ways(Playback::default(), ReportArgs::default());
        check_both_ways(playback(&["3s:seek=1s", "5s:pause", "9s:resume"]), stale);
        check_both_ways(
            Playback { quantum_frames: Some(700), ..playback(&["3s:rate=-1"]) },
            ReportArgs { window_s: Some(7.0), ..stale },
        );
    }

    #[test]
    fn the_first_of_equals() {
        let mut values = [1.0; 200];
        assert_eq!(first_of(&values, 1.0), 0);
        (values[131], values[140]) = (2.0, 2.0);
        assert_eq!(first_of(&values, 2.0), 131);
        assert_eq!(first_of(&[], 2.0), 0);
    }

    #[test]
    fn what_is_beyond_is_a_share_of_the_slices_in_the_window() {
        let columns = columns();
        let share = |args: ReportArgs, at_s: f64| {
            OpenLoop::new(&columns, args).share_after(Nanos((at_s * 1e9) as u64))
        };
        let all = ReportArgs::default();
        assert_eq!((share(all, 0.0), share(all, 19.97)), (1.0, 0.0));
        // 500 slices from 0.01 s on, one every 40 ms.
        assert_eq!((share(all, 9.99), share(all, 14.99)), (0.5, 0.25));
        let last = ReportArgs { window_s: Some(10.0), ..all };
        assert_eq!((share(last, 5.0), share(last, 14.99)), (1.0, 0.5));
        let none = ReportArgs { window_s: Some(0.0), ..all };
        assert_eq!(share(none, 5.0), 0.0);
    }

    #[test]
    fn a_reported_playhead_stays_where_it_was_said_to_be() {
        let columns = Columns { source: PlayheadSource::Reported, ..columns() };
        let answer = |playback: Playback| {
            let open_loop = OpenLoop::new(&columns, ReportArgs::default());
            let scenario = Scenario { playback, ..Scenario::default() };
            open_loop.answer(&scenario, &mut Scratch::default())
        };
        let recorded = answer(Playback::default()).unwrap();
        let leads = recorded.lag.slices.lead_s.unwrap();
        // Each slice begins 151 to 239 frames ahead of a listener at 1,000 frames a second.
        assert_eq!((leads.min, leads.max), (0.151, 0.239));
        let rounded =
            answer(Playback { quantum_frames: Some(100), ..Playback::default() }).unwrap();
        assert!(rounded.lag.slices.lead_s.unwrap().max > leads.max);
        let faster = Playback { rate: Some(1.1), ..Playback::default() };
        assert_eq!(answer(faster).unwrap_err(), OpenLoopError::ReportedPlayhead);
    }
}
