//! Whether slices after a swap bring audio of the source before it.
//!
//! Enters: the buffers before and after a swap, and what slices make of the new one. Leaves: how many
//! slices in a row, from the swap on, hold what the old buffer held at their place. Where both sources
//! sound alike there, or the old one is silent, nothing is told. One channel of every
//! [`STRIDE`]th frame is compared, and only as long as old audio comes.

use super::Mirror;
use super::drift::STRIDE;

/// A slice holds the old audio if it follows it so closely, as a correlation, …
const OLD: f64 = 0.9;
/// … where the new source does not follow it by so much.
const OTHER: f64 = 0.5;
/// A place whose mean square is smaller is silent: −60 dB of full scale.
const SILENT: f64 = 1e-6;
/// Slices without old audio in a row after which none is expected any more.
const NO_MORE: u32 = 16;

/// Both sources of a swap.
#[derive(Clone, Debug)]
pub struct OldSource {
    old: Vec<f32>,
    source: Vec<f32>,
    /// The old loop begins anew after its last watched frame.
    wraps: bool,
    others: u32,
}

/// What a slice holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What the old buffer held there.
    OldAudio,
    /// Something else.
    Other,
    /// The two cannot be told apart there.
    Unknown,
}

impl OldSource {
    /// Of the buffers before and after a swap.
    #[must_use]
    pub fn new(old: &Mirror, new: &Mirror) -> OldSource {
        let wraps = old.frames().is_multiple_of(STRIDE);
        OldSource { old: watched(old), source: watched(new), wraps, others: 0 }
    }

    /// Whether old audio may still come.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.others < NO_MORE
    }

    /// What a slice of these frames made of the new buffer.
    pub fn slice(&mut self, mirror: &Mirror, frames: std::ops::Range<usize>) -> Holds {
        let at = frames.start.div_ceil(STRIDE)..frames.end.div_ceil(STRIDE).min(self.source.len());
        let channels = usize::from(mirror.channels());
        let (mut now_old, mut source_old) = (Correlation::default(), Correlation::default());
        for watched in at {
            let place = if self.wraps { watched % self.old.len().max(1) } else { watched };
            let Some(&old) = self.old.get(place) else { break };
            now_old.add(mirror.samples()[watched * STRIDE * channels], old);
            source_old.add(self.source[watched], old);
        }
        let holds = match (now_old.value(), source_old.value()) {
            (Some(now), source) if source.is_none_or(|source| source < OTHER) => {
                if now >= OLD {
                    Holds::OldAudio
                } else {
                    Holds::Other
                }
            }
            _ => Holds::Unknown,
        };
        self.others = match holds {
            Holds::OldAudio => 0,
            Holds::Other | Holds::Unknown => self.others + 1,
        };
        holds
    }
}

/// The first channel of the frames that are watched.
fn watched(mirror: &Mirror) -> Vec<f32> {
    mirror.samples().iter().step_by(STRIDE * usize::from(mirror.channels())).copied().collect()
}

/// How closely two signals follow one another.
#[derive(Default)]
struct Correlation {
    count: f64,
    of_one: f64,
    of_other: f64,
    of_both: f64,
}

impl Correlation {
    fn add(&mut self, one: f32, other: f32) {
        let (one, other) = (f64::from(one), f64::from(other));
        self.count += 1.0;
        self.of_one += one * one;
        self.of_other += other * other;
        self.of_both += one * other;
    }

    /// From -1 to 1; `None` where either is silent or not finite.
    fn value(&self) -> Option<f64> {
        let least = SILENT * self.count;
        let value = self.of_both / (self.of_one * self.of_other).sqrt();
        (self.of_one > least && self.of_other > least && value.is_finite()).then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frames: usize, hz: f64) -> Vec<f32> {
        (0..frames)
            .map(|i| (0.3 * (i as f64 * hz / 48e3 * std::f64::consts::TAU).sin()) as f32)
            .collect()
    }

    #[test]
    fn old_audio_is_known_wherever_it_goes() {
        let old = Mirror::from_samples(tone(8_000, 300.0), 1).unwrap();
        let new = Mirror::from_samples(tone(16_000, 431.0), 1).unwrap();
        let mut audio = OldSource::new(&old, &new);
        assert_eq!(audio.slice(&new, 0..4_000), Holds::Other);
        let bled = [new.samples()[..8_000].to_vec(), tone(8_000, 300.0)].concat();
        let bled = Mirror::from_samples(bled, 1).unwrap();
        assert_eq!(audio.slice(&bled, 9_000..13_000), Holds::OldAudio);
        assert!(audio.is_expected());
    }

    #[test]
    fn sources_that_sound_alike_tell_nothing() {
        let old = Mirror::from_samples(tone(8_000, 300.0), 1).unwrap();
        let mut audio = OldSource::new(&old, &old);
        assert_eq!(audio.slice(&old, 0..4_000), Holds::Unknown);
        let silent = Mirror::from_samples(vec![0.0; 8_000], 1).unwrap();
        let mut audio = OldSource::new(&silent, &old);
        for _ in 0..NO_MORE {
            assert_eq!(audio.slice(&old, 0..4_000), Holds::Unknown);
        }
        assert!(!audio.is_expected());
    }
}
