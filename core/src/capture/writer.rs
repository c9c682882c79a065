//! Encodes records, appending to the caller's buffer.
//!
//! The same records with the same marker give the same bytes.

use serde::Serialize;

use super::checkpoint::Checkpoint;
use super::format::{
    BODY_AT, BODY_FIELDS, CHECKSUM_AT, FLAG_AUTOMATIC, FLAG_COMPRESSED, FLAG_FAILED, LENGTH_AT,
    MAX_BODY_LEN, MAX_PAYLOAD_LEN, OPENING, PREAMBLE, SyncMarker, tag,
};
use super::record::{Body, End, Message, Record};

/// Writes the records of one capture and counts them.
#[derive(Clone, Debug)]
pub struct Writer {
    marker: SyncMarker,
    next_seq: u64,
    written: End,
}

impl Writer {
    /// A writer for a capture with this marker: random bytes for a live recording,
    /// [`SyncMarker::derive`] for a capture made from something else.
    #[must_use]
    pub fn new(marker: SyncMarker) -> Self {
        Writer { marker, next_seq: 0, written: End::default() }
    }

    /// Appends what a capture begins with. The first record has to be a header.
    pub fn begin(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&PREAMBLE);
    }

    /// Appends a record.
    ///
    /// Of a payload beyond [`MAX_PAYLOAD_LEN`] the beginning is kept, with the whole length.
    ///
    /// # Panics
    /// When the texts in a record other than a message exceed [`MAX_BODY_LEN`].
    pub fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&OPENING);
        out.extend_from_slice(&self.marker.0);
        out.extend_from_slice(&[tag::U32, 0, 0, 0, 0, tag::BIN32, 0, 0, 0, 0]);
        write_body(record, out);
        self.seal(&mut out[start..]);
        self.count(record);
    }

    /// Appends a record by the bytes that it has in a capture with the same marker.
    pub fn copy(&mut self, record: &Record<'_>, bytes: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(bytes);
        self.count(record);
    }

    /// Counts a record whose bytes the caller has copied.
    pub fn copied(&mut self, record: &Record<'_>) {
        self.count(record);
    }

    /// The number that the record after the last one written has.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// What an end record says that is written now.
    #[must_use]
    pub fn end(&self, reason: Option<String>) -> End {
        End { reason, ..self.written.clone() }
    }

    /// Fills in the length and the checksum of a record that is otherwise complete.
    fn seal(&self, record: &mut [u8]) {
        let body_len = record.len() - BODY_AT;
        assert!(body_len <= MAX_BODY_LEN, "a record of {body_len} bytes cannot be read again");
        record[LENGTH_AT..BODY_AT].copy_from_slice(&(body_len as u32).to_be_bytes());
        let checksum = self.marker.checksum(&record[LENGTH_AT..]);
        record[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_be_bytes());
    }

    fn count(&mut self, record: &Record<'_>) {
        self.next_seq = record.seq.saturating_add(1);
        self.written.records += u64::from(record.is_numbered());
        match &record.body {
            Body::Message(message) => {
                self.written.messages += 1;
                self.written.bytes += kept(message.payload).len() as u64;
            }
            Body::Gap(gap) => self.written.lost = self.written.lost.saturating_add(gap.count),
            _ => {}
        }
    }
}

fn write_body(record: &Record<'_>, out: &mut Vec<u8>) {
    match &record.body {
        Body::Message(message) => write_message(record, message, out),
        Body::Header(header) => write_map(record, header, out),
        Body::Clock(clock) => write_map(record, clock, out),
        Body::Gap(gap) => write_map(record, gap, out),
        Body::Marker(marker) => write_map(record, marker, out),
        Body::End(end) => write_map(record, end, out),
        Body::Break(broken) => write_map(record, broken, out),
        Body::Context(context) => {
            let buffer = context.buffer.as_ref().map(|buffer| &buffer.0[..]);
            write_map_and(record, &context.state, buffer, out);
        }
        Body::Checkpoint(Checkpoint { summary, rows }) => {
            write_map_and(record, summary, Some(&rows.0), out);
        }
        Body::Other(_) => {
            write_head(record, BODY_FIELDS, (0, 0), out);
            write_bin(&[], out);
        }
    }
}

