//! Reads a capture that may be damaged, and reports exactly what was lost.
//!
//! Every record with a matching checksum is returned once, in file order; every other byte is part of a
//! [`Loss`]. After damage, the sync marker and the checksum locate the next record. Memory is bounded
//! by the largest record that is really there: a record whose claimed length covers other records is
//! treated as damage as soon as one of them is found. The first that claims its length twice is believed
//! until it is whole; where that was false, no other is.

use std::io::Read;
use std::ops::Range;

use memchr::memmem;

use super::batch::RecordBatch;
use super::body::{self, BodyError};
use super::error::{DamageReason, ReadError, not_a_capture};
use super::format::{BODY_AT, MARKER_AT, OPENING, PREAMBLE, SyncMarker, agrees, fixed};
use super::reader::{Ending, body_len};
use super::record::{Body, Kind, Record};
use super::window::Window;
use crate::time::Nanos;

/// Losses that are kept; further ones are counted.
pub const MAX_LOSSES: usize = 1000;

/// A record that misses more bytes than this is searched for others within what it claims, unless its
/// payload claims the same and none did so falsely: searching an initial buffer takes as long as its
/// checksum.
const PATIENCE: usize = 1 << 20;
/// Bytes of the input that are kept to say what it is, where it is no capture.
const BEGINNING: usize = 64;
/// Where the first sound record has to begin of a file that does not begin like a capture.
const FIRST_RECORD_WITHIN: u64 = 64 << 20;
/// Longest beginning of a record that shows nothing yet.
const LONGEST_START: usize = PREAMBLE.len() + BODY_AT;

/// Bytes that are no record of the capture, or numbers that no record has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Sound records before it.
    pub record: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes that are no records; 0 where only numbers are missing.
    pub bytes: u64,
    /// What is wrong with the first of them.
    pub reason: DamageReason,
    /// Numbers that are missing here: the first, and how many. Unknown at the end of a file.
    pub missing: Option<(u64, u64)>,
    /// The time of the last record before, and of the first after it.
    pub between: (Option<Nanos>, Option<Nanos>),
}

/// All that was lost of a capture up to now.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// The first [`MAX_LOSSES`].
    pub first: Vec<Loss>,
    pub count: u64,
    /// Bytes in all of them.
    pub bytes: u64,
    /// Numbers that are missing in all of them.
    pub records: u64,
    /// Records that came again, or after later ones, and were left out.
    pub repeated: u64,
}

impl Losses {
    /// Whether nothing was lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.repeated == 0
    }
}

/// A record as it is stored.
#[derive(Debug)]
pub struct Stored<'a> {
    pub record: Record<'a>,
    /// All of its bytes.
    pub bytes: &'a [u8],
    /// Where it begins in the file.
    pub offset: u64,
    /// What was lost right before it.
    pub lost: Option<Loss>,
}

impl Stored<'_> {
    /// The sync marker of its capture.
    #[must_use]
    pub fn marker(&self) -> SyncMarker {
        SyncMarker(fixed(self.bytes, MARKER_AT))
    }
}

/// Reads the sound records of a capture.
#[derive(Debug)]
pub struct Salvage<R> {
    window: Window<R>,
    place: Place,
    over: bool,
    ending: Option<Ending>,
    losses: Losses,
    latest: Option<Loss>,
    beginning: Vec<u8>,
}

/// Where in a capture the reader is.
#[derive(Debug, Default)]
struct Place {
    offset: u64,
    begun: bool,
    marker: Option<SyncMarker>,
    records: u64,
    last: Option<(u64, Nanos)>,
    ended: bool,
    /// Up to where in the file the record at the front was searched for others.
    searched: u64,
    /// A record claimed a length twice that it did not have.
    misled: bool,
    /// Bytes that are being lost.
    losing: Option<Loss>,
    /// Reading began in the middle of the file, so that the first number may be any.
    midway: bool,
}

/// What is at the front of the input.
#[derive(Debug, PartialEq)]
enum Front {
    /// The first value of a capture.
    Preamble,
    /// A record whose checksum agrees and whose body is what it should be.
    Sound { len: usize, place: RecordPlace },
    /// Bytes that are none.
    Lost { len: usize, reason: DamageReason },
    /// A record of this length that was read before, or later ones were.
    Repeated { len: usize },
    /// The beginning of another capture.
    Another,
    /// Too little to tell.
    NeedMore,
    /// The beginning of a record, and the input is over.
    Torn,
}

/// Where a record stands among others.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RecordPlace {
    seq: u64,
    t: Nanos,
    kind: Kind,
    /// The first number that it stands for.
    stands_for_from: u64,
}

