//! Captures as what-ifs and sweeps ask them.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::index;
use crate::edge::files;
use crate::engine::Options;
use crate::report::Damage;
use crate::scenario::Scenario;
use crate::scenario::ask::{Recording, RecordingBuilder};

/// Reads a capture once, headers only; or unless the model will be asked, its checkpoints, where
/// these cover all of it.
pub(super) fn read(path: &Path, modelled: bool) -> Result<Recording> {
    let read = || {
        if !modelled
            && let Some(recalled) = index::recall(path, Options::default())?
            && let Some(columns) = recalled.columns
        {
            return Ok(Recording::of_columns(columns));
        }
        let mut records = files::open_capture(path)?;
        let mut recording = RecordingBuilder::default();
        while let Some(record) = records.next_record()? {
            recording.handle(&record);
        }
        if let Some(damage) = Damage::of(records.losses()) {
            bail!(damage.reason);
        }
        anyhow::Ok(recording.finish()?)
    };
    read().with_context(|| format!("cannot replay {}", path.display()))
}

/// Reads a scenario file: TOML with the keys of [`Scenario`].
pub fn read_scenario(path: &Path) -> Result<Scenario> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    let document = toml::from_str(&text).with_context(|| format!("{name} is no TOML"))?;
    Scenario::from_value(document).with_context(|| format!("{name} is no scenario"))
}
