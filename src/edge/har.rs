//! Imports a session from a HAR file, as a browser's developer tools save it.
//!
//! Chromium keeps the messages in `_webSocketMessages`, and other browsers have followed. Times are
//! those at which the developer tools got a message, to the microsecond. A HAR has no pings, pongs or
//! closes, and no messages from before the developer tools were opened.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::files;
use super::rewrite::Rewriter;
use crate::capture::{Body, ClientKind, Direction, Header, Message, Opcode, Record, SyncMarker};
use crate::event::{Event, Interpreter};
use crate::time::Nanos;
use crate::wire::url::without_secrets;

/// Opcodes of text and binary messages; Chromium gives errors the opcode -1.
const TEXT: i64 = 1;
const BINARY: i64 = 2;

#[derive(Deserialize)]
struct Har<'a> {
    #[serde(borrow)]
    log: Log<'a>,
}

#[derive(Deserialize)]
struct Log<'a> {
    creator: Option<Creator>,
    #[serde(borrow)]
    entries: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Creator {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
struct Entry<'a> {
    request: Request,
    #[serde(rename = "startedDateTime")]
    started: Option<String>,
    #[serde(rename = "_webSocketMessages", default, borrow)]
    frames: Option<Vec<Frame<'a>>>,
}

#[derive(Deserialize)]
struct Request {
    url: String,
}

/// A message, as Chromium saves it.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    direction: Cow<'a, str>,
    /// Seconds since 1970.
    time: f64,
    opcode: i64,
    /// The text, or the bytes in base64.
    #[serde(borrow)]
    data: Cow<'a, str>,
}

/// Turns one session of a HAR file into a capture, and returns its number of messages. `session`
/// counts from 1, and is needed where there are several.
pub fn import_har(path: &Path, session: Option<usize>, out: &Path, force: bool) -> Result<u64> {
    let opened = || format!("cannot import {}", path.display());
    let neither =
        || format!("{} is neither a HAR file nor the folder of a session log", path.display());
    files::refuse_input(path, out)?;
    ensure!(fs::metadata(path).with_context(opened)?.is_file(), neither());
    let bytes = fs::read(path).with_context(opened)?;
    let har: Har<'_> = serde_json::from_slice(&bytes).with_context(neither)?;
    let entry = chosen(&har.log.entries, session).with_context(opened)?;
    let capture = Rewriter::create(out, force, SyncMarker::derive(&bytes))?;
    write(entry, har.log.creator.as_ref(), capture).with_context(opened)
}

fn write(entry: &Entry<'_>, creator: Option<&Creator>, mut capture: Rewriter) -> Result<u64> {
    let clock = Clock::of(entry);
    let header = Header {
        client: ClientKind::Foreign,
        url: Some(without_secrets(&entry.request.url)),
        start_utc: clock.start_utc.clone(),
        config: config(entry.frames()).map(str::to_owned),
        ..Header::new(software(creator), Nanos(0))
    };
    capture.put(&Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) })?;
    let (mut seq, mut last, mut bytes) = (1, Nanos(0), Vec::new());
    for (frame, number) in entry.frames().iter().zip(1..) {
        let message = frame.message(&mut bytes);
        let message = message.with_context(|| format!("message {number} cannot be used"))?;
        let Some(message) = message else { continue };
        let t = clock.at(frame);
        capture.put(&Record { seq, t, conn: 0, body: Body::Message(message) })?;
        last = last.max(t);
        seq += 1;
    }
    capture.end(last, "the HAR file has no more messages")?;
    capture.finish()?;
    Ok(seq - 1)
}

