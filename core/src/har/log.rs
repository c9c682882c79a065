//! The text of a HAR file, read leniently: an entry or a frame that is odd costs itself alone.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::capture::{Direction, Opcode};
use crate::report::har_note::{EntryNote, FrameNote};
use crate::wire::url::without_secrets;

#[derive(Deserialize)]
struct Har<'a> {
    #[serde(borrow)]
    log: Log<'a>,
}

#[derive(Deserialize)]
struct Log<'a> {
    #[serde(default, borrow)]
    creator: Option<&'a RawValue>,
    #[serde(borrow)]
    entries: Vec<&'a RawValue>,
}

/// Who wrote the file.
#[derive(Deserialize)]
pub(super) struct Creator {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub version: String,
}

#[derive(Deserialize)]
struct RawEntry<'a> {
    #[serde(default, borrow)]
    request: Option<&'a RawValue>,
    #[serde(default, borrow)]
    response: Option<&'a RawValue>,
    #[serde(rename = "startedDateTime", default, borrow)]
    started: Option<&'a RawValue>,
    #[serde(rename = "_webSocketMessages", default, borrow)]
    frames: Option<&'a RawValue>,
    #[serde(rename = "_webSocketClose", default, borrow)]
    close: Option<&'a RawValue>,
    #[serde(rename = "_lagtape", default, borrow)]
    ours: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Request {
    url: String,
}

#[derive(Default, Deserialize)]
struct Response<'a> {
    #[serde(default, borrow)]
    content: Option<&'a RawValue>,
    #[serde(rename = "_failureText", default, borrow)]
    failure: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "_file")]
    file: String,
}

#[derive(Deserialize)]
struct RawClose<'a> {
    #[serde(default, borrow)]
    code: Option<&'a RawValue>,
    #[serde(default, borrow)]
    reason: Option<&'a RawValue>,
    #[serde(default, borrow)]
    timestamp: Option<&'a RawValue>,
}

/// Codes that a close frame can have, and 1006, which stands for none.
const CLOSE_CODES: std::ops::RangeInclusive<f64> = 1_000.0..=4_999.0;

/// A request of the file, with the messages of its WebSocket if it has one.
#[derive(Default)]
pub(super) struct Entry<'a> {
    pub url: Option<String>,
    pub started: Option<String>,
    pub frames: Vec<Frame<'a>>,
    /// The file beside the HAR that has the frames instead.
    pub attached: Option<String>,
    pub end: Option<SocketEnd>,
    /// What lagtape wrote beside the messages.
    pub ours: Option<EntryNote>,
}

/// How a WebSocket ended, as the file says it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum SocketEnd {
    /// With a close frame; nothing says of which side.
    Closed { code: Option<u16>, reason: String, time: Option<f64> },
    /// Without one.
    Lost { reason: String },
}

/// A message, as Chromium saves it; what is missing or of another type is `None`.
#[derive(Default)]
pub(super) struct Frame<'a> {
    /// `None` for an error, which is neither sent nor received.
    pub direction: Option<Direction>,
    /// When, in whatever unit and from whatever origin the writer chose.
    pub time: Option<f64>,
    pub opcode: Option<Opcode>,
    /// The text, or the bytes in base64.
    pub data: Option<Cow<'a, str>>,
    /// It says that the connection failed.
    pub is_error: bool,
    /// What lagtape wrote beside it.
    pub ours: Option<FrameNote>,
}

#[derive(Deserialize)]
struct RawFrame<'a> {
    #[serde(rename = "type", default, borrow)]
    direction: Option<&'a RawValue>,
    #[serde(default, borrow)]
    time: Option<&'a RawValue>,
    #[serde(default, borrow)]
    opcode: Option<&'a RawValue>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
    #[serde(rename = "_lagtape", default, borrow)]
    ours: Option<&'a RawValue>,
}

/// Who wrote a HAR file, and its entries.
pub(super) fn read(text: &str) -> serde_json::Result<(Option<Creator>, Vec<Entry<'_>>)> {
    let har: Har<'_> = serde_json::from_str(text)?;
    let entries = har.log.entries.into_iter().map(entry).collect();
    Ok((value(har.log.creator), entries))
}

