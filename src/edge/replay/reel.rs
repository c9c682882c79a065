//! A capture read piece by piece.
//!
//! Enters: a capture. Leaves: its parts in batches, for a thread that may wait for the disk. Damage
//! ends a capture early, and is told.

use std::fs::File;
use std::path::Path;

use anyhow::Result;

use crate::capture::Records;
use crate::edge::files;
use crate::peer::replay::{Part, Tape};
use crate::report::Damage;

/// Bytes of a batch, about; one message may exceed it.
const BATCH_BYTES: usize = 1 << 20;

/// A capture at some place.
pub struct Reel {
    records: Records<File>,
    tape: Tape,
}

/// The next parts of it.
#[derive(Default)]
pub struct Batch {
    /// In their order.
    pub parts: Vec<Part>,
    /// Nothing comes after them.
    pub is_last: bool,
    /// Why, if the capture is damaged there.
    pub damage: Option<Damage>,
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
            match self.records.next_record() {
                Ok(Some(record)) => {
                    let part = self.tape.read(&record);
                    bytes += part.as_ref().map_or(0, Part::bytes);
                    batch.parts.extend(part);
                }
                Ok(None) => {
                    batch.is_last = true;
                    return Ok(batch);
                }
                Err(error) => {
                    batch.damage = Some(Damage::of(&error).ok_or(error)?);
                    batch.is_last = true;
                    return Ok(batch);
                }
            }
        }
        Ok(batch)
    }
}
