//! Imports a session from a HAR file, as a browser's developer tools save it, or from mitmproxy's flows.
//!
//! Chromium keeps the messages in `_webSocketMessages`, and other browsers and Playwright have followed.
//! A HAR has few control messages, and no messages from before the developer tools were opened.
//! What it says about times is for [`times`] to judge; what was assumed stands in the capture's metadata.

mod browser;
mod choice;
mod file;
mod flows;
mod log;
mod ours;
mod payload;
mod session;
mod times;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use self::file::HarFile;
use self::log::{Creator, Entry, SocketEnd};
use self::session::Session;
use self::times::{Moment, Times};
use super::output::{self, OutputFile};
use super::rewrite::Rewriter;
use crate::capture::{
    Body, ClientKind, ConnectionBreak, Direction, Header, Message, Opcode, Party, Record,
    SyncMarker,
};
use crate::family::FAMILY_NOTE;
use crate::time::Nanos;
use crate::wire::url::without_secrets;

/// What was imported of a HAR file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarImport {
    pub messages: u64,
    /// What had to be assumed, in sentences.
    pub assumed: Vec<String>,
}

/// Turns one session of a HAR file, or of a zip with one, into a capture. `session` counts from 1, and
/// is needed where there are several.
pub fn import_har(
    path: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<HarImport> {
    let opened = || format!("cannot import {}", path.display());
    let neither =
        || format!("{} is neither a HAR file nor the folder of a session log", path.display());
    output::refuse_input(path, out)?;
    let output = OutputFile::create(out, force)?;
    ensure!(!path.is_dir(), neither());
    let mut file = HarFile::open(path).with_context(opened)?;
    let text = std::mem::take(&mut file.text);
    if let Some(refusal) = refusal(&file.seed) {
        bail!("{} {refusal}", path.display());
    }
    let page = browser::metadata_of(&text);
    let (creator, mut entries) = match flows::is_flow_file(&file.seed) {
        true => flows::read(&file.seed),
        false => log::read(&text).with_context(neither)?,
    };
    let names: Vec<_> =
        entries.iter().filter_map(Entry::attached_frames).map(str::to_owned).collect();
    let attached = file.attached(names.iter().map(String::as_str)).with_context(opened)?;
    for entry in &mut entries {
        let name = entry.attached_frames();
        if let Some(text) = name.and_then(|name| attached.get(name)) {
            entry.attach(text);
        }
    }
    let is_of_firefox = creator.as_ref().is_some_and(|creator| creator.name == "Firefox");
    if is_of_firefox && entries.iter().all(|entry| entry.frames.is_empty()) {
        bail!("{} is a HAR file of Firefox, which {NO_MESSAGES_OF_FIREFOX}", path.display());
    }
    let entry = choice::chosen(&entries, session).with_context(opened)?;
    let mut capture = Rewriter::new(output, SyncMarker::derive(&file.seed));
    if let Some(ours) = ours::Ours::of(entry) {
        let messages = ours.write(&mut capture).with_context(opened)?;
        capture.finish()?;
        return Ok(HarImport { messages, assumed: vec![ours::AS_RECORDED.to_owned()] });
    }
    write(entry, creator.as_ref(), page, capture).with_context(opened)
}

/// Why the HAR of the one browser that is not enough holds nothing.
const NO_MESSAGES_OF_FIREFOX: &str = "saves no messages of WebSockets; open the page in Chromium, or \
    stand in between with: lagtape proxy --upstream ws://HOST:PORT";

/// The first bytes of packet captures: pcap in either order of bytes and either unit of time, and pcapng.
const PACKETS: [[u8; 4]; 5] = [
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// Why a file that people try cannot be imported, and what to do instead.
fn refusal(bytes: &[u8]) -> Option<&'static str> {
    let is_of_packets = PACKETS.iter().any(|first| bytes.starts_with(first));
    is_of_packets.then_some(
        "is a capture of packets (pcap), which import does not put together again; stand in between \
         with: lagtape proxy --upstream ws://HOST:PORT",
    )
}

fn write(
    entry: &Entry<'_>,
    creator: Option<&Creator>,
    page: BTreeMap<String, String>,
    mut capture: Rewriter,
) -> Result<HarImport> {
    let mut session = Session::of(entry)?;
    let end = End::of(entry, &mut session);
    let times = Times::of(&session.moments, entry.started.as_deref(), session.loop_s);
    let mut notes = times.notes;
    notes.extend(session.payloads.doubt().map(|doubt| ("audio.doubt".to_owned(), doubt)));
    notes.extend(session.family.take().map(|note| (FAMILY_NOTE.to_owned(), note)));
    notes.extend(page);
    let config = session.is_demon.then(|| config(entry)).flatten();
    let header = Header {
        client: ClientKind::Foreign,
        url: entry.url.as_deref().map(without_secrets),
        start_utc: times.start_utc,
        config: config.map(str::to_owned),
        metadata: notes.clone(),
        ..Header::new(software(creator), Nanos(0))
    };
    capture.put(&Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) })?;
    let (mut seq, mut last, mut bytes) = (1, Nanos(0), Vec::new());
    for ((number, frame), t) in session.frames.iter().zip(&times.at) {
        let Some(message) = payload::message(frame, *number, &mut bytes)? else { continue };
        capture.put(&Record { seq, t: *t, conn: 0, body: Body::Message(message) })?;
        last = last.max(*t);
        seq += 1;
    }
    let messages = seq - 1;
    if let Some(end) = &end {
        last = times.at.get(session.frames.len()).map_or(last, |t| last.max(*t));
        capture.put(&Record { seq, t: last, conn: 0, body: end.body() })?;
    }
    capture.end(last, "the HAR file has no more messages")?;
    capture.finish()?;
    let mut assumed = assumed(&notes, &session);
    assumed.extend(end.and_then(|end| end.assumed()));
    Ok(HarImport { messages, assumed })
}

