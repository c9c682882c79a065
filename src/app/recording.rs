//! Captures and scenario files as what-ifs and sweeps read them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::index;
use crate::capture::CheckpointRow;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::parse::Misuse;
use crate::report::DamageReport;
use crate::scenario::Scenario;
use crate::scenario::answer::{Recording, RecordingBuilder};
use crate::scenario::columns::{Columns, ColumnsBuilder};

/// Longest scenario file in bytes.
const MAX_SCENARIO_LEN: usize = 1 << 20;

/// Reads a capture once, slice headers only. When no model is needed and the checkpoints cover all of
/// the capture, only these are read.
pub(super) fn read(path: &Path, modelled: bool) -> Result<Recording> {
    let read = || {
        if !modelled && let Some(columns) = columns(path)? {
            return Ok(Recording::of_columns(columns));
        }
        let mut records = files::open_capture(path)?;
        let mut recording = RecordingBuilder::default();
        while let Some(record) = records.next_record()? {
            recording.handle(&record);
        }
        if let Some(damage) = DamageReport::of(records.losses()) {
            bail!(damage.reason);
        }
        anyhow::Ok(recording.finish()?)
    };
    read().with_context(|| format!("cannot replay {}", path.display()))
}

/// The columns of a capture from its checkpoints, if these cover all of it.
fn columns(path: &Path) -> Result<Option<Columns>> {
    let mut columns = ColumnsBuilder::new();
    let see = |engine: &Engine, row: &CheckpointRow| columns.recall(engine, row);
    let recalled = index::recall(path, Options::default(), see)?;
    Ok(recalled.and_then(|recalled| columns.finish(&recalled.engine, recalled.ended)))
}

/// Reads a scenario file: TOML with the keys of [`Scenario`].
pub fn read_scenario(path: &Path) -> Result<Scenario> {
    let name = path.display();
    let text = files::read_text(path, MAX_SCENARIO_LEN)?;
    if text.len() > MAX_SCENARIO_LEN {
        bail!(Misuse(format!("{name} is too long for a scenario")));
    }
    let document: Value =
        toml::from_str(&text).map_err(|error| Misuse(toml_fault(path, &text, &error)))?;
    Scenario::from_value(&document).with_context(|| format!("{name} is no scenario"))
}

/// What is wrong with a TOML file, in a sentence that repeats nothing of it: a secret may stand there.
pub(crate) fn toml_fault(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("{} is no TOML in line {line}: {}", path.display(), error.message())
}
