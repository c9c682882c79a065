//! A recorded session, replayed as the server to any client, or as the client to any server.
//!
//! At the end, a [`Divergence`] says how far the live peer and the clock strayed from the recording.
//! Times of a recording are on its own clock (the tape's), all others on the driver's. Of a recording,
//! [`MAX_AHEAD_BYTES`] and one message are held at most.

mod causes;
mod client;
mod divergence;
mod mid_session;
mod options;
mod pace;
mod schedule;
mod sequence_diff;
mod server;
mod tape;
#[cfg(test)]
mod tests;

pub use causes::{CONFIG, ClientActions, ReplyCause, UPLOAD};
pub use client::{MAX_SCRIPT_BYTES, Performance, PerformanceError, PerformanceOptions, Script};
pub use divergence::{ActionCounts, Divergence, Drift, TickCounts, TimeKept};
pub use mid_session::{MidSession, config as config_of};
pub use options::{Control, MAX_AHEAD_BYTES, ReplayOptions, ReplayStatus, Timing, Wanted};
pub use pace::{MAX_LATE_NS, Pace};
pub use sequence_diff::Difference;
pub use server::ReplayServer;
pub use tape::{PartBody, ReplyKind, Tape, TapePart, TapeReply};
