//! Imports session logs: `session.json`, JSON lines of messages, and a blob of binary payloads.
//!
//! Messages are converted one at a time with their times to the nanosecond, and the same log always
//! gives the same bytes. Only one line and one payload are in memory, plus the few lines up to the
//! client's config, which the capture's header needs. The blob is read forwards only.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::format::{MAX_PAYLOAD_LEN, SyncMarker};
use super::marker::Marker;
use super::record::{Body, ClientKind, Direction, End, Header, Message, Opcode, Record};
use super::session_close::SessionClose;
use super::writer::Writer;
use crate::time::Nanos;
use crate::wire::json;
use crate::wire::url::without_secrets;

/// Longest line of a session log, and longest `session.json`, in bytes.
pub const MAX_LINE_LEN: usize = 32 << 20;

/// Lines among which the client's config is looked for. It is the first in a sound session.
const LOOKAHEAD_LINES: usize = 16;

/// What is part of the names of clients with a player of their own: pages, apps, their libraries.
const FOREIGN_CLIENTS: [&str; 9] =
    ["web", "sdk", "demontd", "touchdesigner", "browser", "chrom", "firefox", "page", "foreign"];

/// Why a session log cannot be brought in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// `session.json` is not what it should be.
    #[error("session.json cannot be used: {0}; it needs at least a connect_ns")]
    Session(String),
    /// A line of the log is not what it should be.
    #[error("line {line} of the session log cannot be used: {reason}; correct or remove that line")]
    Line {
        /// Which line, counted from 1.
        line: u64,
        reason: LineError,
    },
    /// The payload that a line refers to is not to be had.
    #[error("the payload of line {line} is missing: {reason}")]
    Blob {
        /// Which line, counted from 1.
        line: u64,
        reason: BlobError,
    },
    /// The log or the blob cannot be read.
    #[error("the session log cannot be read")]
    Read(#[source] io::Error),
    /// The capture cannot be written.
    #[error("the capture cannot be written")]
    Write(#[source] io::Error),
}

/// What is wrong with one line of a session log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LineError {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("it has more than {MAX_LINE_LEN} bytes")]
    LineTooLong,
    #[error("its header_hex is not hexadecimal")]
    HeadNotHex,
    #[error("its header_hex is longer than its length")]
    HeadTooLong,
    #[error("its length is more than a message can have")]
    PayloadTooLong,
    #[error("it has neither text, nor offset and length, nor a length of what was omitted")]
    NoContent,
}

/// Why the payload that a line refers to is not available.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    #[error("give the blob of binary messages too, uncompressed")]
    NotGiven,
    #[error(
        "it lies at byte {offset} of the blob, which is read up to {at}; put the lines in the \
         order of their offsets"
    )]
    Backwards { offset: u64, at: u64 },
    #[error(
        "the blob ends before byte {offset} + {len}; give the one that belongs to this log, whole \
         and uncompressed"
    )]
    CutShort { offset: u64, len: u64 },
}

/// The sync marker of the capture that is made of a session log.
#[must_use]
pub fn session_log_marker(session: &str) -> SyncMarker {
    SyncMarker::derive(session.as_bytes())
}

/// Writes a session log as a capture and returns what its end record says.
///
/// Every message becomes a record of connection 0 in the order of the lines. An op of
/// `session.json` becomes a marker before the first message with a later time, and so does the end
/// of the connection a close frame or a break. The capture ends at
/// `report_ns`, or without one at the time of the last message. Each record is one write to `out`.
///
/// # Errors
/// See [`ImportError`]. What was written until then is a sound beginning of a capture.
pub fn import_session_log(
    session: &str,
    lines: impl BufRead,
    blob: Option<&mut dyn Read>,
    out: impl Write,
) -> Result<End, ImportError> {
    import_noted_session_log(session, &BTreeMap::new(), lines, blob, out)
}

/// The same, with further metadata in the header.
pub fn import_noted_session_log(
    session: &str,
    notes: &BTreeMap<String, String>,
    lines: impl BufRead,
    blob: Option<&mut dyn Read>,
    out: impl Write,
) -> Result<End, ImportError> {
    let marker = session_log_marker(session);
    let session = Session::parse(session)?;
    let mut entries = Entries { lines, read: 0 };
    let first = read_to_config(&mut entries)?;
    let mut blob = Blob { source: blob, at: 0, payload: Vec::new() };
    let mut sink = Sink { writer: Writer::new(marker), bytes: Vec::new(), out };
    sink.writer.begin(&mut sink.bytes);
    let mut header = session.header(config(&first));
    header.metadata.extend(notes.clone());
    sink.put(session.connect_ns, Body::Header(header))?;

    let mut close = SessionClose::of(&session.rest, session.report_ns);
    let mut end_t = session.connect_ns;
    let mut ops = session.ops.into_iter().peekable();
    for entry in first.into_iter().map(Ok).chain(entries) {
        let entry = entry?;
        while let Some(op) = ops.next_if(|op| op.t_ns < entry.t) {
            sink.put(op.t_ns, Body::Marker(op.marker))?;
        }
        if let Some(close) = close.take_if(|close| close.t < entry.t) {
            sink.put(close.t, close.body())?;
        }
        sink.put(entry.t, Body::Message(entry.message(&mut blob)?))?;
        end_t = entry.t;
    }
    for op in ops {
        sink.put(op.t_ns, Body::Marker(op.marker))?;
    }
    if let Some(close) = close {
        sink.put(close.t, close.body())?;
        end_t = end_t.max(close.t);
    }
    let end = sink.writer.end(None);
    sink.put(session.report_ns.unwrap_or(end_t), Body::End(end.clone()))?;
    sink.out.flush().map_err(ImportError::Write)?;
    Ok(end)
}

