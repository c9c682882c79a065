//! The handshake, from the first message to the initial buffer.
//!
//! It ends with what a session needs to start, once the source would have been loaded, or with an error
//! and a close code.

use std::ops::ControlFlow;

use serde_json::json;

use super::config::Config;
use super::outbox::Outbox;
use super::source::Loaded;
use super::{Incoming, ServerOptions, after, events, pcm};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos};
use crate::wire::json::parse_object;
use crate::wire::message::kind_of;

/// Close code of everything that goes wrong before a session.
const INIT_ERROR: u16 = 1011;
/// Close code for clients that bring only text.
const TEXT_ONLY: u16 = 1008;

/// Where the handshake stands.
#[derive(Default)]
pub(super) struct Handshake {
    step: Step,
}

#[derive(Default)]
enum Step {
    #[default]
    Config,
    /// The socket of `upload_track`: one recording, no session.
    Track {
        name: String,
    },
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
            (Step::Track { name }, Incoming::Binary(bytes)) => {
                outbox.text(now, track_answer(&name, bytes));
                Going::Continue(())
            }
            (Step::Pcm(config), Incoming::Binary(bytes)) => match pcm::parse(bytes) {
                Ok(pcm) => self.load(now, config, Loaded::upload(pcm, options.seed), options),
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
            let name = fields.get("name").and_then(|name| name.as_str()).unwrap_or("upload");
            self.step = Step::Track { name: name.to_owned() };
            return Going::Continue(());
        }
        let config = Config::of(&fields);
        if config.wants_init_ack {
            outbox.text(now, events::init_ack(session_id, config.client_id.as_deref()));
        }
        if config.text_only {
            outbox.close(now, TEXT_ONLY, "this backend needs audio");
            return Going::Break(());
        }
        if let Some(refusal) = &options.faults.refusal {
            return refuse(now, &refusal.code, &refusal.message, outbox);
        }
        let fixture = config.fixture.as_deref();
        match fixture.and_then(|name| Loaded::fixture(name, &options.source, options.seed)) {
            Some(loaded) => self.load(now, config, loaded, options),
            None => {
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
        let at = after(now, options.generator.load_ms / 1e3);
        self.step = Step::Loading(Start { at, config, loaded });
        Going::Continue(())
    }
}

fn refuse(now: Nanos, code: &str, message: &str, outbox: &mut Outbox) -> Going {
    outbox.text(now, events::error(code, message));
    outbox.close(now, INIT_ERROR, code);
    Going::Break(())
}

fn track_answer(name: &str, bytes: &[u8]) -> String {
    match pcm::parse(bytes) {
        Ok(pcm) => json!({
            "type": "upload_ok",
            "name": name,
            "duration_s": pcm.frames() as f64 / f64::from(DEFAULT_SAMPLE_RATE),
            "samples": pcm.frames(),
            "stems_pending": false,
        })
        .to_string(),
        Err(error) => json!({"type": "upload_failed", "error": error.to_string()}).to_string(),
    }
}