/// How the connection ended, as the capture says it.
enum End {
    Close { payload: Vec<u8>, direction: Direction },
    Break(ConnectionBreak),
}

impl End {
    /// The end that the file tells, unless a close frame among its messages does. A time of its own
    /// becomes the last moment of the session.
    fn of(entry: &Entry<'_>, session: &mut Session<'_, '_>) -> Option<End> {
        let is_closed = entry.frames.iter().any(|frame| frame.opcode == Some(Opcode::Close));
        if is_closed {
            return None;
        }
        let failed = entry.frames.last().filter(|frame| frame.is_error);
        let lost = |reason: &str| {
            End::Break(ConnectionBreak { reason: reason.to_owned(), ..ConnectionBreak::default() })
        };
        match (&entry.end, failed) {
            (Some(SocketEnd::Closed { code, reason, time }), _) => {
                let direction = closer(*code);
                session.moments.extend(time.map(|time| Moment {
                    direction,
                    time: Some(time),
                    report: None,
                }));
                let code = code.map(u16::to_be_bytes);
                let payload = [code.as_ref().map_or(&[][..], |code| code), reason.as_bytes()];
                let payload = if code.is_some() { payload.concat() } else { Vec::new() };
                Some(End::Close { payload, direction })
            }
            (Some(SocketEnd::Lost { reason }), _) => Some(lost(reason)),
            (None, Some(frame)) => Some(lost(frame.data.as_deref().unwrap_or_default())),
            (None, None) => None,
        }
    }

    fn body(&self) -> Body<'_> {
        match self {
            End::Close { payload, direction } => {
                Body::Message(Message::new(*direction, Opcode::Close, payload))
            }
            End::Break(broken) => Body::Break(broken.clone()),
        }
    }

    fn assumed(&self) -> Option<String> {
        let End::Close { direction, .. } = self else { return None };
        let by = match direction {
            Direction::ClientToServer => Party::Client,
            Direction::ServerToClient => Party::Server,
        };
        let by = if by == Party::Client { "client" } else { "server" };
        Some(format!(
            "close: taken for the {by}'s by its code, as the file does not say whose it is"
        ))
    }
}

/// Who closes with this code: a page says goodbye, everything else is a server's.
fn closer(code: Option<u16>) -> Direction {
    match code {
        None | Some(1000 | 1001 | 1005) => Direction::ClientToServer,
        Some(_) => Direction::ServerToClient,
    }
}

/// What a person should know who takes the capture for the session.
fn assumed(notes: &BTreeMap<String, String>, session: &Session<'_, '_>) -> Vec<String> {
    let note = |key: &str| notes.get(key);
    let mut assumed =
        vec!["client: foreign, as a browser's player is known by its reports only".to_owned()];
    if let Some(unit) = note("time.unit") {
        assumed.push(format!("times: read as {unit}"));
    }
    if let (Some(was), Some(by)) = (note("time.was"), note("time.corrected_by")) {
        assumed.push(format!("{was}; times are taken from the client's {by} instead"));
    }
    let doubts = ["time.doubt", "audio.doubt"].into_iter().filter_map(note);
    assumed.extend(doubts.map(|doubt| format!("{doubt}; there will be no verdict")));
    let empty = session.payloads.empty;
    if empty > 0 {
        assumed.push(format!(
            "audio: {empty} binary messages have no data; what wrote the file left it out"
        ));
    }
    if session.left_out > 0 {
        assumed.push(format!("{} entries are no messages and were left out", session.left_out));
    }
    if !session.is_demon {
        assumed
            .push("no DEMON server speaks in it: only what came and when can be said".to_owned());
    }
    assumed
}

/// The client's first text.
fn config<'e>(entry: &'e Entry<'_>) -> Option<&'e str> {
    let is_first = |frame: &&log::Frame<'_>| {
        frame.opcode == Some(Opcode::Text) && frame.direction == Some(Direction::ClientToServer)
    };
    entry.frames.iter().find(is_first)?.data.as_deref()
}

fn software(creator: Option<&Creator>) -> String {
    match creator {
        Some(Creator { name, version }) if version.is_empty() => format!("imported from {name}"),
        Some(Creator { name, version }) => format!("imported HAR of {name} {version}"),
        None => "imported HAR".to_owned(),
    }
}
