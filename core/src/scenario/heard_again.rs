//! What would have been heard, by the same measure as in a recording.
//!
//! Enters: [`Columns`], and where the listener would have been or what a run of the model emitted.
//! Leaves: [`HeardUse`]. Everything happens to the engine's own [`Hearing`] in the order in which it
//! would stand in a capture of the counterfactual, so that an analysis of that says the same. Covers
//! the whole session, as a verdict does. Positions in quanta are what a client reports, not what
//! is heard, and change nothing here.

use std::collections::VecDeque;

use super::Playback;
use super::columns::{Columns, EpochColumns, Place, RecordedCommand};
use super::model::{Emitted, EmittedReport};
use super::playhead_plan::{MovingOp, first_ops, moving_ops, skewed};
use crate::capture::{Marker, TickReport};
use crate::engine::Hearing;
use crate::heard::HeardRule;
use crate::lag::SliceRecord;
use crate::peer::client::reported_lead_s;
use crate::time::Nanos;
use crate::verdict::HeardUse;
use crate::wire::slice::HEADER_LEN;

/// The recorded slices under a listener who is elsewhere.
pub(super) fn of_moved(columns: &Columns, playback: &Playback, rule: HeardRule) -> HeardUse {
    let mut hearing = columns.hearing.anew(columns.begins, rule);
    for op in first_ops(playback, &columns.playhead) {
        hearing.operate(columns.begins, &op);
    }
    let mut moments = moments(columns, playback).into_iter().peekable();
    for (number, epoch) in columns.epochs.iter().enumerate() {
        if number > 0 {
            hearing.swap(epoch.began, epoch.frames);
        }
        let EpochColumns { slices, ticks, .. } = epoch;
        let mut place = Place { epoch: number, ..Place::default() };
        loop {
            while let Some(moment) = moments.next_if(|moment| moment.place <= place) {
                match moment.op {
                    Some(op) => hearing.operate(moment.at, &skewed(op, playback)),
                    None => hearing.command(moment.at),
                }
            }
            let Place { slice, tick, .. } = place;
            let lands = slices.ticks_before.get(slice).is_some_and(|ticks| *ticks as usize <= tick);
            if lands {
                let len = u32::try_from(slices.bytes[slice]).unwrap_or(u32::MAX);
                hearing.slice(slices.t[slice], slices.start[slice], slices.frames[slice], len);
                place.slice += 1;
            } else if let Some(report) = ticks.report.get(tick) {
                hearing.report(ticks.t[tick], report, ticks.turned[tick]);
                place.tick += 1;
            } else {
                break;
            }
        }
    }
    hearing.heard(columns.origin)
}

/// What happens between slices and reports.
struct Moment<'a> {
    at: Nanos,
    place: Place,
    /// An op of the listener, or else a command of the client.
    op: Option<&'a Marker>,
}

/// The ops of the scenario's listener and the recorded commands, in their order: recorded ones as
/// they were recorded, then those of the scenario.
fn moments<'a>(columns: &'a Columns, playback: &'a Playback) -> Vec<Moment<'a>> {
    // Nobody listens after the end, whatever he was to do there.
    let happens = |op: &MovingOp<'_>| op.recorded.is_some() || op.at <= columns.report_at;
    let ops = moving_ops(columns, playback).filter(happens).map(|op| {
        let MovingOp { at, latest, place, recorded, op } = op;
        let order = recorded.map_or(usize::MAX, |number| 2 * number + 1);
        ((place, latest, order), Moment { at, place, op: Some(op) })
    });
    let commands = columns.commands.iter().map(|command| {
        let RecordedCommand { t: at, latest, place, ops_before } = *command;
        ((place, latest, 2 * ops_before), Moment { at, place, op: None })
    });
    let mut all: Vec<_> = ops.chain(commands).collect();
    all.sort_by_key(|(order, _)| *order);
    all.into_iter().map(|(_, moment)| moment).collect()
}

