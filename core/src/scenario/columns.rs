//! What a capture is to a sweep: its slices, ticks and ops as columns.
//!
//! Enters: an engine after each of its records, through [`ColumnsBuilder::see`]. Leaves:
//! [`Columns`], from which any number of scenarios are answered without decoding anything again.
//! Times are seconds of the capture's clock, as the tracker keeps them. Which slices apply, and
//! which buckets they refresh, does not depend on the playhead and so is known from one pass.
//! Nothing here computes a lead or a staleness.

use std::ops::Range;

use super::quiet::{self, Quiet, QuietWhy};
use crate::capture::{Body, CheckpointRow, Marker, Record, RowKind, TickReport};
use crate::engine::{Engine, Hearing};
use crate::lag::DEFAULT_BUCKET_S;
use crate::lag::stats::Buckets;
use crate::playhead::PlayheadSim;
use crate::playhead::PlayheadSource;
use crate::time::{Nanos, Span};

/// A capture as columns.
#[derive(Clone, Debug)]
pub struct Columns {
    /// Frames per second.
    pub sample_rate: u32,
    /// The playhead that was recorded.
    pub source: PlayheadSource,
    /// When the initial buffer arrived.
    pub origin: Nanos,
    /// When the columns begin: with the initial buffer, or in the middle of the session.
    pub begins: Nanos,
    /// The simulated playhead as it was then.
    pub playhead: PlayheadSim,
    /// The listener as he was then, and what was known of the audio in the loop.
    pub hearing: Hearing,
    /// The time of the reports.
    pub report_at: Nanos,
    /// One entry for each source buffer, oldest first; at least one.
    pub epochs: Vec<EpochColumns>,
    /// The recorded seeks, pauses and rates of a simulated playhead, in their order.
    pub ops: Vec<RecordedOp>,
    /// What the client asked of the server beside its reports, in order.
    pub commands: Vec<RecordedCommand>,
    /// Why nothing that is heard here carries a verdict, if so.
    pub no_verdict: Option<String>,
    /// Spells without a stream, those that say more first.
    pub quiet: Vec<Quiet>,
    /// Until when records are missing whose effect the columns lack: a context knew the stream again then.
    pub rejoined: Option<Nanos>,
}

/// The life of one source buffer.
#[derive(Clone, Debug)]
pub struct EpochColumns {
    pub began: Nanos,
    /// The latest time of any record up to then.
    pub latest: Nanos,
    /// Length of the loop in frames, at least 1.
    pub frames: u64,
    pub channels: u16,
    /// How the loop is divided for staleness.
    pub buckets: Buckets,
    /// When each of those buckets had been refreshed before the first slice here, in seconds.
    pub refreshed_s: Vec<f64>,
    pub slices: SliceColumns,
    pub ticks: TickColumns,
}

/// Slices, one in each row.
#[derive(Clone, Debug, Default)]
pub struct SliceColumns {
    pub t_s: Vec<f64>,
    /// The same to the nanosecond.
    pub t: Vec<Nanos>,
    /// The latest time of any record up to then; never falls.
    pub latest: Vec<Nanos>,
    /// Ticks of the epoch before it.
    pub ticks_before: Vec<u32>,
    /// First frame.
    pub start: Vec<u32>,
    /// Frames.
    pub frames: Vec<u32>,
    /// The buckets that it refreshes: from, and up to but without.
    pub refreshed: Vec<(u32, u32)>,
    /// The recorded playhead's frame.
    pub playhead: Vec<u64>,
    /// Time since the slice before.
    pub interval_s: Vec<f64>,
    /// Generation time that the slice declares.
    pub tick_ms: Vec<f64>,
    /// Decoding time that the slice declares.
    pub dec_ms: Vec<f64>,
    /// Generation count that the slice declares.
    pub generations: Vec<u32>,
    /// Length of the whole message.
    pub bytes: Vec<u64>,
}

/// Ticks, one in each row.
#[derive(Clone, Debug, Default)]
pub struct TickColumns {
    pub t_s: Vec<f64>,
    /// The same to the nanosecond.
    pub t: Vec<Nanos>,
    /// The latest time of any record up to then; never falls.
    pub latest: Vec<Nanos>,
    /// The recorded playhead's frame.
    pub playhead: Vec<u64>,
    pub report: Vec<TickReport>,
    /// Whether its knobs differ from those of the tick before.
    pub turned: Vec<bool>,
}

