//! What one record did to the session, as a checkpoint remembers it.

use crate::capture::marker::Marker;
use crate::capture::snapshot::TickReport;
use crate::time::Nanos;
use crate::wire::slice::HEADER_LEN;

/// One record, as far as playheads, leads and staleness depend on it.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointRow {
    pub t: Nanos,
    /// Its length in the file.
    pub stored_len: u32,
    pub what: RowKind,
}

/// What a record did to the session.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum RowKind {
    /// Nothing that moves a playhead or refreshes audio.
    #[default]
    Other,
    /// A slice landed.
    Slice {
        /// Its first bytes.
        header: [u8; HEADER_LEN],
        /// Length of the whole message.
        len: u32,
    },
    /// A slice, or another binary message, could not be used.
    Refused,
    /// The client reported.
    Tick {
        /// What it said of itself.
        report: TickReport,
        /// Its knobs differ from those of the tick before.
        turned: bool,
    },
    /// The client sent another command.
    Command,
    /// The initial buffer came.
    Begin(BufferShape),
    /// The buffer of a swap came.
    Swap(BufferShape),
    /// A marker.
    Op(Marker),
}

/// The shape of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferShape {
    /// Frames of the loop.
    pub frames: u64,
    pub channels: u16,
    /// Frames per second.
    pub sample_rate: u32,
    /// The family that serves it; 0 of the one that refines a loop and says nothing else.
    pub family: u8,
}

impl RowKind {
    pub(super) fn id(&self) -> u8 {
        match self {
            RowKind::Other => 0,
            RowKind::Slice { .. } => 1,
            RowKind::Refused => 2,
            RowKind::Tick { .. } => 3,
            RowKind::Command => 4,
            RowKind::Begin(_) => 5,
            RowKind::Swap(_) => 6,
            RowKind::Op(_) => 7,
        }
    }
}
