//! Captures and scenario files as what-ifs and sweeps read them.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::advice::worded;
use super::index;
use super::part::{PartRead, SessionPart};
use crate::capture::CheckpointRow;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::parse::Misuse;
use crate::scenario::advice::Wording;
use crate::scenario::answer::{AskOptions, Recording, RecordingBuilder};
use crate::scenario::askable::Askable;
use crate::scenario::columns::{Columns, ColumnsBuilder};
use crate::scenario::{NamedScenario, Scenario};

/// Longest scenario file in bytes.
const MAX_SCENARIO_LEN: usize = 1 << 20;

/// Reads a capture once, slice headers only. When no model is needed and the checkpoints cover all of
/// the capture, only these are read.
pub(super) fn read(path: &Path, modelled: bool) -> Result<Recording> {
    read_part(path, SessionPart::default(), modelled)
}

/// The same of a part, which is resolved.
pub(super) fn read_part(path: &Path, part: SessionPart, modelled: bool) -> Result<Recording> {
    let read = || {
        if part.is_whole()
            && !modelled
            && let Some(columns) = columns(path)?
        {
            return Ok(Recording::of_columns(columns));
        }
        let mut recording = RecordingBuilder::default();
        let PartRead { ends_at, damage } =
            part.each_record(path, |record| recording.handle(record))?;
        if let Some(damage) = damage {
            bail!(damage.reason);
        }
        anyhow::Ok(recording.finish_at(ends_at)?)
    };
    read().with_context(|| format!("cannot replay {}", path.display()))
}

/// What can be asked of a capture, in the words of a door.
pub fn askable(path: &Path, wording: Wording) -> Askable {
    let recording = match read(path, true) {
        Ok(recording) => recording,
        Err(error) => return Askable::nothing(worded(&error, wording)),
    };
    let options = AskOptions { wording, ..AskOptions::default() };
    Askable::of(&recording.prepare(options), wording)
}

/// The columns of a capture from its checkpoints, if these cover all of it.
fn columns(path: &Path) -> Result<Option<Columns>> {
    let mut columns = ColumnsBuilder::new();
    let see = |engine: &Engine, row: &CheckpointRow| columns.recall(engine, row);
    let recalled = index::recall(path, Options::default(), see)?;
    // Checkpoints do not know when records were lost.
    let recalled = recalled.filter(|recalled| recalled.lost == 0);
    Ok(recalled.and_then(|recalled| columns.finish(&recalled.engine, recalled.ended)))
}

/// Reads a scenario file: TOML with the keys of [`Scenario`], and perhaps with `name`. The name of the
/// file stands for it.
pub fn read_scenario(path: &Path) -> Result<NamedScenario> {
    let shown = path.display();
    let text = files::read_text(path, MAX_SCENARIO_LEN)?;
    if text.len() > MAX_SCENARIO_LEN {
        bail!(Misuse(format!("{shown} is too long for a scenario")));
    }
    let mut document: Value =
        toml::from_str(&text).map_err(|error| Misuse(toml_fault(path, &text, &error)))?;
    let stem = path.file_stem().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    let name = match document.as_object_mut().and_then(|fields| fields.remove("name")) {
        None => stem,
        Some(Value::String(name)) => name,
        Some(_) => bail!(Misuse(format!("{shown} is no scenario: name: write a text"))),
    };
    let scenario = Scenario::from_value(&document);
    let scenario = scenario.with_context(|| format!("{shown} is no scenario"))?;
    Ok(NamedScenario { name, scenario })
}

/// What is wrong with a TOML file, in a sentence that repeats nothing of it: a secret may stand there.
pub(crate) fn toml_fault(path: &Path, text: &str, error: &toml::de::Error) -> String {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    format!("{} is no TOML in line {line}: {}", path.display(), error.message())
}
