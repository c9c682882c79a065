//! A recording as what is to be said and what was done.
//!
//! Enters: the records of a capture in their order. Leaves: the parts of the session's connection:
//! what the server said, with what it answered, and what the client did. Pings, pongs and the
//! answers to closes belong to a connection and are left out. Keeps no audio.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::causes::{Cause, Linker};
use crate::capture::{Body, Direction, Message, Opcode, Record};
use crate::event::{Event, Interpreter, Phase};
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
            is_closed: false,
        }
    }

    /// What the next record is to the session, if anything.
    pub fn read(&mut self, record: &Record<'_>) -> Option<Part> {
        let message = match &record.body {
            Body::Message(message) => message,
            Body::End(_) => return Some(Part { t: record.t, body: PartBody::End }),
            _ => return None,
        };
        let is_control = matches!(message.opcode, Opcode::Ping | Opcode::Pong | Opcode::Other(_));
        let is_ours = record.conn == self.session && !message.failed && !self.is_closed;
        if is_control || !is_ours || (message.automatic && message.opcode == Opcode::Close) {
            return None;
        }
        let is_before_stream = self.interpreter.phase() != Phase::Streaming;
        let event = self.interpreter.read(record.conn, message);
        if !message.is_whole() {
            return Some(Part { t: record.t, body: PartBody::LeftOut });
        }
        let body = match message.direction {
            Direction::ClientToServer => self.done(record.t, message)?,
            Direction::ServerToClient => self.said(record.t, message, event, is_before_stream)?,
        };
        Some(Part { t: record.t, body })
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
    ) -> Option<PartBody> {
        if let Event::Close { code, reason } = event {
            self.is_closed = true;
            // A close without a code cannot be sent with one that says so.
            return Some(PartBody::Close { code: code.unwrap_or(1000), reason });
        }
        let outgoing = match message.opcode {
            Opcode::Binary => Outgoing::Binary(message.payload.to_vec()),
            _ => Outgoing::Text(String::from_utf8_lossy(message.payload).into_owned()),
        };
        let frames = |channels: u16| {
            message.payload.len() as u64 / (HALF_LEN as u64 * u64::from(channels.max(1)))
        };
        let mut cause = None;
        let kind = match event {
            Event::InitialBuffer => ReplyKind::InitialBuffer {
                frames: frames(self.channels),
                sample_rate: self.ready.sample_rate,
            },
            Event::SwapBuffer { channels } => {
                self.channels = channels.unwrap_or(self.channels);
                ReplyKind::SwapBuffer { frames: frames(self.channels) }
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
        Some(PartBody::Reply(Reply { message: outgoing, kind, cause }))
    }
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
