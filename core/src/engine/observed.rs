//! What was observed of a stream, for whoever asks after causes: slices, reports, commands, buffers.
//!
//! The engine notes what it handles, whether that is a record or the row of a checkpoint, so that both
//! say the same. Memory is bounded by [`MAX_SLICES`] and [`MAX_REPORTS`], some 20 MB for a session of
//! any length: of a longer one the end is known. Times are those of the records.

use std::collections::VecDeque;

use crate::capture::{BufferShape, Marker, TickReport};
use crate::lag::SliceRecord;
use crate::time::Nanos;
use crate::wire::slice::SliceHeader;

/// Slices that are kept: two hours of a usual server, which sends 19 a second.
pub const MAX_SLICES: usize = 1 << 17;
/// Reports that are kept: two hours of a client that reports 30 times a second.
pub const MAX_REPORTS: usize = 1 << 18;
/// Commands, buffers and ops that are kept, of each.
const MAX_MOMENTS: usize = 1 << 12;

/// A slice that landed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceSeen {
    pub t: Nanos,
    /// The number of its record; 0 where only a checkpoint is known.
    pub seq: u64,
    /// First frame and frames of the region.
    pub start: u32,
    pub frames: u32,
    /// Bytes of the message.
    pub len: u32,
    /// How far ahead of the listener it came, folded to half a lap, in seconds.
    pub lead_s: f32,
    /// What its header says of the generation before, in milliseconds.
    pub tick_ms: f32,
    pub dec_ms: f32,
    pub generations: u32,
}

/// A report of the client. What it does not say is not a number: a session has many of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportSeen {
    pub t: Nanos,
    /// The number of its record; 0 where only a checkpoint is known.
    pub seq: u64,
    /// Its position, in seconds.
    pub position_s: f64,
    /// Bytes of slices that it has received.
    pub acknowledged: f64,
    /// The smallest lead that it saw since the report before, in seconds.
    pub lead_s: f64,
    /// Its knobs differ from those of the report before.
    pub turned: bool,
    /// Bytes of slices that had come by then.
    pub received: u64,
}

/// A region that the client asked for by its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionAsked {
    pub t: Nanos,
    pub seq: u64,
    /// Where it begins, in seconds.
    pub at_s: f64,
}

/// A buffer that came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BufferSeen {
    pub t: Nanos,
    pub seq: u64,
    pub frames: u64,
    pub channels: u16,
    /// Slices from its coming on that brought audio of the buffer before, where audio is known.
    pub old_audio: Option<OldAudioSeen>,
}

/// Slices with audio of the buffer before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OldAudioSeen {
    pub slices: u32,
    /// The last of them: when it came, and its record.
    pub last: (Nanos, u64),
}

/// Everything observed of a stream, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub slices: VecDeque<SliceSeen>,
    pub reports: VecDeque<ReportSeen>,
    /// Commands of the client, and the numbers of their records.
    pub commands: VecDeque<(Nanos, u64)>,
    pub buffers: VecDeque<BufferSeen>,
    /// Regions that the client asked for; no checkpoint knows of them.
    pub asked: VecDeque<RegionAsked>,
    /// What the last report that asked for any asked for.
    asked_last: Vec<f64>,
    pub ops: VecDeque<(Nanos, Marker)>,
    /// Stretches of which no record is there, with a context behind each.
    pub holes: VecDeque<(Nanos, Nanos)>,
    /// The latest of what was let go: before it nothing is known.
    pub forgotten_to: Option<Nanos>,
    bound: Option<usize>,
    /// The number of the record that is being handled.
    seq: u64,
}

impl Observed {
    /// Nothing yet; at most `bound` slices and as many reports are kept.
    #[must_use]
    pub fn new(bound: Option<usize>) -> Observed {
        Observed { bound, ..Observed::default() }
    }

    /// Makes room at once for so many slices and reports, as far as they would be kept.
    pub fn reserve(&mut self, slices: usize, reports: usize) {
        let bound = self.bound.unwrap_or(usize::MAX);
        self.slices.reserve_exact(slices.min(bound).min(MAX_SLICES));
        self.reports.reserve_exact(reports.min(bound).min(MAX_REPORTS));
    }

