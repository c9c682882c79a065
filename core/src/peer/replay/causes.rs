//! Which action of a client a reply of the server answers.
//!
//! Actions are counted by kind. A command that announces a binary message is complete when that has
//! arrived.

use std::collections::{BTreeMap, VecDeque};

use serde_json::{Map, Value};

use crate::time::Nanos;
use crate::wire::json;
use crate::wire::message::kind_of;
use crate::wire::names;

/// The action that opens a session.
pub const CONFIG: &str = "config";
/// The audio that follows it.
pub const UPLOAD: &str = "upload";

/// The events that answer a client, and the commands that they can answer. Other events answer no
/// client: `params_echo` reports knobs turned elsewhere, and stems follow their buffer.
/// `command_failed` names its command.
const CAUSES: [(&str, &[&str]); 17] = [
    ("prompt_applied", &["prompt"]),
    ("prompt_blend_echo", &["set_prompt_blend"]),
    ("depth_applied", &["set_depth"]),
    ("lora_catalog", &["enable_lora", "disable_lora"]),
    ("manual_slot_count", &["manual_slot_add", "manual_slot_pop"]),
    ("timbre_set", &["set_timbre_source", "set_timbre_fixture"]),
    ("timbre_failed", &["set_timbre_source", "set_timbre_fixture"]),
    ("timbre_cleared", &["clear_timbre_source"]),
    ("structure_set", &["set_structure_source", "set_structure_fixture"]),
    ("structure_failed", &["set_structure_source", "set_structure_fixture"]),
    ("structure_cleared", &["clear_structure_source"]),
    ("swap_ready", &["swap_source"]),
    ("swap_failed", &["swap_source"]),
    ("audio_written", &["write_audio"]),
    ("audio_write_failed", &["write_audio"]),
    ("upload_ok", &["upload_track"]),
    ("upload_failed", &["upload_track"]),
];

/// Actions that may wait for a reply; the oldest are dropped first.
const MAX_UNANSWERED: usize = 4096;
/// Announced binary messages that may be outstanding.
const MAX_ANNOUNCED: usize = 64;
/// Kinds of actions that are counted.
const MAX_KINDS: usize = 256;
/// Longest name of a kind, in bytes.
const MAX_KIND_LEN: usize = 64;
/// Actions of one kind that are counted.
const MAX_DEEDS: usize = 1 << 20;

/// The action that a reply answers, and how long it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyCause {
    pub kind: String,
    /// Which of that kind, counted from 0.
    pub nth: u64,
    /// From the action to its reply, in nanoseconds of the tape.
    pub after_ns: u64,
}

/// What one client has done so far.
#[derive(Debug, Default)]
pub struct ClientActions {
    is_open: bool,
    announced: VecDeque<String>,
    done: BTreeMap<String, Vec<Nanos>>,
}

impl ClientActions {
    /// For a session that is already open.
    #[must_use]
    pub fn reopened() -> ClientActions {
        ClientActions { is_open: true, ..ClientActions::default() }
    }

    /// Takes a text message that is no report of the playhead. Returns the kind of the action that it
    /// completes, if any.
    pub fn text(&mut self, now: Nanos, fields: Option<&Map<String, Value>>) -> Option<String> {
        if !std::mem::replace(&mut self.is_open, true) {
            let names_fixture = |fields: &Map<String, Value>| {
                fields.get("use_server_fixture") == Some(&Value::Bool(true))
            };
            if fields.is_some_and(names_fixture) {
                // The server has the audio already: nothing is left to wait for.
                self.finish(now, UPLOAD);
            }
            return Some(self.finish(now, CONFIG));
        }
        let kind = fields.and_then(kind_of)?;
        if fields.is_some_and(announces_binary) {
            if self.announced.len() < MAX_ANNOUNCED {
                self.announced.push_back(kind.to_owned());
            }
            return None;
        }
        Some(self.finish(now, kind))
    }

    /// Takes a binary message. Returns the kind of the action that it completes.
    pub fn binary(&mut self, now: Nanos) -> String {
        let kind = self.announced.pop_front().unwrap_or_else(|| UPLOAD.to_owned());
        self.finish(now, &kind)
    }

