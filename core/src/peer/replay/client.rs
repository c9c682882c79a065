//! The recorded client: a [`Script`] of what to send to a live server, and when.
//!
//! The headless [`Client`](crate::peer::client::Client) performs it, with times from the initial
//! buffer. Config, audio, commands, knobs and positions are the recorded ones. What reports say about
//! the connection is not, unless asked for: the client's time, the bytes and the leads are those of
//! the live connection, since acknowledging bytes that never came would mislead the server.
//!
//! Of a recording that begins in the middle of its session, the config is the one that opened the
//! session, and the buffer as it stood is uploaded as its audio.

use serde_json::{Map, Value};

use super::mid_session::{self, MidSession};
use crate::capture::{
    Body, BufferError, ClientKind, Context, Direction, Marker, Message, Opcode, Record,
    SessionPhase,
};
use crate::event::{Event, Interpreter};
use crate::peer::Outgoing;
use crate::peer::client::{ClientCommand, Dialect};
use crate::peer::script::ScriptedOp;
use crate::time::{Nanos, Span};
use crate::wire::json::parse_object;
use crate::wire::message::{ClientText, client_text};

/// Bytes of a client's messages in a script; clients send little.
pub const MAX_SCRIPT_BYTES: usize = 512 << 20;

/// How a recording is performed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PerformanceOptions {
    /// Seconds of the recording in a second; above 0.
    pub rate: f64,
    /// Nothing later is sent, counted from the initial buffer.
    pub until: Option<Span>,
    /// Reports are sent exactly as they were recorded.
    pub verbatim: bool,
}

/// Why a recording cannot be performed by a client.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PerformanceError {
    /// The first message of the client is missing.
    #[error(
        "the client's configuration is missing, so there is nothing to begin a session with; replay the whole recording, or join its parts with: lagtape join"
    )]
    NoConfig,
    /// It is not what a server reads.
    #[error("the client's first message is no JSON object: {0}")]
    BadConfig(String),
    /// No buffer ever came.
    #[error("it has no initial buffer, from which the client's messages are timed")]
    NoBuffer,
    /// Nothing of it is asked for.
    #[error(
        "the replay would end before it begins, {begins_s:.3} s after the initial buffer of its \
         session; give a later --until"
    )]
    EndsFirst { begins_s: f64 },
    /// A context cannot be used.
    #[error("where the session stood at its beginning cannot be used: {0}")]
    BadContext(BufferError),
    /// Audio of the client was not recorded.
    #[error("the audio that the client sent was left out of it; record with payloads")]
    LeftOut,
    /// More than memory should hold.
    #[error(
        "the client sent more than {MAX_SCRIPT_BYTES} bytes; perform a part of it with --until"
    )]
    TooLong,
}

/// What a client is to do.
#[derive(Debug, Clone, Default)]
pub struct Script {
    pub config: Map<String, Value>,
    /// The audio that follows it.
    pub upload: Option<Vec<u8>>,
    /// The audio is not what the recorded client uploaded, which is not in the recording, but the
    /// buffer as it stood at its beginning.
    pub stands_in: bool,
    /// Everything else, with its time from the initial buffer.
    pub commands: Vec<(Span, ClientCommand)>,
    pub ops: Vec<ScriptedOp>,
    /// Rate of the playhead from the initial buffer on.
    pub rate: f64,
    pub dialect: Dialect,
    pub kind: ClientKind,
    /// How long it lasts after the initial buffer.
    pub run_for: Span,
}

/// Makes a script of a recording.
#[derive(Debug)]
pub struct Performance {
    options: PerformanceOptions,
    session: u32,
    interpreter: Interpreter,
    /// When the session's initial buffer came, …
    session_origin: Option<Nanos>,
    /// … and where the script begins: there, or later in a recording of a middle.
    origin: Option<Nanos>,
    has_begun: bool,
    has_config: bool,
    last: Nanos,
    bytes: usize,
    script: Script,
}

impl Performance {
    /// Before the first record; `session` is the connection that it is about.
    #[must_use]
    pub fn new(options: PerformanceOptions, session: u32) -> Performance {
        Performance {
            options,
            session,
            interpreter: Interpreter::new(),
            session_origin: None,
            origin: None,
            has_begun: false,
            has_config: false,
            last: Nanos(0),
            bytes: 0,
            script: Script { rate: options.rate, dialect: Dialect::Legacy, ..Script::default() },
        }
    }

