//! The server's answers to commands and to the binary messages that follow some of them.
//!
//! A command is answered as the real server answers it; what is none, or lacks what it cannot do
//! without, is ignored. Nothing that a client sends ends the session. The side bus gives the same
//! commands with their binaries; of it, `params` and `set_prompt_blend` are not applied but echoed
//! to the client, whose page turns them.

use serde_json::{Map, Value, json};

use super::after;
use super::config::MAX_DEPTH;
use super::contract;
use super::events::{self, MANUAL_SLOT_CAP};
use super::intake::{Injected, scalars};
use super::outbox::Outbox;
use super::pcm::{self, Pcm};
use super::session::{PendingSwap, Session};
use super::source::{self, Loaded};
use super::uploads::{AwaitedUpload, Reference, SwapRequest, Upload};
use crate::peer::Outgoing;
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::message::kind_of;

/// Frames of audio in one frame of the model.
const MODEL_FRAME: usize = 1_920;
/// Frames of the model that are made anew on either side of audio that was written.
const WRITE_MARGIN: usize = 10;
/// Samples over which written audio replaces what was there: 5 ms at 48 kHz.
pub(super) const WRITE_FADE: usize = 240;

impl Session {
    /// Any text of the client's but `params`.
    pub(super) fn command(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let Some((kind, fields)) = typed(fields) else { return };
        if let Some(capability) = self.lacks(kind) {
            return outbox.text(now, events::command_failed(kind, capability));
        }
        match self.announced(kind, &fields) {
            Some(upload) => {
                let due = after(now, self.payload_within_s);
                self.awaited = Some(AwaitedUpload { upload, due });
            }
            None => self.obey(now, kind, &fields, outbox),
        }
    }

    /// A command from elsewhere, with its binary; no binary is an empty one.
    pub(super) fn inject(&mut self, now: Nanos, injected: &Injected, outbox: &mut Outbox) {
        let Some((kind, fields)) = typed(&injected.command) else { return };
        if let Some(capability) = self.lacks(kind) {
            return outbox.text(now, events::command_failed(kind, capability));
        }
        if let Some(upload) = self.announced(kind, &fields) {
            return self.binary(now, upload, &injected.binary, outbox);
        }
        match kind {
            "params" => {
                let raw = fields.get("raw").and_then(Value::as_object).cloned();
                self.echo_params(now, raw.unwrap_or_default(), outbox);
            }
            "set_prompt_blend" => {
                self.touch(now);
                let value = number(&fields, "value").unwrap_or(0.0).clamp(0.0, 1.0);
                outbox.text(now, json!({"type": "prompt_blend_echo", "value": value}).to_string());
            }
            _ => self.obey(now, kind, &fields, outbox),
        }
    }

    /// Knobs turned elsewhere: the client hears of them, and turns them by sending them back.
    pub(super) fn echo_params(&mut self, now: Nanos, raw: Map<String, Value>, outbox: &mut Outbox) {
        let raw = scalars(raw);
        if self.knobs.note(&raw) {
            self.touch(now);
        }
        outbox.text(now, events::params_echo(&raw));
    }

    fn obey(&mut self, now: Nanos, kind: &str, fields: &Map<String, Value>, outbox: &mut Outbox) {
        match kind {
            "loop_band" => {
                self.touch(now);
                let bounds = number(fields, "start_sec").zip(number(fields, "end_sec"));
                self.placement.set_band(bounds);
            }
            "prompt" => self.prompt(now, fields, outbox),
            "set_prompt_blend" => {
                self.conditioning.set_blend(number(fields, "value").unwrap_or(0.0));
                self.stir(now);
            }
            "set_timbre_strength" => {
                self.conditioning.set_timbre_strength(number(fields, "value").unwrap_or(1.0));
                self.stir(now);
            }
            "set_interp_method" => {
                let method = text(fields, "path").zip(text(fields, "method"));
                if method
                    .is_some_and(|(path, method)| self.conditioning.set_interpolation(path, method))
                {
                    self.stir(now);
                }
            }
            "set_depth" => {
                number(fields, "value")
                    .into_iter()
                    .for_each(|depth| self.set_depth(now, depth, outbox));
            }
            "enable_lora" | "disable_lora" | "add_lora" => self.lora(now, kind, fields, outbox),
            "manual_slot_add" => self.add_slot(now, outbox),
            "manual_slot_pop" => self.pop_slot(now, outbox),
            "set_timbre_fixture" => self.reference_fixture(now, Reference::Timbre, fields, outbox),
            "set_structure_fixture" => {
                self.reference_fixture(now, Reference::Structure, fields, outbox);
            }
            "clear_timbre_source" => self.clear_reference(now, Reference::Timbre, outbox),
            "clear_structure_source" => self.clear_reference(now, Reference::Structure, outbox),
            "swap_source" => self.swap_by_name(now, fields, outbox),
            "bounce" => self.bounce(now, fields, outbox),
            _ => {}
        }
    }

