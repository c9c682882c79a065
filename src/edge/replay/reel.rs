//! A capture read piece by piece.
//!
//! Enters: a capture. Leaves: its parts in batches, for a thread that may wait for the disk. DamageReport
//! ends a capture early, and is told.

use std::path::Path;

use anyhow::Result;

use crate::capture::Salvage;
use crate::edge::files::{self, CaptureFile};
use crate::peer::replay::{Part, Tape};
use crate::report::DamageReport;

/// Bytes of a batch, about; one message may exceed it.
const BATCH_BYTES: usize = 1 << 20;

/// A capture at some place.
pub struct Reel {
    records: Salvage<CaptureFile>,
    tape: Tape,
}

/// The next parts of it.
#[derive(Default)]
pub struct Batch {
    /// In their order.
    pub parts: Vec<Part>,
    /// Nothing comes after them.
    pub is_last: bool,
    /// What of the capture was lost, if anything; told with the last batch.
    pub damage: Option<DamageReport>,
}

impl Reel {
    /// A capture at its beginning; `session` is the connection to play.
    pub fn open(path: &Path, session: u32) -> Result<Reel> {
        Ok(Reel { records: files::open_capture(path)?, tape: Tape::new(session) })
    }

    /// Reads on.
    pub fn next(&mut self) -> Result<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        while bytes < BATCH_BYTES {
            let Some(record) = self.records.next_record()? else {
                batch.damage = DamageReport::of(self.records.losses());
                batch.is_last = true;
                return Ok(batch);
            };
            let parts = self.tape.read(&record);
            bytes += parts.iter().map(Part::bytes).sum::<usize>();
            batch.parts.extend(parts);
        }
        Ok(batch)
    }
}
