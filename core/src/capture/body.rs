//! The body of a record: from bytes whose checksum matched to a [`Record`].
//!
//! A body in the exact form that [`Writer`](super::Writer) produces is read at fixed offsets; any other
//! valid encoding of the same values is read value by value. Message payloads are borrowed, not copied.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::checkpoint::{Checkpoint, PackedRows};
use super::error::{DamageReason, ReadError};
use super::format::{
    BODY_FIELDS, FLAG_AUTOMATIC, FLAG_COMPRESSED, FLAG_FAILED, FORMAT_VERSION, PAYLOAD_AT, fixed,
    tag,
};
use super::msgpack::{Cursor, Malformed};
use super::record::{Body, Direction, Header, Kind, Message, Record};
use super::snapshot::{Context, PackedBuffer};
use crate::time::Nanos;

/// Nested values that the payload of a record other than a message may have.
const MAX_DEPTH: usize = 64;

/// What a body says that is no fault of its bytes, or what is wrong with it.
#[derive(Debug, PartialEq)]
pub(super) enum BodyError {
    Damage(DamageReason),
    ForeignVersion { found: u32 },
}

impl BodyError {
    /// The error of the record with this number at this place.
    pub fn at(self, record: u64, offset: u64) -> ReadError {
        match self {
            BodyError::Damage(reason) => ReadError::Damaged { record, offset, reason },
            BodyError::ForeignVersion { found } => ReadError::ForeignVersion { found },
        }
    }
}

impl From<DamageReason> for BodyError {
    fn from(damage: DamageReason) -> Self {
        BodyError::Damage(damage)
    }
}

/// Reads the body of a record.
pub(super) fn decode(body: &[u8]) -> Result<Record<'_>, BodyError> {
    let fields = Fields::read(body).map_err(DamageReason::Body)?;
    let kind = Kind::from(fields.kind);
    let body = match kind {
        Kind::Header => Body::Header(header(fields.payload)?),
        Kind::Message => Body::Message(message(&fields).map_err(DamageReason::Body)?),
        Kind::Clock => Body::Clock(payload(kind, fields.payload)?),
        Kind::Gap => Body::Gap(payload(kind, fields.payload)?),
        Kind::Marker => Body::Marker(payload(kind, fields.payload)?),
        Kind::End => Body::End(payload(kind, fields.payload)?),
        Kind::Context => Body::Context(context(&fields)?),
        Kind::Checkpoint => Body::Checkpoint(checkpoint(&fields)?),
        // Another program may have given the number another meaning; then it is skipped.
        Kind::Break => payload(kind, fields.payload).map_or(Body::Other(fields.kind), Body::Break),
        Kind::Other(id) => Body::Other(id),
    };
    Ok(Record { seq: fields.seq, t: Nanos(fields.t_ns), conn: fields.conn, body })
}

/// The length of a plain body by that of its payload, if so much of it is there.
pub(super) fn len_by_payload(body: &[u8]) -> Option<usize> {
    let head = body.first_chunk::<PAYLOAD_AT>()?;
    let is_plain = head[0] == tag::ARRAY_OF_0 + BODY_FIELDS && head[27] == tag::BIN32;
    is_plain.then(|| PAYLOAD_AT + u32::from_be_bytes(fixed(head, 28)) as usize)
}

