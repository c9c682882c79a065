//! What the instruments are made of: recurrences, single-cycle tables, filters and envelopes. Hz and
//! seconds enter, samples leave. A sine is computed once for each entry of one table; everything
//! that runs at the sample rate is multiplications and additions.

use std::f64::consts::TAU;

/// Bits of a position in a cycle.
const CYCLE_BITS: u32 = 11;
/// Entries of a cycle.
const CYCLE: usize = 1 << CYCLE_BITS;
/// Partials are left out from this share of the sample rate upwards.
const HIGHEST: f64 = 0.42;
/// Filters have their corners at most at this share of the sample rate.
const HIGHEST_CORNER: f64 = 0.25;
/// A partial is over when it is this quiet.
const SILENCE: f64 = 1e-4;
/// Every one-shot ends in a fade this long.
const FADE_SECONDS: f32 = 0.015;

/// Where one-shots are made: the sample rate, the longest length and a sine.
#[derive(Debug)]
pub(super) struct Studio {
    pub(super) rate: f64,
    longest: usize,
    sine: Vec<f32>,
}

/// A sine that decays: its frequency relative to the note, its level, and the seconds in which it
/// falls to 1/e.
#[derive(Clone, Copy, Debug)]
pub(super) struct Partial {
    pub(super) ratio: f64,
    pub(super) level: f64,
    pub(super) decay: f64,
}

impl Studio {
    pub(super) fn new(sample_rate: u32, longest: usize) -> Self {
        let sine = (0..CYCLE).map(|i| libm::sin(TAU * i as f64 / CYCLE as f64) as f32).collect();
        Self { rate: f64::from(sample_rate), longest, sine }
    }

    /// Frames in a number of seconds, at most the longest length.
    pub(super) fn frames(&self, seconds: f32) -> usize {
        ((f64::from(seconds) * self.rate) as usize).min(self.longest)
    }

    /// Silence to add to.
    pub(super) fn blank(&self, seconds: f32) -> Vec<f32> {
        vec![0.0; self.frames(seconds)]
    }

    /// Adds decaying sines that all begin at 0.
    pub(super) fn add_partials(&self, out: &mut [f32], hertz: f64, partials: &[Partial]) {
        for partial in partials.iter().filter(|partial| self.carries(hertz * partial.ratio)) {
            let angle = TAU * hertz * partial.ratio / self.rate;
            let shrink = self.decay(partial.decay);
            let (cos, sin) = (libm::cos(angle) * shrink, libm::sin(angle) * shrink);
            let seconds = partial.decay * libm::log(partial.level / SILENCE).max(0.0);
            let (mut x, mut y) = (partial.level, 0.0);
            for sample in out.iter_mut().take((seconds * self.rate) as usize) {
                *sample += y as f32;
                (x, y) = (x * cos - y * sin, x * sin + y * cos);
            }
        }
    }

    /// One cycle of the given harmonics, the fundamental first, for a note of `hertz`.
    pub(super) fn cycle(&self, hertz: f64, harmonics: &[f32]) -> Vec<f32> {
        let mut cycle = vec![0.0; CYCLE];
        for (n, level) in (1..).zip(harmonics).filter(|(n, _)| self.carries(hertz * *n as f64)) {
            for (i, sample) in cycle.iter_mut().enumerate() {
                *sample += level * self.sine[i * n % CYCLE];
            }
        }
        cycle
    }

    /// How far a position in a cycle moves in one frame.
    pub(super) fn stride(&self, hertz: f64) -> u32 {
        (hertz / self.rate * (1_u64 << 32) as f64) as u32
    }

    /// A sine at a position in its cycle.
    pub(super) fn sine(&self, position: u32) -> f32 {
        read(&self.sine, position)
    }

    /// The factor per frame of a decay to 1/e in `seconds`.
    pub(super) fn decay(&self, seconds: f64) -> f64 {
        libm::exp(-1.0 / (seconds * self.rate))
    }

    /// A one-pole low-pass filter with its corner at `hertz`, or at the highest corner that leaves
    /// a pair of filters something between them.
    pub(super) fn low_pass(&self, hertz: f64) -> LowPass {
        let hertz = hertz.min(HIGHEST_CORNER * self.rate);
        LowPass { share: (1.0 - libm::exp(-TAU * hertz / self.rate)) as f32, state: 0.0 }
    }

    /// Eases a one-shot in over `attack` seconds and out at its end, so that neither edge clicks.
    pub(super) fn finish(&self, mut out: Vec<f32>, attack: f32) -> Vec<f32> {
        let ease = |samples: &mut dyn Iterator<Item = &mut f32>, frames: usize| {
            for (i, sample) in samples.take(frames).enumerate() {
                let x = i as f32 / frames as f32;
                *sample *= x * x * (3.0 - 2.0 * x);
            }
        };
        ease(&mut out.iter_mut(), self.frames(attack).max(1));
        ease(&mut out.iter_mut().rev(), self.frames(FADE_SECONDS).max(1));
        out
    }

    /// Whether a frequency stays clear of half the sample rate.
    pub(super) fn carries(&self, hertz: f64) -> bool {
        hertz < HIGHEST * self.rate
    }
}

/// A cycle at a position of 32 bits, interpolated between its entries.
pub(super) fn read(cycle: &[f32], position: u32) -> f32 {
    let index = (position >> (32 - CYCLE_BITS)) as usize;
    let between = (position << CYCLE_BITS) as f32 / (1_u64 << 32) as f32;
    let (here, next) = (cycle[index], cycle[(index + 1) % CYCLE]);
    here + (next - here) * between
}

/// A one-pole low-pass filter.
#[derive(Clone, Debug)]
pub(super) struct LowPass {
    share: f32,
    state: f32,
}

impl LowPass {
    pub(super) fn pass(&mut self, sample: f32) -> f32 {
        self.state += self.share * (sample - self.state);
        self.state
    }
}
