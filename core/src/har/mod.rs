//! A session out of a HAR file, as a browser's developer tools save it, or out of mitmproxy's flows.
//!
//! Chromium keeps the messages in `_webSocketMessages`, and other browsers and Playwright have followed.
//! A HAR has few control messages, and no messages from before the developer tools were opened.
//! What it says about times is for `times` to judge; what was assumed stands in the capture's metadata.
//!
//! Enters: the bytes of the file, and the texts of those that are attached to it. Leaves: a capture.

mod browser;
mod choice;
mod flows;
mod log;
mod ours;
mod payload;
mod session;
mod times;

use std::collections::BTreeMap;
use std::io::{self, Write};

use self::log::{Creator, Entry, SocketEnd};
use self::session::Session;
use self::times::{Moment, Times};
use crate::capture::{
    Body, ClientKind, ConnectionBreak, Direction, Header, Message, Opcode, Party, Record,
    SyncMarker,
};
use crate::checkpoint::IndexedWriter;
use crate::family::FAMILY_NOTE;
use crate::time::Nanos;
use crate::wire::url::without_secrets;

/// What was imported of a HAR file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HarImport {
    /// Messages of the session.
    pub messages: u64,
    /// What had to be assumed, in sentences.
    pub assumed: Vec<String>,
}

/// Why nothing can be imported.
#[derive(Debug, thiserror::Error)]
pub enum HarError {
    /// Neither a HAR file nor flows.
    #[error("it is no HAR file: {0}")]
    NotHar(#[source] serde_json::Error),
    /// A file of another kind that people try.
    #[error("it {0}")]
    OtherKind(&'static str),
    /// The one browser whose files hold no messages of WebSockets.
    #[error("it is a HAR file of Firefox, which {NO_MESSAGES_OF_FIREFOX}")]
    OfFirefox,
    /// What is wrong with it, or which sessions it holds.
    #[error("{0}")]
    Unusable(String),
    /// The capture cannot be written.
    #[error("cannot write the capture: {0}")]
    Write(#[from] io::Error),
}

impl HarError {
    /// The sentence about the file of this name.
    #[must_use]
    pub fn of_file(&self, name: &str) -> String {
        match self {
            HarError::NotHar(why) => {
                format!("{name} is neither a HAR file nor the folder of a session log: {why}")
            }
            HarError::OtherKind(what) => format!("{name} {what}"),
            HarError::OfFirefox => {
                format!("{name} is a HAR file of Firefox, which {NO_MESSAGES_OF_FIREFOX}")
            }
            other => format!("cannot import {name}: {other}"),
        }
    }
}

/// The text of a file as editors and shells save it: with a byte order mark or without, UTF-16 too.
#[must_use]
pub fn text_of(bytes: &[u8]) -> String {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units = bytes.as_chunks().0.iter().map(|pair| unit(*pair));
        char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}
/// A HAR file that was read.
pub struct HarLog<'a> {
    creator: Option<Creator>,
    entries: Vec<Entry<'a>>,
    /// What it says of the page.
    page: BTreeMap<String, String>,
    bytes: &'a [u8],
}

impl<'a> HarLog<'a> {
    /// Reads a file with these bytes, whose text is that of [`text_of`].
    ///
    /// # Errors
    /// It is of another kind.
    pub fn read(bytes: &'a [u8], text: &'a str) -> Result<HarLog<'a>, HarError> {
        if let Some(what) = other_kind(bytes) {
            return Err(HarError::OtherKind(what));
        }
        let (creator, entries) = match flows::is_flow_file(bytes) {
            true => flows::read(bytes),
            false => log::read(text).map_err(HarError::NotHar)?,
        };
        Ok(HarLog { creator, entries, page: browser::metadata_of(text), bytes })
    }

    /// The names of the files beside it that have messages of its WebSockets.
    #[must_use]
    pub fn attached(&self) -> Vec<String> {
        self.entries.iter().filter_map(Entry::attached_frames).map(str::to_owned).collect()
    }

    /// Takes the messages from the texts of such files, by their names.
    pub fn attach(&mut self, texts: &'a BTreeMap<String, String>) {
        for entry in &mut self.entries {
            let name = entry.attached_frames();
            if let Some(text) = name.and_then(|name| texts.get(name)) {
                entry.attach(text);
            }
        }
    }

    /// How many sessions there are to choose from: those of DEMON servers, or else all WebSockets.
    #[must_use]
    pub fn sessions(&self) -> usize {
        choice::count(&self.entries)
    }

    /// Writes one session as a capture. `session` counts from 1, and is needed where there are several.
    ///
    /// # Errors
    /// There is no such session, it cannot be used, or the output fails.
    pub fn import(
        &self,
        session: Option<usize>,
        out: &mut dyn Write,
    ) -> Result<HarImport, HarError> {
        let HarLog { creator, entries, page, bytes } = self;
        let is_of_firefox = creator.as_ref().is_some_and(|creator| creator.name == "Firefox");
        if is_of_firefox && entries.iter().all(|entry| entry.frames.is_empty()) {
            return Err(HarError::OfFirefox);
        }
        let entry = choice::chosen(entries, session)?;
        let mut capture = Captured { capture: IndexedWriter::new(SyncMarker::derive(bytes)), out };
        if let Some(ours) = ours::Ours::of(entry) {
            let messages = ours.write(&mut capture)?;
            return Ok(HarImport { messages, assumed: vec![ours::AS_RECORDED.to_owned()] });
        }
        write(entry, creator.as_ref(), page, &mut capture)
    }
}

/// The capture that a session becomes.
struct Captured<'o> {
    capture: IndexedWriter,
    out: &'o mut dyn Write,
}

impl Captured<'_> {
    fn put(&mut self, record: &Record<'_>) -> io::Result<()> {
        self.capture.put(record);
        self.capture.write_to(self.out)
    }

    fn end(&mut self, t: Nanos, reason: &str) -> io::Result<()> {
        self.capture.end(t, reason);
        self.capture.write_to(self.out)
    }
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
fn other_kind(bytes: &[u8]) -> Option<&'static str> {
    let is_of_packets = PACKETS.iter().any(|first| bytes.starts_with(first));
    is_of_packets.then_some(
        "is a capture of packets (pcap), which import does not put together again; stand in between \
         with: lagtape proxy --upstream ws://HOST:PORT",
    )
}

fn write(
    entry: &Entry<'_>,
    creator: Option<&Creator>,
    page: &BTreeMap<String, String>,
    capture: &mut Captured<'_>,
) -> Result<HarImport, HarError> {
    let mut session = Session::of(entry)?;
    let end = End::of(entry, &mut session);
    let times = Times::of(&session.moments, entry.started.as_deref(), session.loop_s);
    let mut notes = times.notes;
    notes.extend(session.payloads.doubt().map(|doubt| ("audio.doubt".to_owned(), doubt)));
    notes.extend(session.family.take().map(|note| (FAMILY_NOTE.to_owned(), note)));
    notes.extend(page.clone());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_in_the_encodings_of_editors() {
        let utf16: Vec<u8> = "\u{FEFF}{é}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(text_of(&utf16), "{é}");
        assert_eq!(text_of("\u{FEFF}{é}".as_bytes()), "{é}");
        assert_eq!(text_of(b"{\xFF}"), "{\u{FFFD}}");
    }
}
