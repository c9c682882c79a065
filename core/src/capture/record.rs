//! The records of a capture.
//!
//! A [`Record`] is one time-stamped event. Message payloads borrow from the bytes that were read;
//! every other body is small and owned.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::broken::{ConnectionBreak, Party};
use super::checkpoint::Checkpoint;
use super::format::FORMAT_VERSION;
use super::marker::Marker;
use super::snapshot::Context;
use crate::time::Nanos;

/// One entry of a capture.
#[derive(Clone, Debug, PartialEq)]
pub struct Record<'a> {
    /// Place in the capture: the header is 0, each record after it one more. Numbers that a
    /// [`Gap`] stands for are missing, and so are those before a [`Context`], which carries the
    /// number of the last record that it stands for.
    pub seq: u64,
    pub t: Nanos,
    /// Which connection it belongs to, counted from 0; 0 where that has no meaning.
    pub conn: u32,
    pub body: Body<'a>,
}

impl Record<'_> {
    /// The type of the record.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.body.kind()
    }

    /// Whether the record has a number of its own. A context or a checkpoint carries the number of
    /// the last record that it describes.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        !matches!(self.body, Body::Context(_) | Body::Checkpoint(_))
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<'a> {
    /// What the recording is; always the first record.
    Header(Header),
    /// One WebSocket message.
    Message(Message<'a>),
    /// Monotonic and civil time, read together.
    Clock(Clock),
    /// Records that the recorder had to drop.
    Gap(Gap),
    /// Something the listener did, or a named moment.
    Marker(Marker),
    /// The recording was closed in order.
    End(End),
    /// The state of the session, where a capture begins in the middle of it.
    Context(Context<'a>),
    /// What the capture held up to here.
    Checkpoint(Checkpoint<'a>),
    /// A connection was lost.
    Break(ConnectionBreak),
    /// A type of record that this version does not know. Only its number is kept; a program that
    /// copies captures copies the bytes of such a record.
    Other(u8),
}

impl Body<'_> {
    /// The type of record that carries this body.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Body::Header(_) => Kind::Header,
            Body::Message(_) => Kind::Message,
            Body::Clock(_) => Kind::Clock,
            Body::Gap(_) => Kind::Gap,
            Body::Marker(_) => Kind::Marker,
            Body::End(_) => Kind::End,
            Body::Context(_) => Kind::Context,
            Body::Checkpoint(_) => Kind::Checkpoint,
            Body::Break(_) => Kind::Break,
            Body::Other(id) => Kind::from(*id),
        }
    }
}

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// [`Body::Header`]
    Header,
    /// [`Body::Message`]
    Message,
    /// [`Body::Clock`]
    Clock,
    /// [`Body::Gap`]
    Gap,
    /// [`Body::Marker`]
    Marker,
    /// [`Body::End`]
    End,
    /// [`Body::Context`]
    Context,
    /// [`Body::Checkpoint`]
    Checkpoint,
    /// [`Body::Break`]
    Break,
    /// [`Body::Other`]
    Other(u8),
}

impl From<u8> for Kind {
    fn from(id: u8) -> Self {
        match id {
            1 => Kind::Header,
            2 => Kind::Message,
            3 => Kind::Clock,
            4 => Kind::Gap,
            5 => Kind::Marker,
            6 => Kind::End,
            7 => Kind::Context,
            8 => Kind::Checkpoint,
            10 => Kind::Break,
            other => Kind::Other(other),
        }
    }
}

impl From<Kind> for u8 {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Header => 1,
            Kind::Message => 2,
            Kind::Clock => 3,
            Kind::Gap => 4,
            Kind::Marker => 5,
            Kind::End => 6,
            Kind::Context => 7,
            Kind::Checkpoint => 8,
            Kind::Break => 10,
            Kind::Other(id) => id,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::Header => f.write_str("header"),
            Kind::Message => f.write_str("message"),
            Kind::Clock => f.write_str("clock"),
            Kind::Gap => f.write_str("gap"),
            Kind::Marker => f.write_str("marker"),
            Kind::End => f.write_str("end"),
            Kind::Context => f.write_str("context"),
            Kind::Checkpoint => f.write_str("checkpoint"),
            Kind::Break => f.write_str("break"),
            Kind::Other(id) => write!(f, "record of type {id}"),
        }
    }
}

/// What a recording is and how it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the capture format, [`FORMAT_VERSION`] in what this version writes.
    pub format: u32,
    /// Who wrote the capture, as a person would say it.
    #[serde(default)]
    pub software: String,
    /// The start in civil time, RFC 3339 in UTC; unknown for most imported recordings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_utc: Option<String>,
    /// The same moment on the clock of the records: when the connection was asked for.
    #[serde(default)]
    pub start: Nanos,
    /// Where the client connected to, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whose client it was.
    #[serde(default)]
    pub client: ClientKind,
    /// The client's first message, the JSON that configures a session, as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// Anything else that is known.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl Header {
    /// A header of the current format with nothing else known than who writes it and its start.
    #[must_use]
    pub fn new(software: impl Into<String>, start: Nanos) -> Self {
        Header { format: FORMAT_VERSION, software: software.into(), start, ..Header::default() }
    }
}

/// Whose client made the messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// A client with the simulated playhead of the reference, as in lagtape's own recordings.
    Headless,
    /// Any other client, seen from outside.
    #[default]
    #[serde(other)]
    Foreign,
}

