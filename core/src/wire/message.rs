//! The JSON messages that the session's meaning depends on.
//!
//! Enters: text of one message. Leaves: typed facts. Field names and types are those of the
//! protocol; a field of the wrong type counts as absent. Never keeps state.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{self, JsonError};
use crate::time::DEFAULT_SAMPLE_RATE;

/// Channels of a session whose `ready` names none.
pub const DEFAULT_CHANNELS: u16 = 2;

/// A client's report of its playhead: the `params` message.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Params<'a> {
    /// Position of the client's playhead in seconds; absent when the message has none or null.
    pub playback_pos: Option<f64>,
    /// The client's monotonic clock in seconds.
    pub client_time: Option<f64>,
    /// Bytes of slice messages that the client has received, headers included.
    pub slice_bytes_rx: Option<f64>,
    /// Smallest landing lead since the report before, in seconds.
    pub slice_lead_s: Option<f64>,
    /// Positions whose regions the client asks for, in seconds: `render_anchor_s` and those of
    /// `render_anchor_queue_s`.
    pub asked_for_s: Vec<f64>,
    /// The knobs, as the JSON text of one object.
    pub raw: Option<Cow<'a, str>>,
}

/// A text message from the client.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientText<'a> {
    /// One tick.
    Params(Params<'a>),
    /// Any other command.
    Command(Map<String, Value>),
}

/// The parts of a tick that are read, borrowed from its text.
#[derive(Deserialize)]
struct BorrowedParams<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    playback_pos: Option<f64>,
    client_time: Option<f64>,
    slice_bytes_rx: Option<f64>,
    slice_lead_s: Option<f64>,
    #[serde(borrow)]
    render_anchor_s: Option<&'a RawValue>,
    #[serde(borrow)]
    render_anchor_queue_s: Option<&'a RawValue>,
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
}

/// The positions in the texts of what may be a number or an array of them; what is neither is none.
fn positions<'a>(texts: impl IntoIterator<Item = &'a RawValue>) -> Vec<f64> {
    let values = texts.into_iter().map(|text| serde_json::from_str(text.get()).unwrap_or_default());
    positions_of(values)
}

fn positions_of(values: impl IntoIterator<Item = Value>) -> Vec<f64> {
    let all = values.into_iter().flat_map(|value| match value {
        Value::Array(values) => values,
        value => vec![value],
    });
    all.filter_map(|value| value.as_f64()).collect()
}

/// Reads a text message from the client.
pub fn client_text(text: &str) -> Result<ClientText<'_>, JsonError> {
    if let Ok(borrowed) = serde_json::from_str::<BorrowedParams<'_>>(text)
        && borrowed.kind == "params"
    {
        return Ok(ClientText::Params(Params {
            playback_pos: borrowed.playback_pos,
            client_time: borrowed.client_time,
            slice_bytes_rx: borrowed.slice_bytes_rx,
            slice_lead_s: borrowed.slice_lead_s,
            asked_for_s: positions(
                borrowed.render_anchor_s.into_iter().chain(borrowed.render_anchor_queue_s),
            ),
            raw: borrowed.raw.map(|raw| Cow::Borrowed(raw.get())),
        }));
    }
    let fields = json::parse_object(text)?.fields;
    if kind_of(&fields) != Some("params") {
        return Ok(ClientText::Command(fields));
    }
    let number = |key: &str| fields.get(key).and_then(Value::as_f64);
    Ok(ClientText::Params(Params {
        playback_pos: number("playback_pos"),
        client_time: number("client_time"),
        slice_bytes_rx: number("slice_bytes_rx"),
        slice_lead_s: number("slice_lead_s"),
        asked_for_s: positions_of(
            ["render_anchor_s", "render_anchor_queue_s"]
                .into_iter()
                .filter_map(|key| fields.get(key))
                .cloned(),
        ),
        raw: fields.get("raw").map(|raw| Cow::Owned(raw.to_string())),
    }))
}

/// A text message from the server.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerText {
    /// `params_update`: follows each slice and changes nothing that is heard.
    ParamsUpdate,
    /// Any other event.
    Event(json::Object),
}

#[derive(Deserialize)]
struct BorrowedKind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
}

/// Reads a text message from the server.
pub fn server_text(text: &str) -> Result<ServerText, JsonError> {
    if let Ok(borrowed) = serde_json::from_str::<BorrowedKind<'_>>(text)
        && borrowed.kind == "params_update"
    {
        return Ok(ServerText::ParamsUpdate);
    }
    let object = json::parse_object(text)?;
    match kind_of(&object.fields) {
        Some("params_update") => Ok(ServerText::ParamsUpdate),
        _ => Ok(ServerText::Event(object)),
    }
}

