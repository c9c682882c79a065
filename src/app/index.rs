//! Captures read from their checkpoints alone, without payloads and JSON.

use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result};

use crate::capture::{CheckpointRow, Index, Kind, Salvage, SyncMarker, whole_index};
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::time::Nanos;

/// An engine that has recalled a whole capture.
pub(super) struct Recalled {
    pub engine: Engine,
    /// Time of the end record.
    pub ended: Nanos,
    /// Records that were lost while recording.
    pub lost: u64,
}

/// Recalls a capture from its checkpoints and calls `watch` for every row; `None` when the checkpoints
/// do not cover all of it, because the capture was not closed in order or has none.
pub(super) fn recall(
    path: &Path,
    options: Options,
    mut watch: impl FnMut(&Engine, &CheckpointRow),
) -> Result<Option<Recalled>> {
    let context = || format!("cannot read {}", path.display());
    let (file, _) = files::open_file(path)?;
    let mut engine = Engine::new(options);
    let Some(index) = begin(&file, &mut engine).with_context(context)? else { return Ok(None) };
    let marker = index.marker;
    let index = index.index;
    engine.expect(index.slices(), index.ticks());
    let whole = index.visit(&mut |row| {
        engine.recall(row);
        watch(&engine, row);
    });
    let totals = index.totals();
    engine.recall_totals(&totals);
    if let Some(at) = index.last_rows_at() {
        see_end(file, marker, at, &mut engine).with_context(context)?;
    }
    Ok(whole.then_some(Recalled { engine, ended: index.ended, lost: totals.lost }))
}

/// Shows the engine what the last records say about the end of the session, from an offset on.
fn see_end(mut file: File, marker: SyncMarker, at: u64, engine: &mut Engine) -> Result<()> {
    file.seek(SeekFrom::Start(at))?;
    let mut records = Salvage::behind(file, marker, at);
    while let Some(record) = records.next_record()? {
        engine.recall_end(&record);
    }
    Ok(())
}

/// The checkpoints of a file with this marker.
struct Found {
    index: Index,
    marker: SyncMarker,
}

/// Reads what stands before the first row, the header and perhaps a context, and all checkpoints.
fn begin(file: &File, engine: &mut Engine) -> Result<Option<Found>> {
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
    let index = index.filter(|index| index.first_row_at() == Some(rows_at));
    Ok(index.map(|index| Found { index, marker }))
}
