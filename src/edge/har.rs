//! Imports a session from a HAR file on the disk, with the files that are attached to it.

mod file;

use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

use self::file::HarFile;
use super::output::{self, OutputFile};
use crate::har::{HarError, HarImport, HarLog};

/// Turns one session of a HAR file, or of a zip with one, into a capture. `session` counts from 1, and
/// is needed where there are several.
pub fn import_har(
    path: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<HarImport> {
    let name = path.display().to_string();
    let opened = || format!("cannot import {name}");
    output::refuse_input(path, out)?;
    let mut output = OutputFile::create(out, force)?;
    ensure!(!path.is_dir(), "{name} is neither a HAR file nor the folder of a session log");
    let mut file = HarFile::open(path).with_context(opened)?;
    let (text, bytes) = (std::mem::take(&mut file.text), std::mem::take(&mut file.bytes));
    let named = |error: HarError| match error {
        HarError::Write(error) => anyhow!(error).context(format!("cannot write {}", out.display())),
        other => anyhow!(other.of_file(&name)),
    };
    let mut log = HarLog::read(&bytes, &text).map_err(named)?;
    let attached = file.attached(&log.attached()).with_context(opened)?;
    log.attach(&attached);
    let imported = log.import(session, output.writer()).map_err(named)?;
    output.finish()?;
    Ok(imported)
}
