//! Notices of how a replay goes, and their wording.

use std::fmt;
use std::net::SocketAddr;

use crate::edge::socket::shedding::ShortageNotice;
use crate::time::Nanos;

/// A change of a replay, with its time.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayNotice {
    pub at: Nanos,
    pub change: ReplayChange,
}

/// What becomes of a replay.
#[derive(Clone, Debug, PartialEq)]
pub enum ReplayChange {
    /// The handshake of WebSocket is done.
    Connected { client: SocketAddr },
    /// The client has sent its first message, and the tape runs.
    Begun,
    /// The tape waits for the client.
    HeldFor {
        /// Kind of the message that it waits for.
        kind: String,
    },
    /// The client or the machine does not keep up, and everything comes later.
    Slowed {
        /// In seconds, in total.
        by_s: f64,
    },
    /// The tape began again.
    BegunAgain { rounds: u64 },
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

impl fmt::Display for ReplayNotice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:9.3} s  ", self.at.seconds())?;
        match &self.change {
            ReplayChange::Connected { client } => write!(out, "connected from {client}"),
            ReplayChange::Begun => write!(out, "the session begins"),
            ReplayChange::HeldFor { kind } => write!(out, "held until the client sends its {kind}"),
            ReplayChange::Slowed { by_s } => write!(
                out,
                "cannot keep up: everything is slowed, {by_s:.1} s so far (is the client reading?)"
            ),
            ReplayChange::BegunAgain { rounds } => {
                write!(
                    out,
                    "begins again, for the {rounds}. time, with a swap that the client did not ask for (a page drops the slices after it)"
                )
            }
            ReplayChange::Closed { code, reason } if reason.is_empty() => {
                write!(out, "closed {code}")
            }
            ReplayChange::Closed { code, reason } => write!(out, "closed {code} {reason}"),
            ReplayChange::Shortage(notice) => write!(out, "{notice}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(change: ReplayChange, line: &str) {
        let notice = ReplayNotice { at: Nanos(1_234_567_890), change };
        assert_eq!(notice.to_string(), line);
    }

    #[test]
    fn a_line_for_each() {
        let client = SocketAddr::from(([127, 0, 0, 1], 5_000));
        check(ReplayChange::Connected { client }, "    1.235 s  connected from 127.0.0.1:5000");
        let kind = "swap_source".to_owned();
        let held = "    1.235 s  held until the client sends its swap_source";
        check(ReplayChange::HeldFor { kind }, held);
        check(
            ReplayChange::Closed { code: 1000, reason: "bye".to_owned() },
            "    1.235 s  closed 1000 bye",
        );
    }
}
