//! Decodes records from bytes that the caller provides; it does no I/O of its own.
//!
//! The caller passes all unread bytes and gets the next record, the number of bytes still missing, or
//! what is wrong. A record is returned only if its checksum matches. Running out of bytes is not an
//! error; [`Reader::ending`] says what it means at the end of the input. Reading stops at the first
//! damage, but continues past an end record that other records follow.

use std::ops::Range;

use super::body;
use super::error::{DamageReason, ReadError, not_a_capture};
use super::format::{
    BODY_AT, CHECKSUM_AT, LENGTH_AT, MARKER_AT, MAX_BODY_LEN, OPENING, PREAMBLE, SyncMarker,
    agrees, fixed, tag,
};
use super::record::{Body, Kind, Record};

/// Reads a capture step by step.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    marker: Option<SyncMarker>,
    offset: u64,
    records: u64,
    ended: bool,
}

/// What [`Reader::step`] found at the front of its input.
#[derive(Clone, Debug, PartialEq)]
pub enum ReadStep<'a> {
    /// A record. The next step begins `len` bytes further.
    Record {
        /// The record, whose payload borrows from the input.
        record: Record<'a>,
        /// Bytes of the input that it took; for the first record, those before it included.
        len: usize,
    },
    /// The next record is not complete.
    NeedMore {
        /// Length in bytes that the input must have before another try can find more.
        at_least: usize,
    },
}

/// What it means that the input ends where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The last record is an end record: the recording was closed in order.
    Complete,
    /// The recording was cut, as by a crash or while it is still being made. What was read counts.
    Incomplete {
        /// Bytes after the last whole record.
        torn_bytes: u64,
    },
}

impl Reader {
    /// A reader at the beginning of a capture.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The sync marker of the capture, once its first record has been read.
    #[must_use]
    pub fn marker(&self) -> Option<SyncMarker> {
        self.marker
    }

    /// Bytes consumed so far: where in the capture the next input begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Records read so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Reads the record at the front of `input`, which begins at [`Reader::offset`].
    ///
    /// # Errors
    /// As soon as the bytes at hand show it: the input is no capture, has another format, or the
    /// record is damaged. The reader stays where it is.
    pub fn step<'a>(&mut self, input: &'a [u8]) -> Result<ReadStep<'a>, ReadError> {
        match self.survey(input)? {
            Extent::NeedMore { at_least } => Ok(ReadStep::NeedMore { at_least }),
            Extent::Whole(place) => {
                let len = place.end;
                let record = self.open(&input[place])?;
                self.offset += len as u64;
                Ok(ReadStep::Record { record, len })
            }
        }
    }

    /// Says what it means that the input ends after `rest`, for which [`Reader::step`] needs more.
    ///
    /// # Errors
    /// The input is too short to be a capture.
    pub fn ending(&self, rest: &[u8]) -> Result<Ending, ReadError> {
        let Some(torn) = rest.len().checked_sub(self.record_at()) else {
            return Err(not_a_capture(rest));
        };
        Ok(match torn {
            0 if self.ended => Ending::Complete,
            _ => Ending::Incomplete { torn_bytes: torn as u64 },
        })
    }

    /// Finds out from the framing alone whether the next record is complete.
    pub(super) fn survey(&self, input: &[u8]) -> Result<Extent, ReadError> {
        let start = self.record_at();
        if input.len() < start {
            return Ok(Extent::NeedMore { at_least: start });
        }
        if start > 0 && !input.starts_with(&PREAMBLE) {
            return Err(not_a_capture(input));
        }
        let body_len = body_len(&input[start..], self.marker).map_err(|why| self.damaged(why))?;
        let end = start + BODY_AT + body_len.unwrap_or(0);
        if body_len.is_none() || input.len() < end {
            return Ok(Extent::NeedMore { at_least: end });
        }
        Ok(Extent::Whole(start..end))
    }

    /// Verifies and decodes a whole record.
    fn open<'a>(&mut self, record: &'a [u8]) -> Result<Record<'a>, ReadError> {
        let marker = self.marker.unwrap_or(SyncMarker(fixed(record, MARKER_AT)));
        if !agrees(record) {
            return Err(self.damaged(DamageReason::Checksum));
        }
        let record = body::decode(&record[BODY_AT..])
            .map_err(|error| error.at(self.records, self.offset + self.record_at() as u64))?;
        if self.records == 0 && record.kind() != Kind::Header {
            return Err(self.damaged(DamageReason::NoHeader { found: record.kind() }));
        }
        self.marker = Some(marker);
        self.records += 1;
        self.ended = matches!(record.body, Body::End(_));
        Ok(record)
    }

    /// Where in the input the next record begins: the first one has the preamble before it.
    fn record_at(&self) -> usize {
        if self.records == 0 { PREAMBLE.len() } else { 0 }
    }

    fn damaged(&self, reason: DamageReason) -> ReadError {
        let offset = self.offset + self.record_at() as u64;
        ReadError::Damaged { record: self.records, offset, reason }
    }
}

/// How much of the next record is there.
pub(super) enum Extent {
    /// All of it, at this place in the input.
    Whole(Range<usize>),
    /// Not all; the input must have this length in bytes to find out more.
    NeedMore { at_least: usize },
}

/// The length of the body of the record that begins here, if that much of it is there.
///
/// The fixed bytes are checked in the order in which they stand, as far as they are there, so that
/// input in pieces is refused for the same reason as input at once.
pub(super) fn body_len(
    record: &[u8],
    marker: Option<SyncMarker>,
) -> Result<Option<usize>, DamageReason> {
    let differs = |at: usize, expected: &[u8]| {
        record.iter().skip(at).zip(expected).any(|(byte, expected)| byte != expected)
    };
    if differs(0, &OPENING) {
        return Err(DamageReason::Framing);
    }
    if marker.is_some_and(|marker| differs(MARKER_AT, &marker.0)) {
        return Err(DamageReason::OtherMarker);
    }
    if differs(CHECKSUM_AT - 1, &[tag::U32]) || differs(LENGTH_AT - 1, &[tag::BIN32]) {
        return Err(DamageReason::Framing);
    }
    if record.len() < BODY_AT {
        return Ok(None);
    }
    let len = u32::from_be_bytes(fixed(record, LENGTH_AT));
    match usize::try_from(len) {
        Ok(body_len) if body_len <= MAX_BODY_LEN => Ok(Some(body_len)),
        _ => Err(DamageReason::TooLong { len }),
    }
}
