//! What a replay as the server can be asked for, and what it asks of its driver.
//!
//! Times of the recording are on its own clock, or in seconds from its initial buffer.

use serde_json::{Map, Value};

use crate::time::Nanos;

/// Bytes of a recording that are held in advance; one message may exceed it.
pub const MAX_AHEAD_BYTES: usize = 4 << 20;

/// When messages are sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Timing {
    /// As recorded, at this many seconds of the recording in a second.
    Recorded {
        /// Above 0.
        rate: f64,
    },
    /// As fast as the client reads.
    Max,
}

/// What is replayed, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplayOptions {
    pub timing: Timing,
    /// Replies wait for the messages that they answered.
    pub causal: bool,
    /// Swaps that the recorded client asked for are sent also to one that does not.
    pub unasked: bool,
    /// When the initial buffer came, on the tape's clock.
    pub origin: Nanos,
    /// When the buffer that the replay begins with is sent: `origin`, or where a recording begins
    /// in the middle.
    pub began: Nanos,
    /// Kinds of client actions that a recording without the session's beginning cannot be compared with.
    pub unknown: Vec<&'static str>,
    /// Everything before this is sent at once.
    pub start_at: Option<Nanos>,
    /// Nothing after this is sent.
    pub until: Option<Nanos>,
    /// Begin again at the end.
    pub looped: bool,
    /// The fields of the recorded `ready`.
    pub ready: Map<String, Value>,
    /// It is no session of a DEMON server: whoever spoke first begins it.
    pub is_plain: bool,
}

/// A change of the replay's clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Control {
    /// Stand still.
    Pause,
    /// Go on.
    Resume,
    /// Run at this rate, above 0.
    Rate(f64),
    /// Go to this second of the recording, from its initial buffer.
    Jump(f64),
}

/// What the driver has to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Nothing,
    /// Offer the next parts, or note the end of the tape.
    Parts,
    /// Go back to the beginning of the tape, and call
    /// [`ReplayServer::rewound`](super::ReplayServer::rewound).
    Rewind,
}

/// Where a replay is.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ReplayStatus {
    /// In seconds of the recording, from its initial buffer.
    pub at_s: f64,
    /// Seconds of the recording in a second; `null`: as fast as the client reads.
    pub rate: Option<f64>,
    /// The clock stands still.
    pub paused: bool,
    /// How often it began again.
    pub rounds: u64,
}