    /// When the action was completed, if it was.
    #[must_use]
    pub fn done_at(&self, cause: &ReplyCause) -> Option<Nanos> {
        self.done.get(&cause.kind)?.get(usize::try_from(cause.nth).ok()?).copied()
    }

    fn finish(&mut self, now: Nanos, kind: &str) -> String {
        let is_known = self.done.contains_key(kind);
        if is_known || (kind.len() <= MAX_KIND_LEN && self.done.len() < MAX_KINDS) {
            let done = self.done.entry(kind.to_owned()).or_default();
            if done.len() < MAX_DEEDS {
                done.push(now);
            }
        }
        kind.to_owned()
    }

    fn count(&self, kind: &str) -> u64 {
        self.done.get(kind).map_or(0, |done| done.len() as u64)
    }
}

/// Whether a command announces a binary message.
fn announces_binary(fields: &Map<String, Value>) -> bool {
    let Some(kind) = kind_of(fields) else { return false };
    let command = ["commands", "handshake"].iter().find_map(|section| {
        let section = &names::protocol()[*section];
        section.get(kind).or_else(|| section.get("commands")?.get(kind))
    });
    let says = |key: &str| command.and_then(|command| command.get(key)) == Some(&Value::Bool(true));
    let has_server_source = fields.get("use_server_source") == Some(&Value::Bool(true));
    says("binary") && !(says("binary_optional") && has_server_source)
}

/// Finds the causes of recorded replies.
#[derive(Debug, Default)]
pub struct CauseMatcher {
    actions: ClientActions,
    unanswered: VecDeque<(String, u64, Nanos)>,
}

impl CauseMatcher {
    /// For a session that is already open.
    #[must_use]
    pub fn reopened() -> CauseMatcher {
        CauseMatcher { actions: ClientActions::reopened(), ..CauseMatcher::default() }
    }

    /// Takes a text of the recorded client that is no report.
    pub fn text(&mut self, t: Nanos, text: &str) -> Option<String> {
        let object = json::parse_object(text).ok();
        let kind = self.actions.text(t, object.as_ref().map(|object| &object.fields));
        self.note(t, kind.as_deref());
        kind
    }

    /// Takes a binary of the recorded client.
    pub fn binary(&mut self, t: Nanos) -> String {
        let kind = self.actions.binary(t);
        self.note(t, Some(&kind));
        kind
    }

    fn note(&mut self, t: Nanos, kind: Option<&str>) {
        let Some(kind) = kind.filter(|kind| ![CONFIG, UPLOAD].contains(kind)) else { return };
        let Some(nth) = self.actions.count(kind).checked_sub(1) else { return };
        if self.unanswered.len() == MAX_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((kind.to_owned(), nth, t));
    }

    /// The cause of a reply before the stream: the config, or the upload after it.
    #[must_use]
    pub fn handshake(&self, t: Nanos, kind: &str) -> Option<ReplyCause> {
        let opener = match kind {
            "ready" | "error" if self.actions.count(UPLOAD) > 0 => UPLOAD,
            "ready" | "error" | "init_ack" => CONFIG,
            _ => return None,
        };
        let done = *self.actions.done.get(opener)?.first()?;
        let after_ns = t.0.saturating_sub(done.0);
        Some(ReplyCause { kind: opener.to_owned(), nth: 0, after_ns })
    }

