//! The server's answers to commands and to the binary messages that follow some of them.
//!
//! Every command of the protocol is answered as the real server answers it, or with `command_failed`;
//! nothing that a client sends ends the session.

use serde_json::{Map, Value, json};

use super::config::{MANUAL_SLOT_CAP, MAX_DEPTH};
use super::events;
use super::outbox::Outbox;
use super::pcm::{self, Pcm};
use super::session::{PendingSwap, Session};
use super::source::Loaded;
use super::uploads::{Reference, Upload};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::message::kind_of;

impl Session {
    /// Any text but `params`.
    pub(super) fn command(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let kind = kind_of(fields).unwrap_or("");
        let failed = |requires: &str, error: &str| events::command_failed(kind, requires, error);
        match kind {
            "prompt" => self.prompt(now, fields, outbox),
            "set_prompt_blend" => {
                self.stir(now);
                let value = number(fields, "value").unwrap_or(0.0);
                outbox.text(now, json!({"type": "prompt_blend_echo", "value": value}).to_string());
            }
            "set_interp_method" | "set_timbre_strength" => self.stir(now),
            "set_depth" => match number(fields, "value") {
                Some(depth) => self.set_depth(now, depth, outbox),
                None => outbox.text(now, failed("depth", "value is not a number")),
            },
            "loop_band" => {
                let bounds = number(fields, "start_sec").zip(number(fields, "end_sec"));
                self.placement.set_band(bounds);
            }
            "enable_lora" | "disable_lora" if self.config.lora => {
                self.rebuild(now);
                self.stir(now);
                let catalog = events::lora_list(true);
                outbox.text(now, json!({"type": "lora_catalog", "catalog": catalog}).to_string());
            }
            "enable_lora" | "disable_lora" => {
                outbox.text(now, failed("lora", "this session was started without LoRAs"));
            }
            "manual_slot_add" => self.set_manual_slots(now, self.manual_slots + 1, outbox),
            "manual_slot_pop" => {
                self.set_manual_slots(now, self.manual_slots.saturating_sub(1), outbox);
            }
            "set_timbre_source" => self.expect_reference(Reference::Timbre, fields),
            "set_structure_source" => self.expect_reference(Reference::Structure, fields),
            "set_timbre_fixture" => self.reference_fixture(now, Reference::Timbre, fields, outbox),
            "set_structure_fixture" => {
                self.reference_fixture(now, Reference::Structure, fields, outbox);
            }
            "clear_timbre_source" => self.clear_reference(now, Reference::Timbre, outbox),
            "clear_structure_source" => self.clear_reference(now, Reference::Structure, outbox),
            "swap_source" => self.swap_source(now, fields, outbox),
            "write_audio" => self.uploads.expect(Upload::Write {
                at_s: number(fields, "at_s").unwrap_or(0.0),
                sum: text(fields, "mix") == Some("sum"),
                fill: text(fields, "repeat") == Some("fill"),
                source_epoch: fields.get("source_epoch").and_then(Value::as_u64),
            }),
            "midi_transcribe" => {
                self.uploads.expect(Upload::Ignored);
                outbox.text(now, failed("notes_conditioning", "this model takes no notes"));
            }
            _ => outbox.text(now, failed("", "unknown command")),
        }
    }

    /// A binary belongs to the oldest command that announced one.
    pub(super) fn binary(&mut self, now: Nanos, bytes: &[u8], outbox: &mut Outbox) {
        let Some(upload) = self.uploads.next() else { return };
        let audio = pcm::parse(bytes);
        match (upload, audio) {
            (Upload::Ignored, _) => {}
            (Upload::Swap { fixture, stem_mode }, Ok(pcm)) => {
                self.load_swap(now, Loaded::upload(pcm, self.seed), fixture, stem_mode);
            }
            (Upload::Swap { .. }, Err(error)) => outbox.text(now, swap_failed(&error.to_string())),
            (Upload::Reference { part, name }, Ok(pcm)) => {
                self.set_reference(now, part, &name, pcm.frames(), outbox);
            }
            (Upload::Reference { part, .. }, Err(error)) => {
                outbox.text(now, reference_failed(part, &error.to_string()));
            }
            (Upload::Write { source_epoch: Some(epoch), .. }, Ok(_))
                if epoch != u64::from(self.source_epoch) =>
            {
                outbox.text(now, write_failed("the source was swapped meanwhile"));
            }
            (Upload::Write { at_s, sum, fill, .. }, Ok(pcm)) => {
                self.write_audio(now, at_s, sum, fill, &pcm, outbox);
            }
            (Upload::Write { .. }, Err(error)) => {
                outbox.text(now, write_failed(&error.to_string()));
            }
        }
    }

    fn prompt(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let Some(tags) = text(fields, "tags") else {
            return outbox.text(now, events::command_failed("prompt", "", "tags are missing"));
        };
        self.config.prompt = tags.to_owned();
        self.stir(now);
        outbox.text(now, json!({"type": "prompt_applied", "tags": tags}).to_string());
    }

