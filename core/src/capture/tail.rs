//! Reads the checkpoints of a capture from the end of the file backwards.
//!
//! Only checkpoints and the records after the last of them are read. A checkpoint is used only if its
//! checksum matches and it lies at the offset that it states.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use super::body;
use super::checkpoint::{Checkpoint, CheckpointRow, Totals, Unpacker};
use super::error::ReadError;
use super::format::{BODY_AT, OPENING, SyncMarker, agrees};
use super::reader::body_len;
use super::record::{Body, Kind, Record};
use super::salvage::Salvage;
use crate::time::Nanos;

/// How much of the end is searched for the last checkpoint at first, and at most.
const SEARCHED: (u64, u64) = (64 << 10, 64 << 20);
/// As much as most checkpoints have, so that they are read at once.
const USUAL_LEN: u64 = 2 << 10;

/// Finds where the last checkpoint begins of a capture with this marker.
///
/// # Errors
/// The source fails.
pub fn last_checkpoint(
    source: &mut (impl Read + Seek),
    marker: SyncMarker,
) -> io::Result<Option<u64>> {
    let len = source.seek(SeekFrom::End(0))?;
    let needle = [&OPENING[..], &marker.0].concat();
    let mut searched = SEARCHED.0;
    loop {
        let start = len.saturating_sub(searched);
        source.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        source.take(searched).read_to_end(&mut bytes)?;
        let found = memmem::rfind_iter(&bytes, &needle).find(|&at| {
            let record = &bytes[at..];
            let whole = match body_len(record, Some(marker)) {
                Ok(Some(len)) => record.get(..BODY_AT + len),
                _ => None,
            };
            whole.is_some_and(|whole| checkpoint_of(whole, start + at as u64).is_some())
        });
        if found.is_some() || start == 0 || searched >= SEARCHED.1 {
            return Ok(found.map(|at| start + at as u64));
        }
        searched = (searched * 16).min(SEARCHED.1);
    }
}

/// What a whole record says, if it is a checkpoint that stands where it says that it does.
fn checkpoint_of(record: &[u8], at: u64) -> Option<Checkpoint<'_>> {
    let kind = record.get(BODY_AT + 1).copied();
    if kind != Some(Kind::Checkpoint.into()) || !agrees(record) {
        return None;
    }
    match body::decode(&record[BODY_AT..]) {
        Ok(Record { body: Body::Checkpoint(checkpoint), .. }) => {
            Some(checkpoint).filter(|checkpoint| checkpoint.summary.at == at)
        }
        _ => None,
    }
}

/// Reads the checkpoint that begins at a place in the file into `bytes`; `None` where none does.
fn read_checkpoint<'a>(
    source: &mut (impl Read + Seek),
    marker: SyncMarker,
    at: u64,
    bytes: &'a mut Vec<u8>,
) -> io::Result<Option<Checkpoint<'a>>> {
    source.seek(SeekFrom::Start(at))?;
    bytes.clear();
    source.take(USUAL_LEN).read_to_end(bytes)?;
    let Ok(Some(len)) = body_len(bytes, Some(marker)) else { return Ok(None) };
    if let Some(more) = (BODY_AT + len).checked_sub(bytes.len()) {
        source.take(more as u64).read_to_end(bytes)?;
    }
    Ok(bytes.get(..BODY_AT + len).and_then(|record| checkpoint_of(record, at)))
}

/// All checkpoints of a capture, if they cover every record up to its end record. `None` where they
/// do not.
///
/// # Errors
/// The source fails.
pub fn whole_index(
    source: &mut (impl Read + Seek),
    marker: SyncMarker,
) -> Result<Option<Index>, ReadError> {
    let Some(last) = last_checkpoint(source, marker)? else { return Ok(None) };
    source.seek(SeekFrom::Start(last))?;
    let mut rest = Salvage::behind(&mut *source, marker, last);
    let ended = match (rest.next_record()?.is_some(), rest.next_record()?) {
        (true, Some(Record { t, body: Body::End(_), .. })) => t,
        _ => return Ok(None),
    };
    if rest.next_record()?.is_some() || !rest.losses().is_empty() {
        return Ok(None);
    }
    drop(rest);
    let mut checkpoints = Vec::new();
    let mut bytes = Vec::new();
    let mut next = Some(last);
    while let Some(at) = next {
        let Some(Checkpoint { summary, rows }) = read_checkpoint(source, marker, at, &mut bytes)?
        else {
            return Ok(None);
        };
        next = summary.previous;
        // Places fall from step to step, so that no file leads in a circle.
        let begins_at = summary.first_row_at;
        if begins_at > at || next.is_some_and(|previous| previous >= begins_at) {
            return Ok(None);
        }
        checkpoints.push(Checkpoint { summary, rows: rows.into_owned() });
    }
    checkpoints.reverse();
    Ok(Some(Index { checkpoints, ended }))
}

/// The checkpoints of a whole capture.
#[derive(Clone, Debug)]
pub struct Index {
    /// Oldest first.
    checkpoints: Vec<Checkpoint<'static>>,
    /// Time of the end record.
    pub ended: Nanos,
}

impl Index {
    /// Where the record of the first row begins.
    #[must_use]
    pub fn first_row_at(&self) -> Option<u64> {
        Some(self.checkpoints.first()?.summary.first_row_at)
    }

    /// Where the record of the last checkpoint's first row begins.
    #[must_use]
    pub fn last_rows_at(&self) -> Option<u64> {
        Some(self.checkpoints.last()?.summary.first_row_at)
    }

    /// What the capture holds up to its end record.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.checkpoints.last().map(|last| last.summary.totals).unwrap_or_default()
    }

    /// Slices that were applied, as the last checkpoint says.
    #[must_use]
    pub fn slices(&self) -> u64 {
        self.checkpoints.last().map_or(0, |last| last.summary.digest.slices)
    }

    /// Ticks that came, as the last checkpoint says.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        self.checkpoints.last().map_or(0, |last| last.summary.digest.ticks)
    }

    /// Shows every row, in the order of the file; says whether all of them were there.
    #[must_use]
    pub fn visit(&self, see: &mut dyn FnMut(&CheckpointRow)) -> bool {
        let mut unpacker = Unpacker::default();
        self.checkpoints.iter().all(|Checkpoint { summary, rows }| {
            let Ok(rows) = unpacker.rows(rows, &summary.ops) else { return false };
            let covered: u64 = rows.iter().map(|row| u64::from(row.stored_len)).sum();
            rows.iter().for_each(&mut *see);
            summary.first_row_at.checked_add(covered) == Some(summary.at)
        })
    }
}
