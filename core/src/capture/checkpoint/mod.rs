//! Checkpoints: summaries within a capture, so that a report need not read every message.
//!
//! A checkpoint holds one [`CheckpointRow`] for each record since the checkpoint before, packed as
//! columns, and running [`Totals`]. Whoever interprets the records makes the rows; this folder only
//! stores them. Times are those of the records, offsets are bytes from the beginning of the file.

mod columns;
mod row;
mod totals;

use serde::{Deserialize, Serialize};

use super::marker::Marker;

pub(super) use columns::Unpacker;
pub use columns::{PackedRows, RowsError};
pub use row::{BufferShape, CheckpointRow, RowKind};
pub use totals::{RoundTrips, Totals};

/// Nanoseconds after which a checkpoint is due if the records since the last one are large enough.
pub const CHECKPOINT_EVERY_NS: u64 = 1_000_000_000;
/// Nanoseconds after which a checkpoint is due in any case.
pub const CHECKPOINT_AT_LATEST_NS: u64 = 60_000_000_000;
/// Until then, a checkpoint waits until the records since the last one are this many times its size.
pub const CHECKPOINT_SHARE: u64 = 50;
/// Rows after which a checkpoint is due earlier.
pub const MAX_ROWS: usize = 1 << 16;
/// A checkpoint and its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint<'a> {
    pub summary: Box<CheckpointSummary>,
    /// The rows since the checkpoint before.
    pub rows: PackedRows<'a>,
}

/// Everything in a checkpoint but its rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointSummary {
    /// Offset of this checkpoint.
    pub at: u64,
    /// Offset of the previous checkpoint.
    #[serde(default)]
    pub previous: Option<u64>,
    /// Offset of the record of the first row.
    pub first_row_at: u64,
    /// What the file holds up to here.
    #[serde(default)]
    pub totals: Totals,
    /// The state that a replay has here.
    #[serde(default)]
    pub digest: Digest,
    /// Markers among the rows, each with the index of its row.
    #[serde(default)]
    pub ops: Vec<(u32, Marker)>,
}

/// The state of an engine in a few numbers: equal digests are equal states in all likelihood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Digest {
    /// The frame of the playhead at the checkpoint's time.
    pub playhead: Option<u64>,
    /// CRC-32C over the times at which the buckets were refreshed.
    pub buckets_crc: Option<u32>,
    /// CRC-32C over the headers and the audio of all slices, where all of it is known.
    pub audio_crc: Option<u32>,
    /// Slices that were applied.
    pub slices: u64,
    pub ticks: u64,
}