/// `session.json`.
#[derive(Deserialize)]
struct Session {
    connect_ns: Nanos,
    report_ns: Option<Nanos>,
    #[serde(default)]
    ops: Vec<Op>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// What was done to the playhead during the session.
#[derive(Deserialize)]
struct Op {
    t_ns: Nanos,
    #[serde(flatten)]
    marker: Marker,
}

impl Session {
    fn parse(text: &str) -> Result<Self, ImportError> {
        if text.len() > MAX_LINE_LEN {
            return Err(ImportError::Session(format!("it has more than {MAX_LINE_LEN} bytes")));
        }
        let mut session: Session = serde_json::from_str(text)
            .or_else(|error| Self::parse_leniently(text).ok_or(error))
            .map_err(|error| ImportError::Session(error.to_string()))?;
        session.ops.sort_by_key(|op| op.t_ns);
        Ok(session)
    }

    /// As Python writes it, with `NaN` and `Infinity`.
    fn parse_leniently(text: &str) -> Option<Self> {
        let object = json::parse_object(text).ok().filter(|object| object.lenient)?;
        serde_json::from_value(Value::Object(object.fields)).ok()
    }

    fn header(&self, config: Option<&str>) -> Header {
        Header {
            client: self.client(),
            url: self.rest.get("url").and_then(Value::as_str).map(without_secrets),
            config: config.map(str::to_owned),
            metadata: self.metadata(),
            ..Header::new("imported session log", self.connect_ns)
        }
    }

    /// The kind of client that the log names. A client whose name says nothing is headless, as the ops
    /// of a log are those of a simulated playhead.
    fn client(&self) -> ClientKind {
        let name = self.rest.get("client").and_then(Value::as_str).unwrap_or_default();
        let name = name.to_ascii_lowercase();
        match FOREIGN_CLIENTS.iter().any(|foreign| name.contains(foreign)) {
            true => ClientKind::Foreign,
            false => ClientKind::Headless,
        }
    }

    /// The texts and numbers at the top of `session.json`, but not what somebody expects of it, and
    /// no secrets that a URL among them carries.
    fn metadata(&self) -> BTreeMap<String, String> {
        let simple = |(key, value): (&String, &Value)| match value {
            _ if key == "expected" || key == "url" => None,
            Value::String(text) if is_url(text) => Some((key.clone(), without_secrets(text))),
            Value::String(text) => Some((key.clone(), text.clone())),
            Value::Number(number) => Some((key.clone(), number.to_string())),
            _ => None,
        };
        self.rest.iter().filter_map(simple).collect()
    }
}

fn is_url(text: &str) -> bool {
    ["ws://", "wss://", "http://", "https://"].iter().any(|scheme| text.starts_with(scheme))
}

/// One line of the log, as it is written.
#[derive(Deserialize)]
struct Line {
    t_ns: Nanos,
    dir: Way,
    text: Option<String>,
    offset: Option<u64>,
    length: Option<u64>,
    #[serde(default)]
    payload_omitted: bool,
    header_hex: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    C2s,
    S2c,
}

/// One message of the log.
struct Entry {
    line: u64,
    t: Nanos,
    direction: Direction,
    content: Content,
}

enum Content {
    Text(String),
    /// Lies in the blob.
    Stored {
        offset: u64,
        len: u64,
    },
    /// Was not kept but for its beginning.
    Omitted {
        head: Vec<u8>,
        len: u64,
    },
}

impl Entry {
    fn parse(line: u64, text: &[u8]) -> Result<Self, ImportError> {
        let wrong = |reason: LineError| ImportError::Line { line, reason };
        let parsed: Line = serde_json::from_slice(text).map_err(|error| wrong(error.into()))?;
        let direction = match parsed.dir {
            Way::C2s => Direction::ClientToServer,
            Way::S2c => Direction::ServerToClient,
        };
        let t = parsed.t_ns;
        let content = Content::of(parsed).map_err(wrong)?;
        Ok(Entry { line, t, direction, content })
    }

