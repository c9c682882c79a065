//! What goes on of a source after a swap, where the generator does not notice the swap at once: its
//! position runs on in the old loop, and so does its sound.

use crate::peer::pacing::{PlayheadClock, Region};
use crate::time::Nanos;

/// The source before a swap.
pub(super) struct Bleed {
    until: Nanos,
    clock: PlayheadClock,
    /// Its audio, channels interleaved.
    held: Vec<f32>,
    channels: usize,
}

impl Bleed {
    pub fn new(until: Nanos, clock: PlayheadClock, held: Vec<f32>, channels: u16) -> Self {
        Self { until, clock, held, channels: usize::from(channels.max(1)) }
    }

    pub fn holds(&self, now: Nanos) -> bool {
        now < self.until && !self.held.is_empty()
    }

    /// Where the listener would be if the source had not been swapped, in frames of the old loop.
    pub fn estimate(&self, now: Nanos) -> f64 {
        self.clock.estimate(now)
    }

    /// What the old loop holds there; past its end it begins anew.
    pub fn audio(&self, region: Region) -> Vec<f32> {
        let first = region.start as usize * self.channels;
        let samples = region.frames as usize * self.channels;
        self.held.iter().copied().cycle().skip(first % self.held.len()).take(samples).collect()
    }
}
