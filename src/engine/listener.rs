//! The listener: both playheads of a session, of which one counts.
//!
//! Enters: ops of the capture and reports of the client, each to its own playhead. Leaves: where
//! the listener is. Both are kept going, so that a capture that is cut can be asked for either.

use super::PlayheadSource;
use crate::capture::StreamState;
use crate::playhead::{PlayheadSim, ReportedPlayhead};

/// Where the listener is, by simulation and by report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Listener {
    /// Which of them counts.
    pub source: PlayheadSource,
    /// Moved by time and by ops.
    pub simulated: PlayheadSim,
    /// Moved by the client's reports.
    pub reported: ReportedPlayhead,
}

impl Listener {
    pub fn new(source: PlayheadSource, frames: u64, sample_rate: u32, now_s: f64) -> Self {
        Listener {
            source,
            simulated: PlayheadSim::new(frames, sample_rate, now_s),
            reported: ReportedPlayhead::new(frames, sample_rate, now_s),
        }
    }

    pub fn resume(source: PlayheadSource, state: &StreamState, sample_rate: u32) -> Self {
        let frames = state.frames;
        Listener {
            source,
            simulated: PlayheadSim::resume(&state.simulated, frames, sample_rate),
            reported: ReportedPlayhead::resume(&state.reported, frames, sample_rate),
        }
    }

    /// The frame that is heard.
    pub fn frame(&self, now_s: f64) -> u64 {
        match self.source {
            PlayheadSource::Simulated => self.simulated.frame(now_s),
            PlayheadSource::Reported => self.reported.frame(now_s),
        }
    }

    /// The position in seconds from the start of the loop.
    pub fn seconds(&self, now_s: f64) -> f64 {
        match self.source {
            PlayheadSource::Simulated => self.simulated.seconds(now_s),
            PlayheadSource::Reported => self.reported.seconds(now_s),
        }
    }

    /// Restarts at frame 0 of a loop of another length, as a swap does.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        self.simulated.reset(frames, now_s);
        self.reported.reset(frames, now_s);
    }
}
