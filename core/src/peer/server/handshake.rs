//! The handshake, from the first message to the initial buffer.
//!
//! It ends with what a session needs to start, once the source would have been loaded, or with an error
//! and a close code.

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use super::config::Config;
use super::library::{TrackLibrary, UserTrack};
use super::music::{Music, known_time_signature};
use super::outbox::Outbox;
use super::source::Loaded;
use super::{Incoming, ServerOptions, after, events, pcm, profile};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Close code of everything that goes wrong before a session.
const INIT_ERROR: u16 = 1011;
/// Close code for clients that bring only text, where that is refused.
const TEXT_ONLY: u16 = 1008;
/// Close code after an upload, whatever became of it.
const UPLOADED: u16 = 1000;

/// Where the handshake stands.
#[derive(Default)]
pub(super) struct Handshake {
    step: Step,
    /// The fixture that the config names and the server does not have.
    pub unknown_fixture: Option<String>,
    /// The track that was uploaded.
    pub uploaded: Option<UserTrack>,
}

#[derive(Default)]
enum Step {
    #[default]
    Config,
    /// The socket of `upload_track`, with its fields: one recording, no session.
    Track(Map<String, Value>),
    Pcm(Config),
    Loading(Start),
    Done,
}

/// What a session begins with, and when.
pub(super) struct Start {
    pub at: Nanos,
    pub config: Config,
    pub loaded: Loaded,
}

/// `Break`: the connection is to end.
type Going = ControlFlow<()>;

impl Handshake {
    pub fn receive(
        &mut self,
        now: Nanos,
        message: Incoming<'_>,
        (options, session_id): (&ServerOptions, &str),
        outbox: &mut Outbox,
    ) -> Going {
        match (std::mem::replace(&mut self.step, Step::Done), message) {
            (Step::Config, Incoming::Text(text)) => {
                self.config(now, text, (options, session_id), outbox)
            }
            (Step::Config, _) => refuse(now, "handshake_failed", "expected a JSON config", outbox),
            (Step::Track(fields), Incoming::Binary(bytes)) => {
                let answer = self.keep_track(&fields, bytes, &options.library);
                outbox.text(now, answer.unwrap_or_else(|error| upload_failed(&error)));
                outbox.close(now, UPLOADED, "");
                Going::Break(())
            }
            (Step::Track(_), Incoming::Text(_)) => {
                outbox.text(now, upload_failed("a binary message was to follow upload_track"));
                outbox.close(now, UPLOADED, "");
                Going::Break(())
            }
            (Step::Pcm(config), Incoming::Binary(bytes)) => match pcm::parse(bytes) {
                Ok(pcm) => {
                    let name = config.fixture_name.as_deref();
                    let brought = Loaded::upload(pcm, options.seed);
                    let loaded = brought.known_as(name, &options.library);
                    self.load(now, config, loaded, options)
                }
                Err(error) => refuse(now, "bad_audio", &error.to_string(), outbox),
            },
            (step, _) => {
                self.step = step;
                Going::Continue(())
            }
        }
    }

    /// The start that is due by now, once.
    pub fn due(&mut self, now: Nanos) -> Option<Start> {
        if self.wake_at()? > now {
            return None;
        }
        match std::mem::replace(&mut self.step, Step::Done) {
            Step::Loading(start) => Some(start),
            _ => None,
        }
    }

    pub fn wake_at(&self) -> Option<Nanos> {
        match &self.step {
            Step::Loading(start) => Some(start.at),
            _ => None,
        }
    }

    fn config(
        &mut self,
        now: Nanos,
        text: &str,
        (options, session_id): (&ServerOptions, &str),
        outbox: &mut Outbox,
    ) -> Going {
        let fields = match parse_object(text) {
            Ok(object) => object.fields,
            Err(error) => return refuse(now, "handshake_failed", &error.to_string(), outbox),
        };
        if kind_of(&fields) == Some("upload_track") {
            self.step = Step::Track(fields);
            return Going::Continue(());
        }
        let config = Config::of(&fields, options.family);
        if config.wants_init_ack {
            let client_id = config.client_id.as_deref();
            outbox.text(now, events::init_ack(session_id, client_id, !options.needs_pcm));
        }
        if let Some(refusal) = &options.faults.refusal {
            return refuse(now, &refusal.code, &refusal.message, outbox);
        }
        let fixture = config.fixture.as_deref();
        match fixture.and_then(|name| Loaded::fixture(name, &options.source, options.seed)) {
            Some(loaded) => self.load(now, config, loaded, options),
            // Whoever does not ask for `init_ack` cannot know whether text alone is enough.
            None if config.text_only && config.wants_init_ack && !options.needs_pcm => {
                self.load(now, config, Loaded::silence(options.seed), options)
            }
            None => {
                self.unknown_fixture.clone_from(&config.fixture);
                self.step = Step::Pcm(config);
                Going::Continue(())
            }
        }
    }

    fn load(
        &mut self,
        now: Nanos,
        config: Config,
        loaded: Loaded,
        options: &ServerOptions,
    ) -> Going {
        let composes_s = profile::compose_s(config.model.family, &options.faults);
        let loaded = profile::source_of(config.model.family, config.buffer_s, loaded, options);
        let at = after(now, options.generator.load_ms / 1e3 + composes_s);
        self.step = Step::Loading(Start { at, config, loaded });
        Going::Continue(())
    }

    /// Keeps what was uploaded; the answer, or why not.
    fn keep_track(
        &mut self,
        fields: &Map<String, Value>,
        bytes: &[u8],
        library: &TrackLibrary,
    ) -> Result<String, String> {
        let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::trim);
        let pcm = pcm::parse(bytes).map_err(|error| error.to_string())?;
        let key = text("key").filter(|key| !key.is_empty());
        let beats = text("time_signature").and_then(known_time_signature);
        let is_said = key.is_some() || beats.is_some();
        let music = is_said.then(|| Music::default().with(key, beats.as_deref()));
        let name = text("name").filter(|name| !name.is_empty()).unwrap_or("upload");
        let track = library.keep(name, music, pcm).map_err(|error| error.to_string())?;
        let answer = json!({
            "type": "upload_ok",
            "name": track.name,
            "bpm": track.music.bpm,
            "key": track.music.key,
            "time_signature": track.music.time_signature,
            "duration_s": track.pcm.frames() as f64 / f64::from(DEFAULT_SAMPLE_RATE),
            "samples": track.pcm.frames(),
            "stems_pending": true,
        });
        self.uploaded = Some(track);
        Ok(answer.to_string())
    }
}

fn refuse(now: Nanos, code: &str, message: &str, outbox: &mut Outbox) -> Going {
    let close_code = if code == "text_only_unsupported" { TEXT_ONLY } else { INIT_ERROR };
    outbox.text(now, events::error(code, message));
    outbox.close(now, close_code, code);
    Going::Break(())
}

fn upload_failed(error: &str) -> String {
    json!({"type": "upload_failed", "error": error}).to_string()
}
