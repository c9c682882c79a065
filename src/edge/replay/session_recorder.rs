//! The capture of a replayed session. It does nothing where no capture is wanted.

use std::path::PathBuf;

use anyhow::Result;
use tokio_tungstenite::tungstenite::Message;

use super::ServeOptions;
use crate::capture::{ClientKind, Direction, Header, Message as RecordedMessage, Opcode};
use crate::edge::clock;
use crate::edge::recorder::Recorder;
use crate::edge::socket::close::SocketEnd;
use crate::edge::socket::message::{close_payload, opcode_and_payload};
use crate::time::Nanos;

/// Records what either side sends, as the session of a foreign client.
#[derive(Default)]
pub(super) struct SessionRecorder {
    recorder: Option<Recorder>,
}

impl SessionRecorder {
    /// Begins with the session, whose first message is `config` if a DEMON server was recorded.
    pub fn begin(
        options: &ServeOptions,
        now: Nanos,
        config: Option<&str>,
    ) -> Result<SessionRecorder> {
        let Some(recorder) = options.recorder() else { return Ok(SessionRecorder::default()) };
        let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), now);
        let utc = clock::utc_now();
        header.start_utc = Some(utc.clone());
        header.client = ClientKind::Foreign;
        header.config = config.map(str::to_owned);
        let name = options.capture.file_name().unwrap_or_default();
        header.metadata.insert("replay_of".to_owned(), name.to_string_lossy().into_owned());
        let marker = clock::random_marker();
        let mut recorder = Recorder::create(recorder, marker, header, &mut ())?;
        recorder.clock(now, utc, &mut ());
        Ok(SessionRecorder { recorder: Some(recorder) })
    }

    /// Records a message of either side.
    pub fn message(&mut self, now: Nanos, direction: Direction, message: &Message) {
        let (opcode, payload) = opcode_and_payload(message);
        self.put(now, RecordedMessage::new(direction, opcode, &payload));
    }

    /// Records an answer that the WebSocket library of this side sends by itself.
    pub fn answer(&mut self, now: Nanos, message: &Message) {
        let (opcode, payload) = opcode_and_payload(message);
        let answer = RecordedMessage::new(Direction::ServerToClient, opcode, &payload);
        self.put(now, RecordedMessage { automatic: true, ..answer });
    }

    /// Records the close of this side, or its answer to the client's.
    pub fn close(&mut self, now: Nanos, end: &SocketEnd) {
        let (code, reason, automatic) = match end {
            SocketEnd::Ours { code, reason } => (*code, reason, false),
            SocketEnd::Theirs { code, reason } => (*code, reason, true),
            SocketEnd::Cut | SocketEnd::GivenUp { .. } | SocketEnd::Dropped { .. } => return,
        };
        let payload = if code == 1005 { Vec::new() } else { close_payload(code, reason) };
        let close = RecordedMessage::new(Direction::ServerToClient, Opcode::Close, &payload);
        self.put(now, RecordedMessage { automatic, ..close });
    }

    fn put(&mut self, now: Nanos, message: RecordedMessage<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.message(now, message, &mut ());
        }
    }

    /// Why nothing more is recorded.
    pub fn failure(&self) -> Option<String> {
        self.recorder.as_ref().and_then(Recorder::failure)
    }

    /// Closes the capture; says where it is, and why it is not whole.
    pub fn finish(self, ended: Nanos, reason: String) -> (Option<PathBuf>, Option<String>) {
        let Some(recorder) = self.recorder else { return (None, None) };
        let path = recorder.path().to_owned();
        let finished = recorder.finish(ended, reason, &mut ());
        (Some(path), finished.failure)
    }
}
