//! Imports a session from a HAR file, as a browser's developer tools save it.
//!
//! Chromium keeps the messages in `_webSocketMessages`, and other browsers and Playwright have followed.
//! A HAR has no pings, pongs or closes, and no messages from before the developer tools were opened.
//! What it says about times is for [`times`] to judge; what was assumed stands in the capture's metadata.

mod browser;
mod log;
mod times;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::log::{BINARY, Creator, Entry, Frame, TEXT};
use self::times::{Moment, Report, Times};
use super::files;
use super::rewrite::Rewriter;
use crate::capture::{Body, ClientKind, Direction, Header, Message, Opcode, Record, SyncMarker};
use crate::event::{Event, Interpreter};
use crate::time::Nanos;
use crate::wire::message::Ready;
use crate::wire::url::without_secrets;

/// What was imported of a HAR file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarImport {
    /// Messages of the capture.
    pub messages: u64,
    /// What had to be assumed, in sentences.
    pub assumed: Vec<String>,
}

/// Turns one session of a HAR file into a capture. `session` counts from 1, and is needed where there
/// are several.
pub fn import_har(
    path: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<HarImport> {
    let opened = || format!("cannot import {}", path.display());
    let neither =
        || format!("{} is neither a HAR file nor the folder of a session log", path.display());
    files::refuse_input(path, out)?;
    ensure!(fs::metadata(path).with_context(opened)?.is_file(), neither());
    let bytes = fs::read(path).with_context(opened)?;
    let (creator, entries) = log::read(&bytes).with_context(neither)?;
    let entry = chosen(&entries, session).with_context(opened)?;
    let capture = Rewriter::create(out, force, SyncMarker::derive(&bytes))?;
    write(entry, creator.as_ref(), browser::metadata_of(&bytes), capture).with_context(opened)
}

fn write(
    entry: &Entry<'_>,
    creator: Option<&Creator>,
    page: BTreeMap<String, String>,
    mut capture: Rewriter,
) -> Result<HarImport> {
    let Session { frames, moments, loop_s } = Session::of(entry)?;
    let times = Times::of(&moments, entry.started.as_deref(), loop_s);
    let header = Header {
        client: ClientKind::Foreign,
        url: Some(without_secrets(&entry.url)),
        start_utc: times.start_utc.clone(),
        config: config(&entry.frames).map(str::to_owned),
        metadata: times.notes.clone().into_iter().chain(page).collect(),
        ..Header::new(software(creator), Nanos(0))
    };
    capture.put(&Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) })?;
    let (mut seq, mut last, mut bytes, mut empty) = (1, Nanos(0), Vec::new(), 0_u64);
    for ((number, frame), t) in frames.into_iter().zip(times.at) {
        let Some(message) = message(frame, number, &mut bytes)? else { continue };
        empty += u64::from(message.opcode == Opcode::Binary && message.is_empty());
        capture.put(&Record { seq, t, conn: 0, body: Body::Message(message) })?;
        last = last.max(t);
        seq += 1;
    }
    capture.end(last, "the HAR file has no more messages")?;
    capture.finish()?;
    let assumed = assumed(&times.notes, empty);
    Ok(HarImport { messages: seq - 1, assumed })
}

/// The messages of a session.
struct Session<'e, 'a> {
    /// Each with its number in the file.
    frames: Vec<(usize, &'e Frame<'a>)>,
    /// What their times follow from, one for each.
    moments: Vec<Moment>,
    /// The length of the loop, where it stays.
    loop_s: Option<f64>,
}

impl<'e, 'a> Session<'e, 'a> {
    fn of(entry: &'e Entry<'a>) -> Result<Session<'e, 'a>> {
        let mut session = Session { frames: Vec::new(), moments: Vec::new(), loop_s: None };
        let (mut interpreter, mut bytes) = (Interpreter::new(), Vec::new());
        let mut format = Ready::of(&serde_json::Map::new());
        for (number, frame) in (1..).zip(&entry.frames) {
            let Some(message) = message(frame, number, &mut bytes)? else { continue };
            let mut report = None;
            match interpreter.read(0, &message) {
                Event::Ready(ready) => format = ready,
                Event::InitialBuffer => session.loop_s = loop_s(message.len(), format),
                Event::SwapBuffer { .. } => session.loop_s = None,
                Event::Tick(params) => {
                    let (client_time_s, position_s) = (params.client_time, params.playback_pos);
                    report = Some(Report { client_time_s, position_s });
                }
                _ => {}
            }
            let Frame { time, .. } = *frame;
            session.moments.push(Moment { direction: message.direction, time, report });
            session.frames.push((number, frame));
        }
        Ok(session)
    }
}