/// The values of a body, by their places in its array.
struct Fields<'a> {
    kind: u8,
    seq: u64,
    t_ns: u64,
    conn: u32,
    direction: u8,
    opcode: u8,
    payload: &'a [u8],
    flags: u64,
    whole_len: Option<u64>,
    sha256: Option<&'a [u8]>,
    extra: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn read(body: &'a [u8]) -> Result<Self, Malformed> {
        let (mut fields, count, mut rest) = match Self::at_fixed_places(body) {
            Some(read) => read,
            None => Self::value_by_value(body)?,
        };
        let is_message = Kind::from(fields.kind) == Kind::Message;
        let has_extra = matches!(Kind::from(fields.kind), Kind::Context | Kind::Checkpoint);
        for place in u64::from(BODY_FIELDS)..count {
            match place {
                7 if is_message => fields.flags = rest.optional_uint()?.unwrap_or(0),
                8 if is_message => fields.whole_len = rest.optional_uint()?,
                9 if is_message => fields.sha256 = rest.optional_bin()?,
                7 if has_extra => fields.extra = rest.optional_bin()?,
                _ => rest.skip()?,
            }
        }
        if rest.is_empty() { Ok(fields) } else { Err(Malformed::TrailingBytes) }
    }

    /// The first seven values where every tag is the one that this version writes, the number of
    /// values, and the rest.
    fn at_fixed_places(body: &'a [u8]) -> Option<(Self, u64, Cursor<'a>)> {
        let (head, rest) = body.split_first_chunk::<PAYLOAD_AT>()?;
        let [count, kind, tag::U64, _, _, _, _, _, _, _, _, tag::U64, ..] = *head else {
            return None;
        };
        let [.., tag::U32, _, _, _, _, direction, opcode, tag::BIN32, _, _, _, _] = *head else {
            return None;
        };
        let small = kind <= 0x7f && direction <= 0x7f && opcode <= 0x7f;
        let count = count.checked_sub(tag::ARRAY_OF_0)?;
        if !small || !(BODY_FIELDS..=15).contains(&count) {
            return None;
        }
        let (payload, rest) = rest.split_at_checked(u32::from_be_bytes(fixed(head, 28)) as usize)?;
        let fields = Fields {
            kind,
            seq: u64::from_be_bytes(fixed(head, 3)),
            t_ns: u64::from_be_bytes(fixed(head, 12)),
            conn: u32::from_be_bytes(fixed(head, 21)),
            direction,
            opcode,
            payload,
            flags: 0,
            whole_len: None,
            sha256: None,
            extra: None,
        };
        Some((fields, u64::from(count), Cursor::new(rest)))
    }

    /// The same from any other spelling of the seven values.
    fn value_by_value(body: &'a [u8]) -> Result<(Self, u64, Cursor<'a>), Malformed> {
        let mut cursor = Cursor::new(body);
        let count = cursor.array_len()?;
        if count < u64::from(BODY_FIELDS) {
            return Err(Malformed::TooFewValues);
        }
        let fields = Fields {
            kind: narrow(cursor.uint()?)?,
            seq: cursor.uint()?,
            t_ns: cursor.uint()?,
            conn: narrow(cursor.uint()?)?,
            direction: narrow(cursor.uint()?)?,
            opcode: narrow(cursor.uint()?)?,
            payload: cursor.bin()?,
            flags: 0,
            whole_len: None,
            sha256: None,
            extra: None,
        };
        Ok((fields, count, cursor))
    }
}

fn message<'a>(fields: &Fields<'a>) -> Result<Message<'a>, Malformed> {
    let direction = Direction::from_id(fields.direction).ok_or(Malformed::NoDirection)?;
    if fields.whole_len.is_some_and(|whole| whole < fields.payload.len() as u64) {
        return Err(Malformed::PayloadTooLong);
    }
    let sha256 = fields.sha256.map(<[u8; 32]>::try_from).transpose();
    Ok(Message {
        direction,
        opcode: fields.opcode.into(),
        payload: fields.payload,
        automatic: fields.flags & u64::from(FLAG_AUTOMATIC) != 0,
        failed: fields.flags & u64::from(FLAG_FAILED) != 0,
        compressed: fields.flags & u64::from(FLAG_COMPRESSED) != 0,
        whole_len: fields.whole_len,
        sha256: sha256.map_err(|_| Malformed::Sha256Length)?,
    })
}

fn context<'a>(fields: &Fields<'a>) -> Result<Context<'a>, BodyError> {
    let state = Box::new(payload(Kind::Context, fields.payload)?);
    let buffer = fields.extra.map(|packed| PackedBuffer(Cow::Borrowed(packed)));
    Ok(Context { state, buffer })
}

fn checkpoint<'a>(fields: &Fields<'a>) -> Result<Checkpoint<'a>, BodyError> {
    let summary = Box::new(payload(Kind::Checkpoint, fields.payload)?);
    let columns = fields.extra.ok_or(DamageReason::Body(Malformed::NoColumns))?;
    Ok(Checkpoint { summary, rows: PackedRows(Cow::Borrowed(columns)) })
}

/// Reads the version before the rest, whose form a later version may have changed.
fn header(bytes: &[u8]) -> Result<Header, BodyError> {
    #[derive(Deserialize)]
    struct Version {
        format: u32,
    }
    let Version { format: found } = payload(Kind::Header, bytes)?;
    if found != FORMAT_VERSION {
        return Err(BodyError::ForeignVersion { found });
    }
    Ok(payload(Kind::Header, bytes)?)
}

/// Decodes the map that is the payload of every record but messages.
fn payload<T: DeserializeOwned>(kind: Kind, bytes: &[u8]) -> Result<T, DamageReason> {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder)
        .map_err(|error| DamageReason::Payload { kind, detail: error.to_string() })
}

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, Malformed> {
    T::try_from(value).map_err(|_| Malformed::TooLarge)
}
