//! The capture of a replayed session, if one is wanted.
//!
//! Enters: what either side said, with its time. Leaves: a capture of a foreign client; nothing where
//! none is wanted.

use std::path::PathBuf;

use anyhow::Result;
use tokio_tungstenite::tungstenite::Message;

use super::ServeOptions;
use crate::capture::{ClientKind, Direction, Header, Message as Recorded, Opcode};
use crate::edge::backend::parting::End;
use crate::edge::clock;
use crate::edge::record::parts;
use crate::edge::recorder::Recorder;
use crate::time::Nanos;

/// Who writes down what is said.
#[derive(Default)]
pub(super) struct Witness {
    recorder: Option<Recorder>,
}

impl Witness {
    /// Begins with the session, whose first message is `config`.
    pub fn begin(options: &ServeOptions, now: Nanos, config: &str) -> Result<Witness> {
        let Some(recorder) = options.recorder() else { return Ok(Witness::default()) };
        let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), now);
        let utc = clock::utc_now();
        header.start_utc = Some(utc.clone());
        header.client = ClientKind::Foreign;
        header.config = Some(config.to_owned());
        let name = options.capture.file_name().unwrap_or_default();
        header.metadata.insert("replay_of".to_owned(), name.to_string_lossy().into_owned());
        let marker = clock::random_marker();
        let mut recorder = Recorder::create(recorder, marker, header, &mut |_| ())?;
        recorder.clock(now, utc, &mut |_| ());
        Ok(Witness { recorder: Some(recorder) })
    }

    /// Either side said something.
    pub fn message(&mut self, now: Nanos, direction: Direction, message: &Message) {
        let (opcode, payload) = parts(message);
        self.put(now, Recorded::new(direction, opcode, &payload));
    }

    /// The library of this side answered by itself.
    pub fn answer(&mut self, now: Nanos, message: &Message) {
        let (opcode, payload) = parts(message);
        let answer = Recorded::new(Direction::ServerToClient, opcode, &payload);
        self.put(now, Recorded { automatic: true, ..answer });
    }

    /// The close of this side, or its answer to the client's.
    pub fn close(&mut self, now: Nanos, end: &End) {
        let (code, reason, automatic) = match end {
            End::Ours { code, reason } => (*code, reason, false),
            End::Theirs { code, reason } => (*code, reason, true),
            End::Cut => return,
        };
        let payload = match code {
            1005 => Vec::new(),
            code => [&code.to_be_bytes()[..], reason.as_bytes()].concat(),
        };
        let close = Recorded::new(Direction::ServerToClient, Opcode::Close, &payload);
        self.put(now, Recorded { automatic, ..close });
    }

    fn put(&mut self, now: Nanos, message: Recorded<'_>) {
        if let Some(recorder) = &mut self.recorder {
            recorder.message(now, message, &mut |_| ());
        }
    }

    /// Why no more is written down.
    pub fn failure(&self) -> Option<String> {
        self.recorder.as_ref().and_then(Recorder::failure)
    }

    /// Closes the capture: where it is, and why it is not whole.
    pub fn finish(self, ended: Nanos, reason: String) -> (Option<PathBuf>, Option<String>) {
        let Some(recorder) = self.recorder else { return (None, None) };
        let path = recorder.path().to_owned();
        let finished = recorder.finish(ended, reason, &mut |_| ());
        (Some(path), finished.failure)
    }
}
