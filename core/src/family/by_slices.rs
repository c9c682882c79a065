//! The family of a session in which neither config nor `ready` names one, by what its slices do and by
//! the keys that its server tells.
//!
//! Enters: messages in their order. Leaves: a note for the header of a capture, from which
//! [`FamilyUse::of_session`] takes the family. An import asks; a live client need not, since every
//! server that has other families than acestep says what it refines. Never looks at audio.

use serde_json::Value;

use super::{Family, FamilyKind, FamilyUse, fields};
use crate::capture::Message;
use crate::event::{Event, Interpreter};
use crate::time::DEFAULT_SAMPLE_RATE;
use crate::wire::json;
use crate::wire::message::Ready;
use crate::wire::slice::SliceHeader;

/// Key of the note in a header's metadata.
pub const FAMILY_NOTE: &str = "family.by_slices";

/// Slices of which it is told at least, and after which it is known.
const FEWEST_SLICES: u64 = 4;
const ENOUGH_SLICES: u64 = 64;
/// Share of them that go on where the one before ended, where a tape may have holes.
const APPENDED_SHARE: f64 = 0.9;
/// Frames that a slice of a tape repeats of the one before, but for the first and at the seam
/// (`mrt2/backend.py@0aa43c8`, `engine/minimax_render.py@6436add`).
const REPEAT_FRAMES: u64 = 1_200;

/// Keys of `params_update` that only one family has (WC@0cfdd61, the backends).
const TELLING_KEYS: [(&str, Family); 7] = [
    ("frontier_lead_s", Family::Minimax),
    ("ar_frames", Family::Minimax),
    ("chunk_render_ms", Family::Minimax),
    ("minimax_ar_seed", Family::Minimax),
    ("gen_sa3_denoise", Family::Sa3),
    ("gen_yue2_denoise", Family::Yue2),
    ("yue2_nar", Family::Yue2),
];

/// Watches a session for what its family is.
#[derive(Debug, Default)]
pub struct FamilyWatch {
    interpreter: Interpreter,
    config: String,
    ready: Option<Ready>,
    is_named: bool,
    /// Frames of the window.
    frames: u64,
    /// Where the newest slice ends.
    frontier: u64,
    begins_at_zero: bool,
    slices: u64,
    appended: u64,
    told: Option<(&'static str, Family)>,
}

impl FamilyWatch {
    /// Before the first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next message.
    pub fn see(&mut self, connection: u32, message: &Message<'_>) {
        match self.interpreter.read(connection, message) {
            Event::Config(text) => text.clone_into(&mut self.config),
            Event::Ready { declared, .. } => {
                self.ready = Some(declared);
                let ready = message.text().unwrap_or_default();
                self.is_named = FamilyUse::said(&fields(&self.config), &fields(ready)).is_some();
            }
            Event::InitialBuffer => self.frames = self.frames_of(message.len()),
            Event::SwapBuffer { .. } => self.is_named = true,
            Event::Slice => self.slice(message),
            Event::ParamsUpdate if self.told.is_none() => {
                self.told = message.text().and_then(told);
            }
            _ => {}
        }
    }

    /// Whether nothing that is to come would change the answer.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_named || self.slices >= ENOUGH_SLICES
    }

    /// What is to be noted, where the session does not say it and its slices do.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        if self.is_named || self.frames == 0 {
            return None;
        }
        let appends = self.slices >= FEWEST_SLICES
            && self.begins_at_zero
            && self.appended as f64 >= self.slices as f64 * APPENDED_SHARE;
        let kind = match (appends, self.told) {
            (true, _) => FamilyKind::AppendOnlyTape,
            (false, Some((_, family))) => family.traits().kind,
            (false, None) => return None,
        };
        let told = self.told.map(|(key, _)| format!("params_update has {key}"));
        let slices = format!(
            "{} of the first {} slices go on where the one before ended",
            self.appended, self.slices
        );
        let why: Vec<_> = told.into_iter().chain(appends.then_some(slices)).collect();
        let name = self.told.map_or(Family::Unknown, |(_, family)| family);
        Some(FamilyUse { name, kind, why: why.join(", "), contradicts: false }.note())
    }

    fn frames_of(&self, bytes: u64) -> u64 {
        let channels = self.ready.map_or(1, |ready| ready.channels);
        bytes / 2 / u64::from(channels.max(1))
    }

    fn slice(&mut self, message: &Message<'_>) {
        let Ok(SliceHeader { start, frames, .. }) = SliceHeader::parse(message.payload) else {
            return;
        };
        let start = u64::from(start);
        let rate = self.ready.map_or(DEFAULT_SAMPLE_RATE, |ready| ready.sample_rate);
        let repeat = REPEAT_FRAMES * u64::from(rate) / u64::from(DEFAULT_SAMPLE_RATE);
        let window = self.frames.max(1);
        let behind = (self.frontier + window - start % window) % window;
        let goes_on = if self.slices == 0 { start == 0 } else { [0, repeat].contains(&behind) };
        self.begins_at_zero |= self.slices == 0 && goes_on;
        self.appended += u64::from(goes_on);
        self.slices += 1;
        self.frontier = (start + u64::from(frames)) % window;
    }
}

