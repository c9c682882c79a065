//! A recording as what is to be said and what was done.
//!
//! Enters: the records of a capture in their order. Leaves: the parts of the session's connection:
//! what the server said, with what it answered, and what the client did. Of a recording that begins
//! in the middle of its session the first parts open that where it stood. Pings, pongs and the
//! answers to closes belong to a connection and are left out. Keeps no audio.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::causes::{CONFIG, Cause, Linker};
use super::middle::{self, Middle};
use crate::capture::{Body, Context, Direction, Message, Opcode, Record, SessionPhase};
use crate::event::{Event, Interpreter};
use crate::peer::Outgoing;
use crate::time::Nanos;
use crate::wire::halves::HALF_LEN;
use crate::wire::json::parse_object;
use crate::wire::message::{ClientText, Ready, client_text, kind_of};

/// Longest text that is compared field by field; a longer one is compared as bytes.
const MAX_COMPARED_LEN: usize = 64 << 10;

/// One part of a recorded session.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// When, on the tape's clock.
    pub t: Nanos,
    /// What.
    pub body: PartBody,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartBody {
    /// The server said it.
    Reply(Reply),
    /// The client did it.
    Deed(Deed),
    /// The client reported its playhead.
    Tick(Tick),
    /// The server closed.
    Close {
        /// Status code.
        code: u16,
        /// Reason text.
        reason: String,
    },
    /// A message of which the recording holds only the beginning, or nothing.
    LeftOut,
    /// The recording was closed in order; the session lasted so long.
    End,
}

/// A message of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The message.
    pub message: Outgoing,
    /// What it is to the session.
    pub kind: ReplyKind,
    /// What it answered.
    pub cause: Option<Cause>,
}

/// What a message of the server is to the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyKind {
    /// Text before the initial buffer.
    Handshake,
    /// The initial buffer, of so many frames a second and in all.
    InitialBuffer {
        /// Frames of the loop.
        frames: u64,
        /// Frames per second.
        sample_rate: u32,
    },
    /// A swap is announced.
    SwapReady,
    /// The buffer of a swap.
    SwapBuffer {
        /// Frames of the loop.
        frames: u64,
    },
    /// Slices, their values, stems.
    Stream,
    /// An event.
    Event,
}

/// Something that a client did, reports apart, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// `config`, `upload`, or the type of the command.
    pub kind: String,
    /// The object that was sent, or what stands for bytes: their number and SHA-256.
    pub value: Value,
}

impl Deed {
    /// The deed of a text message; `kind` is what completed, if something did.
    #[must_use]
    pub fn of_text(text: &str, kind: Option<String>) -> Deed {
        if text.len() > MAX_COMPARED_LEN {
            return Deed::of_binary(text.as_bytes(), kind.unwrap_or_else(|| "text".to_owned()));
        }
        let value = parse_object(text).map_or_else(|_| text.into(), |o| Value::Object(o.fields));
        let own = || value.get("type").and_then(Value::as_str).unwrap_or("text").to_owned();
        Deed { kind: kind.unwrap_or_else(own), value }
    }

    /// The deed of a binary message.
    #[must_use]
    pub fn of_binary(bytes: &[u8], kind: String) -> Deed {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Deed { kind, value: json!({"bytes": bytes.len(), "sha256": hex}) }
    }
}

/// A report of a client's playhead.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Where it was, in seconds.
    pub position_s: Option<f64>,
    /// The knobs, where they are not those of the report before.
    pub knobs: Option<Map<String, Value>>,
}

/// Tells knobs that were turned from those that are only repeated.
#[derive(Debug, Default)]
pub struct Knobs {
    last: String,
}

impl Knobs {
    /// The knobs of a report, if they are news. Those of a first report without any are none.
    pub fn turned(&mut self, raw: Option<&str>) -> Option<Map<String, Value>> {
        let raw = raw?;
        if raw == self.last || (self.last.is_empty() && raw == "{}") {
            return None;
        }
        raw.clone_into(&mut self.last);
        parse_object(raw).ok().map(|object| object.fields)
    }
}

