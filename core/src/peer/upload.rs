//! When a client brings its PCM: at once, or, where its config asks for a session of text alone, when
//! the server turns out to need it.
//!
//! Enters: the config, the PCM, and what the server says before the session. Leaves: the PCM, once it
//! is to be sent. A server takes text alone only if the config has both `text_only` and
//! `telemetry_version`, and says so by `supports_text_only` in its `init_ack`; one that says anything
//! else waits for audio, as every server of June 2026 does (`ws_adapter.py@0cfdd61`).

use serde_json::{Map, Value};

use super::Outgoing;
use crate::capture::{Direction, Message, Opcode};
use crate::time::{Nanos, Span};
use crate::wire::json::{is_nothing, parse_object};
use crate::wire::message::kind_of;

/// How long a server may take to say that text alone is enough. It answers a config at once.
pub(super) const ANSWER_WITHIN: Span = Span(5_000_000_000);

/// The PCM that a client may have to bring.
#[derive(Debug)]
pub(super) struct Upload {
    pcm: Option<Outgoing>,
    hold: Hold,
}

/// What keeps it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Hold {
    Nothing,
    /// The config asks for text alone, and has not been sent.
    UntilAsked,
    /// The server may still say that text is enough.
    UntilAnswer(Nanos),
}

impl Upload {
    pub fn of(config: &Map<String, Value>, pcm: Option<Vec<u8>>) -> Upload {
        let hold = if is_text_only(config) { Hold::UntilAsked } else { Hold::Nothing };
        Upload { pcm: pcm.map(Outgoing::Binary), hold }
    }

    /// The config is sent.
    pub fn asked(&mut self, now: Nanos) {
        if self.hold == Hold::UntilAsked {
            self.hold = Hold::UntilAnswer(now.checked_add(ANSWER_WITHIN).unwrap_or(now));
        }
    }

    /// A message passes before the session begins.
    pub fn see(&mut self, message: &Message<'_>) {
        let is_awaited = self.pcm.is_some() && matches!(self.hold, Hold::UntilAnswer(_));
        if !is_awaited
            || message.direction != Direction::ServerToClient
            || message.opcode != Opcode::Text
        {
            return;
        }
        let Some(object) = message.text().and_then(|text| parse_object(text).ok()) else { return };
        match kind_of(&object.fields) {
            Some("init_ack") if is_set(&object.fields, "supports_text_only") => self.pcm = None,
            Some("init_ack") => self.hold = Hold::Nothing,
            // It had no need to be told.
            Some("ready") => self.pcm = None,
            _ => {}
        }
    }

    /// The PCM, once it is to be sent.
    pub fn due(&mut self, now: Nanos) -> Option<Outgoing> {
        let is_held = match self.hold {
            Hold::Nothing => false,
            Hold::UntilAsked => true,
            Hold::UntilAnswer(until) => now < until,
        };
        if is_held { None } else { self.pcm.take() }
    }

    /// When to look again although nothing came.
    pub fn wake_at(&self) -> Option<Nanos> {
        match self.hold {
            Hold::UntilAnswer(until) if self.pcm.is_some() => Some(until),
            _ => None,
        }
    }
}

/// Whether a config asks for a session of text alone, in the words that a server listens to.
fn is_text_only(config: &Map<String, Value>) -> bool {
    is_set(config, "text_only") && is_set(config, "telemetry_version")
}

/// Whether a field is there and counts as true in Python.
fn is_set(fields: &Map<String, Value>, key: &str) -> bool {
    fields.get(key).is_some_and(|value| !is_nothing(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ASKED: Nanos = Nanos(1_000_000_000);
    const SOON: Nanos = Nanos(1_100_000_000);
    const LATE: Nanos = Nanos(6_000_000_000);

    /// Whether the PCM is sent soon, and late, after these messages of the server.
    #[track_caller]
    fn check(config: &Value, server: &[&str], soon: bool, late: bool) {
        let upload = || {
            let mut upload = Upload::of(config.as_object().unwrap(), Some(vec![1]));
            upload.asked(ASKED);
            for text in server {
                let down = Direction::ServerToClient;
                upload.see(&Message::new(down, Opcode::Text, text.as_bytes()));
            }
            upload
        };
        assert_eq!(upload().due(SOON).is_some(), soon, "{config} {server:?}");
        assert_eq!(upload().due(LATE).is_some(), late, "{config} {server:?}");
        let wakes = upload().wake_at();
        assert_eq!(wakes.is_some(), !soon && late, "{config} {server:?}: {wakes:?}");
    }

    #[test]
    fn pcm_goes_to_the_servers_that_need_it() {
        let asks = json!({"text_only": true, "telemetry_version": 1});
        let knows = r#"{"type":"init_ack","supports_text_only":true}"#;
        let june = r#"{"type":"init_ack","session_id":"x"}"#;
        let refuses = r#"{"type":"init_ack","supports_text_only":false}"#;
        check(&asks, &[], false, true);
        check(&asks, &[knows], false, false);
        check(&asks, &[june], true, true);
        check(&asks, &[refuses], true, true);
        check(&asks, &["nonsense", r#"{"type":"loading"}"#], false, true);
        check(&asks, &[r#"{"type":"ready"}"#], false, false);
        // Text alone without telemetry_version is nothing that a server listens to.
        check(&json!({"text_only": true}), &[knows], true, true);
        check(&json!({"text_only": 0, "telemetry_version": 1}), &[knows], true, true);
        check(&json!({}), &[], true, true);
    }

    #[test]
    fn nothing_is_sent_before_the_config() {
        let asks = json!({"text_only": true, "telemetry_version": 1});
        let mut upload = Upload::of(asks.as_object().unwrap(), Some(vec![1]));
        assert_eq!((upload.due(LATE), upload.wake_at()), (None, None));
        let mut nothing = Upload::of(asks.as_object().unwrap(), None);
        nothing.asked(ASKED);
        assert_eq!((nothing.due(LATE), nothing.wake_at()), (None, None));
    }
}
