//! Both ends of a session as state machines without sockets or clocks.
//!
//! They take messages and times, and return messages to send and the time at which to be polled again.
//! A driver moves the messages: over sockets in real time, or over two [`link::Link`]s on a virtual
//! clock. Equal inputs at equal times give equal bytes on every platform.

pub mod client;
pub mod client_model;
pub mod command;
pub mod generator;
pub mod hands;
pub mod incident;
pub mod interval;
pub mod keepalive;
pub mod link;
pub mod loop_audio;
pub mod main_thread;
pub mod pacing;
pub mod policy;
pub mod replay;
pub mod rng;
pub mod script;
pub mod server;
pub mod simulation;
pub mod stall;
pub mod tune;
mod upload;

/// A message that a peer wants sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Outgoing {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// A WebSocket ping, which the other end's library answers with a pong of the same payload.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong(Vec<u8>),
    /// The connection is to be closed.
    Close {
        /// Status code of RFC 6455; [`NO_CODE`] for a close without one, [`LOST`] for an end without a
        /// close.
        code: u16,
        reason: String,
    },
}

/// Stands for a close frame without a code.
pub const NO_CODE: u16 = 1005;
/// Stands for a connection that ends without a close frame, …
pub const LOST: u16 = 1006;
/// … and this for its reason where it is reset.
pub const RESET: &str = "reset";