    /// The capability that a command requires and this session lacks. LoRAs are asked for where they
    /// are used, and a transcription has a refusal of its own once its audio is there.
    fn lacks(&self, kind: &str) -> Option<&'static str> {
        let required = contract::requires(kind)
            .filter(|required| !["lora", "midi_transcribe"].contains(required))?;
        (!self.has(required)).then_some(required)
    }

    pub(super) fn has(&self, capability: &str) -> bool {
        events::capabilities(&self.config)[capability] == true
    }

    /// The binary that a command says is to follow it.
    fn announced(&self, kind: &str, fields: &Map<String, Value>) -> Option<Upload> {
        let reference = |part: Reference| {
            let name = text(fields, "name").filter(|name| !name.is_empty());
            Upload::Reference { part, name: name.unwrap_or(part.name()).to_owned() }
        };
        Some(match kind {
            "set_timbre_source" => reference(Reference::Timbre),
            "set_structure_source" => reference(Reference::Structure),
            "swap_source" if fields.get("use_server_source") != Some(&Value::Bool(true)) => {
                Upload::Swap(swap_request(fields))
            }
            "write_audio" => Upload::Write {
                at_s: number(fields, "at_s").unwrap_or(0.0),
                sum: text(fields, "mix") == Some("sum"),
                fill: text(fields, "repeat") == Some("fill"),
                source_epoch: fields.get("source_epoch").and_then(Value::as_u64),
            },
            "midi_transcribe" => {
                Upload::Midi { request_id: fields.get("request_id").cloned().unwrap_or_default() }
            }
            _ => return None,
        })
    }

    /// The binary that a command announced.
    pub(super) fn binary(&mut self, now: Nanos, upload: Upload, bytes: &[u8], outbox: &mut Outbox) {
        if let Upload::Midi { .. } = upload {
            self.touch(now);
            return outbox.text(now, upload.failed("this server transcribes nothing"));
        }
        let pcm = match pcm::parse(bytes) {
            Ok(pcm) => pcm,
            Err(error) => return outbox.text(now, upload.failed(&error.to_string())),
        };
        match upload {
            Upload::Swap(request) => {
                let brought = Loaded::upload(pcm, self.seed);
                let loaded = brought.known_as(request.fixture.as_deref(), &self.library);
                self.load_swap(now, loaded, request);
            }
            Upload::Reference { part, name } => {
                self.set_reference(now, part, &name, pcm.frames(), outbox);
            }
            Upload::Write { .. } => {
                let answer = self.write_audio(now, &upload, &pcm);
                outbox.text(now, answer.unwrap_or_else(|error| upload.failed(&error)));
            }
            Upload::Midi { .. } => {}
        }
    }

    fn prompt(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let Some(tags) = text(fields, "tags") else { return };
        self.conditioning.set_prompts(tags, text(fields, "tags_b"));
        let beats = text(fields, "time_signature");
        self.music = self.music.clone().with(None, beats);
        self.stir(now);
        outbox.text(now, json!({"type": "prompt_applied", "tags": tags}).to_string());
    }

    fn set_depth(&mut self, now: Nanos, depth: f64, outbox: &mut Outbox) {
        self.touch(now);
        let depth = depth.clamp(1.0, f64::from(MAX_DEPTH)) as u32;
        if depth == self.config.depth {
            return;
        }
        self.config.depth = depth;
        self.rebuild(now);
        self.stir(now);
        outbox.text(now, json!({"type": "depth_applied", "value": depth}).to_string());
    }

    fn lora(&mut self, now: Nanos, kind: &str, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let Some(id) = text(fields, "id").filter(|id| !id.is_empty()) else { return };
        if !self.config.lora {
            return outbox.text(now, events::command_failed(kind, "lora"));
        }
        match kind {
            "enable_lora" => self.enable_lora(id, number(fields, "strength")),
            "disable_lora" => {
                self.loras.disable(id);
                self.knobs.remove_lora(id);
            }
            _ if text(fields, "url").is_some_and(|url| url.starts_with("https://")) => {
                self.loras.add(id);
            }
            _ => return,
        }
        self.rebuild(now);
        self.stir(now);
        outbox.text(now, events::lora_catalog(&self.loras.catalog()));
    }

    /// What the library does not have is not enabled.
    pub(super) fn enable_lora(&mut self, id: &str, strength: Option<f64>) {
        if let Some(strength) = self.loras.enable(id, strength) {
            self.knobs.add_lora(id, strength);
        }
    }

    fn add_slot(&mut self, now: Nanos, outbox: &mut Outbox) {
        if self.manual_slots < MANUAL_SLOT_CAP {
            self.manual_slots += 1;
            self.knobs.add_slot(self.manual_slots);
        }
        self.say_slots(now, outbox);
    }

    fn pop_slot(&mut self, now: Nanos, outbox: &mut Outbox) {
        if self.manual_slots > 0 {
            self.knobs.remove_slot(self.manual_slots);
            self.manual_slots -= 1;
        }
        self.say_slots(now, outbox);
    }

    fn say_slots(&mut self, now: Nanos, outbox: &mut Outbox) {
        self.touch(now);
        let count = json!({"type": "manual_slot_count", "count": self.manual_slots});
        outbox.text(now, count.to_string());
    }

    fn reference_fixture(
        &mut self,
        now: Nanos,
        part: Reference,
        fields: &Map<String, Value>,
        outbox: &mut Outbox,
    ) {
        let name = text(fields, "name").unwrap_or_default();
        match source::fixture_frames(name, &self.source) {
            Some(frames) => self.set_reference(now, part, name, frames, outbox),
            None => {
                self.touch(now);
                let upload = Upload::Reference { part, name: name.to_owned() };
                outbox.text(now, upload.failed(&format!("there is no fixture {name:?}")));
            }
        }
    }

    /// Of a timbre only as much counts as the source is long.
    fn set_reference(
        &mut self,
        now: Nanos,
        part: Reference,
        name: &str,
        frames: usize,
        outbox: &mut Outbox,
    ) {
        self.stir(now);
        *self.reference(part) = Some(name.to_owned());
        let duration = frames.min(self.frames as usize) as f64 / f64::from(DEFAULT_SAMPLE_RATE);
        let kind = format!("{}_set", part.name());
        outbox.text(now, json!({"type": kind, "name": name, "duration": duration}).to_string());
    }

    fn clear_reference(&mut self, now: Nanos, part: Reference, outbox: &mut Outbox) {
        self.stir(now);
        *self.reference(part) = None;
        let kind = format!("{}_cleared", part.name());
        outbox.text(now, json!({"type": kind}).to_string());
    }

    fn reference(&mut self, part: Reference) -> &mut Option<String> {
        match part {
            Reference::Timbre => &mut self.conditioning.timbre,
            Reference::Structure => &mut self.conditioning.structure,
        }
    }

    /// A source that the server has: an uploaded track, or else a fixture.
    fn swap_by_name(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let request = swap_request(fields);
        let name = request.fixture.as_deref().unwrap_or(source::BUILT_IN);
        let track = self.library.track(name).map(|track| Loaded::track(&track, self.seed));
        match track.or_else(|| Loaded::fixture(name, &self.source, self.seed)) {
            Some(loaded) => self.load_swap(now, loaded, request),
            None => {
                let error = format!("there is no track and no fixture {name:?}");
                outbox.text(now, Upload::Swap(request).failed(&error));
            }
        }
    }

    fn load_swap(&mut self, now: Nanos, loaded: Loaded, request: SwapRequest) {
        self.touch(now);
        let (key, beats) = (request.key.as_deref(), request.time_signature.as_deref());
        let mut loaded = loaded.said_to_be(key, beats);
        if !events::refines_as_acestep(&self.config) {
            loaded = loaded.in_stereo();
        }
        self.swap = Some(PendingSwap { due: self.loaded_at(now), loaded, request });
    }

    /// Writes audio into the loop; the answer, or why not.
    fn write_audio(&mut self, now: Nanos, upload: &Upload, pcm: &Pcm) -> Result<String, String> {
        let Upload::Write { at_s, sum, fill, source_epoch } = *upload else {
            return Err("nothing was to be written".to_owned());
        };
        self.touch(now);
        let current = self.source_epoch;
        if let Some(epoch) = source_epoch.filter(|&epoch| epoch != u64::from(current)) {
            return Err(format!(
                "source_epoch {epoch} is over, it is {current} now: the source was swapped; take \
                 it from ready or swap_ready"
            ));
        }
        let audio = pcm::for_channels(pcm, self.channels).ok_or_else(|| {
            format!("{} channels do not fit a loop of {}", pcm.channels, self.channels)
        })?;
        let rate = f64::from(DEFAULT_SAMPLE_RATE);
        let (start, frames) = ((at_s * rate).round(), self.frames as usize);
        if start < 0.0 || start >= frames as f64 {
            let duration_s = frames as f64 / rate;
            return Err(format!("at_s {at_s:.3} lies outside the source of {duration_s:.3} s"));
        }
        let start = start as usize;
        let end = if fill {
            self.loop_audio.fill(start, &audio, sum);
            frames
        } else {
            start + self.loop_audio.write(start, &audio, sum, WRITE_FADE)
        };
        let first = if fill { 0 } else { start / MODEL_FRAME };
        let first_s = first.saturating_sub(WRITE_MARGIN) as f64 / 25.0;
        let last = (end.div_ceil(MODEL_FRAME) + WRITE_MARGIN).min(frames.div_ceil(MODEL_FRAME));
        Ok(json!({
            "type": "audio_written",
            "start_s": first_s,
            "end_s": last as f64 / 25.0,
            "source_epoch": current,
        })
        .to_string())
    }

    /// The whole loop as it is now.
    fn bounce(&mut self, now: Nanos, fields: &Map<String, Value>, outbox: &mut Outbox) {
        let ready = json!({
            "type": "bounce_ready",
            "request_id": fields.get("request_id"),
            "sample_rate": DEFAULT_SAMPLE_RATE,
            "channels": self.channels,
            "frames": self.frames,
            "num_gens": self.generations(),
        });
        outbox.text(now, ready.to_string());
        let buffer = pcm::to_halves(self.loop_audio.audio());
        outbox.message(now, Outgoing::Binary(buffer));
    }
}

/// What a command is called, and its fields as the contract has them.
fn typed(fields: &Map<String, Value>) -> Option<(&str, Map<String, Value>)> {
    let kind = kind_of(fields)?;
    Some((kind, contract::typed(kind, fields)?))
}

fn swap_request(fields: &Map<String, Value>) -> SwapRequest {
    let text = |key: &str| text(fields, key).map(str::to_owned);
    SwapRequest {
        tags: text("tags").filter(|tags| !tags.is_empty()),
        key: text("key"),
        time_signature: text("time_signature"),
        fixture: text("fixture_name"),
        stem_mode: text("stem_source_mode"),
    }
}

fn text<'a>(fields: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    fields.get(key)?.as_str()
}

fn number(fields: &Map<String, Value>, key: &str) -> Option<f64> {
    fields.get(key)?.as_f64()
}
