//! Captures known from their checkpoints alone: neither payloads nor JSON are read.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};

use crate::capture::{Index, Kind, Salvage, whole_index};
use crate::engine::{Engine, Options};
use crate::scenario::columns::{Columns, ColumnsBuilder};
use crate::time::Nanos;

/// An engine that has recalled a whole capture.
pub(super) struct Recalled {
    pub engine: Engine,
    /// Time of the end record.
    pub ended: Nanos,
    /// The columns of sweeps, where an initial buffer came.
    pub columns: Option<Columns>,
}

/// Recalls a capture from its checkpoints; `None` when these do not cover all of it, as in one that
/// was not closed in order or that has none.
pub(super) fn recall(path: &Path, options: Options) -> Result<Option<Recalled>> {
    let context = || format!("cannot open {}", path.display());
    let file = File::open(path).with_context(context)?;
    let mut engine = Engine::new(options);
    let Some(index) = begin(&file, &mut engine).with_context(context)? else { return Ok(None) };
    let mut columns = ColumnsBuilder::new();
    for checkpoint in &index.checkpoints {
        for row in &checkpoint.rows {
            engine.recall(row);
            columns.recall(&engine, row);
        }
    }
    if let Some(last) = index.checkpoints.last() {
        engine.recall_totals(&last.summary.totals);
    }
    let columns = columns.finish(&engine, index.ended);
    Ok(Some(Recalled { engine, ended: index.ended, columns }))
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
    let begins = |index: &Index| {
        index.checkpoints.first().is_some_and(|first| first.summary.first_row_at == rows_at)
    };
    Ok(index.filter(begins))
}