/// Reads a recording part by part.
#[derive(Debug)]
pub struct Tape {
    session: u32,
    interpreter: Interpreter,
    linker: Linker,
    knobs: Knobs,
    ready: Ready,
    channels: u16,
    /// Binary messages to come that were announced before the recording begins.
    announced_before: usize,
    has_begun: bool,
    is_closed: bool,
}

impl Tape {
    /// A tape at its beginning; `session` is the connection that it is about.
    #[must_use]
    pub fn new(session: u32) -> Tape {
        let ready = Ready::of(&Map::new());
        Tape {
            session,
            interpreter: Interpreter::new(),
            linker: Linker::default(),
            knobs: Knobs::default(),
            channels: ready.channels,
            ready,
            announced_before: 0,
            has_begun: false,
            is_closed: false,
        }
    }

    /// What the next record is to the session: mostly one part or none, of a context several.
    pub fn read(&mut self, record: &Record<'_>) -> Vec<Part> {
        let bodies = match &record.body {
            Body::Message(message) => {
                self.has_begun = true;
                self.message(record, message)
            }
            // One that repeats what was read tells nothing new.
            Body::Context(context) if !self.has_begun => self.enter(context, record.t),
            Body::End(_) => vec![PartBody::End],
            _ => Vec::new(),
        };
        bodies.into_iter().map(|body| Part { t: record.t, body }).collect()
    }

    /// Opens the session in its middle.
    fn enter(&mut self, context: &Context<'_>, t: Nanos) -> Vec<PartBody> {
        let state = &context.state;
        self.interpreter = Interpreter::resume(state);
        self.ready = state.ready.unwrap_or(self.ready);
        self.channels = self.ready.channels;
        self.announced_before = state.expected.len();
        if state.phase != SessionPhase::BeforeConfig {
            self.linker = Linker::reopened();
        }
        let config = middle::config(state).map(|_| {
            let kind = Some(CONFIG.to_owned());
            PartBody::Deed(Deed::of_text(&state.config, kind))
        });
        let say = |message, kind| PartBody::Reply(Reply { message, kind, cause: None });
        let ready =
            |fields| say(Outgoing::Text(Value::Object(fields).to_string()), ReplyKind::Handshake);
        match Middle::of(context, t) {
            Ok(Some(middle)) => {
                self.channels = middle.channels;
                let (frames, sample_rate) = (middle.frames, middle.sample_rate);
                let buffer = middle.buffer().map_or(PartBody::LeftOut, |halves| {
                    let kind = ReplyKind::InitialBuffer { frames, sample_rate };
                    say(Outgoing::Binary(halves), kind)
                });
                let echo = middle::params_echo(state)
                    .map(|echo| say(Outgoing::Text(echo), ReplyKind::Event));
                config.into_iter().chain([ready(middle.ready), buffer]).chain(echo).collect()
            }
            Ok(None) => {
                let fields = parse_object(&state.ready_text).map(|object| object.fields);
                config.into_iter().chain(fields.ok().map(ready)).collect()
            }
            Err(_) => vec![PartBody::LeftOut],
        }
    }

    fn message(&mut self, record: &Record<'_>, message: &Message<'_>) -> Vec<PartBody> {
        let is_control = matches!(message.opcode, Opcode::Ping | Opcode::Pong | Opcode::Other(_));
        let is_ours = record.conn == self.session && !message.failed && !self.is_closed;
        if is_control || !is_ours || (message.automatic && message.opcode == Opcode::Close) {
            return Vec::new();
        }
        let is_before_stream = self.interpreter.phase() != SessionPhase::Streaming;
        let event = self.interpreter.read(record.conn, message);
        if !message.is_whole() {
            return vec![PartBody::LeftOut];
        }
        if message.direction == Direction::ClientToServer {
            return self.done(record.t, message).into_iter().collect();
        }
        let announcement = self.announcement(message, &event);
        let body = self.said(record.t, message, event, is_before_stream);
        announcement.into_iter().chain([body]).collect()
    }

