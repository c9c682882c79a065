//! The meaning of each message, given the messages before it.
//!
//! What a message means depends on the phase of the handshake and on which binary messages were
//! announced; that is the only state here. The session is the one on the first connection on which the
//! server says `ready`; messages of other connections (an upload socket, for instance) are
//! [`Event::Elsewhere`]. Nothing fails: an unreadable message is an event too. Audio, playhead and
//! figures belong to [`crate::engine`].

use std::collections::VecDeque;

use serde_json::{Map, Value};

use crate::capture::{Direction, Expectation, Message, Opcode, SessionPhase, SessionState};
use crate::wire::json::JsonError;
use crate::wire::message::{ClientText, Params, Ready, ServerText, channels_of, kind_of};
use crate::wire::reader::TextReader;
use crate::wire::slice::{Coding, HEADER_LEN, SliceHeader};

/// Stems one `stem_assets` may announce; a longer list is cut here.
pub const MAX_STEMS: usize = 1024;

/// What one message means to the session.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// The client's first message.
    Config(&'a str),
    /// Audio from the client: the source's PCM, or what a command announced.
    Upload,
    /// Text before `ready` that the client skips.
    Skipped,
    /// The server accepted the session.
    Ready {
        /// What it declares about the audio.
        declared: Ready,
        fields: Map<String, Value>,
    },
    /// The server refused the session.
    Refused {
        /// The error's `code`.
        code: Option<String>,
        /// The error's `message`.
        message: Option<String>,
    },
    /// The buffer that the playhead starts on.
    InitialBuffer,
    /// A patch of the loop.
    Slice,
    /// A new source buffer; the next epoch begins.
    SwapBuffer {
        /// Channels that `swap_ready` declared, if it did; 0 where it declared what cannot be.
        channels: Option<u16>,
    },
    /// An announced binary that changes nothing that is heard.
    Aside,
    /// The values a slice was made with.
    ParamsUpdate,
    /// Any other JSON event of the server.
    Server {
        fields: Map<String, Value>,
        /// Only Python's rules could read it.
        lenient: bool,
    },
    /// Text of the server that is no JSON object.
    Unreadable(JsonError),
    /// A report of the client's playhead.
    Tick(Params<'a>),
    /// A command of the client.
    Command(Map<String, Value>),
    /// A close frame, with its code and reason if it has one.
    Close {
        /// Status code of RFC 6455.
        code: Option<u16>,
        reason: String,
    },
    /// Pings, pongs, and text of the client that is no JSON.
    Nothing,
    /// A message whose payload was kept as it was compressed. A binary one uses up its expectation.
    Compressed,
    /// A message of another connection than the session's.
    Elsewhere,
}

/// How a message goes against what was announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contradiction {
    /// A slice came where stems or a bounce were announced: those never come.
    NeverCame,
    /// Text came where PCM of the client was announced. The server takes it for that.
    TextForPcm,
}

/// Reads the messages of a capture in order.
#[derive(Debug, Clone, Default)]
pub struct Interpreter {
    /// The session's, or until `ready` the one that spoke last.
    connection: Option<u32>,
    phase: SessionPhase,
    texts: TextReader,
    expected: VecDeque<Expectation>,
    /// Records are missing, so that what was announced may have come, or never been announced.
    doubtful: bool,
    /// The client announced PCM, which comes next.
    awaits_pcm: bool,
    contradiction: Option<Contradiction>,
}

impl Interpreter {
    /// Before the first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Restores an interpreter from its saved state.
    #[must_use]
    pub fn resume(state: &SessionState) -> Self {
        Interpreter {
            connection: state.connection,
            phase: state.phase,
            expected: state.expected.iter().cloned().collect(),
            doubtful: state.doubtful,
            ..Interpreter::default()
        }
    }

    /// Saves the whole state.
    pub fn save(&self, state: &mut SessionState) {
        state.connection = self.connection;
        state.phase = self.phase;
        state.expected = self.expected.iter().cloned().collect();
        state.doubtful = self.doubtful;
    }

