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
use crate::wire::message::{self, ClientText, Params, Ready, ServerText, channels_of, kind_of};
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
    Ready(Ready),
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
        match message::client_text(text) {
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
            Ok(text) => message::server_text(text),
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
                Event::Ready(Ready::of(&object.fields))
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
mod tests {
    use super::*;

    /// Reads a script of messages and names what each meant. `<` is from the server, `>` from the
    /// client; a message in braces is text, anything else binary. Those that begin with `2` are of
    /// a second connection.
    fn read(script: &[&str]) -> Vec<&'static str> {
        let mut interpreter = Interpreter::new();
        script
            .iter()
            .map(|message| {
                let second = message.strip_prefix('2');
                let (direction, payload) = second.unwrap_or(message).split_at(1);
                let direction = match direction {
                    "<" => Direction::ServerToClient,
                    _ => Direction::ClientToServer,
                };
                let opcode = if payload.starts_with('{') { Opcode::Text } else { Opcode::Binary };
                let message = Message::new(direction, opcode, payload.as_bytes());
                name(&interpreter.read(second.is_some().into(), &message))
            })
            .collect()
    }

    fn name(event: &Event<'_>) -> &'static str {
        match event {
            Event::Config(_) => "config",
            Event::Upload => "upload",
            Event::Skipped => "skipped",
            Event::Ready(_) => "ready",
            Event::Refused { .. } => "refused",
            Event::InitialBuffer => "buffer",
            Event::Slice => "slice",
            Event::SwapBuffer { channels: Some(1) } => "mono swap",
            Event::SwapBuffer { .. } => "swap",
            Event::Aside => "aside",
            Event::ParamsUpdate => "update",
            Event::Server { .. } => "event",
            Event::Unreadable(_) => "unreadable",
            Event::Tick(_) => "tick",
            Event::Command(_) => "command",
            Event::Close { .. } => "close",
            Event::Nothing => "nothing",
            Event::Compressed => "compressed",
            Event::Elsewhere => "elsewhere",
        }
    }

    const HANDSHAKE: [&str; 3] = [r#">{"prompt":"x"}"#, r#"<{"type":"ready"}"#, "<pcm"];

    #[track_caller]
    fn check(after_handshake: &[&str], expected: &[&str]) {
        let script = [&HANDSHAKE[..], after_handshake].concat();
        assert_eq!(read(&script)[3..], *expected);
    }

    #[test]
    fn handshake() {
        assert_eq!(
            read(&[
                r#">{"prompt":"x"}"#,
                ">pcm",
                r#"<{"type":"init_ack"}"#,
                "<early",
                "<{not json}",
                r#"<{"type":"ready"}"#,
                r#"<{"type":"lora_catalog"}"#,
                "<pcm",
                "<slice",
            ]),
            [
                "config", "upload", "skipped", "skipped", "skipped", "ready", "event", "buffer",
                "slice"
            ]
        );
        assert_eq!(
            read(&[r#">{}"#, r#"<{"type":"error","code":"x"}"#, "<pcm", r#"<{"type":"ready"}"#]),
            ["config", "refused", "skipped", "nothing"]
        );
    }

    #[test]
    fn announced_binaries_come_in_their_order() {
        check(
            &[
                r#"<{"type":"swap_ready","channels":1}"#,
                r#"<{"type":"stem_assets","stems":["a"]}"#,
                r#"<{"type":"stem_assets","stems":{"b":{}}}"#,
                r#"<{"type":"params_update"}"#,
                r#"<{"type":"bounce_ready"}"#,
                "<new",
                "<stem",
                "<stem",
                "<bounce",
                "<slice",
            ],
            &[
                "event",
                "event",
                "event",
                "update",
                "event",
                "mono swap",
                "aside",
                "aside",
                "aside",
                "slice",
            ],
        );
    }

    #[test]
    fn what_was_announced_and_does_not_come() {
        let mut interpreter =
            Interpreter { phase: SessionPhase::Streaming, ..Interpreter::default() };
        let mut read = |direction, opcode, payload: &[u8]| {
            name(&interpreter.read(0, &Message::new(direction, opcode, payload)));
            interpreter.contradiction()
        };
        let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
        let header = SliceHeader {
            flags: 0,
            start: 0,
            frames: 1,
            channels: 1,
            tick_ms: 0.0,
            dec_ms: 0.0,
            generations: 1,
        };
        let slice = [&header.to_bytes()[..], &[0; 2]].concat();
        let bounce = br#"{"type":"bounce_ready","frames":8}"#;
        assert_eq!(read(down, Opcode::Text, bounce), None);
        assert_eq!(read(down, Opcode::Binary, &[7; 32]), None, "the bounce itself");
        assert_eq!(read(down, Opcode::Text, bounce), None);
        assert_eq!(read(down, Opcode::Binary, &slice), Some(Contradiction::NeverCame));
        assert_eq!(read(down, Opcode::Binary, &slice), None);
        let midi = br#"{"type":"midi_transcribe","request_id":"1"}"#;
        assert_eq!(read(up, Opcode::Text, midi), None);
        assert_eq!(read(up, Opcode::Binary, &[0; 8]), None);
        assert_eq!(read(up, Opcode::Text, midi), None);
        let text = Some(Contradiction::TextForPcm);
        assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), text);
        assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), None);
        let named = br#"{"type":"swap_source","use_server_source":true}"#;
        assert_eq!(read(up, Opcode::Text, named), None);
        assert_eq!(read(up, Opcode::Text, br#"{"type":"params"}"#), None);
    }

    #[test]
    fn a_swap_announced_before_the_first_buffer_waits_for_it() {
        let script = [HANDSHAKE[0], HANDSHAKE[1], r#"<{"type":"swap_ready"}"#, "<pcm", "<new"];
        assert_eq!(read(&script)[2..], ["event", "buffer", "swap"]);
    }

    #[test]
    fn the_session_is_where_the_server_is_ready() {
        let upload = [r#">{"type":"upload_track"}"#, ">pcm", r#"<{"type":"upload_done"}"#];
        let session =
            [r#"2>{"prompt":"x"}"#, r#"2<{"type":"ready"}"#, "<late", "2<pcm", ">late", "2<slice"];
        assert_eq!(
            read(&[&upload[..], &session].concat()),
            [
                "config",
                "upload",
                "skipped",
                "config",
                "ready",
                "elsewhere",
                "buffer",
                "elsewhere",
                "slice"
            ]
        );
        assert_eq!(
            read(&[r#">{}"#, r#"<{"type":"error"}"#, r#"2>{}"#, r#"2<{"type":"ready"}"#, "2<pcm"]),
            ["config", "refused", "config", "ready", "buffer"],
            "a client that was refused tries again"
        );
    }

    #[test]
    fn behind_a_hole_a_slice_is_known_by_its_looks() {
        let slice = [&[0; 23][..]].concat();
        let binary = |payload| Message::new(Direction::ServerToClient, Opcode::Binary, payload);
        let mut interpreter = Interpreter {
            phase: SessionPhase::BeforeBuffer,
            expected: [Expectation::Stem].into(),
            ..Interpreter::new()
        };
        interpreter.doubt();
        assert_eq!(interpreter.read(0, &binary(&slice)), Event::Skipped, "the buffer is missing");
        assert_eq!(interpreter.read(0, &binary(&[7; 480])), Event::InitialBuffer);
        interpreter.expected = [Expectation::Stem].into();
        assert_eq!(interpreter.read(0, &binary(&slice)), Event::Slice, "the stem is missing");
        interpreter.expected = [Expectation::Stem].into();
        assert_eq!(interpreter.read(0, &binary(&[7; 480])), Event::Aside);
        assert_eq!(interpreter.pending().len(), 0);
    }

    #[test]
    fn no_message_announces_stems_without_end() {
        let names = vec!["\"x\""; 2 * MAX_STEMS].join(",");
        let text = format!(r#"{{"type":"stem_assets","stems":[{names}]}}"#);
        let mut interpreter = Interpreter::new();
        for (direction, text) in [
            (Direction::ClientToServer, "{}"),
            (Direction::ServerToClient, r#"{"type":"ready"}"#),
            (Direction::ServerToClient, &text),
        ] {
            interpreter.read(0, &Message::new(direction, Opcode::Text, text.as_bytes()));
        }
        assert_eq!(interpreter.pending().len(), MAX_STEMS);
    }

    #[test]
    fn what_cannot_be_read_costs_nothing() {
        check(
            &[">{broken", r#">{"type":"params"}"#, r#">{"type":"prompt"}"#, "<{broken", "<slice"],
            &["nothing", "tick", "command", "unreadable", "slice"],
        );
    }

    #[test]
    fn what_failed_to_be_sent_means_nothing() {
        let mut interpreter = Interpreter::new();
        let mut config = Message::new(Direction::ClientToServer, Opcode::Text, b"{}");
        config.failed = true;
        assert_eq!(interpreter.read(0, &config), Event::Nothing);
        assert_eq!(interpreter.phase(), SessionPhase::BeforeConfig);
    }

    #[test]
    fn what_stayed_compressed_uses_up_what_was_announced() {
        let mut interpreter = Interpreter {
            phase: SessionPhase::Streaming,
            expected: [Expectation::Bounce].into(),
            ..Interpreter::new()
        };
        let mut message = Message::new(Direction::ServerToClient, Opcode::Binary, &[0; 23]);
        message.compressed = true;
        interpreter.doubt();
        assert_eq!(interpreter.read(0, &message), Event::Compressed);
        assert_eq!(interpreter.pending().len(), 0);
    }

    #[test]
    fn what_looks_like_a_slice_ends_all_that_was_announced() {
        let slice = [0; 23];
        let mut interpreter = Interpreter {
            phase: SessionPhase::Streaming,
            expected: [Expectation::Stem, Expectation::Bounce].into(),
            ..Interpreter::new()
        };
        interpreter.doubt();
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &slice);
        assert_eq!(interpreter.read(0, &message), Event::Slice);
        assert_eq!(interpreter.pending().len(), 0);
    }

    /// Whether a message of a delta with this behind its header looks like a slice.
    #[track_caller]
    fn check_delta(behind: &[u8], whole_len: Option<u64>, expected: bool) {
        let header = SliceHeader { flags: 1, frames: 9, channels: 1, ..SliceHeader::default() };
        let bytes = [&header.to_bytes()[..], behind].concat();
        let mut message = Message::new(Direction::ServerToClient, Opcode::Binary, &bytes);
        message.whole_len = whole_len;
        assert_eq!(looks_like_slice(&message), expected, "{behind:?} {whole_len:?}");
    }

    #[test]
    fn a_delta_is_known_by_its_frame_or_by_what_was_left_out() {
        check_delta(&[0x28, 0xb5, 0x2f, 0xfd, 1], None, true);
        check_delta(&[0x28, 0xb5, 0x2f, 0xfe, 1], None, false);
        check_delta(&[], Some(90), true);
        check_delta(&[], None, false);
    }

    #[test]
    fn stems_that_nobody_has_are_not_waited_for() {
        let stems = vec!["\"s\""; MAX_STEMS + 9].join(",");
        let event = format!(r#"{{"type":"stem_assets","stems":[{stems}]}}"#);
        let mut interpreter = Interpreter { phase: SessionPhase::Streaming, ..Interpreter::new() };
        let direction = Direction::ServerToClient;
        interpreter.read(0, &Message::new(direction, Opcode::Text, event.as_bytes()));
        assert_eq!(interpreter.pending().len(), MAX_STEMS);
    }

    #[test]
    fn a_doubt_is_saved() {
        let mut interpreter = Interpreter::new();
        interpreter.doubt();
        let mut state = SessionState::default();
        interpreter.save(&mut state);
        assert!(state.doubtful && Interpreter::resume(&state).doubtful);
    }

    #[test]
    fn a_close_has_a_code_with_or_without_a_reason() {
        let of = |payload: &[u8]| match close(payload) {
            Event::Close { code, reason } => (code, reason),
            other => panic!("{other:?}"),
        };
        assert_eq!(of(&[3, 232]), (Some(1000), String::new()));
        assert_eq!(of(b"\x03\xe9gone"), (Some(1001), "gone".to_owned()));
        assert_eq!(of(&[3]), (None, String::new()));
    }
}