    /// What has to be said before a swap's buffer that was announced before the recording begins.
    fn announcement(&mut self, message: &Message<'_>, event: &Event<'_>) -> Option<PartBody> {
        match event {
            Event::Slice => self.announced_before = 0,
            Event::SwapBuffer { channels } if self.announced_before > 0 => {
                self.announced_before -= 1;
                let channels = channels.unwrap_or(self.channels);
                let frames = frames(message, channels);
                let text = middle::swap_ready(frames, channels, self.ready.sample_rate);
                let (message, kind) = (Outgoing::Text(text), ReplyKind::SwapReady);
                return Some(PartBody::Reply(Reply { message, kind, cause: None }));
            }
            _ => {}
        }
        None
    }

    fn done(&mut self, t: Nanos, message: &Message<'_>) -> Option<PartBody> {
        match message.opcode {
            Opcode::Close => {
                self.is_closed = true;
                None
            }
            Opcode::Binary => {
                let kind = self.linker.binary(t);
                Some(PartBody::Deed(Deed::of_binary(message.payload, kind)))
            }
            _ => {
                let text = message.text()?;
                if let Ok(ClientText::Params(params)) = client_text(text) {
                    let knobs = self.knobs.turned(params.raw.as_deref());
                    return Some(PartBody::Tick(Tick { position_s: params.playback_pos, knobs }));
                }
                let kind = self.linker.text(t, text);
                Some(PartBody::Deed(Deed::of_text(text, kind)))
            }
        }
    }

    fn said(
        &mut self,
        t: Nanos,
        message: &Message<'_>,
        event: Event<'_>,
        is_before_stream: bool,
    ) -> PartBody {
        if let Event::Close { code, reason } = event {
            self.is_closed = true;
            // A close without a code cannot be sent with one that says so.
            return PartBody::Close { code: code.unwrap_or(1000), reason };
        }
        if event == Event::Aside && self.announced_before > 0 {
            // Whoever was not told of it would take it for a slice.
            self.announced_before -= 1;
            return PartBody::LeftOut;
        }
        let outgoing = match message.opcode {
            Opcode::Binary => Outgoing::Binary(message.payload.to_vec()),
            _ => Outgoing::Text(String::from_utf8_lossy(message.payload).into_owned()),
        };
        let mut cause = None;
        let kind = match event {
            Event::InitialBuffer => ReplyKind::InitialBuffer {
                frames: frames(message, self.channels),
                sample_rate: self.ready.sample_rate,
            },
            Event::SwapBuffer { channels } => {
                self.channels = channels.unwrap_or(self.channels);
                ReplyKind::SwapBuffer { frames: frames(message, self.channels) }
            }
            Event::Ready(ready) => {
                self.ready = ready;
                self.channels = ready.channels;
                cause = self.linker.handshake(t, "ready");
                ReplyKind::Handshake
            }
            Event::Refused { .. } => {
                cause = self.linker.handshake(t, "error");
                ReplyKind::Handshake
            }
            Event::Server { fields, .. } => {
                cause = self.linker.event(t, &fields);
                match kind_of(&fields) {
                    Some("swap_ready") => ReplyKind::SwapReady,
                    _ => ReplyKind::Event,
                }
            }
            _ if is_before_stream => {
                // What nobody caused comes after the config all the same.
                cause = self.linker.handshake(t, "init_ack");
                ReplyKind::Handshake
            }
            _ => ReplyKind::Stream,
        };
        PartBody::Reply(Reply { message: outgoing, kind, cause })
    }
}

fn frames(buffer: &Message<'_>, channels: u16) -> u64 {
    buffer.payload.len() as u64 / (HALF_LEN as u64 * u64::from(channels.max(1)))
}

impl Part {
    /// Bytes that it holds, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const AROUND: usize = 64;
        AROUND
            + match &self.body {
                PartBody::Reply(Reply { message: Outgoing::Text(text), .. }) => text.len(),
                PartBody::Reply(Reply { message: Outgoing::Binary(bytes), .. }) => bytes.len(),
                _ => 0,
            }
    }
}
