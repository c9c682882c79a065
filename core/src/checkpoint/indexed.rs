//! Writes a capture from records, with the checkpoints that are due between them.

use std::io::{self, Write};

use super::Checkpointer;
use crate::capture::{Body, Record, SyncMarker, Writer};
use crate::time::Nanos;

/// Memory that is kept from one record to the next.
const SPARE: usize = 1 << 20;

/// A capture in the making. What it has written waits for [`IndexedWriter::write_to`].
#[derive(Debug)]
pub struct IndexedWriter {
    writer: Writer,
    checkpointer: Checkpointer,
    bytes: Vec<u8>,
}

impl IndexedWriter {
    /// Begins a capture with this marker.
    #[must_use]
    pub fn new(marker: SyncMarker) -> IndexedWriter {
        let writer = Writer::new(marker);
        let mut bytes = Vec::new();
        writer.begin(&mut bytes);
        IndexedWriter { writer, checkpointer: Checkpointer::new(marker), bytes }
    }

    /// Adds a record.
    pub fn put(&mut self, record: &Record<'_>) {
        self.checkpointer.before(record, &mut self.bytes);
        let start = if self.writer.next_seq() == 0 { 0 } else { self.bytes.len() };
        self.writer.write(record, &mut self.bytes);
        self.checkpointer.after(record, self.bytes.len() - start);
    }

    /// Notes a record of another capture with the same marker, whose bytes the caller writes after those
    /// that wait.
    pub fn copied(&mut self, record: &Record<'_>, len: usize) {
        self.checkpointer.before(record, &mut self.bytes);
        let ahead = if self.writer.next_seq() == 0 { self.bytes.len() } else { 0 };
        self.writer.copied(record);
        self.checkpointer.after(record, ahead + len);
    }

    /// Adds an end record that says what was written.
    pub fn end(&mut self, t: Nanos, reason: &str) {
        let seq = self.writer.next_seq();
        let body = Body::End(self.writer.end(Some(reason.to_owned())));
        self.put(&Record { seq, t, conn: 0, body });
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// The output fails.
    pub fn write_to(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let written = out.write_all(&self.bytes);
        self.bytes.clear();
        self.bytes.shrink_to(SPARE);
        written
    }
}