fn write_message(record: &Record<'_>, message: &Message<'_>, out: &mut Vec<u8>) {
    let payload = kept(message.payload);
    debug_assert!(message.len() >= payload.len() as u64, "a payload exceeds its whole length");
    let whole_len = message.whole_len.or_else(|| {
        let cut = payload.len() < message.payload.len();
        cut.then_some(message.payload.len() as u64)
    });
    let flags = FLAG_AUTOMATIC * u8::from(message.automatic)
        + FLAG_FAILED * u8::from(message.failed)
        + FLAG_COMPRESSED * u8::from(message.compressed);
    let extras = match (flags, whole_len, message.sha256) {
        (_, _, Some(_)) => 3,
        (_, Some(_), None) => 2,
        (0, None, None) => 0,
        (_, None, None) => 1,
    };
    let ways = (message.direction.into(), message.opcode.into());
    write_head(record, BODY_FIELDS + extras, ways, out);
    write_bin(payload, out);
    if extras > 0 {
        write_small(flags, out);
    }
    if extras > 1 {
        match whole_len {
            Some(len) => write_u64(len, out),
            None => out.push(tag::NIL),
        }
    }
    if let Some(sha256) = message.sha256 {
        out.extend_from_slice(&[tag::BIN8, 32]);
        out.extend_from_slice(&sha256);
    }
}

/// Writes a body whose payload is a map, with bytes behind it.
fn write_map_and(
    record: &Record<'_>,
    map: &impl Serialize,
    extra: Option<&[u8]>,
    out: &mut Vec<u8>,
) {
    let Some(extra) = extra else { return write_map(record, map, out) };
    write_map_of(record, BODY_FIELDS + 1, map, out);
    write_bin(extra, out);
}

/// Writes a body whose payload is a map.
fn write_map(record: &Record<'_>, map: &impl Serialize, out: &mut Vec<u8>) {
    write_map_of(record, BODY_FIELDS, map, out);
}

/// Writes a body of that many values, up to the payload, which is a map.
fn write_map_of(record: &Record<'_>, fields: u8, map: &impl Serialize, out: &mut Vec<u8>) {
    write_head(record, fields, (0, 0), out);
    write_bin(&[], out);
    let payload_at = out.len();
    rmp_serde::encode::write_named(out, map).expect("a map of texts and numbers has a form");
    let len = u32::try_from(out.len() - payload_at).unwrap_or(u32::MAX);
    out[payload_at - 4..payload_at].copy_from_slice(&len.to_be_bytes());
}

/// Writes what stands before the payload.
fn write_head(record: &Record<'_>, fields: u8, ways: (u8, u8), out: &mut Vec<u8>) {
    let (direction, opcode) = ways;
    out.push(tag::ARRAY_OF_0 + fields);
    write_small(record.kind().into(), out);
    write_u64(record.seq, out);
    write_u64(record.t.0, out);
    out.push(tag::U32);
    out.extend_from_slice(&record.conn.to_be_bytes());
    write_small(direction, out);
    write_small(opcode, out);
}

/// The part of a payload that fits into a record.
fn kept(payload: &[u8]) -> &[u8] {
    &payload[..payload.len().min(MAX_PAYLOAD_LEN)]
}

fn write_bin(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag::BIN32);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn write_u64(value: u64, out: &mut Vec<u8>) {
    out.push(tag::U64);
    out.extend_from_slice(&value.to_be_bytes());
}

/// Numbers that are below 128 but for types and opcodes nobody has defined.
fn write_small(value: u8, out: &mut Vec<u8>) {
    if value > 0x7f {
        out.push(tag::U8);
    }
    out.push(value);
}
