//! What the server of a recording may have been like.
//!
//! Everything that a run of the model needs beside the trace. A hypothesis says nothing of how well it
//! repeats its recording; that is what `fit` asks.

use super::gate::Gate;
use super::generations::{Generation, NewFrames};
use super::pacing::Rule;
use super::queue::Queue;
use super::trace::Trace;
use crate::peer::policy::Policy;
use crate::peer::rng::Rng;
use crate::time::Nanos;

/// A server, the way to it, and when it worked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    pub policy: Policy,
    /// The family of its pacing.
    pub rule: Rule,
    /// Both ways and what the server needs to take a report and to hand a slice over, in
    /// nanoseconds.
    pub round_trip_ns: i64,
    /// The turns of the loop that generates.
    pub generations: Vec<Generation>,
    /// The link, where it was too thin for the stream and slices waited for it. Then what was shed
    /// and how long the rest was on its way are facts, and only where slices go is computed anew.
    pub queue: Option<Queue>,
    /// The gate of a server that only appends: its slices follow on each other, wherever the listener is,
    /// and a turn is a recorded slice.
    pub gate: Option<Gate>,
    /// What frames of a slice cost that the slice before did not cover.
    pub new_frames: NewFrames,
    pub(super) mean_transit_ns: i64,
}

impl Hypothesis {
    /// When the server began.
    pub(super) fn began(&self, trace: &Trace) -> Nanos {
        self.queue.map_or(trace.begins, |queue| queue.began)
    }

    /// What the recording knows of a turn. Past its end it begins anew, so that a faster server
    /// finds something to do; the first rest was no rest between turns.
    #[inline]
    pub(super) fn turn(&self, number: usize) -> &Generation {
        let count = self.generations.len();
        let index = if number < count { number } else { 1 + (number - count) % (count - 1) };
        &self.generations[index]
    }

    /// How much longer one report travels than the fitted way: like some slice of the recording.
    pub(super) fn jitter_ns(&self, rng: &mut Rng) -> i64 {
        if self.queue.is_some() {
            return 0;
        }
        let index = (rng.unit() * self.generations.len() as f64) as usize;
        self.generations[index].transit_ns - self.mean_transit_ns
    }
}
