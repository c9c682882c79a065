//! Notices of what becomes of a backend's connections, and their wording.

use std::fmt;
use std::net::SocketAddr;

use crate::edge::socket::shedding::ShortageNotice;
use crate::peer::server::fixture_names;
use crate::time::Nanos;

/// A change of a WebSocket connection, with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackendNotice {
    pub at: Nanos,
    /// Number of the connection; the first is 1, and 0 stands for none.
    pub connection: u64,
    pub change: BackendChange,
}

/// What becomes of a connection, or of the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BackendChange {
    /// The handshake of WebSocket is done.
    Connected { client: SocketAddr },
    /// The session has begun.
    Ready,
    /// The client asks for a fixture that there is not, and is now to send audio.
    UnknownFixture { name: String },
    /// The client has uploaded a track, which stays.
    Uploaded {
        /// What it is called from now on.
        name: String,
    },
    /// A newer session takes the server.
    Preempted,
    /// The connection is over.
    Closed {
        /// Close code, of whichever side closed; 1005 without one, 1006 without a close.
        code: u16,
        /// Reason of the close; may be empty.
        reason: String,
    },
    /// Clients are turned away, or no longer.
    Shortage(ShortageNotice),
}

impl fmt::Display for BackendNotice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:9.3} s  ", self.at.seconds())?;
        if self.connection > 0 {
            write!(out, "connection {}  ", self.connection)?;
        }
        match &self.change {
            BackendChange::Connected { client } => write!(out, "connected from {client}"),
            BackendChange::Ready => write!(out, "ready"),
            BackendChange::UnknownFixture { name } => {
                let names: Vec<_> = fixture_names().collect();
                write!(
                    out,
                    "asked for the fixture {name:?}, which is none; waiting for audio instead (there \
                     are {})",
                    names.join(", ")
                )
            }
            BackendChange::Uploaded { name } => write!(out, "uploaded {name:?}"),
            BackendChange::Preempted => write!(out, "preempted by a newer session"),
            BackendChange::Closed { code, reason } if reason.is_empty() => {
                write!(out, "closed {code}")
            }
            BackendChange::Closed { code, reason } => write!(out, "closed {code} {reason}"),
            BackendChange::Shortage(notice) => write!(out, "{notice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: BackendChange, line: &str) {
        let notice = BackendNotice { at: Nanos(1_234_567_890), connection: 2, change };
        assert_eq!(notice.to_string(), line);
    }

    #[test]
    fn a_line_for_each() {
        let client = SocketAddr::from(([127, 0, 0, 1], 5_000));
        let line = "    1.235 s  connection 2  connected from 127.0.0.1:5000";
        check(BackendChange::Connected { client }, line);
        check(BackendChange::Ready, "    1.235 s  connection 2  ready");
        let unknown = BackendChange::UnknownFixture { name: "nosuch".to_owned() };
        let line = "    1.235 s  connection 2  asked for the fixture \"nosuch\", which is none; \
                    waiting for audio instead (there are built-in, inside_confusion_loop_60s_gsm.wav, \
                    low_fi_Gm_loop_60s_gnm.wav, prog_rock_loop_60s_enm.wav, short_loop_8s.wav, \
                    thrash_metal_loop_60s_enm.wav)";
        check(unknown, line);
        let uploaded = BackendChange::Uploaded { name: "a.wav".to_owned() };
        check(uploaded, "    1.235 s  connection 2  uploaded \"a.wav\"");
        let closed = |reason: &str| BackendChange::Closed { code: 1000, reason: reason.to_owned() };
        check(closed(""), "    1.235 s  connection 2  closed 1000");
        check(closed("bye"), "    1.235 s  connection 2  closed 1000 bye");
    }
}