    /// The cause of an event of the stream: the oldest unanswered action that it can answer.
    pub fn event(&mut self, t: Nanos, fields: &Map<String, Value>) -> Option<ReplyCause> {
        let kind = kind_of(fields)?;
        let failed =
            fields.get("command").and_then(Value::as_str).filter(|_| kind == "command_failed");
        let named = failed.as_slice();
        let listed = CAUSES.iter().find(|(event, _)| *event == kind).map(|(_, commands)| *commands);
        let commands = listed.unwrap_or(named);
        let at =
            self.unanswered.iter().position(|(action, ..)| commands.contains(&action.as_str()))?;
        let (kind, nth, done) = self.unanswered.remove(at)?;
        Some(ReplyCause { kind, nth, after_ns: t.0.saturating_sub(done.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a script of messages, a nanosecond apart: `>` the client's, `<` the server's; text in
    /// braces, else binary. The causes of the server's as `kind#nth+after`.
    #[track_caller]
    fn check(script: &[&str], expected: &[&str]) {
        let mut matcher = CauseMatcher::default();
        let mut found = Vec::new();
        for (t, message) in (0..).map(Nanos).zip(script) {
            let (way, payload) = message.split_at(1);
            match (way, payload.starts_with('{')) {
                (">", true) => drop(matcher.text(t, payload)),
                (">", false) => drop(matcher.binary(t)),
                _ => {
                    let fields = json::parse_object(payload).unwrap().fields;
                    let kind = kind_of(&fields).unwrap();
                    let cause = matcher.handshake(t, kind).or_else(|| matcher.event(t, &fields));
                    found.push(cause.map_or("nobody".to_owned(), |cause| {
                        format!("{}#{}+{}", cause.kind, cause.nth, cause.after_ns)
                    }));
                }
            }
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn the_handshake_answers_what_opened_it() {
        check(
            &[r#">{"prompt":"x"}"#, r#"<{"type":"init_ack"}"#, r#"<{"type":"ready"}"#],
            &["config#0+1", "config#0+2"],
        );
        check(&[r#">{"use_server_fixture":true}"#, r#"<{"type":"ready"}"#], &["upload#0+1"]);
        check(
            &[r#">{}"#, ">pcm", r#"<{"type":"init_ack"}"#, r#"<{"type":"ready"}"#],
            &["config#0+2", "upload#0+2"],
        );
    }

    #[test]
    fn replies_answer_the_oldest_command_of_theirs() {
        check(
            &[
                r#">{}"#,
                r#">{"type":"prompt","tags":"a"}"#,
                r#">{"type":"set_depth","value":2}"#,
                r#">{"type":"prompt","tags":"b"}"#,
                r#"<{"type":"depth_applied"}"#,
                r#"<{"type":"prompt_applied"}"#,
                r#"<{"type":"prompt_applied"}"#,
                r#"<{"type":"prompt_applied"}"#,
            ],
            &["set_depth#0+2", "prompt#0+4", "prompt#1+3", "nobody"],
        );
        check(
            &[
                r#">{}"#,
                r#"<{"type":"lora_catalog"}"#,
                r#">{"type":"disable_lora","id":"x"}"#,
                r#">{"type":"nonsense"}"#,
                r#"<{"type":"command_failed","command":"nonsense"}"#,
                r#"<{"type":"lora_catalog"}"#,
                r#"<{"type":"params_echo","raw":{}}"#,
            ],
            &["nobody", "nonsense#0+1", "disable_lora#0+3", "nobody"],
        );
    }

    #[test]
    fn a_command_that_announces_audio_is_done_with_it() {
        check(
            &[
                r#">{}"#,
                r#">{"type":"swap_source"}"#,
                r#">{"type":"write_audio"}"#,
                ">pcm",
                ">pcm",
                r#"<{"type":"audio_written"}"#,
                r#"<{"type":"swap_ready"}"#,
            ],
            &["write_audio#0+1", "swap_source#0+3"],
        );
        check(
            &[
                r#">{}"#,
                r#">{"type":"swap_source","use_server_source":true}"#,
                r#"<{"type":"swap_ready"}"#,
                r#"<{"type":"stem_assets"}"#,
            ],
            &["swap_source#0+1", "nobody"],
        );
    }

    #[test]
    fn every_cause_is_a_command_of_the_protocol() {
        let protocol = names::protocol();
        for (event, commands) in CAUSES {
            let events = [&protocol["events"], &protocol["handshake"]["events"]];
            assert!(events.iter().any(|events| events.get(event).is_some()), "{event}");
            for command in commands {
                let known = [&protocol["commands"], &protocol["handshake"]["commands"]];
                assert!(known.iter().any(|known| known.get(command).is_some()), "{command}");
            }
        }
    }
}
