//! The tape of a family that only appends: how far it is, and when the next chunk may be made.
//!
//! Enters: the positions that the client reports. Leaves: how long the next chunk takes, or that the
//! gate is shut, and the slices of a chunk that is made. The numbers are those of `mrt2/backend.py`
//! @0aa43c8, `minimax_backend.py`@13e5f84 and `engine/minimax_render.py`@6436add.

use crate::family::Family;
use crate::peer::pacing::Region;
use crate::time::DEFAULT_SAMPLE_RATE;

/// Frames that a slice repeats of the one before.
const REPEAT_FRAMES: u64 = 1_200;
/// How long a shut gate waits before it looks again.
pub(super) const GATE_S: f64 = 0.02;

/// How a family makes its chunks.
#[derive(Clone, Copy, Debug)]
struct Gate {
    chunk_s: f64,
    /// Audio of one slice at most.
    slice_s: f64,
    /// Nothing is made while the frontier is further ahead of the listener than this.
    lead_s: f64,
    /// How long a chunk takes.
    makes_s: f64,
    /// How long the first chunk takes, on a warm server.
    first_s: f64,
}

const MRT2: Gate =
    Gate { chunk_s: 0.04, slice_s: 1.5, lead_s: 0.75, makes_s: 0.04 / 1.7, first_s: 0.2 };
const MINIMAX: Gate =
    Gate { chunk_s: 4.0, slice_s: 1.5, lead_s: 5.0, makes_s: 4.0 / 1.29, first_s: 6.0 };

/// A tape that is being written.
#[derive(Clone, Debug)]
pub(super) struct WrittenTape {
    gate: Gate,
    frames: u64,
    /// End of the newest audio, unwrapped.
    frontier: u64,
    laps: u64,
    position_s: f64,
    pub chunks: u64,
}

impl WrittenTape {
    /// The tape of a window of so many frames, if the family has one.
    pub fn of(family: Family, frames: u32) -> Option<Self> {
        let gate = match family {
            Family::Mrt2 => MRT2,
            Family::Minimax => MINIMAX,
            _ => return None,
        };
        let frames = u64::from(frames.max(1));
        Some(WrittenTape { gate, frames, frontier: 0, laps: 0, position_s: 0.0, chunks: 0 })
    }

    /// The client is there. A position that drops by more than half the window is the next lap's.
    pub fn report(&mut self, position_s: f64) {
        if self.position_s - position_s > seconds(self.frames) / 2.0 {
            self.laps += 1;
        }
        self.position_s = position_s;
    }

    /// How far ahead of the listener the newest audio ends.
    pub fn lead_s(&self) -> f64 {
        seconds(self.frontier) - self.position_s - self.laps as f64 * seconds(self.frames)
    }

    /// How long the next chunk takes; `None` while the listener has enough.
    pub fn makes_s(&self) -> Option<f64> {
        let Gate { lead_s, makes_s, first_s, .. } = self.gate;
        (self.lead_s() <= lead_s).then_some(if self.chunks == 0 { first_s } else { makes_s })
    }

    /// A chunk is made: its slices. None crosses the end of the window.
    pub fn append(&mut self) -> Vec<Region> {
        let frames_of = |s: f64| (s * f64::from(DEFAULT_SAMPLE_RATE)).round() as u64;
        self.chunks += 1;
        let mut left = frames_of(self.gate.chunk_s);
        let mut slices = Vec::new();
        while left > 0 {
            let at = self.frontier % self.frames;
            let fresh = left.min(frames_of(self.gate.slice_s)).min(self.frames - at);
            let repeat = REPEAT_FRAMES.min(at);
            slices.push(Region { start: (at - repeat) as u32, frames: (fresh + repeat) as u32 });
            self.frontier += fresh;
            left -= fresh;
        }
        slices
    }
}

fn seconds(frames: u64) -> f64 {
    frames as f64 / f64::from(DEFAULT_SAMPLE_RATE)
}