/// What a run of the model emitted, beside the commands that were recorded.
pub(super) fn of_run(columns: &Columns, emitted: &Emitted, rule: HeardRule) -> HeardUse {
    let mut run = Run {
        columns,
        bytes_per_frame: emitted.bytes_per_frame,
        hearing: columns.hearing.anew(columns.begins, rule),
        turns: turns(columns),
        lowest_lead_s: None,
        // Who begins in the middle has heard of the client before.
        reported: columns.begins > columns.origin,
    };
    let mut commands = commands(columns).into_iter().peekable();
    let mut slices = emitted.slices.iter().peekable();
    let mut ops = emitted.ops.iter().peekable();
    let mut reports = emitted.reports.iter().peekable();
    loop {
        let next = [
            commands.peek().map(|command| command.0),
            slices.peek().map(|slice| slice.0),
            ops.peek().map(|op| op.0),
            reports.peek().map(|report| report.t),
        ];
        // The first of equals, in the order of a capture.
        let next = next.into_iter().enumerate().filter_map(|(what, at)| Some((at?, what))).min();
        match next {
            None => return run.hearing.heard(columns.origin),
            Some((_, 0)) => commands.next().into_iter().for_each(|(_, t)| run.hearing.command(t)),
            Some((_, 1)) => slices.next().into_iter().for_each(|(t, slice)| run.slice(*t, slice)),
            Some((_, 2)) => ops.next().into_iter().for_each(|(t, op)| run.hearing.operate(*t, op)),
            Some(_) => reports.next().into_iter().for_each(|report| run.report(report)),
        }
    }
}

/// A run of the model, as a recorder beside its client would see it.
struct Run<'a> {
    columns: &'a Columns,
    bytes_per_frame: f64,
    hearing: Hearing,
    /// When knobs were turned in the recording.
    turns: VecDeque<Nanos>,
    lowest_lead_s: Option<f64>,
    /// The client has reported before.
    reported: bool,
}

impl Run<'_> {
    fn slice(&mut self, t: Nanos, slice: &SliceRecord) {
        let SliceRecord { start, frames, .. } = *slice;
        let audio_len = (self.bytes_per_frame * f64::from(frames)) as u32;
        self.hearing.slice(t, start, frames, audio_len.saturating_add(HEADER_LEN as u32));
        let (loop_frames, sample_rate) = (self.columns.last().frames, self.columns.sample_rate);
        let lead_s = reported_lead_s(start, self.hearing.seconds(t), loop_frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }

    fn report(&mut self, report: &EmittedReport) {
        let EmittedReport { t, position_s, client_time, acknowledges } = *report;
        let modern = client_time.is_some();
        let said = TickReport {
            playback_pos: position_s,
            client_time,
            slice_bytes_rx: acknowledges.then(|| self.hearing.received() as f64),
            slice_lead_s: if modern { self.lowest_lead_s.take() } else { None },
        };
        let mut turned = false;
        while self.turns.pop_front_if(|turned_at| *turned_at <= t).is_some() {
            turned = true;
        }
        let reported = std::mem::replace(&mut self.reported, true);
        self.hearing.report(t, &said, turned && reported);
    }
}

/// The recorded commands, and before which moment each stands. A capture of a run has nothing of it
/// before the first recorded report, and so those up to that come first.
fn commands(columns: &Columns) -> Vec<(Nanos, Nanos)> {
    let before = |command: &RecordedCommand| match command.place.tick {
        0 => Nanos(0),
        _ => command.latest,
    };
    columns.commands.iter().map(|command| (before(command), command.t)).collect()
}

/// When knobs were turned: a report of a run has the knobs of the recorded one before it, and the
/// first has those of the first.
fn turns(columns: &Columns) -> VecDeque<Nanos> {
    let ticks = &columns.last().ticks;
    let rows = (0..ticks.turned.len()).filter(|row| ticks.turned[*row]);
    rows.map(|row| if row == 0 { Nanos(0) } else { ticks.latest[row] }).collect()
}