    /// Tells the interpreter that records are missing before the next message. From then on, a
    /// message that looks like a slice is one, whatever was announced.
    pub fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Where the session stands.
    #[must_use]
    pub fn phase(&self) -> SessionPhase {
        self.phase
    }

    /// Binary messages that were announced and have not come.
    pub fn pending(&self) -> impl ExactSizeIterator<Item = &Expectation> {
        self.expected.iter()
    }

    /// What the last message goes against, if it does.
    #[must_use]
    pub fn contradiction(&self) -> Option<Contradiction> {
        self.contradiction
    }

    /// The meaning of the next message, which came over `connection`. A message whose sending
    /// failed was never seen by the server and means nothing.
    pub fn read<'a>(&mut self, connection: u32, message: &Message<'a>) -> Event<'a> {
        self.contradiction = None;
        if message.failed {
            return Event::Nothing;
        }
        if *self.connection.get_or_insert(connection) != connection {
            if matches!(self.phase, SessionPhase::BeforeBuffer | SessionPhase::Streaming) {
                return Event::Elsewhere;
            }
            *self = Interpreter { connection: Some(connection), ..Interpreter::default() };
        }
        match (message.direction, message.opcode) {
            (Direction::ServerToClient, Opcode::Binary) if message.compressed => {
                self.server_binary(message);
                Event::Compressed
            }
            _ if message.compressed => Event::Compressed,
            (_, Opcode::Close) => close(message.payload),
            (Direction::ClientToServer, Opcode::Text) => self.client_text(message.payload),
            (Direction::ClientToServer, Opcode::Binary) => {
                self.awaits_pcm = false;
                Event::Upload
            }
            (Direction::ServerToClient, Opcode::Text) => self.server_text(message.payload),
            (Direction::ServerToClient, Opcode::Binary) => self.server_binary(message),
            _ => Event::Nothing,
        }
    }

    fn client_text<'a>(&mut self, payload: &'a [u8]) -> Event<'a> {
        let Ok(text) = std::str::from_utf8(payload) else { return Event::Nothing };
        if self.phase == SessionPhase::BeforeConfig {
            self.phase = SessionPhase::BeforeReady;
            return Event::Config(text);
        }
        if std::mem::take(&mut self.awaits_pcm) && !self.doubtful {
            self.contradiction = Some(Contradiction::TextForPcm);
        }
        match self.texts.client_text(text) {
            Ok(ClientText::Params(params)) => Event::Tick(params),
            Ok(ClientText::Command(fields)) => {
                self.awaits_pcm = announces_pcm(&fields);
                Event::Command(fields)
            }
            Err(_) => Event::Nothing,
        }
    }

    fn server_text<'a>(&mut self, payload: &[u8]) -> Event<'a> {
        let read = match std::str::from_utf8(payload) {
            Ok(text) => self.texts.server_text(text),
            Err(error) => Err(JsonError::NotJson(error.to_string())),
        };
        match self.phase {
            SessionPhase::BeforeConfig | SessionPhase::BeforeReady => self.handshake(read),
            SessionPhase::Refused => Event::Nothing,
            SessionPhase::BeforeBuffer | SessionPhase::Streaming => match read {
                Ok(ServerText::ParamsUpdate) => Event::ParamsUpdate,
                Ok(ServerText::Event(object)) => {
                    self.expect(&object.fields);
                    Event::Server { fields: object.fields, lenient: object.lenient }
                }
                Err(error) => Event::Unreadable(error),
            },
        }
    }

    fn handshake<'a>(&mut self, read: Result<ServerText, JsonError>) -> Event<'a> {
        let Ok(ServerText::Event(object)) = read else { return Event::Skipped };
        match kind_of(&object.fields) {
            Some("ready") => {
                self.phase = SessionPhase::BeforeBuffer;
                Event::Ready { declared: Ready::of(&object.fields), fields: object.fields }
            }
            Some("error") => {
                self.phase = SessionPhase::Refused;
                let text =
                    |key: &str| object.fields.get(key).and_then(Value::as_str).map(str::to_owned);
                Event::Refused { code: text("code"), message: text("message") }
            }
            _ => Event::Skipped,
        }
    }

    /// Notes the binary messages that an event announces.
    fn expect(&mut self, fields: &Map<String, Value>) {
        match kind_of(fields) {
            Some("swap_ready") => {
                self.expected.push_back(Expectation::SwapBuffer(channels_of(fields)));
            }
            Some("stem_assets") => {
                let stems = match fields.get("stems") {
                    Some(Value::Array(names)) => names.len(),
                    Some(Value::Object(by_name)) => by_name.len(),
                    _ => 0,
                };
                self.expected.extend(std::iter::repeat_n(Expectation::Stem, stems.min(MAX_STEMS)));
            }
            Some("bounce_ready") => self.expected.push_back(Expectation::Bounce),
            _ => {}
        }
    }

    /// Whether a slice stands where stems or a bounce were announced, which follow at once or never.
    fn never_comes(&self, message: &Message<'_>) -> bool {
        let few = |header: SliceHeader| (1..=8).contains(&header.channels);
        self.expected.front().is_some_and(is_aside)
            && !message.compressed
            && looks_like_slice(message)
            && SliceHeader::parse(message.payload).is_ok_and(few)
    }

    fn server_binary<'a>(&mut self, message: &Message<'_>) -> Event<'a> {
        let surely_slice = self.doubtful && !message.compressed && looks_like_slice(message);
        if surely_slice {
            self.expected.clear();
        }
        match self.phase {
            // The buffer that it patches is among what is missing.
            SessionPhase::BeforeBuffer if surely_slice => Event::Skipped,
            SessionPhase::BeforeConfig | SessionPhase::BeforeReady | SessionPhase::Refused => {
                Event::Skipped
            }
            SessionPhase::BeforeBuffer => {
                self.phase = SessionPhase::Streaming;
                Event::InitialBuffer
            }
            SessionPhase::Streaming if self.never_comes(message) => {
                while self.expected.front().is_some_and(is_aside) {
                    self.expected.pop_front();
                }
                self.contradiction = Some(Contradiction::NeverCame);
                Event::Slice
            }
            SessionPhase::Streaming => match self.expected.pop_front() {
                None => Event::Slice,
                Some(Expectation::SwapBuffer(channels)) => Event::SwapBuffer { channels },
                Some(Expectation::Stem | Expectation::Bounce) => Event::Aside,
            },
        }
    }
}

