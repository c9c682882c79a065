//! `recover`: write a sound capture of what a damaged one still holds.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use super::lost::Lost;
use super::outcome::Outcome;
use crate::capture::{Ending, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::edge::output::{self, OutputFile, is_dash};
use crate::edge::rewrite::Rewriter;
use crate::report::SCHEMA;
use crate::report::text::{Name, RecordCount};

/// What was recovered of one capture.
#[derive(Debug, Clone, Serialize)]
pub struct Recovered {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// What was written.
    pub out: PathBuf,
    /// Records in it, with numbers of their own, that the damaged capture held, byte for byte.
    pub records: u64,
    /// It ends with its end record.
    pub complete: bool,
    /// Bytes of a record that was cut off at the end, and is left out.
    pub torn_bytes: u64,
    /// What is lost.
    #[serde(flatten)]
    pub lost: Lost,
}

impl Recovered {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.lost.anything() { Outcome::Damaged } else { Outcome::Healthy }
    }
}

/// Writes the sound records of `path` to `out`. Captures that stand behind the first one in the
/// same file go to files of their own beside it: `out.2.lagtape` and so on.
pub fn recover(path: &Path, out: &Path, force: bool) -> Result<Vec<Recovered>> {
    let context = || format!("cannot recover {}", path.display());
    output::refuse_input(path, out)?;
    let mut output = OutputFile::create(out, force)?;
    let mut records = files::open_capture(path).with_context(context)?;
    let (mut recovered, mut to) = (Vec::new(), out.to_owned());
    loop {
        recovered.push(recover_one(path, &mut records, (&to, output)).with_context(context)?);
        if !records.next_capture() {
            return Ok(recovered);
        }
        ensure!(
            !is_dash(out),
            "there are several captures in {}, and stdout takes one; name a file with -o",
            path.display()
        );
        to = numbered(out, recovered.len() + 1);
        output = OutputFile::create(&to, force)?;
    }
}

/// The name of the file for the capture of this number, the second or a later one.
fn numbered(out: &Path, number: usize) -> PathBuf {
    let mut name = out.file_stem().map_or_else(OsString::new, OsString::from);
    name.push(format!(".{number}"));
    if let Some(extension) = out.extension() {
        name.push(".");
        name.push(extension);
    }
    out.with_file_name(name)
}

fn recover_one(
    path: &Path,
    records: &mut Salvage<CaptureFile>,
    (out, output): (&Path, OutputFile),
) -> Result<Recovered> {
    let Some(first) = records.next_stored()? else { bail!("not one sound record is in it") };
    let mut mended = Rewriter::new_for(output, &first, "lagtape recover", |_| {})?;
    mended.copy(&first)?;
    let mut count = u64::from(first.record.is_numbered());
    while let Some(stored) = records.next_stored()? {
        mended.copy(&stored)?;
        count += u64::from(stored.record.is_numbered());
    }
    mended.finish()?;
    Ok(Recovered {
        schema: SCHEMA,
        capture: path.display().to_string(),
        out: out.to_owned(),
        records: count,
        complete: records.ending() == Some(Ending::Complete),
        torn_bytes: match records.ending() {
            Some(Ending::Incomplete { torn_bytes }) => torn_bytes,
            _ => 0,
        },
        lost: Lost::of(records.losses()),
    })
}

/// The result as text for a person.
#[must_use]
pub fn recovered_text(recovered: &[Recovered]) -> String {
    let mut text = String::new();
    for one in recovered {
        let Lost { records_lost, bytes_lost, seconds_lost, .. } = &one.lost;
        let out = Name(&one.out);
        let _ = match one.lost.anything() {
            true => writeln!(
                text,
                "wrote {out}: {}; {}, {bytes_lost} bytes and {seconds_lost:.3} s are lost",
                RecordCount(one.records),
                RecordCount(*records_lost)
            ),
            false => {
                writeln!(text, "wrote {out}: all of {}; nothing is lost", RecordCount(one.records))
            }
        };
        one.lost.lines(&mut text);
        if one.torn_bytes > 0 {
            let _ = writeln!(
                text,
                "  the recording was cut within a record; {} bytes of it are left out",
                one.torn_bytes
            );
        }
    }
    text
}