/// The length of a loop of so many bytes of f16 samples; none of an empty one.
fn loop_s(bytes: u64, format: Ready) -> Option<f64> {
    let bytes_per_s = f64::from(format.channels) * 2.0 * f64::from(format.sample_rate);
    Some(bytes as f64 / bytes_per_s).filter(|loop_s| loop_s.is_finite() && *loop_s > 0.0)
}

/// What a person should know who takes the capture for the session.
fn assumed(notes: &BTreeMap<String, String>, empty: u64) -> Vec<String> {
    let note = |key: &str| notes.get(key);
    let mut assumed =
        vec!["client: foreign, as a browser's player is known by its reports only".to_owned()];
    if let Some(unit) = note("time.unit") {
        assumed.push(format!("times: read as {unit}"));
    }
    if let (Some(was), Some(by)) = (note("time.was"), note("time.corrected_by")) {
        assumed.push(format!("{was}; times are taken from the client's {by} instead"));
    }
    if let Some(doubt) = note("time.doubt") {
        assumed.push(format!("{doubt}; there will be no verdict"));
    }
    if empty > 0 {
        assumed.push(format!(
            "audio: {empty} binary messages have no data; what wrote the file left it out"
        ));
    }
    assumed
}

/// The session to import.
fn chosen<'e, 'a>(entries: &'e [Entry<'a>], session: Option<usize>) -> Result<&'e Entry<'a>> {
    let sockets = entries.iter().filter(|entry| !entry.frames.is_empty()).count();
    let sessions: Vec<_> = entries.iter().filter(|entry| is_session(&entry.frames)).collect();
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
    let mut texts = frames.iter().filter(|frame| frame.opcode == Some(TEXT));
    texts.any(|frame| {
        let (Some(direction), Some(data)) = (frame.direction, &frame.data) else { return false };
        let message = Message::new(direction, Opcode::Text, data.as_bytes());
        matches!(interpreter.read(0, &message), Event::Ready(_) | Event::Refused { .. })
    })
}

/// The client's first text.
fn config<'e>(frames: &'e [Frame<'_>]) -> Option<&'e str> {
    let is_first = |frame: &&Frame<'_>| {
        frame.opcode == Some(TEXT) && frame.direction == Some(Direction::ClientToServer)
    };
    frames.iter().find(is_first)?.data.as_deref()
}

fn software(creator: Option<&Creator>) -> String {
    match creator {
        Some(Creator { name, version }) => format!("imported HAR of {name} {version}"),
        None => "imported HAR".to_owned(),
    }
}

/// The message of a frame, whose bytes may be put into `bytes`; `None` for an entry that is none.
fn message<'b>(
    frame: &'b Frame<'_>,
    number: usize,
    bytes: &'b mut Vec<u8>,
) -> Result<Option<Message<'b>>> {
    let Some(direction) = frame.direction else { return Ok(None) };
    let data = frame.data.as_deref();
    match frame.opcode {
        Some(TEXT) => {
            let data = data.with_context(|| {
                format!("message {number} cannot be used: it is a text without data")
            })?;
            Ok(Some(Message::new(direction, Opcode::Text, data.as_bytes())))
        }
        Some(BINARY) => {
            bytes.clear();
            STANDARD
                .decode_vec(data.unwrap_or_default().as_bytes(), bytes)
                .context("it is not base64")
                .with_context(|| format!("message {number} cannot be used"))?;
            Ok(Some(Message::new(direction, Opcode::Binary, bytes)))
        }
        _ => Ok(None),
    }
}
