//! The state of the protocol: handshake, announcements, and the last values that were sent.

use serde::{Deserialize, Serialize};

use super::stream::StreamState;
use crate::time::Nanos;
use crate::wire::message::Ready;

/// Where a session stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionState {
    /// The connection of the session; until `ready` the one that spoke last.
    pub connection: Option<u32>,
    /// How far the handshake is.
    pub phase: SessionPhase,
    /// Binary messages that were announced and have not come, in their order.
    pub expected: Vec<Expectation>,
    /// Records are missing, so that the expectations may be wrong.
    pub doubtful: bool,
    /// The client's first message, as it came; empty where it is unknown.
    pub config: String,
    /// What `ready` declared, …
    pub ready: Option<Ready>,
    /// … and the message, as it came; empty where it is unknown.
    pub ready_text: String,
    /// The server's refusal.
    pub refusal: Option<ServerRefusal>,
    /// The latest time of any record.
    pub latest: Nanos,
    /// Bytes of all slice messages so far, which clients acknowledge.
    pub slice_bytes: u64,
    /// The knobs as `params_echo` merged them: the JSON text of an object, or empty.
    pub knobs: String,
    /// The last `params_update`, as it came.
    pub params_update: String,
    /// The stream, once its initial buffer came.
    pub stream: Option<StreamState>,
}

/// Where a session stands in its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionPhase {
    /// Nothing sent yet.
    #[default]
    BeforeConfig,
    /// The client has sent its configuration and waits for `ready`.
    BeforeReady,
    /// `ready` came; the next binary of the server is the initial buffer.
    BeforeBuffer,
    /// Slices and ticks.
    Streaming,
    /// The server sent `error` instead of `ready`.
    Refused,
}

/// What a coming binary message of the server was announced to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The buffer of a swap, with the channels that `swap_ready` declared.
    SwapBuffer(Option<u16>),
    Stem,
    /// The rendered track of `bounce_ready`.
    Bounce,
}

/// What the server said when it refused a session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerRefusal {
    /// The error's `code`.
    pub code: Option<String>,
    /// The error's `message`.
    pub message: Option<String>,
}
