//! A recording as a sequence of parts: what the server sent, with what it answered, and what the client
//! did.
//!
//! Of a recording that begins in the middle of its session, the first parts open the session where it
//! stood. Pings, pongs and the answers to closes belong to a connection and are left out.

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::causes::{CONFIG, CauseMatcher, ReplyCause};
use super::mid_session::{self, MidSession};
use crate::capture::{
    Body, ConnectionBreak, Context, Direction, Message, Opcode, Party, Record, SessionPhase,
};
use crate::event::{Event, Interpreter};
use crate::peer::{LOST, NO_CODE, Outgoing, RESET};
use crate::time::Nanos;
use crate::wire::halves::HALF_LEN;
use crate::wire::json::parse_object;
use crate::wire::message::{ClientText, Ready, client_text, kind_of};

/// Longest text that is compared field by field; a longer one is compared as bytes.
const MAX_COMPARED_LEN: usize = 64 << 10;

/// One part of a recorded session.
#[derive(Debug, Clone, PartialEq)]
pub struct TapePart {
    /// When, on the tape's clock.
    pub t: Nanos,
    pub body: PartBody,
}

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub enum PartBody {
    /// The server sent it.
    Reply(TapeReply),
    /// The client did it.
    Action(ClientAction),
    /// The client reported its playhead.
    Tick(Tick),
    /// The server closed, or its connection was lost.
    Close {
        /// Status code, or what stands for none and for no close.
        code: u16,
        reason: String,
    },
    /// A message of which the recording has only the beginning, or nothing.
    LeftOut,
    /// The recording ends properly; the session lasted until then.
    End,
}

/// A message of the server.
#[derive(Debug, Clone, PartialEq)]
pub struct TapeReply {
    pub message: Outgoing,
    /// What it is to the session.
    pub kind: ReplyKind,
    pub cause: Option<ReplyCause>,
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
    SwapBuffer {
        /// Frames of the loop.
        frames: u64,
    },
    /// Slices, their values, stems.
    Stream,
    Event,
}

/// What a client did, other than reports, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientAction {
    /// `config`, `upload`, or the type of the command.
    pub kind: String,
    /// The object that was sent, or what stands for bytes: their number and SHA-256.
    pub value: Value,
}

impl ClientAction {
    /// The action of a text message; `kind` is what completed, if something did.
    #[must_use]
    pub fn of_text(text: &str, kind: Option<String>) -> ClientAction {
        if text.len() > MAX_COMPARED_LEN {
            return ClientAction::of_binary(
                text.as_bytes(),
                kind.unwrap_or_else(|| "text".to_owned()),
            );
        }
        let value = parse_object(text).map_or_else(|_| text.into(), |o| Value::Object(o.fields));
        let own = || value.get("type").and_then(Value::as_str).unwrap_or("text").to_owned();
        ClientAction { kind: kind.unwrap_or_else(own), value }
    }

