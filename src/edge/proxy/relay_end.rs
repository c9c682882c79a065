//! How a forwarded connection ended.

use crate::capture::{Direction, Party};

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelayEnd {
    /// Both sides closed, this direction's sender first.
    By(Direction),
    /// This direction's sender reset the connection, or is gone.
    Reset(Direction),
    /// The impairment cut it.
    Cut,
    /// The proxy stops.
    Stopped,
}

impl RelayEnd {
    /// Who ended it, where that is known.
    pub fn by(self) -> Option<Party> {
        match self {
            RelayEnd::By(who) | RelayEnd::Reset(who) => Some(who.into()),
            RelayEnd::Cut => None,
            RelayEnd::Stopped => Some(Party::Recorder),
        }
    }

    pub fn reason(self) -> &'static str {
        match self {
            RelayEnd::By(Direction::ClientToServer) => "the client ended it",
            RelayEnd::By(Direction::ServerToClient) => "the server ended it",
            RelayEnd::Reset(Direction::ClientToServer) => "the client broke it off",
            RelayEnd::Reset(Direction::ServerToClient) => "the server broke it off",
            RelayEnd::Cut => "cut, as --drop-after says",
            RelayEnd::Stopped => "the proxy was stopped",
        }
    }
}
