//! One run of the model, told again as what would have stood in a capture.
//!
//! Enters: what [`predict`] takes. Leaves: [`Retold`], slices, reports and ops with their moments, from
//! which an engine computes just the report of that run. Knows no audio and no text.

use super::change::Change;
use super::fit::Fit;
use super::listener::Listener;
use super::predict::{Luck, later_moment, ops, predict};
use super::trace::{Trace, TracedTick};
use crate::capture::Marker;
use crate::lag::SliceRecord;
use crate::time::Nanos;

/// A run of the model as events; each list in the order of time. At one moment slices come before
/// ops, and ops before reports.
#[derive(Clone, Debug, PartialEq)]
pub struct Retold {
    /// Slices that landed.
    pub slices: Vec<(Nanos, SliceRecord)>,
    /// What the listener did.
    pub ops: Vec<(Nanos, Marker)>,
    /// What the client reported.
    pub reports: Vec<RetoldReport>,
    /// Positions go in steps, which follow from no op.
    pub in_quanta: bool,
    /// The playhead is known from the reports alone.
    pub reported_playhead: bool,
    /// Channels of the recorded slices.
    pub channels: u16,
    /// Usual bytes of a slice for each of its frames.
    pub bytes_per_frame: f64,
    /// The time of the run's report.
    pub end: Nanos,
}

/// A report of the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetoldReport {
    /// When.
    pub t: Nanos,
    /// `playback_pos`.
    pub position_s: Option<f64>,
    /// `client_time`.
    pub client_time: Option<f64>,
    /// Whether it acknowledges the bytes received.
    pub acknowledges: bool,
}

impl Retold {
    /// The run of `luck`.
    #[must_use]
    pub fn of(trace: &Trace, fit: &Fit, change: &Change, luck: &Luck) -> Retold {
        let policy = change.policy(&fit.policy);
        let tracker = predict(trace, fit, &policy, change, luck).tracker;
        let ops: Vec<_> = ops(trace, change, luck).into_iter().collect();
        let mut listener = Listener::new(trace, change.quantum_frames);
        let mut coming = ops.iter().peekable();
        let mut reports = Vec::with_capacity(tracker.ticks().len());
        for (number, tick) in tracker.ticks().enumerate() {
            let t = moment(tick.t_s);
            while let Some((at, op)) = coming.next_if(|(at, _)| *at <= t) {
                listener.operate(*at, op);
            }
            let recorded = recorded_tick(trace, change, number, t);
            let passed_s = t.seconds_since(recorded.at);
            let position_s = recorded.position_s.map(|position_s| position_s + passed_s);
            listener.report(t, position_s);
            reports.push(RetoldReport {
                t,
                position_s: position_s.map(|_| listener.reported_s().unwrap_or(tick.playhead_s)),
                client_time: recorded.client_time.map(|time| time + passed_s),
                acknowledges: change
                    .acknowledges_at(|at| later_moment(trace.origin, at, luck), t)
                    .unwrap_or(recorded.acked.is_some()),
            });
        }
        let (bytes, frames) = trace.slices.iter().fold((0, 0), |(bytes, frames), slice| {
            (bytes + u64::from(slice.bytes), frames + u64::from(slice.header.frames))
        });
        Retold {
            slices: tracker.slices().map(|slice| (moment(slice.t_s), *slice)).collect(),
            ops,
            reports,
            in_quanta: change.quantum_frames.is_some_and(|quantum| quantum > 1),
            reported_playhead: trace.reported_playhead,
            channels: trace.slices.first().map_or(1, |slice| slice.header.channels),
            bytes_per_frame: bytes as f64 / frames.max(1) as f64,
            end: trace.end,
        }
    }
}

/// The moment that is that many seconds. Below 2⁵¹ ns, 26 days, it is the one that the seconds were
/// made of; later it is one of those that are the same seconds.
fn moment(t_s: f64) -> Nanos {
    Nanos((t_s * 1e9).round() as u64)
}

/// The recorded report that one at `t` is like, as the model has it.
fn recorded_tick<'a>(trace: &'a Trace, change: &Change, number: usize, t: Nanos) -> &'a TracedTick {
    let number = match change.params_hz {
        None => number,
        Some(_) => trace.ticks.partition_point(|tick| tick.at <= t).saturating_sub(1),
    };
    &trace.ticks[number.min(trace.ticks.len() - 1)]
}
