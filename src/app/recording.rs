//! Captures as what-ifs and sweeps ask them.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::index;
use crate::capture::CheckpointRow;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::DamageReport;
use crate::scenario::Scenario;
use crate::scenario::ask::{Recording, RecordingBuilder};
use crate::scenario::columns::{Columns, ColumnsBuilder};

/// Longest scenario file in bytes.
const MAX_SCENARIO_LEN: usize = 1 << 20;

/// Reads a capture once, headers only; or unless the model will be asked, its checkpoints, where
/// these cover all of it.
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

/// The columns that the checkpoints of a capture tell, where these cover all of it.
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
    ensure!(text.len() <= MAX_SCENARIO_LEN, "{name} is too long for a scenario");
    let document = toml::from_str(&text).with_context(|| format!("{name} is no TOML"))?;
    Scenario::from_value(document).with_context(|| format!("{name} is no scenario"))
}
