//! Writes captures that are made from other captures.

use std::io::{self, Write};

use anyhow::{Context, Result};

use super::output::OutputFile;
use crate::capture::{Body, Gap, Header, Kind, Record, Stored, SyncMarker};
use crate::checkpoint::{Checkpointer, IndexedWriter};
use crate::time::Nanos;

/// Writes a capture, which appears under its name when it is finished.
pub struct Rewriter {
    output: OutputFile,
    capture: IndexedWriter,
}

impl Rewriter {
    /// Begins a capture with this marker.
    pub fn new(output: OutputFile, marker: SyncMarker) -> Rewriter {
        Rewriter { output, capture: IndexedWriter::new(marker) }
    }

    /// Writes a record.
    pub fn put(&mut self, record: &Record<'_>) -> Result<()> {
        self.capture.put(record);
        self.flush()
    }

    /// Begins a copy of a capture, by its first sound record. Where its header was lost, the copy gets
    /// another, which says so.
    pub fn new_for(
        output: OutputFile,
        first: &Stored<'_>,
        software: &str,
        note: impl FnOnce(&mut Header),
    ) -> Result<Rewriter> {
        let mut rewriter = Rewriter::new(output, first.marker());
        let record = &first.record;
        if !matches!(record.body, Body::Header(_)) {
            let mut header = Header::new(software, record.t);
            header.metadata.insert("recovered".to_owned(), "the header was lost".to_owned());
            note(&mut header);
            rewriter.put(&Record { seq: 0, t: record.t, conn: 0, body: Body::Header(header) })?;
        }
        Ok(rewriter)
    }

    /// Copies a record of another capture with the same marker byte for byte, after a gap for what was
    /// lost before it. Checkpoints are recomputed instead.
    pub fn copy(&mut self, stored: &Stored<'_>) -> Result<()> {
        if let Some(gap) = gap_before(stored) {
            self.put(&gap)?;
        }
        self.copy_alone(stored)
    }

    /// The same without the gap.
    pub fn copy_alone(&mut self, stored: &Stored<'_>) -> Result<()> {
        if stored.record.kind() == Kind::Checkpoint {
            return Ok(());
        }
        self.capture.copied(&stored.record, stored.bytes.len());
        self.flush()?;
        let written = self.output.writer().write_all(stored.bytes);
        written.with_context(|| format!("cannot write {}", self.output.name()))
    }

    /// Writes an end record that says what was written.
    pub fn end(&mut self, t: Nanos, reason: &str) -> Result<()> {
        self.capture.end(t, reason);
        self.flush()
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        self.output.finish()
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.capture.write_to(self.output.writer());
        written.with_context(|| format!("cannot write {}", self.output.name()))
    }
}

/// Adds checkpoints to records that are written to it, whole ones at a time.
pub struct Woven<W> {
    inner: W,
    checkpointer: Checkpointer,
    bytes: Vec<u8>,
}

impl<W: Write> Woven<W> {
    /// Begins a capture with this marker.
    pub fn new(inner: W, marker: SyncMarker) -> Self {
        Woven { inner, checkpointer: Checkpointer::new(marker), bytes: Vec::new() }
    }
}

impl<W: Write> Write for Woven<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.clear();
        self.checkpointer.weave(bytes, &mut self.bytes).map_err(io::Error::other)?;
        self.inner.write_all(&self.bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The gap record for the numbers that are missing before a stored record.
#[must_use]
pub fn gap_before(next: &Stored<'_>) -> Option<Record<'static>> {
    let loss = next.lost.as_ref()?;
    let (first, count) = loss.missing?;
    // A lost header is replaced.
    let (first_seq, count) = if first == 0 { (1, count.checked_sub(1)?) } else { (first, count) };
    let last = first_seq.checked_add(count)?.checked_sub(1).filter(|_| count > 0)?;
    let reason = format!("damaged: {}", loss.reason);
    let body = Body::Gap(Gap { first_seq, count, bytes: loss.bytes, reason });
    Some(Record { seq: last, t: loss.between.0.unwrap_or(next.record.t), conn: 0, body })
}