/// An op that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedOp {
    pub t: Nanos,
    /// The latest time of any record up to then.
    pub latest: Nanos,
    pub place: Place,
    pub op: Marker,
}

/// A command of the client, whatever it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedCommand {
    pub t: Nanos,
    /// The latest time of any record up to then.
    pub latest: Nanos,
    pub place: Place,
    /// Recorded ops before it.
    pub ops_before: usize,
}

/// A place among the events of a capture: before the slice and the tick of these numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub epoch: usize,
    /// Slices of the epoch before it.
    pub slice: usize,
    /// Ticks of the epoch before it.
    pub tick: usize,
}

impl Columns {
    /// The source buffer that reports are about.
    #[must_use]
    pub fn last(&self) -> &EpochColumns {
        self.epochs.last().expect("columns have at least one epoch")
    }

    /// Up to when records are missing, where some are.
    #[must_use]
    pub(super) fn missing_until(&self) -> Option<Nanos> {
        let lost = self.quiet.iter().rfind(|quiet| quiet.why == QuietWhy::Lost)?;
        self.origin.checked_add(Span((lost.to_s.max(0.0) * 1e9) as u64))
    }

    /// Slices and ticks of the epoch that reports are about.
    #[must_use]
    pub fn events(&self) -> usize {
        let last = self.last();
        last.slices.t_s.len() + last.ticks.t_s.len()
    }

    /// Behind every event that had happened at `t`.
    #[must_use]
    pub fn place_at(&self, t: Nanos) -> Place {
        let begun = self.epochs.partition_point(|epoch| epoch.latest <= t);
        let Some(epoch) = begun.checked_sub(1) else { return Place::default() };
        let EpochColumns { slices, ticks, .. } = &self.epochs[epoch];
        Place {
            epoch,
            slice: slices.latest.partition_point(|latest| *latest <= t),
            tick: ticks.latest.partition_point(|latest| *latest <= t),
        }
    }
}

/// Collects columns while an engine walks through a capture.
#[derive(Clone, Debug, Default)]
pub struct ColumnsBuilder {
    /// When the first epoch was seen, and the playhead and the listener then.
    first: Option<(Nanos, PlayheadSim, Hearing)>,
    epochs: Vec<EpochColumns>,
    ops: Vec<RecordedOp>,
    commands: Vec<RecordedCommand>,
    /// Spells in which records are missing.
    lost: Vec<(Nanos, Nanos)>,
    latest: Nanos,
    slices: u64,
    ticks: u64,
}

