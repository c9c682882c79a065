//! What an onlooker hears of the connections.
//!
//! Enters: what became of one. Leaves: a line for people.

use std::fmt;
use std::net::SocketAddr;

use crate::time::Nanos;

/// Something became of a WebSocket connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When, on the backend's clock.
    pub at: Nanos,
    /// The connection; the first is 1.
    pub connection: u64,
    /// What.
    pub happening: Happening,
}

/// What becomes of connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// The handshake of WebSocket is done.
    Connected {
        /// Where the client is.
        client: SocketAddr,
    },
    /// The session has begun.
    Ready,
    /// A newer session takes the server.
    Preempted,
    /// The connection is over.
    Closed {
        /// Close code, of whichever side closed; 1005 without one, 1006 without a close.
        code: u16,
        /// Reason of the close; may be empty.
        reason: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:9.3} s  connection {}  ", self.at.seconds(), self.connection)?;
        match &self.happening {
            Happening::Connected { client } => write!(out, "connected from {client}"),
            Happening::Ready => write!(out, "ready"),
            Happening::Preempted => write!(out, "preempted by a newer session"),
            Happening::Closed { code, reason } if reason.is_empty() => write!(out, "closed {code}"),
            Happening::Closed { code, reason } => write!(out, "closed {code} {reason}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(happening: Happening, line: &str) {
        let notice = Notice { at: Nanos(1_234_567_890), connection: 2, happening };
        assert_eq!(notice.to_string(), line);
    }

    #[test]
    fn a_line_for_each() {
        let client = SocketAddr::from(([127, 0, 0, 1], 5_000));
        let line = "    1.235 s  connection 2  connected from 127.0.0.1:5000";
        check(Happening::Connected { client }, line);
        check(Happening::Ready, "    1.235 s  connection 2  ready");
        let closed = |reason: &str| Happening::Closed { code: 1000, reason: reason.to_owned() };
        check(closed(""), "    1.235 s  connection 2  closed 1000");
        check(closed("bye"), "    1.235 s  connection 2  closed 1000 bye");
    }
}
