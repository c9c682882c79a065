//! The text of a HAR file, read leniently: an entry or a frame that is odd costs itself alone.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::capture::Direction;

/// Opcodes of text and binary messages; Chromium gives errors the opcode -1.
pub(super) const TEXT: i64 = 1;
pub(super) const BINARY: i64 = 2;

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
    request: Request,
    #[serde(rename = "startedDateTime", default)]
    started: Option<String>,
    #[serde(rename = "_webSocketMessages", default, borrow)]
    frames: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct Request {
    url: String,
}

/// A request of the file, with the messages of its WebSocket if it has one.
pub(super) struct Entry<'a> {
    pub url: String,
    pub started: Option<String>,
    pub frames: Vec<Frame<'a>>,
}

/// A message, as Chromium saves it; what is missing or of another type is `None`.
#[derive(Default)]
pub(super) struct Frame<'a> {
    /// `None` for an error, which is neither sent nor received.
    pub direction: Option<Direction>,
    /// When, in whatever unit and from whatever origin the writer chose.
    pub time: Option<f64>,
    pub opcode: Option<i64>,
    /// The text, or the bytes in base64.
    pub data: Option<Cow<'a, str>>,
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
}

/// Who wrote a HAR file, and its entries.
pub(super) fn read(bytes: &[u8]) -> serde_json::Result<(Option<Creator>, Vec<Entry<'_>>)> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let har: Har<'_> = serde_json::from_slice(bytes)?;
    let entries = har.log.entries.into_iter().filter_map(entry).collect();
    Ok((value(har.log.creator), entries))
}

fn entry(text: &RawValue) -> Option<Entry<'_>> {
    let RawEntry { request, started, frames } = serde_json::from_str(text.get()).ok()?;
    let frames = frames.unwrap_or_default().into_iter().map(frame).collect();
    Some(Entry { url: request.url, started, frames })
}

fn frame(text: &RawValue) -> Frame<'_> {
    let Ok(raw) = serde_json::from_str::<RawFrame<'_>>(text.get()) else {
        return Frame::default();
    };
    let direction = match value::<Cow<'_, str>>(raw.direction).as_deref() {
        Some("send") => Some(Direction::ClientToServer),
        Some("receive") => Some(Direction::ServerToClient),
        _ => None,
    };
    Frame {
        direction,
        time: value(raw.time),
        opcode: value(raw.opcode),
        data: raw.data.and_then(|text| text_of(text.get())),
    }
}

fn value<'a, T: Deserialize<'a>>(text: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(text?.get()).ok()
}

/// A JSON string, borrowed where it has no escapes.
fn text_of(json: &str) -> Option<Cow<'_, str>> {
    let borrowed = serde_json::from_str::<&str>(json).map(Cow::Borrowed);
    borrowed.or_else(|_| serde_json::from_str::<String>(json).map(Cow::Owned)).ok()
}