    fn set_depth(&mut self, now: Nanos, depth: f64, outbox: &mut Outbox) {
        self.config.depth = depth.clamp(1.0, f64::from(MAX_DEPTH)) as u32;
        self.rebuild(now);
        self.stir(now);
        let applied = json!({"type": "depth_applied", "value": self.config.depth});
        outbox.text(now, applied.to_string());
    }

    fn set_manual_slots(&mut self, now: Nanos, slots: u32, outbox: &mut Outbox) {
        self.manual_slots = slots.min(MANUAL_SLOT_CAP);
        let count = json!({"type": "manual_slot_count", "count": self.manual_slots});
        outbox.text(now, count.to_string());
    }

    fn expect_reference(&mut self, part: Reference, fields: &Map<String, Value>) {
        let name = text(fields, "name").unwrap_or(part.name()).to_owned();
        self.uploads.expect(Upload::Reference { part, name });
    }

    fn reference_fixture(
        &mut self,
        now: Nanos,
        part: Reference,
        fields: &Map<String, Value>,
        outbox: &mut Outbox,
    ) {
        let name = text(fields, "name").unwrap_or_default();
        match Loaded::fixture(name, &self.source, self.seed) {
            Some(loaded) => self.set_reference(now, part, name, loaded.pcm.frames(), outbox),
            None => outbox.text(now, reference_failed(part, "no such fixture")),
        }
    }

    fn set_reference(
        &mut self,
        now: Nanos,
        part: Reference,
        name: &str,
        frames: usize,
        outbox: &mut Outbox,
    ) {
        self.stir(now);
        let duration = frames as f64 / f64::from(DEFAULT_SAMPLE_RATE);
        let kind = format!("{}_set", part.name());
        outbox.text(now, json!({"type": kind, "name": name, "duration": duration}).to_string());
    }

    fn clear_reference(&mut self, now: Nanos, part: Reference, outbox: &mut Outbox) {
        self.stir(now);
        let kind = format!("{}_cleared", part.name());
        outbox.text(now, json!({"type": kind}).to_string());
    }

    /// A source of the server's is loaded at once; otherwise the client's is to follow.
    fn swap_source(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let fixture = text(fields, "fixture_name").map(str::to_owned);
        let stem_mode = text(fields, "stem_source_mode").map(str::to_owned);
        if fields.get("use_server_source") != Some(&Value::Bool(true)) {
            return self.uploads.expect(Upload::Swap { fixture, stem_mode });
        }
        let name = fixture.as_deref().unwrap_or(super::source::BUILT_IN);
        match Loaded::fixture(name, &self.source, self.seed) {
            Some(loaded) => self.load_swap(now, loaded, fixture, stem_mode),
            None => outbox.text(now, swap_failed("no such fixture")),
        }
    }

    fn load_swap(
        &mut self,
        now: Nanos,
        loaded: Loaded,
        fixture: Option<String>,
        stem_mode: Option<String>,
    ) {
        self.swap = Some(PendingSwap { due: self.loaded_at(now), loaded, fixture, stem_mode });
    }

    fn write_audio(
        &mut self,
        now: Nanos,
        at_s: f64,
        sum: bool,
        fill: bool,
        pcm: &Pcm,
        outbox: &mut Outbox,
    ) {
        if pcm.channels != self.channels {
            let error = format!("{} channels do not fit a loop of {}", pcm.channels, self.channels);
            return outbox.text(now, write_failed(&error));
        }
        let rate = f64::from(DEFAULT_SAMPLE_RATE);
        let start = (at_s * rate).trunc().rem_euclid(f64::from(self.frames));
        let start = (start as usize).min(self.frames as usize - 1);
        let room = self.loop_audio.audio().len();
        let touched = if fill {
            let repeated: Vec<f32> = pcm.audio.iter().copied().cycle().take(room).collect();
            self.loop_audio.write(start, &repeated, sum)
        } else {
            self.loop_audio.write(start, &pcm.audio, sum)
        };
        let start_s = start as f64 / rate;
        let written = json!({
            "type": "audio_written",
            "start_s": start_s,
            "end_s": start_s + touched as f64 / rate,
            "source_epoch": self.source_epoch,
        });
        outbox.text(now, written.to_string());
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key)?.as_str()
}

fn number(fields: &Map<String, Value>, key: &str) -> Option<f64> {
    fields.get(key)?.as_f64()
}

fn swap_failed(error: &str) -> String {
    json!({"type": "swap_failed", "error": error}).to_string()
}

fn write_failed(error: &str) -> String {
    json!({"type": "audio_write_failed", "error": error}).to_string()
}

fn reference_failed(part: Reference, error: &str) -> String {
    json!({"type": format!("{}_failed", part.name()), "error": error}).to_string()
}
