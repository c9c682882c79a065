//! What a run of the model says and does, as it would stand in a capture. Knows no audio and no text.

use super::super::change::Change;
use super::super::trace::Trace;
use crate::capture::Marker;
use crate::lag::SliceRecord;
use crate::time::Nanos;

/// A run of the model as events; each list in the order of time. At one moment slices come before
/// ops, and ops before reports. An engine computes just the report of that run from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Emitted {
    pub slices: Vec<(Nanos, SliceRecord)>,
    pub ops: Vec<(Nanos, Marker)>,
    pub reports: Vec<EmittedReport>,
    /// Positions go in steps, which follow from no op.
    pub in_quanta: bool,
    /// Channels of the recorded slices.
    pub channels: u16,
    /// Usual bytes of a slice for each of its frames.
    pub bytes_per_frame: f64,
}

/// A report of the client.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmittedReport {
    pub t: Nanos,
    /// `playback_pos`.
    pub position_s: Option<f64>,
    /// `client_time`.
    pub client_time: Option<f64>,
    /// Whether it acknowledges the bytes received.
    pub acknowledges: bool,
}

impl Emitted {
    /// Nothing yet.
    pub(super) fn new(trace: &Trace, change: &Change) -> Self {
        let (bytes, frames) = trace.slices.iter().fold((0, 0), |(bytes, frames), slice| {
            (bytes + u64::from(slice.bytes), frames + u64::from(slice.header.frames))
        });
        Self {
            slices: Vec::with_capacity(trace.slices.len()),
            ops: Vec::new(),
            reports: Vec::with_capacity(trace.ticks.len()),
            in_quanta: change.quantum_frames.is_some_and(|quantum| quantum > 1),
            channels: trace.slices.first().map_or(1, |slice| slice.header.channels),
            bytes_per_frame: bytes as f64 / frames.max(1) as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::model::trace::TracedSlice;
    use crate::wire::slice::SliceHeader;

    #[test]
    fn slices_are_as_long_as_recorded_ones_are() {
        let slice = |frames, bytes| {
            let header = SliceHeader { frames, channels: 2, ..SliceHeader::default() };
            TracedSlice { at: Nanos(0), header, bytes, text_bytes: 9 }
        };
        let trace = Trace { slices: vec![slice(10, 30), slice(30, 10)], ..Trace::default() };
        let emitted = Emitted::new(&trace, &Change::default());
        assert_eq!((emitted.bytes_per_frame, emitted.channels), (1.0, 2));
        let none = Emitted::new(&Trace::default(), &Change::default());
        assert_eq!((none.bytes_per_frame, none.channels), (0.0, 1));
        let in_quanta = |quantum_frames| {
            Emitted::new(&trace, &Change { quantum_frames, ..Change::default() }).in_quanta
        };
        assert_eq!([None, Some(1), Some(2)].map(in_quanta), [false, false, true]);
    }
}