/// The first key of a `params_update` that only one family has.
fn told(text: &str) -> Option<(&'static str, Family)> {
    let mut fields = json::parse_object(text).ok()?.fields;
    let Some(Value::Object(params)) = fields.remove("params") else { return None };
    TELLING_KEYS.into_iter().find(|(key, _)| params.contains_key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Direction, Opcode};
    use serde_json::json;

    const WINDOW: u64 = 480_000;

    fn text(watch: &mut FamilyWatch, direction: Direction, text: &Value) {
        watch.see(0, &Message::new(direction, Opcode::Text, text.to_string().as_bytes()));
    }

    /// A session after its initial buffer of 10 s in one channel.
    fn begun(config: &Value, ready: &Value) -> FamilyWatch {
        let mut watch = FamilyWatch::new();
        text(&mut watch, Direction::ClientToServer, config);
        let mut said = json!({"type": "ready", "channels": 1});
        said.as_object_mut().unwrap().extend(ready.as_object().unwrap().clone());
        text(&mut watch, Direction::ServerToClient, &said);
        let head = [0; 4];
        let buffer = Message::new(Direction::ServerToClient, Opcode::Binary, &head);
        watch.see(0, &Message { whole_len: Some(WINDOW * 2), ..buffer });
        watch
    }

    fn slice(watch: &mut FamilyWatch, start: u64, frames: u64) {
        let header = SliceHeader {
            flags: 1,
            start: start as u32,
            frames: frames as u32,
            channels: 1,
            tick_ms: 1.0,
            dec_ms: 1.0,
            generations: 1,
        };
        let head = header.to_bytes();
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &head);
        watch.see(0, &Message { whole_len: Some(frames), ..message });
    }

    /// Slices of a tape over some laps, of which one never comes.
    fn appended(mut watch: FamilyWatch, count: u64) -> FamilyWatch {
        let fresh = 48_000;
        for number in (0..count).filter(|number| *number != 5) {
            let at = number * fresh % WINDOW;
            let repeat = if at == 0 { 0 } else { REPEAT_FRAMES };
            slice(&mut watch, at - repeat, fresh + repeat);
        }
        watch
    }

    #[track_caller]
    fn check(watch: &FamilyWatch, expected: Option<(Family, FamilyKind, &str)>) {
        let note = watch.note();
        let found = note.as_deref().map(|note| FamilyUse::noted(note).unwrap());
        let found = found.as_ref().map(|it| (it.name, it.kind, it.why.as_str()));
        assert_eq!(found, expected);
    }

    #[test]
    fn slices_that_go_on_make_a_tape() {
        use FamilyKind::{AppendOnlyTape, RefiningLoop};
        let nothing = json!({});
        let why = "23 of the first 24 slices go on where the one before ended";
        let watch = appended(begun(&nothing, &nothing), 25);
        check(&watch, Some((Family::Unknown, AppendOnlyTape, why)));
        assert!(!watch.is_over());
        check(&appended(begun(&nothing, &nothing), 3), None);
        // What the session says of itself counts.
        let said = json!({"capabilities": {"refines_audio": true}});
        assert!(begun(&nothing, &said).is_over());
        check(&appended(begun(&nothing, &said), 25), None);
        check(&appended(begun(&json!({"backend": "sa3"}), &nothing), 25), None);
        // Slices of a loop lie over each other, and ahead of the listener.
        let mut refining = begun(&nothing, &nothing);
        (0..80).for_each(|number| slice(&mut refining, 11_520 + number * 1_920, 17_280));
        check(&refining, None);
        assert!(refining.is_over());
        // Even where they happen to meet.
        let mut meeting = begun(&nothing, &nothing);
        (0..20).for_each(|number| slice(&mut meeting, 11_520 + number * 17_280, 17_280));
        check(&meeting, None);
        let update = json!({"type": "params_update", "params": {"gen_sa3_denoise": 1.0}});
        text(&mut refining, Direction::ServerToClient, &update);
        let why = "params_update has gen_sa3_denoise";
        check(&refining, Some((Family::Sa3, RefiningLoop, why)));
    }

    #[test]
    fn the_server_tells_which_tape() {
        let mut watch = appended(begun(&json!({}), &json!({})), 10);
        let update = json!({"type": "params_update", "params": {"ar_frames": 100}});
        text(&mut watch, Direction::ServerToClient, &update);
        // A hole among so few is too many for the slices to decide, but not for the name.
        let why = "params_update has ar_frames";
        check(&watch, Some((Family::Minimax, FamilyKind::AppendOnlyTape, why)));
    }
}