    /// What follows is of this record; 0 of one that only a checkpoint knows.
    pub fn number(&mut self, seq: u64) {
        self.seq = seq;
    }

    /// A slice landed.
    pub fn slice(&mut self, t: Nanos, header: &SliceHeader, len: u32, landed: &SliceRecord) {
        let slice = SliceSeen {
            t,
            seq: self.seq,
            start: header.start,
            frames: header.frames,
            len,
            lead_s: landed.lead_s as f32,
            tick_ms: header.tick_ms,
            dec_ms: header.dec_ms,
            generations: header.generations,
        };
        let bound = self.bound.map_or(MAX_SLICES, |bound| bound.min(MAX_SLICES));
        let gone = keep(&mut self.slices, slice, bound);
        self.forget(gone.map(|slice| slice.t));
    }

    /// The client reported, when so many bytes of slices had come.
    pub fn report(&mut self, t: Nanos, report: TickReport, turned: bool, received: u64) {
        let report = ReportSeen {
            t,
            seq: self.seq,
            position_s: report.playback_pos.unwrap_or(f64::NAN),
            acknowledged: report.slice_bytes_rx.unwrap_or(f64::NAN),
            lead_s: report.slice_lead_s.unwrap_or(f64::NAN),
            turned,
            received,
        };
        let bound = self.bound.map_or(MAX_REPORTS, |bound| bound.min(MAX_REPORTS));
        let gone = keep(&mut self.reports, report, bound);
        self.forget(gone.map(|report| report.t));
    }

    /// The client asks for regions; whoever repeats himself asks for nothing new.
    pub fn asked_for(&mut self, t: Nanos, positions_s: &[f64]) {
        if positions_s.is_empty() || positions_s == self.asked_last {
            return;
        }
        self.asked_last = positions_s.to_vec();
        for &at_s in positions_s.iter().take(MAX_MOMENTS) {
            keep(&mut self.asked, RegionAsked { t, seq: self.seq, at_s }, MAX_MOMENTS);
        }
    }

    /// The client sent another command.
    pub fn command(&mut self, t: Nanos) {
        let command = (t, self.seq);
        keep(&mut self.commands, command, MAX_MOMENTS);
    }

    /// A buffer came.
    pub fn buffer(&mut self, t: Nanos, shape: &BufferShape) {
        let BufferShape { frames, channels, .. } = *shape;
        let buffer = BufferSeen { t, seq: self.seq, frames, channels, old_audio: None };
        keep(&mut self.buffers, buffer, MAX_MOMENTS);
    }

    /// A slice of the present buffer brought audio of the one before.
    pub fn old_audio(&mut self, t: Nanos) {
        let last = (t, self.seq);
        if let Some(buffer) = self.buffers.back_mut() {
            let slices = buffer.old_audio.map_or(1, |seen| seen.slices.saturating_add(1));
            buffer.old_audio = Some(OldAudioSeen { slices, last });
        }
    }

    /// The listener did something to the playhead.
    pub fn op(&mut self, t: Nanos, op: &Marker) {
        keep(&mut self.ops, (t, op.clone()), MAX_MOMENTS);
    }

    /// Nothing is known of what was between two moments.
    pub fn hole(&mut self, from: Nanos, to: Nanos) {
        keep(&mut self.holes, (from, to), MAX_MOMENTS);
    }

    fn forget(&mut self, t: Option<Nanos>) {
        self.forgotten_to = self.forgotten_to.max(t);
    }
}

/// Appends, and says what had to go for it.
fn keep<T>(kept: &mut VecDeque<T>, item: T, bound: usize) -> Option<T> {
    let gone = if kept.len() >= bound.max(1) { kept.pop_front() } else { None };
    kept.push_back(item);
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_bound_is_forgotten_from_the_front() {
        let mut observed = Observed::new(Some(2));
        for t in 1..=4 {
            observed.number(t);
            observed.report(Nanos(t), TickReport::default(), false, 0);
        }
        let kept: Vec<_> = observed.reports.iter().map(|report| report.seq).collect();
        assert_eq!(kept, [3, 4]);
        assert_eq!(observed.forgotten_to, Some(Nanos(2)));
    }
}