impl RecordPlace {
    fn of(record: &Record<'_>) -> RecordPlace {
        let Record { seq, t, .. } = *record;
        let stands_for_from = match &record.body {
            Body::Gap(gap) => gap.first_seq.min(seq),
            Body::Context(_) | Body::Checkpoint(_) => seq.saturating_add(1),
            _ => seq,
        };
        RecordPlace { seq, t, kind: record.kind(), stands_for_from }
    }
}

/// Where records may begin.
struct Candidates {
    /// The first whose checksum agrees.
    sound: Option<usize>,
    /// The first before it that is not there as a whole.
    partial: Option<usize>,
}

impl<R: Read> Salvage<R> {
    /// Begins at the first byte of a capture.
    #[must_use]
    pub fn new(source: R) -> Self {
        Salvage {
            window: Window::new(source),
            place: Place::default(),
            over: false,
            ending: None,
            losses: Losses::default(),
            latest: None,
            beginning: Vec::new(),
        }
    }

    /// Begins in the middle of a capture, at this place in its file, where a record begins.
    #[must_use]
    pub fn behind(source: R, marker: SyncMarker, offset: u64) -> Self {
        let mut salvage = Self::new(source);
        salvage.place = Place { offset, begun: true, marker: Some(marker), ..Place::default() };
        salvage.place.midway = true;
        salvage
    }

    /// The next sound record, or `None` at the end of the capture.
    ///
    /// # Errors
    /// The source fails, is no capture, or one of another format.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        Ok(self.next_stored()?.map(|stored| stored.record))
    }

    /// The same with its bytes.
    ///
    /// # Errors
    /// As of [`Salvage::next_record`].
    pub fn next_stored(&mut self) -> Result<Option<Stored<'_>>, ReadError> {
        let before = self.losses.count;
        let Some(found) = self.find(true)? else { return Ok(None) };
        let lost = self.latest.clone().filter(|_| self.losses.count > before);
        let bytes = &self.window.buffer[found];
        let offset = self.place.offset - bytes.len() as u64;
        let record = body::decode(&bytes[BODY_AT..])
            .map_err(|error| error.at(self.place.records - 1, offset))?;
        Ok(Some(Stored { record, bytes, offset, lost }))
    }

    /// Finds the next records, in place of those that were in `batch`: all that are read together, and none at
    /// the end of the capture only.
    ///
    /// # Errors
    /// As of [`Salvage::next_record`].
    pub fn next_batch(&mut self, batch: &mut RecordBatch) -> Result<(), ReadError> {
        batch.places.clear();
        // To read more would move what was found.
        while let Some(found) = self.find(batch.is_empty())? {
            batch.places.push(found);
        }
        self.window.hand_over(&mut batch.buffer);
        Ok(())
    }

    /// What was lost so far.
    #[must_use]
    pub fn losses(&self) -> &Losses {
        &self.losses
    }

    /// How the capture ended, once [`Salvage::next_record`] has returned `None`.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The sync marker of the capture, once a record has been read.
    #[must_use]
    pub fn marker(&self) -> Option<SyncMarker> {
        self.place.marker
    }

    /// Sound records so far.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.place.records
    }

    /// Where in the file the next look begins.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.place.offset
    }

    /// Goes on with the capture that stands behind this one in the same file, if there is one.
    pub fn next_capture(&mut self) -> bool {
        let another = self.ending.is_some() && self.window.unread().starts_with(&PREAMBLE);
        if another {
            let Place { offset, misled, .. } = self.place;
            self.place = Place { offset, misled, ..Place::default() };
            self.losses = Losses::default();
            self.ending = None;
        }
        another
    }

    /// Finds the next sound record and consumes it; its place in the buffer. None where more has to be read
    /// that may not be.
    fn find(&mut self, may_read: bool) -> Result<Option<Range<usize>>, ReadError> {
        while self.ending.is_none() {
            let start = self.window.unread.start;
            match self.place.front(self.window.unread(), self.over)? {
                _ if self.is_hopeless() => self.end(0)?,
                Front::NeedMore if !may_read => return Ok(None),
                Front::NeedMore => self.fill()?,
                Front::Preamble => {
                    self.place.begun = true;
                    self.consume(PREAMBLE.len());
                }
                Front::Repeated { len } => {
                    self.losses.repeated += 1;
                    self.consume(len);
                }
                Front::Lost { len, reason } => {
                    self.place.lose(len, reason);
                    self.consume(len);
                }
                Front::Another => self.end(0)?,
                Front::Torn => self.end(self.window.unread().len())?,
                Front::Sound { len, place } => {
                    let loss = self.place.take(place);
                    let marker = SyncMarker(fixed(self.window.unread(), MARKER_AT));
                    self.place.marker = Some(marker);
                    self.note(loss);
                    self.consume(len);
                    return Ok(Some(start..start + len));
                }
            }
        }
        Ok(None)
    }

    /// Whether a source that may never end has shown nothing of a capture for long enough.
    fn is_hopeless(&self) -> bool {
        !self.place.begun && self.place.records == 0 && self.place.offset > FIRST_RECORD_WITHIN
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        let known = self.window.unread().len();
        self.over = !self.window.fill()?;
        if self.beginning.len() < BEGINNING && self.place.offset == 0 {
            let new = &self.window.unread()[known..];
            let wanted = BEGINNING - self.beginning.len();
            self.beginning.extend_from_slice(&new[..new.len().min(wanted)]);
        }
        Ok(())
    }

    fn consume(&mut self, len: usize) {
        self.window.unread.start += len;
        self.place.offset += len as u64;
    }

    fn end(&mut self, torn: usize) -> Result<(), ReadError> {
        if self.place.records == 0 && !self.place.begun {
            return Err(not_a_capture(&self.beginning));
        }
        let loss = self.place.losing.take();
        self.note(loss);
        self.ending = Some(match torn {
            0 if self.place.ended => Ending::Complete,
            _ => Ending::Incomplete { torn_bytes: torn as u64 },
        });
        Ok(())
    }

    fn note(&mut self, loss: Option<Loss>) {
        let Some(loss) = loss else { return };
        self.losses.count += 1;
        self.losses.bytes += loss.bytes;
        self.losses.records += loss.missing.map_or(0, |(_, count)| count);
        self.latest = Some(loss.clone());
        if self.losses.first.len() < MAX_LOSSES {
            self.losses.first.push(loss);
        }
    }
}

