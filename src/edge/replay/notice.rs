//! What an onlooker hears of a replay.
//!
//! Enters: what became of it. Leaves: a line for people.

use std::fmt;
use std::net::SocketAddr;

use crate::time::Nanos;

/// Something became of the replay.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// When, on the replay's clock.
    pub at: Nanos,
    /// What.
    pub happening: Happening,
}

/// What becomes of a replay.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// The handshake of WebSocket is done.
    Connected {
        /// Where the client is.
        client: SocketAddr,
    },
    /// The client has sent its first message, and the tape runs.
    Begun,
    /// The tape waits for the client.
    HeldFor {
        /// Kind of the message that it waits for.
        kind: String,
    },
    /// Nobody keeps up, and everything comes later by so much in all.
    Slowed {
        /// In seconds.
        by_s: f64,
    },
    /// The tape began again.
    BegunAgain {
        /// How often it has.
        rounds: u64,
    },
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
        write!(out, "{:9.3} s  ", self.at.seconds())?;
        match &self.happening {
            Happening::Connected { client } => write!(out, "connected from {client}"),
            Happening::Begun => write!(out, "the session begins"),
            Happening::HeldFor { kind } => write!(out, "held until the client sends its {kind}"),
            Happening::Slowed { by_s } => write!(
                out,
                "cannot keep up: everything is slowed, {by_s:.1} s so far (is the client reading?)"
            ),
            Happening::BegunAgain { rounds } => write!(out, "begins again, for the {rounds}. time"),
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
        let notice = Notice { at: Nanos(1_234_567_890), happening };
        assert_eq!(notice.to_string(), line);
    }

    #[test]
    fn a_line_for_each() {
        let client = SocketAddr::from(([127, 0, 0, 1], 5_000));
        check(Happening::Connected { client }, "    1.235 s  connected from 127.0.0.1:5000");
        let kind = "swap_source".to_owned();
        let held = "    1.235 s  held until the client sends its swap_source";
        check(Happening::HeldFor { kind }, held);
        check(
            Happening::Closed { code: 1000, reason: "bye".to_owned() },
            "    1.235 s  closed 1000 bye",
        );
    }
}
