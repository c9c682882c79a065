//! Captures known from their checkpoints alone: neither payloads nor JSON are read.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use crate::capture::{CheckpointRow, Index, Kind, Salvage, whole_index};
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::time::Nanos;

/// An engine that has recalled a whole capture.
pub(super) struct Recalled {
    pub engine: Engine,
    /// Time of the end record.
    pub ended: Nanos,
}

/// Recalls a capture from its checkpoints, with `watch` called for every row; `None` when these do not
/// cover all of it, as in one that was not closed in order or that has none.
pub(super) fn recall(
    path: &Path,
    options: Options,
    mut watch: impl FnMut(&Engine, &CheckpointRow),
) -> Result<Option<Recalled>> {
    let context = || format!("cannot read {}", path.display());
    let (file, _) = files::open_file(path)?;
    let mut engine = Engine::new(options);
    let Some(index) = begin(&file, &mut engine).with_context(context)? else { return Ok(None) };
    let whole = index.visit(&mut |row| {
        engine.recall(row);
        watch(&engine, row);
    });
    engine.recall_totals(&index.totals());
    Ok(whole.then_some(Recalled { engine, ended: index.ended }))
}

/// Reads what stands before the first row, the header and perhaps a context, and all checkpoints.
fn begin(file: &File, engine: &mut Engine) -> Result<Option<Index>> {
    let mut records = Salvage::new(file);
    let mut rows_at = 0;
    while let Some(stored) = records.next_stored()? {
        if !matches!(stored.record.kind(), Kind::Header | Kind::Context) {
            break;
        }
        engine.handle(&stored.record);
        rows_at = stored.offset + stored.bytes.len() as u64;
    }
    let Some(marker) = records.marker().filter(|_| records.losses().is_empty()) else {
        return Ok(None);
    };
    let index = whole_index(&mut &*file, marker)?;
    Ok(index.filter(|index| index.first_row_at() == Some(rows_at)))
}