impl Place {
    /// Says what is at the front of `input`, which is all that there is if it is `over`.
    fn front(&mut self, input: &[u8], over: bool) -> Result<Front, ReadError> {
        if self.offset == 0 || (self.records == 0 && !self.begun) {
            if input.starts_with(&PREAMBLE) {
                return Ok(Front::Preamble);
            }
            if !over && PREAMBLE.starts_with(input) {
                return Ok(Front::NeedMore);
            }
        } else if self.records > 0 && input.starts_with(&PREAMBLE[..input.len().min(10)]) {
            if input.len() < LONGEST_START && !over {
                return Ok(Front::NeedMore);
            }
            if self.begins_another(input) {
                return Ok(Front::Another);
            }
        }
        if input.is_empty() && over {
            return Ok(Front::Torn);
        }
        match body_len(input, self.marker) {
            Err(reason) => Ok(self.skip(input, over, self.named(reason))),
            Ok(Some(len)) if BODY_AT + len <= input.len() => self.whole(input, BODY_AT + len, over),
            Ok(_) if over => Ok(match self.search(input, 1, true) {
                Some(len) => Front::Lost { len, reason: DamageReason::Overlong },
                None => Front::Torn,
            }),
            Ok(Some(len))
                if BODY_AT + len > input.len() + PATIENCE
                    && (self.misled || body::len_by_payload(&input[BODY_AT..]) != Some(len)) =>
            {
                let from = self.searched.saturating_sub(self.offset).max(1) as usize;
                let Candidates { sound, partial } = self.candidates(input, from);
                if let Some(len) = sound {
                    return Ok(Front::Lost { len, reason: DamageReason::Overlong });
                }
                let unsearched = input.len().saturating_sub(LONGEST_START);
                self.searched = self.offset + partial.unwrap_or(unsearched) as u64;
                Ok(Front::NeedMore)
            }
            Ok(_) => Ok(Front::NeedMore),
        }
    }

    /// What a record that is whole is.
    fn whole(&mut self, input: &[u8], len: usize, over: bool) -> Result<Front, ReadError> {
        let record = &input[..len];
        if !agrees(record) {
            self.misled |=
                len > PATIENCE && body::len_by_payload(&record[BODY_AT..]) == Some(len - BODY_AT);
            let within = &record[..len.saturating_sub(PATIENCE)];
            return Ok(match self.candidates(within, 1).sound {
                Some(len) => Front::Lost { len, reason: DamageReason::Overlong },
                None => self.skip(input, over, DamageReason::Checksum),
            });
        }
        match body::decode(&record[BODY_AT..]) {
            Ok(record) => {
                let place = RecordPlace::of(&record);
                let is_repeated = self.is_repeated(place);
                Ok(if is_repeated { Front::Repeated { len } } else { Front::Sound { len, place } })
            }
            Err(BodyError::Damage(reason)) => Ok(Front::Lost { len, reason }),
            Err(foreign) => Err(foreign.at(self.records, self.offset)),
        }
    }