/// One WebSocket message, pings, pongs and closes included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    pub direction: Direction,
    pub opcode: Opcode,
    /// The bytes kept: all of them, or the beginning where [`Message::whole_len`] says so.
    pub payload: &'a [u8],
    /// Made by the WebSocket library and not by the application, such as most pongs.
    pub automatic: bool,
    pub failed: bool,
    /// The payload kept is still compressed (permessage-deflate), since what it refers back to was
    /// lost.
    pub compressed: bool,
    /// Length of the whole payload in bytes, where not all of it was kept.
    pub whole_len: Option<u64>,
    /// SHA-256 of the whole payload, where that is known.
    pub sha256: Option<[u8; 32]>,
}

impl<'a> Message<'a> {
    /// A message kept whole, with nothing special about it.
    #[must_use]
    pub fn new(direction: Direction, opcode: Opcode, payload: &'a [u8]) -> Self {
        Message {
            direction,
            opcode,
            payload,
            automatic: false,
            failed: false,
            compressed: false,
            whole_len: None,
            sha256: None,
        }
    }

    /// Length of the whole payload in bytes, kept or not.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.whole_len.unwrap_or(self.payload.len() as u64)
    }

    /// Whether the message, as it was sent, had no payload.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all of the payload was kept.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.len() == self.payload.len() as u64
    }

    /// The text of a text message that was kept whole and is UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<&'a str> {
        let readable = self.opcode == Opcode::Text && self.is_whole() && !self.compressed;
        std::str::from_utf8(self.payload).ok().filter(|_| readable)
    }
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Sent by the client.
    ClientToServer,
    /// Sent by the server.
    ServerToClient,
}

impl Direction {
    /// The direction of this number, if it is one.
    #[must_use]
    pub fn from_id(id: u8) -> Option<Self> {
        match id {
            1 => Some(Direction::ClientToServer),
            2 => Some(Direction::ServerToClient),
            _ => None,
        }
    }
}

impl From<Direction> for u8 {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::ClientToServer => 1,
            Direction::ServerToClient => 2,
        }
    }
}

impl From<Direction> for Party {
    /// Who sends in this direction.
    fn from(direction: Direction) -> Party {
        match direction {
            Direction::ClientToServer => Party::Client,
            Direction::ServerToClient => Party::Server,
        }
    }
}

/// What sort of WebSocket message, by the opcodes of RFC 6455.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// Text, 1.
    Text,
    /// Binary, 2.
    Binary,
    /// Close, 8; the payload is a big-endian `u16` code and a reason, or nothing.
    Close,
    /// Ping, 9.
    Ping,
    /// Pong, 10.
    Pong,
    /// An opcode that RFC 6455 reserves.
    Other(u8),
}

impl From<u8> for Opcode {
    fn from(id: u8) -> Self {
        match id {
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            other => Opcode::Other(other),
        }
    }
}

impl From<Opcode> for u8 {
    fn from(opcode: Opcode) -> Self {
        match opcode {
            Opcode::Text => 1,
            Opcode::Binary => 2,
            Opcode::Close => 8,
            Opcode::Ping => 9,
            Opcode::Pong => 10,
            Opcode::Other(id) => id,
        }
    }
}

/// One reading of both clocks, so that monotonic times can be placed in civil time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The clock of the records.
    pub monotonic: Nanos,
    /// The civil time, RFC 3339 in UTC.
    pub utc: String,
}

/// Records that the recorder had to drop. They keep their numbers: the gap itself is numbered
/// `first_seq + count`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Number of the first record that is missing.
    pub first_seq: u64,
    /// How many are missing.
    pub count: u64,
    /// Payload bytes that they had together.
    #[serde(default)]
    pub bytes: u64,
    /// Why they were dropped.
    #[serde(default)]
    pub reason: String,
}

/// The recording was closed in order; what the capture should hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Why the recording ended, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Records before this one, the header included.
    #[serde(default)]
    pub records: u64,
    /// Messages among them.
    #[serde(default)]
    pub messages: u64,
    /// Payload bytes kept of these messages.
    #[serde(default)]
    pub bytes: u64,
    /// Records that the gaps among them stand for.
    #[serde(default)]
    pub lost: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(opcode: Opcode, payload: &[u8], whole_len: Option<u64>, expected: Option<&str>) {
        let message = Message::new(Direction::ServerToClient, opcode, payload);
        assert_eq!(Message { whole_len, ..message }.text(), expected, "{opcode:?} {payload:02x?}");
    }

    #[test]
    fn text_is_whole_and_utf8() {
        check(Opcode::Text, b"{}", None, Some("{}"));
        check(Opcode::Text, b"", None, Some(""));
        check(Opcode::Text, b"{}", Some(2), Some("{}"));
        check(Opcode::Text, b"{}", Some(3), None);
        check(Opcode::Text, b"\xff", None, None);
        check(Opcode::Binary, b"{}", None, None);
    }

    #[test]
    fn numbers_and_names_agree() {
        for id in 0..=u8::MAX {
            assert_eq!(u8::from(Kind::from(id)), id);
            assert_eq!(u8::from(Opcode::from(id)), id);
            assert_eq!(Direction::from_id(id).map_or(id, u8::from), id);
        }
    }
}
