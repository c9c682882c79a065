//! Reads a capture piece by piece, on a thread that may wait for the disk.

use std::path::Path;

use anyhow::Result;

use crate::capture::Salvage;
use crate::edge::files::{self, CaptureFile};
use crate::peer::replay::{Tape, TapePart};
use crate::report::DamageReport;

/// Bytes of a batch, about; one message may exceed it.
const BATCH_BYTES: usize = 1 << 20;

/// A capture, read up to some place.
pub(super) struct BatchReader {
    records: Salvage<CaptureFile>,
    tape: Tape,
}

/// The next parts of a capture.
#[derive(Default)]
pub(super) struct Batch {
    pub parts: Vec<TapePart>,
    /// Nothing follows; damage ends a capture early.
    pub is_last: bool,
    /// What of the capture was lost, if anything; told with the last batch.
    pub damage: Option<DamageReport>,
}

impl BatchReader {
    /// Opens a capture at its beginning; `session` is the connection to play.
    pub fn open(path: &Path, session: u32) -> Result<BatchReader> {
        Ok(BatchReader { records: files::open_capture(path)?, tape: Tape::new(session) })
    }

    /// Reads the next batch.
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
            bytes += parts.iter().map(TapePart::bytes).sum::<usize>();
            batch.parts.extend(parts);
        }
        Ok(batch)
    }
}
