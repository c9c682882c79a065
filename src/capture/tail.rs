//! A capture read from its end: the last checkpoint, and from there back through all of them.
//!
//! Enters: a source that can seek. Leaves: checkpoints and their rows, or that there are none.
//! Only checkpoints and what follows the last of them are read; each is taken only when its
//! checksum agrees and it stands where it says that it does.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use super::body;
use super::error::ReadError;
use super::format::{BODY_AT, OPENING, SyncMarker, agrees};
use super::index::{Row, Summary};
use super::reader::body_len;
use super::record::{Body, Kind, Record};
use super::salvage::Salvage;
use crate::time::Nanos;

/// How much of the end is searched for the last checkpoint at first, and at most.
const SEARCHED: (u64, u64) = (64 << 10, 64 << 20);

/// A checkpoint with its rows.
#[derive(Clone, Debug)]
pub struct Indexed {
    /// What it says.
    pub summary: Summary,
    /// Its rows.
    pub rows: Vec<Row>,
}

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
            whole.is_some_and(|whole| is_checkpoint_at(whole, start + at as u64))
        });
        if found.is_some() || start == 0 || searched >= SEARCHED.1 {
            return Ok(found.map(|at| start + at as u64));
        }
        searched *= 16;
    }
}

fn is_checkpoint_at(record: &[u8], at: u64) -> bool {
    let kind = record.get(BODY_AT + 1).copied();
    if kind != Some(Kind::Checkpoint.into()) || !agrees(record) {
        return false;
    }
    match body::decode(&record[BODY_AT..]) {
        Ok(Record { body: Body::Checkpoint(checkpoint), .. }) => checkpoint.summary.at == at,
        _ => false,
    }
}

/// Reads the checkpoint that begins at a place in the file; `None` where none does.
///
/// # Errors
/// The source fails.
pub fn checkpoint_at(
    source: &mut (impl Read + Seek),
    marker: SyncMarker,
    at: u64,
) -> io::Result<Option<Indexed>> {
    source.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    source.take(BODY_AT as u64).read_to_end(&mut bytes)?;
    let Ok(Some(len)) = body_len(&bytes, Some(marker)) else { return Ok(None) };
    source.take(len as u64).read_to_end(&mut bytes)?;
    if bytes.len() != BODY_AT + len || !is_checkpoint_at(&bytes, at) {
        return Ok(None);
    }
    let Ok(Record { body: Body::Checkpoint(checkpoint), .. }) = body::decode(&bytes[BODY_AT..])
    else {
        return Ok(None);
    };
    let rows = checkpoint.rows.unpack(&checkpoint.summary.ops).ok();
    Ok(rows.map(|rows| Indexed { summary: *checkpoint.summary, rows }))
}

/// All checkpoints of a capture, oldest first, if they cover every record up to its end record.
/// `None` where they do not.
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
    let mut checkpoints = Vec::new();
    let mut next = Some(last);
    while let Some(at) = next {
        let Some(indexed) = checkpoint_at(source, marker, at)? else { return Ok(None) };
        let covered: u64 = indexed.rows.iter().map(|row| u64::from(row.stored_len)).sum();
        next = indexed.summary.previous;
        let falls = next.is_none_or(|previous| previous < indexed.summary.first_row_at);
        if !falls || indexed.summary.first_row_at.checked_add(covered) != Some(at) {
            return Ok(None);
        }
        checkpoints.push(indexed);
    }
    checkpoints.reverse();
    Ok(Some(Index { checkpoints, ended }))
}

/// The checkpoints of a whole capture.
#[derive(Clone, Debug)]
pub struct Index {
    /// Oldest first.
    pub checkpoints: Vec<Indexed>,
    /// Time of the end record.
    pub ended: Nanos,
}