impl ColumnsBuilder {
    /// Before the first record.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at an engine that has just handled `record`. A bound of one record is enough for its
    /// tracker.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        let bytes = match &record.body {
            Body::Message(message) => message.len(),
            _ => 0,
        };
        let is_hole = matches!(record.body, Body::Gap(_) | Body::Context(_));
        if is_hole && !self.epochs.is_empty() && record.t > self.latest {
            self.lost.push((self.latest, record.t));
        }
        self.note(engine, record.t, bytes);
        if let Body::Marker(op) = &record.body {
            self.add_op(engine, record.t, op);
        }
    }

    /// Looks at an engine that has just recalled `row`.
    pub fn recall(&mut self, engine: &Engine, row: &CheckpointRow) {
        let bytes = match row.what {
            RowKind::Slice { len, .. } => u64::from(len),
            _ => 0,
        };
        self.note(engine, row.t, bytes);
        if let RowKind::Op(op) = &row.what {
            self.add_op(engine, row.t, op);
        }
    }

    fn note(&mut self, engine: &Engine, t: Nanos, bytes: u64) {
        self.latest = self.latest.max(t);
        if engine.epochs().len() > self.epochs.len() {
            self.add_epoch(engine, t);
        }
        if engine.facts().slices > self.slices {
            self.slices = engine.facts().slices;
            self.add_slice(engine, t, bytes);
        }
        if engine.facts().ticks > self.ticks {
            self.ticks = engine.facts().ticks;
            self.add_tick(engine, t);
        }
        if *engine.did() == RowKind::Command {
            self.add_command(t);
        }
    }

    /// The columns, with the time at which reports are made; `None` when no buffer came.
    #[must_use]
    pub fn finish(self, engine: &Engine, report_at: Nanos) -> Option<Columns> {
        let (begins, playhead, hearing) = self.first?;
        let came = self.epochs.iter().flat_map(|epoch| epoch.slices.t.iter().chain(&epoch.ticks.t));
        let quiet = quiet::spells(engine, came.copied(), (begins, report_at), &self.lost);
        Some(Columns {
            sample_rate: sample_rate(engine),
            source: engine.playhead_source(),
            origin: engine.origin()?,
            begins,
            playhead,
            hearing,
            report_at,
            epochs: self.epochs,
            ops: self.ops,
            commands: self.commands,
            no_verdict: engine.doubts().sentence(),
            quiet,
            rejoined: engine.observed().and_then(|seen| seen.holes.back()).map(|(_, to)| *to),
        })
    }

    fn add_epoch(&mut self, engine: &Engine, t: Nanos) {
        let Some(epoch) = engine.epochs().last() else { return };
        if self.first.is_none() {
            let listener = engine.simulated_playhead().zip(engine.hearing());
            let begins = engine.begins().unwrap_or(t);
            self.first = listener.map(|(sim, hearing)| (begins, sim.clone(), hearing.clone()));
        }
        self.epochs.push(EpochColumns {
            began: epoch.began,
            latest: self.latest,
            frames: epoch.frames.max(1),
            channels: epoch.channels,
            buckets: Buckets::new(epoch.frames, sample_rate(engine), DEFAULT_BUCKET_S),
            refreshed_s: epoch.tracker.refreshed_s().to_vec(),
            slices: SliceColumns::default(),
            ticks: TickColumns::default(),
        });
    }

    fn add_slice(&mut self, engine: &Engine, t: Nanos, bytes: u64) {
        let record = engine.epochs().last().and_then(|epoch| epoch.tracker.slices().next_back());
        let (Some(record), Some(epoch)) = (record, self.epochs.last_mut()) else { return };
        let Range { start, end } = epoch.buckets.of_slice(record.start, record.frames);
        let slices = &mut epoch.slices;
        slices.t_s.push(record.t_s);
        slices.t.push(t);
        slices.latest.push(self.latest);
        slices.ticks_before.push(index(epoch.ticks.t_s.len()));
        slices.start.push(record.start);
        slices.frames.push(record.frames);
        slices.refreshed.push((index(start), index(end)));
        slices.playhead.push(engine.playhead_frame(t).unwrap_or_default());
        slices.interval_s.push(record.interval_s);
        slices.tick_ms.push(record.tick_ms);
        slices.dec_ms.push(record.dec_ms);
        slices.generations.push(record.generations);
        slices.bytes.push(bytes);
    }

    fn add_tick(&mut self, engine: &Engine, t: Nanos) {
        let Some(EpochColumns { ticks, .. }) = self.epochs.last_mut() else { return };
        ticks.t_s.push(t.seconds());
        ticks.t.push(t);
        ticks.latest.push(self.latest);
        ticks.playhead.push(engine.playhead_frame(t).unwrap_or_default());
        ticks.report.push(engine.last_report());
        ticks.turned.push(matches!(engine.did(), RowKind::Tick { turned: true, .. }));
    }

    fn add_op(&mut self, engine: &Engine, t: Nanos, op: &Marker) {
        let moves = !matches!(op, Marker::Point { .. });
        let Some(place) = self.place().filter(|_| moves) else { return };
        if engine.playhead_source() == PlayheadSource::Reported {
            return;
        }
        self.ops.push(RecordedOp { t, latest: self.latest, place, op: op.clone() });
    }

    fn add_command(&mut self, t: Nanos) {
        let Some(place) = self.place() else { return };
        let ops_before = self.ops.len();
        self.commands.push(RecordedCommand { t, latest: self.latest, place, ops_before });
    }

    /// Behind every event so far.
    fn place(&self) -> Option<Place> {
        let epoch = self.epochs.last()?;
        let (slice, tick) = (epoch.slices.t_s.len(), epoch.ticks.t_s.len());
        Some(Place { epoch: self.epochs.len() - 1, slice, tick })
    }
}

fn sample_rate(engine: &Engine) -> u32 {
    engine.sample_rate()
}

