//! Imports session logs of other tools.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::files;
use super::output::OutputFile;
use super::rewrite::Woven;
use crate::capture::{End, MAX_LINE_LEN, import_session_log, session_log_marker};

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
    let mut blob = open_plain_or_zstd(folder, "frames.bin")?;
    let blob = blob.as_mut().map(|blob| blob as &mut dyn Read);
    let woven = Woven::new(output.writer(), session_log_marker(&session));
    let end = import_session_log(&session, lines, blob, woven)
        .with_context(|| format!("cannot import {}", folder.display()))?;
    output.finish()?;
    Ok(ImportSummary { out: out.to_owned(), end })
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