fn is_aside(expected: &Expectation) -> bool {
    matches!(expected, Expectation::Stem | Expectation::Bounce)
}

/// Whether PCM follows a command: `binary` in the contract of October 2026.
fn announces_pcm(fields: &Map<String, Value>) -> bool {
    match kind_of(fields) {
        Some("midi_transcribe" | "write_audio" | "set_timbre_source" | "set_structure_source") => {
            true
        }
        Some("swap_source") => fields.get("use_server_source") != Some(&Value::Bool(true)),
        _ => false,
    }
}

/// Whether a binary message is as long as its first bytes announce, or holds a zstd frame behind
/// them: no buffer of audio is likely to.
fn looks_like_slice(message: &Message<'_>) -> bool {
    const ZSTD: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
    let Ok(header) = SliceHeader::parse(message.payload) else { return false };
    match header.coding() {
        Coding::Delta if message.payload.len() == HEADER_LEN => !message.is_whole(),
        Coding::Delta => message.payload[HEADER_LEN..].starts_with(&ZSTD),
        Coding::Replace => message.len() == HEADER_LEN as u64 + header.payload_len(),
        Coding::RawAdd => false,
    }
}

/// What a close frame means.
pub(crate) fn close<'a>(payload: &[u8]) -> Event<'a> {
    let code = payload.first_chunk::<2>().map(|code| u16::from_be_bytes(*code));
    let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
    Event::Close { code, reason }
}

#[cfg(test)]
mod tests;
