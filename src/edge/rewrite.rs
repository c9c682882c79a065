//! Captures made from captures: records go to a file that appears when it is whole.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::files::Output;
use crate::capture::{Body, Record, Stored, SyncMarker, Writer};
use crate::time::Nanos;

/// A capture in the making.
pub struct Rewriter {
    path: PathBuf,
    output: Output,
    writer: Writer,
    bytes: Vec<u8>,
}

impl Rewriter {
    /// Begins a capture with this marker. Refuses an existing file unless `force`.
    pub fn create(path: &Path, force: bool, marker: SyncMarker) -> Result<Rewriter> {
        let output = Output::create(path, force)?;
        let writer = Writer::new(marker);
        let mut bytes = Vec::new();
        writer.begin(&mut bytes);
        Ok(Rewriter { path: path.to_owned(), output, writer, bytes })
    }

    /// Writes a record.
    pub fn put(&mut self, record: &Record<'_>) -> Result<()> {
        self.writer.write(record, &mut self.bytes);
        self.flush()
    }

    /// Writes a record byte for byte as another capture of the same marker holds it.
    pub fn copy(&mut self, stored: &Stored<'_>) -> Result<()> {
        self.writer.copy(stored, &mut self.bytes);
        self.flush()
    }

    /// Writes an end record that says what was written.
    pub fn end(&mut self, t: Nanos, reason: &str) -> Result<()> {
        let seq = self.writer.next_seq();
        let body = Body::End(self.writer.end(Some(reason.to_owned())));
        self.put(&Record { seq, t, conn: 0, body })
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<()> {
        self.output.finish()
    }

    fn flush(&mut self) -> Result<()> {
        let written = self.output.writer().write_all(&self.bytes);
        self.bytes.clear();
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }
}