    /// Takes the next record.
    pub fn read(&mut self, record: &Record<'_>) -> Result<(), PerformanceError> {
        if let Body::Header(header) = &record.body {
            self.script.kind = header.client;
        }
        if self.is_after_end(record.t) {
            return Ok(());
        }
        self.last = self.last.max(record.t);
        match &record.body {
            Body::Marker(marker) => self.op(record.t, marker),
            // A later context repeats what was read.
            Body::Context(context) if !self.has_begun => return self.enter(record.t, context),
            Body::Message(message) if record.conn == self.session => {
                self.has_begun = true;
                return self.message(record.t, message);
            }
            _ => {}
        }
        Ok(())
    }

    /// The script, after the last record.
    pub fn finish(mut self) -> Result<Script, PerformanceError> {
        let origin = self.origin.ok_or(PerformanceError::NoBuffer)?;
        if !self.has_config {
            return Err(PerformanceError::NoConfig);
        }
        if self.end().is_some_and(|end| end <= origin) {
            let begins_s = origin.seconds_since(self.session_origin.unwrap_or(origin));
            return Err(PerformanceError::EndsFirst { begins_s });
        }
        let whole = self.at(self.last.max(origin));
        let until = self.end().map(|end| self.at(end));
        self.script.run_for = until.map_or(whole, |until| until.min(whole));
        Ok(self.script)
    }

    /// Begins where the recording does.
    fn enter(&mut self, t: Nanos, context: &Context<'_>) -> Result<(), PerformanceError> {
        let state = &context.state;
        self.interpreter = Interpreter::resume(state);
        if let Some(config) = mid_session::config(state) {
            self.script.config = config;
            self.has_config = true;
        }
        let middle = MidSession::of(context, t).map_err(PerformanceError::BadContext)?;
        let Some(middle) = middle else { return Ok(()) };
        self.session_origin = Some(middle.origin);
        self.origin = Some(t);
        if self.script.kind == ClientKind::Headless {
            middle.ops.iter().for_each(|op| self.op(t, op));
        }
        let has_fixture = self.script.config.get("use_server_fixture") == Some(&Value::Bool(true));
        if self.has_config && !has_fixture {
            self.script.upload = Some(middle.upload().ok_or(PerformanceError::LeftOut)?);
            self.script.stands_in = true;
        }
        Ok(())
    }

    fn op(&mut self, t: Nanos, op: &Marker) {
        let op = match op {
            Marker::Rate { rate } => Marker::Rate { rate: rate * self.options.rate },
            other => other.clone(),
        };
        self.script.ops.push(ScriptedOp { at: self.at(t), op });
    }

    fn message(&mut self, t: Nanos, message: &Message<'_>) -> Result<(), PerformanceError> {
        let is_before_stream = self.interpreter.phase() != SessionPhase::Streaming;
        let event = self.interpreter.read(self.session, message);
        if event == Event::InitialBuffer {
            self.origin = Some(t);
            self.session_origin = Some(t);
        }
        let is_said = matches!(message.opcode, Opcode::Text | Opcode::Binary);
        if message.direction != Direction::ClientToServer || message.failed || !is_said {
            return Ok(());
        }
        if !message.is_whole() {
            return Err(PerformanceError::LeftOut);
        }
        self.bytes += message.payload.len();
        if self.bytes > MAX_SCRIPT_BYTES {
            return Err(PerformanceError::TooLong);
        }
        match event {
            Event::Config(text) => {
                let object = parse_object(text)
                    .map_err(|error| PerformanceError::BadConfig(error.to_string()))?;
                self.script.config = object.fields;
                self.has_config = true;
            }
            Event::Upload if is_before_stream && self.script.upload.is_none() => {
                self.script.upload = Some(message.payload.to_vec());
            }
            _ => {
                let command = self.command(message);
                self.script.commands.push((self.at(t), command));
            }
        }
        Ok(())
    }

    fn command(&mut self, message: &Message<'_>) -> ClientCommand {
        let Some(text) = message.text() else {
            return ClientCommand::Send(Outgoing::Binary(message.payload.to_vec()));
        };
        match client_text(text) {
            Ok(ClientText::Params(params)) if !self.options.verbatim => {
                if params.slice_lead_s.is_some() {
                    self.script.dialect = Dialect::Modern;
                }
                ClientCommand::Report(text.to_owned())
            }
            _ => ClientCommand::Send(Outgoing::Text(text.to_owned())),
        }
    }

    /// A moment of the recording as time from the live initial buffer.
    fn at(&self, t: Nanos) -> Span {
        self.scaled(self.origin.map_or(0, |origin| t.0.saturating_sub(origin.0)))
    }

    fn scaled(&self, ns: u64) -> Span {
        Span((ns as f64 / self.options.rate).round() as u64)
    }

    fn is_after_end(&self, t: Nanos) -> bool {
        self.end().is_some_and(|end| t > end)
    }

    fn end(&self) -> Option<Nanos> {
        self.session_origin?.checked_add(self.options.until?)
    }
}