/// A number of a row; a capture of more than 2³² slices or ticks does not fit in memory.
fn index(row: usize) -> u32 {
    u32::try_from(row).expect("columns of a capture that fits in memory")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::capture::Direction;
    use crate::engine::Options;
    use crate::engine::session_tests::Session;

    /// A session with everything that has a column, seen record by record and recalled row by row.
    fn seen_and_recalled() -> [Columns; 2] {
        let options = Options { playhead: Some(PlayheadSource::Simulated), ..Options::default() };
        let (seen, recalled) = (RefCell::default(), RefCell::<ColumnsBuilder>::default());
        let recalling = RefCell::new(Engine::new(Options { headers_only: true, ..options }));
        let watch = |engine: &Engine, record: &Record<'_>| {
            ColumnsBuilder::see(&mut seen.borrow_mut(), engine, record);
            let row = CheckpointRow { t: record.t, stored_len: 9, what: engine.did().clone() };
            let mut engine = recalling.borrow_mut();
            engine.recall(&row);
            recalled.borrow_mut().recall(&engine, &row);
        };
        let mut session = Session::watched(options, watch);
        session.begin(&[0.5; 48_000]);
        session.slice(24_000, &[0.25; 480]);
        session.tick(0.02, r#","raw":{"steps":4}"#);
        session.tick(0.03, r#","raw":{"steps":8}"#);
        session.body(Body::Marker(Marker::Seek { to_s: 0.25 }));
        session.text(Direction::ClientToServer, r#"{"type":"prompt","text":"x"}"#);
        session.body(Body::Marker(Marker::Point { name: "here".to_owned() }));
        session.text(Direction::ServerToClient, r#"{"type":"swap_ready","channels":1}"#);
        session.buffer(&[0.5; 24_000]);
        session.slice(600, &[0.25; 48]);
        session.slice(1_200, &[0.25; 96]);
        session.tick(0.01, r#","raw":{"steps":8}"#);
        let at = session.now();
        let whole = session.end();
        let recalling = recalling.into_inner();
        [
            seen.into_inner().finish(&whole, at).unwrap(),
            recalled.into_inner().finish(&recalling, at).unwrap(),
        ]
    }

    #[test]
    fn every_event_has_its_row() {
        const TEN_MS: u64 = 10_000_000;
        for columns in seen_and_recalled() {
            let [first, second] = &columns.epochs[..] else { panic!("{:?}", columns.epochs) };
            assert_eq!((columns.begins, columns.origin), (Nanos(2 * TEN_MS), Nanos(2 * TEN_MS)));
            assert_eq!((first.frames, second.frames), (48_000, 24_000));
            assert_eq!((second.began, second.latest), (Nanos(10 * TEN_MS), Nanos(10 * TEN_MS)));
            assert_eq!(
                (&first.slices.start[..], &first.slices.frames[..]),
                (&[24_000][..], &[480][..])
            );
            assert_eq!(
                (&first.slices.t[..], first.slices.bytes[0]),
                (&[Nanos(3 * TEN_MS)][..], 23 + 960)
            );
            assert_eq!(first.slices.playhead, [479], "10 ms after the buffer, rounded down");
            assert_eq!(first.ticks.t, [Nanos(4 * TEN_MS), Nanos(5 * TEN_MS)]);
            assert_eq!(first.ticks.turned, [false, true]);
            assert_eq!(first.ticks.report[1].playback_pos, Some(0.03));
            assert_eq!(second.slices.ticks_before, [0, 0]);
            assert_eq!((second.ticks.turned[0], columns.events()), (false, 3));
            let place = Place { epoch: 0, slice: 1, tick: 2 };
            let (t, latest) = (Nanos(6 * TEN_MS), Nanos(6 * TEN_MS));
            let op = Marker::Seek { to_s: 0.25 };
            assert_eq!(columns.ops, [RecordedOp { t, latest, place, op }]);
            let (t, latest) = (Nanos(7 * TEN_MS), Nanos(7 * TEN_MS));
            assert_eq!(columns.commands, [RecordedCommand { t, latest, place, ops_before: 1 }]);
        }
    }

    #[test]
    fn what_is_recalled_is_what_was_seen() {
        let [seen, recalled] = seen_and_recalled();
        assert_eq!(format!("{:?}", recalled.epochs), format!("{:?}", seen.epochs));
        assert_eq!((recalled.playhead, recalled.hearing), (seen.playhead, seen.hearing));
    }

    #[test]
    fn a_place_is_behind_all_that_had_happened() {
        let [columns, _] = seen_and_recalled();
        let at = |ms: u64| {
            let Place { epoch, slice, tick } = columns.place_at(Nanos(ms * 1_000_000));
            (epoch, slice, tick)
        };
        assert_eq!((at(0), at(20), at(30), at(39)), ((0, 0, 0), (0, 0, 0), (0, 1, 0), (0, 1, 0)));
        assert_eq!((at(50), at(99), at(100)), ((0, 1, 2), (0, 1, 2), (1, 0, 0)));
        assert_eq!(at(9_000), (1, 2, 1));
    }
}