    fn message<'a>(&'a self, blob: &'a mut Blob<'_>) -> Result<Message<'a>, ImportError> {
        let new = |opcode, payload| Message::new(self.direction, opcode, payload);
        Ok(match &self.content {
            Content::Text(text) => new(Opcode::Text, text.as_bytes()),
            Content::Stored { offset, len } => {
                new(Opcode::Binary, blob.read(self.line, *offset, *len)?)
            }
            Content::Omitted { head, len } => {
                Message { whole_len: Some(*len), ..new(Opcode::Binary, head) }
            }
        })
    }
}

impl Content {
    fn of(line: Line) -> Result<Self, LineError> {
        match (line.text, line.offset, line.length) {
            (Some(text), _, _) => Ok(Content::Text(text)),
            (None, _, Some(len)) if line.payload_omitted => {
                let head = unhex(line.header_hex.as_deref().unwrap_or_default())
                    .ok_or(LineError::HeadNotHex)?;
                if head.len() as u64 > len {
                    return Err(LineError::HeadTooLong);
                }
                Ok(Content::Omitted { head, len })
            }
            (None, Some(_), Some(len)) if len > MAX_PAYLOAD_LEN as u64 => {
                Err(LineError::PayloadTooLong)
            }
            (None, Some(offset), Some(len)) => Ok(Content::Stored { offset, len }),
            _ => Err(LineError::NoContent),
        }
    }
}

/// The messages of a log, line by line.
struct Entries<R> {
    lines: R,
    read: u64,
}

impl<R: BufRead> Iterator for Entries<R> {
    type Item = Result<Entry, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let text = match self.line() {
                Ok(Some(text)) => text,
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            };
            if !text.trim_ascii().is_empty() {
                return Some(Entry::parse(self.read, &text));
            }
        }
    }
}

impl<R: BufRead> Entries<R> {
    /// The next line, or `None` after the last.
    fn line(&mut self) -> Result<Option<Vec<u8>>, ImportError> {
        let mut text = Vec::new();
        let mut limited = self.lines.by_ref().take(MAX_LINE_LEN as u64 + 1);
        limited.read_until(b'\n', &mut text).map_err(ImportError::Read)?;
        self.read += 1;
        if text.len() > MAX_LINE_LEN {
            return Err(ImportError::Line { line: self.read, reason: LineError::LineTooLong });
        }
        Ok(Some(text).filter(|text| !text.is_empty()))
    }
}

/// Reads up to and including the first text of the client.
fn read_to_config<R: BufRead>(entries: &mut Entries<R>) -> Result<Vec<Entry>, ImportError> {
    let mut first = Vec::new();
    for entry in entries.take(LOOKAHEAD_LINES) {
        first.push(entry?);
        if config(&first).is_some() {
            break;
        }
    }
    Ok(first)
}

/// The text with which the client configures the session: its first.
fn config(entries: &[Entry]) -> Option<&str> {
    entries.iter().find_map(|entry| match &entry.content {
        Content::Text(text) if entry.direction == Direction::ClientToServer => Some(text.as_str()),
        _ => None,
    })
}

/// The payloads, read forwards only.
struct Blob<'a> {
    source: Option<&'a mut dyn Read>,
    at: u64,
    payload: Vec<u8>,
}

impl Blob<'_> {
    fn read(&mut self, line: u64, offset: u64, len: u64) -> Result<&[u8], ImportError> {
        let missing = |reason| ImportError::Blob { line, reason };
        let source = self.source.as_mut().ok_or(missing(BlobError::NotGiven))?;
        let at = self.at;
        let skipped = offset.checked_sub(at);
        let skipped = skipped.ok_or(missing(BlobError::Backwards { offset, at }))?;
        io::copy(&mut source.take(skipped), &mut io::sink()).map_err(ImportError::Read)?;
        self.payload.clear();
        source.take(len).read_to_end(&mut self.payload).map_err(ImportError::Read)?;
        if (self.payload.len() as u64) < len {
            return Err(missing(BlobError::CutShort { offset, len }));
        }
        self.at = offset + len;
        Ok(&self.payload)
    }
}

/// Where the records go.
struct Sink<W> {
    writer: Writer,
    bytes: Vec<u8>,
    out: W,
}

impl<W: Write> Sink<W> {
    fn put(&mut self, t: Nanos, body: Body<'_>) -> Result<(), ImportError> {
        let record = Record { seq: self.writer.next_seq(), t, conn: 0, body };
        self.writer.write(&record, &mut self.bytes);
        self.out.write_all(&self.bytes).map_err(ImportError::Write)?;
        self.bytes.clear();
        Ok(())
    }
}

/// The bytes that hexadecimal digits stand for.
fn unhex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    pairs.iter().map(|&[high, low]| Some((nibble(high)? << 4 | nibble(low)?) as u8)).collect()
}
