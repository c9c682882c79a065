//! Inserts checkpoints between the records of a capture while it is being written.
//!
//! A checkpoint is due one second after the previous one, and before the end record. Where the records
//! since then are so small that the checkpoint would exceed a fiftieth of them, it waits for more, for
//! a minute at most. What it says comes from an engine that has seen the records before it: a
//! [`CheckpointLog`] asks one that follows the session in any case, and a [`Checkpointer`] has its own,
//! so that the task that forwards messages does not wait for it. Records are never changed, and the
//! same records give the same checkpoints.

mod indexed;
mod log;

pub use indexed::IndexedWriter;
pub use log::CheckpointLog;

use crate::capture::{ReadError, ReadStep, Reader, Record, SyncMarker};
use crate::engine::{Engine, Options};

/// Makes the checkpoints of one capture by an engine of its own.
#[derive(Debug)]
pub struct Checkpointer {
    log: CheckpointLog,
    engine: Engine,
    reader: Reader,
}

impl Checkpointer {
    /// Before the first byte of a capture with this marker.
    #[must_use]
    pub fn new(marker: SyncMarker) -> Self {
        // Reports are made elsewhere: one slice and one tick are all that the tracker keeps. No
        // checkpoint holds the buffer.
        let engine = Engine::new(Options {
            audio_crc: true,
            mirror_bound: Some(0),
            tracker_bound: Some(1),
            ..Options::default()
        });
        Checkpointer { log: CheckpointLog::new(marker), engine, reader: Reader::new() }
    }

    /// Appends bytes of a capture to `out`, with the checkpoints that are due between its records.
    /// The bytes of all calls together are the capture; each call has whole records.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub fn weave(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut checkpoint = Vec::new();
        while !bytes.is_empty() {
            let (records, rest) = bytes.split_at(self.follow(bytes, &mut checkpoint)?);
            out.extend_from_slice(records);
            out.append(&mut checkpoint);
            bytes = rest;
        }
        Ok(())
    }

    /// Follows the records in `bytes` up to the first that a checkpoint is due before, which is
    /// appended to `out`; says how many bytes those are. For whoever writes the bytes as they are:
    /// these, then the checkpoint, then the others, which the next call gets.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub fn follow(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ReadError> {
        let due_at = out.len();
        let mut at = 0;
        while at < bytes.len() {
            let mut reader = self.reader.clone();
            let ReadStep::Record { record, len } = reader.step(&bytes[at..])? else {
                self.log.pass(bytes.len() - at);
                return Ok(bytes.len());
            };
            self.before(&record, out);
            if out.len() > due_at {
                break;
            }
            self.reader = reader;
            self.after(&record, len);
            at += len;
        }
        Ok(at)
    }

    /// Appends the checkpoint that is due before `record`, if one is.
    pub fn before(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.log.before(record, &self.engine, out);
    }

    /// Notes that `record` was written in so many bytes, those before the first record included.
    pub fn after(&mut self, record: &Record<'_>, len: usize) {
        self.engine.handle(record);
        self.log.after(record, len, &self.engine);
    }
}
