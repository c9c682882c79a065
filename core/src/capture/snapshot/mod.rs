//! The state of a session at one moment, so that a capture can begin in the middle of it.
//!
//! Plain data: the engine fills it in and restores itself from it, and two engines with equal
//! snapshots behave equally from there on. Slices, ticks, events and counts that are already past
//! are not in it, so reports cover only what the capture itself holds.
//! Times are seconds or nanoseconds of the capture's clock, positions are audio frames.

mod buffer;
mod detector;
mod heard;
mod session;
mod stream;

pub use buffer::{BufferError, PackedBuffer};
pub use detector::{BehindState, LagDetectorState, StaleState};
pub use heard::{
    Arrived, BehindSpell, Excuses, HeardSpell, HeardState, LastWrite, MeterState, Patch,
    PlayheadLine, TapeRule, TapeState, Waiting, WrittenBy,
};
pub use session::{Expectation, ServerRefusal, SessionPhase, SessionState};
pub use stream::{ClientClockState, ReportedState, SimulatedState, StreamState, TickReport};

use std::borrow::Cow;

/// The state of a session after a record: what a reader has to know to go on from there.
#[derive(Clone, Debug, PartialEq)]
pub struct Context<'a> {
    pub state: Box<SessionState>,
    /// The client's buffer, if it is known.
    pub buffer: Option<PackedBuffer<'a>>,
}

impl Context<'_> {
    /// A copy that owns its bytes.
    #[must_use]
    pub fn into_owned(self) -> Context<'static> {
        let buffer = self.buffer.map(|buffer| PackedBuffer(Cow::Owned(buffer.0.into_owned())));
        Context { state: self.state, buffer }
    }
}