    /// Passes over bytes that are no record, to the next one as far as that can be told.
    fn skip(&self, input: &[u8], over: bool, reason: DamageReason) -> Front {
        let len = match self.search(input, 1, over) {
            Some(len) => len,
            None if over => input.len(),
            None => input.len().saturating_sub(LONGEST_START),
        };
        if len == 0 { Front::NeedMore } else { Front::Lost { len, reason } }
    }

    /// The reason, where the first value of the file is damaged and not a record.
    fn named(&self, reason: DamageReason) -> DamageReason {
        if self.begun || self.records > 0 { reason } else { DamageReason::Magic }
    }

    /// Where from `from` on a sound record may begin, or another capture.
    fn search(&self, input: &[u8], from: usize, over: bool) -> Option<usize> {
        let Candidates { sound, partial } = self.candidates(input, from);
        let mut captures = memmem::find_iter(input.get(from..)?, &PREAMBLE).map(|at| at + from);
        let capture = captures.find(|&at| self.begins_another(&input[at..]));
        // A beginning that proves false is skipped in its turn, once it is at the front.
        let partial = partial.filter(|_| sound.is_none() && !over);
        sound.into_iter().chain(capture).chain(partial).min()
    }

    /// Where records may begin from `from` on.
    fn candidates(&self, input: &[u8], from: usize) -> Candidates {
        let marker = self.marker.map(|marker| marker.0);
        let needle = [&OPENING[..], marker.as_ref().map_or(&[], |marker| &marker[..])].concat();
        let mut partial = None;
        let rest = input.get(from..).unwrap_or_default();
        for at in memmem::find_iter(rest, &needle).map(|at| at + from) {
            match body_len(&input[at..], self.marker) {
                Ok(Some(len)) if at + BODY_AT + len <= input.len() => {
                    if agrees(&input[at..at + BODY_AT + len]) {
                        return Candidates { sound: Some(at), partial };
                    }
                }
                Ok(_) => partial = partial.or(Some(at)),
                Err(_) => {}
            }
        }
        Candidates { sound: None, partial }
    }

    /// Whether a capture with another marker begins here, as far as can be told.
    fn begins_another(&self, input: &[u8]) -> bool {
        let Some(record) = input.strip_prefix(&PREAMBLE) else { return false };
        let Ok(Some(len)) = body_len(record, None) else { return false };
        let marker = SyncMarker(fixed(record, MARKER_AT));
        let whole = record.get(..BODY_AT + len);
        self.marker.is_some_and(|own| own != marker) && whole.is_some_and(agrees)
    }

    /// The number that comes next.
    fn next_seq(&self) -> u64 {
        self.last.map_or(0, |(seq, _)| seq.saturating_add(1))
    }

    /// Whether the record, or a later one, was read before.
    fn is_repeated(&self, record: RecordPlace) -> bool {
        match record.kind {
            // One may stand behind the gap whose number it carries.
            Kind::Context | Kind::Checkpoint => record.seq.saturating_add(1) < self.next_seq(),
            _ => record.seq < self.next_seq(),
        }
    }

    /// Counts a sound record, and returns what was lost before it.
    fn take(&mut self, record: RecordPlace) -> Option<Loss> {
        let next = self.next_seq();
        let missing = record.stands_for_from.checked_sub(next).filter(|&count| count > 0);
        let begins = record.kind == Kind::Context || std::mem::take(&mut self.midway);
        let mut loss = self.losing.take();
        if let Some(count) = missing.filter(|_| !begins) {
            let loss = loss.get_or_insert_with(|| self.loss(DamageReason::Missing));
            loss.missing = Some((next, count));
        } else if let Some(loss) = &mut loss {
            loss.missing = Some((next, 0));
        }
        if let Some(loss) = &mut loss {
            loss.between.1 = Some(record.t);
        }
        self.last = Some((record.seq, record.t));
        self.records += 1;
        self.ended = record.kind == Kind::End;
        loss
    }

    fn lose(&mut self, len: usize, reason: DamageReason) {
        let mut loss = self.losing.take().unwrap_or_else(|| self.loss(reason));
        loss.bytes += len as u64;
        self.losing = Some(loss);
    }

    fn loss(&self, reason: DamageReason) -> Loss {
        let before = self.last.map(|(_, t)| t);
        Loss {
            record: self.records,
            offset: self.offset,
            bytes: 0,
            reason,
            missing: None,
            between: (before, None),
        }
    }
}
