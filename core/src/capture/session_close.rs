//! How the connection of a session log ended, where `session.json` says it.

use serde_json::{Map, Value};

use super::broken::ConnectionBreak;
use super::record::{Body, Direction, Message, Opcode};
use crate::time::Nanos;

/// Longest reason that fits into a close frame, after its code.
const MAX_REASON_LEN: usize = 123;
/// The code that stands for a connection without a close frame; no frame carries it.
const NO_CLOSE_FRAME: u16 = 1006;
/// The code that stands for a close frame without a code.
const NO_CODE: u16 = 1005;

/// The end of a logged connection: `close_t_ns`, `close_code`, `close_reason` and `close_by`.
#[derive(Debug)]
pub(super) struct SessionClose {
    pub t: Nanos,
    how: How,
}

#[derive(Debug)]
enum How {
    Frame { direction: Direction, payload: Vec<u8> },
    Lost(ConnectionBreak),
}

impl SessionClose {
    /// Reads it, if there is one; without a time it happened at `otherwise`.
    pub fn of(session: &Map<String, Value>, otherwise: Option<Nanos>) -> Option<SessionClose> {
        let number = |key: &str| session.get(key).and_then(Value::as_u64);
        let text = |key: &str| session.get(key).and_then(Value::as_str);
        let code = number("close_code").and_then(|code| u16::try_from(code).ok());
        let by = text("close_by");
        if code.is_none() && by.is_none() {
            return None;
        }
        let t = number("close_t_ns").map(Nanos).or(otherwise)?;
        let reason = text("close_reason").unwrap_or_default();
        let how = match by {
            Some("cut") => How::lost(reason),
            _ if code == Some(NO_CLOSE_FRAME) => How::lost(reason),
            Some("client") => How::frame(Direction::ClientToServer, code, reason),
            _ => How::frame(Direction::ServerToClient, code, reason),
        };
        Some(SessionClose { t, how })
    }

    /// The record that says it.
    pub fn body(&self) -> Body<'_> {
        match &self.how {
            How::Frame { direction, payload } => {
                Body::Message(Message::new(*direction, Opcode::Close, payload))
            }
            How::Lost(broken) => Body::Break(broken.clone()),
        }
    }
}

impl How {
    fn lost(reason: &str) -> How {
        How::Lost(ConnectionBreak { reason: reason.to_owned(), ..ConnectionBreak::default() })
    }

    fn frame(direction: Direction, code: Option<u16>, reason: &str) -> How {
        let Some(code) = code.filter(|code| *code != NO_CODE) else {
            return How::Frame { direction, payload: Vec::new() };
        };
        let kept = reason.floor_char_boundary(MAX_REASON_LEN);
        let payload = [&code.to_be_bytes()[..], &reason.as_bytes()[..kept]].concat();
        How::Frame { direction, payload }
    }
}
