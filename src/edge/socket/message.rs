//! WebSocket messages of the library, to and from what peers send and captures record.

use std::borrow::Cow;

use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::capture::Opcode;
use crate::peer::Outgoing;

/// The message that sends what a peer wants sent.
pub(in crate::edge) fn to_socket(message: Outgoing) -> Message {
    match message {
        Outgoing::Text(text) => Message::text(text),
        Outgoing::Binary(bytes) => Message::binary(bytes),
        Outgoing::Ping(bytes) => Message::Ping(bytes.into()),
        Outgoing::Pong(bytes) => Message::Pong(bytes.into()),
        Outgoing::Close { code, reason } => {
            Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
        }
    }
}

/// Opcode and payload of a message as they stand on the wire.
pub(in crate::edge) fn opcode_and_payload(message: &Message) -> (Opcode, Cow<'_, [u8]>) {
    match message {
        Message::Text(text) => (Opcode::Text, text.as_bytes().into()),
        Message::Binary(bytes) => (Opcode::Binary, bytes[..].into()),
        Message::Ping(bytes) => (Opcode::Ping, bytes[..].into()),
        Message::Pong(bytes) => (Opcode::Pong, bytes[..].into()),
        Message::Close(None) => (Opcode::Close, [][..].into()),
        Message::Close(Some(frame)) => {
            (Opcode::Close, close_payload(frame.code.into(), &frame.reason).into())
        }
        Message::Frame(frame) => (Opcode::Binary, frame.payload()[..].into()),
    }
}

/// Payload of a close message.
pub(in crate::edge) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}
