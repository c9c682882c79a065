//! Imports session logs of other tools.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files;
use super::output::OutputFile;
use super::rewrite::Woven;
use crate::capture::{
    Body, End, MAX_LINE_LEN, ReadStep, Reader, import_noted_session_log, import_session_log,
    session_log_marker,
};
use crate::family::{FAMILY_NOTE, FamilyWatch};

/// What was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportSummary {
    pub out: PathBuf,
    pub end: End,
}

/// Turns a folder with `session.json`, `frames.jsonl[.zst]` and, with payloads, `frames.bin[.zst]`
/// into a capture.
pub fn import(folder: &Path, out: &Path, force: bool) -> Result<ImportSummary> {
    if !folder.is_dir() {
        bail!(
            "{} is not a folder; import takes the folder of a session log, with session.json and frames.jsonl in it",
            folder.display()
        );
    }
    let mut output = OutputFile::create(out, force)?;
    let session = folder.join("session.json");
    let session = files::read_text(&session, MAX_LINE_LEN)
        .with_context(|| format!("cannot read {}; a session log has one", session.display()))?;
    let Some(lines) = open_plain_or_zstd(folder, "frames.jsonl")? else {
        bail!("{} has neither frames.jsonl nor frames.jsonl.zst", folder.display());
    };
    let notes = family_note(folder, &session)?;
    let mut blob = open_plain_or_zstd(folder, "frames.bin")?;
    let blob = blob.as_mut().map(|blob| blob as &mut dyn Read);
    let woven = Woven::new(output.writer(), session_log_marker(&session));
    let end = import_noted_session_log(&session, &notes, lines, blob, woven)
        .with_context(|| format!("cannot import {}", folder.display()))?;
    output.finish()?;
    Ok(ImportSummary { out: out.to_owned(), end })
}

/// What the slices say of the family where the log says nothing of it, for the capture's header. Reads
/// no more of the log than that takes.
fn family_note(folder: &Path, session: &str) -> Result<BTreeMap<String, String>> {
    let Some(lines) = open_plain_or_zstd(folder, "frames.jsonl")? else {
        return Ok(BTreeMap::new());
    };
    let mut blob = open_plain_or_zstd(folder, "frames.bin")?;
    let blob = blob.as_mut().map(|blob| blob as &mut dyn Read);
    let mut scan = FamilyScan::default();
    // It ends with an error as soon as the answer is known; a fault of the log the import itself names.
    let _ = import_session_log(session, lines, blob, &mut scan);
    Ok(scan.watch.note().map(|note| (FAMILY_NOTE.to_owned(), note)).into_iter().collect())
}

/// Reads a capture that is being written, until the family of its session is known.
#[derive(Default)]
struct FamilyScan {
    watch: FamilyWatch,
    reader: Reader,
    unread: Vec<u8>,
}

impl Write for FamilyScan {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.unread.extend_from_slice(bytes);
        let mut read = 0;
        while let Ok(ReadStep::Record { record, len }) = self.reader.step(&self.unread[read..]) {
            read += len;
            if let Body::Message(message) = &record.body {
                self.watch.see(record.conn, message);
            }
        }
        self.unread.drain(..read);
        if self.watch.is_over() {
            return Err(io::Error::other("the family is known"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens `name`, or `name.zst`, which is unpacked while it is read.
fn open_plain_or_zstd(folder: &Path, name: &str) -> Result<Option<Box<dyn BufRead>>> {
    let plain = folder.join(name);
    let packed = folder.join(format!("{name}.zst"));
    if plain.exists() {
        let (file, _) = files::open_plain(&plain)?;
        return Ok(Some(Box::new(BufReader::new(file))));
    }
    if packed.exists() {
        let (file, _) = files::open_plain(&packed)?;
        let unpacked = zstd::Decoder::new(file)
            .with_context(|| format!("cannot open {}", packed.display()))?;
        return Ok(Some(Box::new(BufReader::new(unpacked))));
    }
    Ok(None)
}