    /// The action of a binary message.
    #[must_use]
    pub fn of_binary(bytes: &[u8], kind: String) -> ClientAction {
        let digest = Sha256::digest(bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        ClientAction { kind, value: json!({"bytes": bytes.len(), "sha256": hex}) }
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

/// Finds the reports in which knobs changed.
#[derive(Debug, Default)]
pub struct KnobChanges {
    last: String,
}

impl KnobChanges {
    /// The knobs of a report, if they changed. Empty ones in the first reports are no change.
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
    matcher: CauseMatcher,
    knobs: KnobChanges,
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
            matcher: CauseMatcher::default(),
            knobs: KnobChanges::default(),
            channels: ready.channels,
            ready,
            announced_before: 0,
            has_begun: false,
            is_closed: false,
        }
    }

    /// What the next record is to the session: mostly one part or none, of a context several.
    pub fn read(&mut self, record: &Record<'_>) -> Vec<TapePart> {
        let bodies = match &record.body {
            Body::Message(message) => {
                self.has_begun = true;
                self.message(record, message)
            }
            // A later context repeats what was read.
            Body::Context(context) if !self.has_begun => self.enter(context, record.t),
            Body::Break(broken) if record.conn == self.session && !self.is_closed => {
                self.broken(broken).into_iter().collect()
            }
            Body::End(_) => vec![PartBody::End],
            _ => Vec::new(),
        };
        bodies.into_iter().map(|body| TapePart { t: record.t, body }).collect()
    }

    /// Opens the session in its middle.
    fn enter(&mut self, context: &Context<'_>, t: Nanos) -> Vec<PartBody> {
        let state = &context.state;
        self.interpreter = Interpreter::resume(state);
        self.ready = state.ready.unwrap_or(self.ready);
        self.channels = self.ready.channels;
        self.announced_before = state.expected.len();
        if state.phase != SessionPhase::BeforeConfig {
            self.matcher = CauseMatcher::reopened();
        }
        let config = mid_session::config(state).map(|_| {
            let kind = Some(CONFIG.to_owned());
            PartBody::Action(ClientAction::of_text(&state.config, kind))
        });
        let say = |message, kind| PartBody::Reply(TapeReply { message, kind, cause: None });
        let ready =
            |fields| say(Outgoing::Text(Value::Object(fields).to_string()), ReplyKind::Handshake);
        match MidSession::of(context, t) {
            Ok(Some(middle)) => {
                self.channels = middle.channels;
                let (frames, sample_rate) = (middle.frames, middle.sample_rate);
                let buffer = middle.buffer().map_or(PartBody::LeftOut, |halves| {
                    let kind = ReplyKind::InitialBuffer { frames, sample_rate };
                    say(Outgoing::Binary(halves), kind)
                });
                let echo = mid_session::params_echo(state)
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

    /// A connection that was lost, unless it was the client that went.
    fn broken(&mut self, broken: &ConnectionBreak) -> Option<PartBody> {
        if matches!(broken.by, Some(Party::Client | Party::Recorder)) {
            return None;
        }
        self.is_closed = true;
        let reason = if is_reset(&broken.reason) { RESET } else { "" };
        Some(PartBody::Close { code: LOST, reason: reason.to_owned() })
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
            return self.client_part(record.t, message).into_iter().collect();
        }
        let announcement = self.announcement(message, &event);
        let body = self.server_part(record.t, message, event, is_before_stream);
        announcement.into_iter().chain([body]).collect()
    }

    /// The announcement of a swap's buffer that came before the recording begins.
    fn announcement(&mut self, message: &Message<'_>, event: &Event<'_>) -> Option<PartBody> {
        match event {
            Event::Slice => self.announced_before = 0,
            Event::SwapBuffer { channels } if self.announced_before > 0 => {
                self.announced_before -= 1;
                let channels = channels.unwrap_or(self.channels);
                let frames = frames(message, channels);
                let text = mid_session::swap_ready(frames, channels, self.ready.sample_rate);
                let (message, kind) = (Outgoing::Text(text), ReplyKind::SwapReady);
                return Some(PartBody::Reply(TapeReply { message, kind, cause: None }));
            }
            _ => {}
        }
        None
    }

    fn client_part(&mut self, t: Nanos, message: &Message<'_>) -> Option<PartBody> {
        match message.opcode {
            Opcode::Close => {
                self.is_closed = true;
                None
            }
            Opcode::Binary => {
                let kind = self.matcher.binary(t);
                Some(PartBody::Action(ClientAction::of_binary(message.payload, kind)))
            }
            _ => {
                let text = message.text()?;
                if let Ok(ClientText::Params(params)) = client_text(text) {
                    let knobs = self.knobs.turned(params.raw.as_deref());
                    return Some(PartBody::Tick(Tick { position_s: params.playback_pos, knobs }));
                }
                let kind = self.matcher.text(t, text);
                Some(PartBody::Action(ClientAction::of_text(text, kind)))
            }
        }
    }

    fn server_part(
        &mut self,
        t: Nanos,
        message: &Message<'_>,
        event: Event<'_>,
        is_before_stream: bool,
    ) -> PartBody {
        if let Event::Close { code, reason } = event {
            self.is_closed = true;
            return PartBody::Close { code: code.unwrap_or(NO_CODE), reason };
        }
        if event == Event::Aside && self.announced_before > 0 {
            // A client that has not seen its announcement would take it for a slice.
            self.announced_before -= 1;
            return PartBody::LeftOut;
        }
        let outgoing = match message.opcode {
            Opcode::Binary => Outgoing::Binary(message.payload.to_vec()),
            _ => Outgoing::Text(String::from_utf8_lossy(message.payload).into_owned()),
        };
        let (kind, cause) = self.reply_kind(t, message, event, is_before_stream);
        PartBody::Reply(TapeReply { message: outgoing, kind, cause })
    }

    /// What a reply is to the session, and its cause. Follows the shape of the loop.
    fn reply_kind(
        &mut self,
        t: Nanos,
        message: &Message<'_>,
        event: Event<'_>,
        is_before_stream: bool,
    ) -> (ReplyKind, Option<ReplyCause>) {
        match event {
            Event::InitialBuffer => {
                let frames = frames(message, self.channels);
                let sample_rate = self.ready.sample_rate;
                (ReplyKind::InitialBuffer { frames, sample_rate }, None)
            }
            Event::SwapBuffer { channels } => {
                self.channels = channels.unwrap_or(self.channels);
                (ReplyKind::SwapBuffer { frames: frames(message, self.channels) }, None)
            }
            Event::Ready { declared, .. } => {
                self.ready = declared;
                self.channels = declared.channels;
                (ReplyKind::Handshake, self.matcher.handshake(t, "ready"))
            }
            Event::Refused { .. } => (ReplyKind::Handshake, self.matcher.handshake(t, "error")),
            Event::Server { fields, .. } => {
                let kind = match kind_of(&fields) {
                    Some("swap_ready") => ReplyKind::SwapReady,
                    _ => ReplyKind::Event,
                };
                (kind, self.matcher.event(t, &fields))
            }
            // Without a cause of its own, it still comes after the config.
            _ if is_before_stream => (ReplyKind::Handshake, self.matcher.handshake(t, "init_ack")),
            _ => (ReplyKind::Stream, None),
        }
    }
}

/// Whether the sentence of a lost connection is that of one that was reset, and not only ended: the
/// system's, the proxy's, and what `--drop-after` does.
fn is_reset(reason: &str) -> bool {
    let reason = reason.to_ascii_lowercase();
    let ended = reason.contains("without closing handshake");
    let words = ["reset", "broke it off", "cut, as"];
    !ended && words.iter().any(|word| reason.contains(word))
}

fn frames(buffer: &Message<'_>, channels: u16) -> u64 {
    buffer.payload.len() as u64 / (HALF_LEN as u64 * u64::from(channels.max(1)))
}

impl TapePart {
    /// Roughly the bytes that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        const AROUND: usize = 64;
        AROUND
            + match &self.body {
                PartBody::Reply(TapeReply { message: Outgoing::Text(text), .. }) => text.len(),
                PartBody::Reply(TapeReply { message: Outgoing::Binary(bytes), .. }) => bytes.len(),
                _ => 0,
            }
    }
}