/// The session to import.
fn chosen<'e, 'a>(entries: &'e [Entry<'a>], session: Option<usize>) -> Result<&'e Entry<'a>> {
    let sockets = entries.iter().filter(|entry| !entry.frames().is_empty()).count();
    let sessions: Vec<_> = entries.iter().filter(|entry| is_session(entry.frames())).collect();
    match (session, &sessions[..]) {
        (_, []) if sockets == 0 => bail!(
            "there are no WebSocket messages in it; open the developer tools before the page \
             connects, and save all as HAR with content"
        ),
        (_, []) => bail!("none of its {sockets} WebSockets is a session of a DEMON server"),
        (None, [entry]) => Ok(entry),
        (None, several) => bail!(
            "there are {0} sessions in it; choose one with --session 1 to --session {0}",
            several.len()
        ),
        (Some(number), some) => number
            .checked_sub(1)
            .and_then(|index| some.get(index).copied())
            .ok_or_else(|| anyhow!("it has {} sessions, and no number {number}", some.len())),
    }
}

/// Whether a DEMON server answered.
fn is_session(frames: &[Frame<'_>]) -> bool {
    let mut interpreter = Interpreter::new();
    let mut texts = frames.iter().filter(|frame| frame.opcode == TEXT);
    texts.any(|frame| {
        let Some(direction) = frame.direction() else { return false };
        let message = Message::new(direction, Opcode::Text, frame.data.as_bytes());
        matches!(interpreter.read(0, &message), Event::Ready(_) | Event::Refused { .. })
    })
}

/// The client's first text.
fn config<'e>(frames: &'e [Frame<'_>]) -> Option<&'e str> {
    let is_first = |frame: &&Frame<'_>| {
        frame.opcode == TEXT && frame.direction() == Some(Direction::ClientToServer)
    };
    frames.iter().find(is_first).map(|frame| &*frame.data)
}

fn software(creator: Option<&Creator>) -> String {
    match creator {
        Some(Creator { name, version }) => format!("imported HAR of {name} {version}"),
        None => "imported HAR".to_owned(),
    }
}

impl<'a> Entry<'a> {
    fn frames(&self) -> &[Frame<'a>] {
        self.frames.as_deref().unwrap_or_default()
    }
}

impl Frame<'_> {
    /// `None` for an error, which is neither sent nor received.
    fn direction(&self) -> Option<Direction> {
        match &*self.direction {
            "send" => Some(Direction::ClientToServer),
            "receive" => Some(Direction::ServerToClient),
            _ => None,
        }
    }

    /// The message, whose bytes may be put into `bytes`; `None` for an entry that is none.
    fn message<'b>(&'b self, bytes: &'b mut Vec<u8>) -> Result<Option<Message<'b>>> {
        let Some(direction) = self.direction() else { return Ok(None) };
        match self.opcode {
            TEXT => Ok(Some(Message::new(direction, Opcode::Text, self.data.as_bytes()))),
            BINARY => {
                bytes.clear();
                STANDARD.decode_vec(self.data.as_bytes(), bytes).context("it is not base64")?;
                Ok(Some(Message::new(direction, Opcode::Binary, bytes)))
            }
            _ => Ok(None),
        }
    }
}

/// The clock of the capture, which starts with the handshake.
struct Clock {
    start_utc: Option<String>,
    /// Microseconds since 1970.
    start_us: f64,
}

impl Clock {
    /// Starts with the handshake or, where a HAR dates that later, with the first message.
    fn of(entry: &Entry<'_>) -> Clock {
        let times_s = entry.frames().iter().map(|frame| frame.time);
        let first_us = (times_s.fold(f64::INFINITY, f64::min) * 1e6).round();
        let started =
            entry.started.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let started = started.filter(|at| (at.as_microsecond() as f64) <= first_us);
        let start_us = started.map_or(first_us, |at| at.as_microsecond() as f64);
        let start = jiff::Timestamp::from_microsecond(start_us as i64).ok();
        Clock { start_utc: start.map(|start| start.to_string()), start_us }
    }

    fn at(&self, frame: &Frame<'_>) -> Nanos {
        let since_us = ((frame.time * 1e6).round() - self.start_us).max(0.0) as u64;
        Nanos(since_us.saturating_mul(1_000))
    }
}