/// The `type` of a message, if it is a string.
#[must_use]
pub fn kind_of(fields: &Map<String, Value>) -> Option<&str> {
    fields.get("type").and_then(Value::as_str)
}

/// What `ready` declares about the audio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Channels of the initial buffer.
    pub channels: u16,
    /// Frames per second: `geometry.sample_rate` if present and not zero, else `sample_rate`.
    pub sample_rate: u32,
}

impl Ready {
    /// Reads the declaration of a `ready` event.
    #[must_use]
    pub fn of(fields: &Map<String, Value>) -> Ready {
        let rate = fields
            .get("geometry")
            .and_then(|geometry| whole(geometry.get("sample_rate")?))
            .or_else(|| whole(fields.get("sample_rate")?))
            .map(|rate| u32::try_from(rate.max(1)).unwrap_or(u32::MAX));
        Ready {
            channels: channels_of(fields).unwrap_or(DEFAULT_CHANNELS),
            sample_rate: rate.unwrap_or(DEFAULT_SAMPLE_RATE),
        }
    }
}

/// The `channels` of an event; absent when missing, zero or no number. Where no buffer can have so
/// many the count is 0, with which no bytes are a buffer.
#[must_use]
pub fn channels_of(fields: &Map<String, Value>) -> Option<u16> {
    whole(fields.get("channels")?).map(|channels| u16::try_from(channels).unwrap_or(0))
}

/// A number without what follows its decimal point, as the reference's `int`; absent when zero.
fn whole(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|value| value as i64)).filter(|&value| value != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_params(text: &str, playback_pos: Option<f64>, raw: Option<&str>) {
        let ClientText::Params(params) = client_text(text).unwrap() else {
            panic!("not params: {text}");
        };
        assert_eq!(params.playback_pos, playback_pos);
        assert_eq!(params.raw.as_deref(), raw);
    }

    #[test]
    fn params_with_and_without_the_fast_path() {
        check_params(
            r#"{"type":"params","raw":{"a":1},"playback_pos":0.5}"#,
            Some(0.5),
            Some(r#"{"a":1}"#),
        );
        check_params(r#"{"playback_pos":null,"type":"params"}"#, None, None);
        check_params(r#"{"type":"params","playback_pos":1,"playback_pos":2}"#, Some(2.0), None);
        check_params(
            r#"{"type":"params","raw":{"a":NaN},"playback_pos":"x"}"#,
            None,
            Some(r#"{"a":null}"#),
        );
    }

    #[track_caller]
    fn check_channels(text: &str, expected: Option<u16>) {
        assert_eq!(channels_of(&json::parse_object(text).unwrap().fields), expected, "{text}");
    }

    #[test]
    fn channels_are_what_python_takes_for_a_count() {
        check_channels("{}", None);
        check_channels(r#"{"channels":0}"#, None);
        check_channels(r#"{"channels":null}"#, None);
        check_channels(r#"{"channels":6}"#, Some(6));
        check_channels(r#"{"channels":2.0}"#, Some(2));
        check_channels(r#"{"channels":-1}"#, Some(0));
        check_channels(r#"{"channels":65536}"#, Some(0));
        check_channels(r#"{"channels":18446744073709551615}"#, Some(0));
    }

    #[test]
    fn ready_prefers_its_geometry() {
        let ready = |text: &str| Ready::of(&json::parse_object(text).unwrap().fields);
        assert_eq!(ready("{}"), Ready { channels: 2, sample_rate: 48_000 });
        assert_eq!(
            ready(r#"{"channels":1,"sample_rate":44100,"geometry":{"sample_rate":32000}}"#),
            Ready { channels: 1, sample_rate: 32_000 }
        );
        assert_eq!(
            ready(r#"{"channels":0,"sample_rate":44100,"geometry":{"sample_rate":0}}"#),
            Ready { channels: 2, sample_rate: 44_100 }
        );
        assert_eq!(
            ready(r#"{"channels":1.0,"sample_rate":44100.0}"#),
            Ready { channels: 1, sample_rate: 44_100 }
        );
        assert_eq!(
            ready(r#"{"channels":-1,"sample_rate":1e12}"#),
            Ready { channels: 0, sample_rate: u32::MAX }
        );
    }
}