fn entry(text: &RawValue) -> Entry<'_> {
    let Ok(raw) = serde_json::from_str::<RawEntry<'_>>(text.get()) else {
        return Entry::default();
    };
    let response: Response<'_> = value(raw.response).unwrap_or_default();
    let frames: Vec<_> = value::<Vec<&RawValue>>(raw.frames).unwrap_or_default();
    let content: Option<Content> = value(response.content);
    let end = raw.close.and_then(close).or_else(|| {
        let reason: String = value(response.failure)?;
        Some(SocketEnd::Lost { reason })
    });
    Entry {
        url: value(raw.request).map(|Request { url }| url),
        started: value(raw.started),
        frames: frames.into_iter().map(frame).collect(),
        attached: content.map(|content| content.file),
        end,
        ours: value(raw.ours),
    }
}

/// `{code, reason, timestamp}`, each of them optional, or a word such as "aborted".
fn close(text: &RawValue) -> Option<SocketEnd> {
    if let Some(word) = value::<String>(Some(text)) {
        return Some(SocketEnd::Lost { reason: word });
    }
    let is_object = text.get().starts_with('{');
    let RawClose { code, reason, timestamp } = value(Some(text).filter(|_| is_object))?;
    let code = number(code).filter(|code| CLOSE_CODES.contains(code)).map(|code| code as u16);
    let reason: String = value(reason).unwrap_or_default();
    Some(match code {
        Some(1006) => SocketEnd::Lost { reason },
        code => SocketEnd::Closed { code, reason, time: time(timestamp) },
    })
}

fn frame(text: &RawValue) -> Frame<'_> {
    let Ok(raw) = serde_json::from_str::<RawFrame<'_>>(text.get()) else {
        return Frame::default();
    };
    let kind = value::<Cow<'_, str>>(raw.direction).unwrap_or_default().to_ascii_lowercase();
    let direction = match &*kind {
        "send" | "sent" => Some(Direction::ClientToServer),
        "receive" | "received" => Some(Direction::ServerToClient),
        _ => None,
    };
    Frame {
        direction,
        time: time(raw.time),
        opcode: opcode(raw.opcode),
        data: raw.data.and_then(|text| text_of(text.get())),
        is_error: kind == "error",
        ours: value(raw.ours),
    }
}

/// A number of RFC 6455, or its name; Chromium gives errors the number -1.
fn opcode(text: Option<&RawValue>) -> Option<Opcode> {
    let number = match value::<Cow<'_, str>>(text).as_deref() {
        Some("text") => 1.0,
        Some("binary") => 2.0,
        _ => number(text)?,
    };
    (number.fract() == 0.0 && (1.0..16.0).contains(&number)).then(|| Opcode::from(number as u8))
}

/// A number, or one in quotes.
fn number(text: Option<&RawValue>) -> Option<f64> {
    value(text).or_else(|| value::<Cow<'_, str>>(text)?.trim().parse().ok())
}

/// A number, or a date.
fn time(text: Option<&RawValue>) -> Option<f64> {
    let date = || value::<Cow<'_, str>>(text)?.parse::<jiff::Timestamp>().ok();
    number(text).or_else(|| date().map(|date| date.as_microsecond() as f64 / 1e6))
}

fn value<'a, T: Deserialize<'a>>(text: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(text?.get()).ok()
}

/// A JSON string, borrowed where it has no escapes.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let borrowed = serde_json::from_str::<&str>(json).map(Cow::Borrowed);
    borrowed.or_else(|_| serde_json::from_str::<String>(json).map(Cow::Owned)).ok()
}

impl<'a> Entry<'a> {
    /// The file that has the messages of this WebSocket.
    pub fn attached_frames(&self) -> Option<&str> {
        let is_socket = self.url.as_ref().is_some_and(|url| url.starts_with("ws"));
        let name = self.attached.as_deref().filter(|_| self.frames.is_empty())?;
        (is_socket || name.ends_with(".jsonl")).then_some(name)
    }

    /// Takes the messages from the text of that file: one in each line, or a list of all. A line that
    /// is cut off is none.
    pub fn attach(&mut self, text: &'a str) {
        self.frames = match serde_json::from_str::<Vec<&RawValue>>(text) {
            Ok(list) => list.into_iter().map(frame).collect(),
            Err(_) => {
                let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
                lines.map(frame).collect()
            }
        };
    }
}

impl fmt::Display for Entry<'_> {
    /// Its address, and how much was said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.url.as_deref().map(without_secrets);
        let url = url.as_deref().unwrap_or("without an address");
        write!(f, "{url}, {} messages", self.frames.len())
    }
}
