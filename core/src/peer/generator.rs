//! The simulated model: how long each slice takes, and how many generations are finished.
//!
//! The same seed gives the same durations. What it plays is the business of
//! [`LoopAudio`](super::loop_audio::LoopAudio).

use serde::{Deserialize, Serialize};

use crate::peer::rng::{Rng, Stream};

/// What the model is like. The defaults are those of the recordings in golden/pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeneratorOptions {
    /// Mean time of one tick of the model, in milliseconds.
    pub tick_ms: f64,
    /// Ticks lie within this share of their mean, uniformly.
    pub tick_spread: f64,
    /// Mean time to decode one slice, in milliseconds.
    pub decode_ms: f64,
    /// Decodes lie within this share of their mean, uniformly.
    pub decode_spread: f64,
    /// What the loop spends beside them for each slice, in milliseconds.
    pub overhead_ms: f64,
    /// From the end of a decode to the message handed to the socket, beside the loop, in
    /// milliseconds.
    pub encode_ms: f64,
    /// Time to load a source, before `ready` and for a swap, in milliseconds.
    pub load_ms: f64,
    /// Level of the slices' zstd frames.
    pub zstd_level: i32,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self {
            tick_ms: 40.0,
            tick_spread: 0.25,
            decode_ms: 7.9,
            decode_spread: 0.015,
            overhead_ms: 0.4,
            encode_ms: 0.9,
            load_ms: 150.0,
            zstd_level: 1,
        }
    }
}

/// How long the model works for one slice, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Durations {
    pub tick_ms: f64,
    pub decode_ms: f64,
}

/// The fake model's work.
#[derive(Clone, Debug)]
pub struct Generator {
    options: GeneratorOptions,
    rng: Rng,
    progress: f64,
    finished: u32,
}

impl Generator {
    /// A model that has done nothing yet.
    #[must_use]
    pub fn new(options: GeneratorOptions, seed: u64) -> Self {
        Self { options, rng: Rng::new(seed, Stream::Durations), progress: 0.0, finished: 0 }
    }

    /// What the model is like.
    #[must_use]
    pub fn options(&self) -> &GeneratorOptions {
        &self.options
    }

    /// How long the next slice takes.
    pub fn next_durations(&mut self) -> Durations {
        let GeneratorOptions { tick_ms, tick_spread, decode_ms, decode_spread, .. } = self.options;
        Durations {
            tick_ms: self.rng.around(tick_ms, tick_spread).max(0.0),
            decode_ms: self.rng.around(decode_ms, decode_spread).max(0.0),
        }
    }

    /// A number in `[0, 1)` from the stream of durations, for incidents that draw others.
    pub fn draw(&mut self) -> f64 {
        self.rng.unit()
    }

    /// A tick is done: with `depth` generations in the pipeline, each of `steps` ticks, that is
    /// `depth / steps` of a generation.
    pub fn finish_tick(&mut self, depth: u32, steps: u32) {
        self.progress += f64::from(depth) / f64::from(steps.max(1));
        let whole = self.progress.floor();
        self.progress -= whole;
        self.finished = self.finished.saturating_add(whole as u32);
    }

    /// Generations finished.
    #[must_use]
    pub fn generations(&self) -> u32 {
        self.finished
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(depth: u32, steps: u32, ticks: usize, expected: u32) {
        let mut generator = Generator::new(GeneratorOptions::default(), 1);
        (0..ticks).for_each(|_| generator.finish_tick(depth, steps));
        assert_eq!(generator.generations(), expected, "{depth}/{steps} over {ticks}");
    }

    #[test]
    fn generations_follow_from_depth_and_steps() {
        check(4, 8, 22, 11);
        check(4, 4, 3, 3);
        check(1, 8, 7, 0);
        check(1, 0, 2, 2);
    }

    #[test]
    fn the_same_seed_works_the_same() {
        let draw = |seed| Generator::new(GeneratorOptions::default(), seed).next_durations();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!((30.0..50.0).contains(&draw(7).tick_ms));
    }
}
