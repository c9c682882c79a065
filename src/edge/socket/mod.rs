//! The server side of a WebSocket.
//!
//! A connection starts as HTTP (`upgrade`, `answers`) and becomes a WebSocket, which `pump` drives
//! until one side closes it. What is sent, and what an incoming message does, is up to the
//! [`pump::ServedPeer`]: the simulated server of the backend or the recorded one of a replay.

pub mod answers;
pub mod capacity;
pub mod close;
pub mod listener;
pub mod message;
pub mod pump;
pub mod sender;
pub mod shedding;
pub mod upgrade;
pub mod watched;

use std::time::Duration;

/// Connections a server holds at a time; further clients are turned away.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to learn that its connection is closing.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
