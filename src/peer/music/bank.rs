//! One-shots, made when first played. A voice enters, its samples leave; they depend on the voice,
//! the song and the sample rate alone.

use std::collections::BTreeMap;

use super::dsp::Studio;
use super::harmony::{CHORDS, Chord};
use super::score::Song;
use super::{drums, tones};

/// An instrument and, where it has one, the MIDI pitch it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Voice {
    Kick,
    Snare,
    Hat,
    OpenHat,
    /// One of a few stretches of surface noise.
    Vinyl(u8),
    Bass(u8),
    /// Electric piano.
    Keys(u8),
    Vibraphone(u8),
    Flute(u8),
    Guitar(u8),
    Synth(u8),
    MusicBox(u8),
    /// A whole chord of the progression, for one side of the stereo field.
    Pad {
        chord: usize,
        side: Side,
    },
}

/// Left or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Left,
    Right,
}

/// The one-shots of a song.
#[derive(Debug)]
pub(super) struct Bank {
    studio: Studio,
    chords: [Chord; CHORDS],
    bar_seconds: f32,
    one_shots: BTreeMap<Voice, Vec<f32>>,
}

impl Bank {
    /// No one-shot is longer than the loop.
    pub(super) fn new(sample_rate: u32, loop_frames: usize, song: &Song) -> Self {
        Self {
            studio: Studio::new(sample_rate, loop_frames),
            chords: song.harmony.chords,
            bar_seconds: song.grid.bar_frames() as f32 / sample_rate as f32,
            one_shots: BTreeMap::new(),
        }
    }

    pub(super) fn one_shot(&mut self, voice: Voice) -> &[f32] {
        let Self { studio, chords, bar_seconds, one_shots } = self;
        one_shots.entry(voice).or_insert_with(|| match voice {
            Voice::Kick => drums::kick(studio),
            Voice::Snare => drums::snare(studio),
            Voice::Hat => drums::hat(studio, 0.035),
            Voice::OpenHat => drums::hat(studio, 0.16),
            Voice::Vinyl(which) => drums::vinyl(studio, which, *bar_seconds),
            Voice::Bass(pitch) => tones::bass(studio, pitch),
            Voice::Keys(pitch) => tones::keys(studio, pitch),
            Voice::Vibraphone(pitch) => tones::vibraphone(studio, pitch),
            Voice::Flute(pitch) => tones::flute(studio, pitch),
            Voice::Guitar(pitch) => tones::guitar(studio, pitch),
            Voice::Synth(pitch) => tones::synth(studio, pitch),
            Voice::MusicBox(pitch) => tones::music_box(studio, pitch),
            Voice::Pad { chord, side } => tones::pad(studio, &chords[chord], side, *bar_seconds),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither edge clicks, and levels are alike.
    #[test]
    fn one_shots_begin_and_end_in_silence() {
        use Voice::{Bass, Flute, Guitar, Hat, Keys, Kick, MusicBox, OpenHat, Pad, Snare};
        use Voice::{Synth, Vibraphone, Vinyl};
        for rate in [8_000, 48_000, 192_000] {
            let frames = 3 * rate as usize;
            let mut bank = Bank::new(rate, frames, &Song::new(1, frames, rate));
            let kit = [Kick, Snare, Hat, OpenHat, Vinyl(0), Vinyl(2)];
            let pads = [Side::Left, Side::Right].map(|side| Pad { chord: 0, side });
            let low = [33, 44].map(Bass);
            let instruments: [fn(u8) -> Voice; 6] =
                [Keys, Vibraphone, Flute, Guitar, Synth, MusicBox];
            let high = instruments.map(|instrument| [53, 65, 79, 91].map(instrument)).concat();
            for voice in kit.into_iter().chain(pads).chain(low).chain(high) {
                check(&mut bank, voice, rate);
            }
        }

        #[track_caller]
        fn check(bank: &mut Bank, voice: Voice, rate: u32) {
            let samples = bank.one_shot(voice);
            let peak = samples.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
            let mean = samples.iter().sum::<f32>() / samples.len() as f32;
            assert!(samples[0].abs() < 1e-6, "{voice:?} at {rate}");
            assert!(samples[samples.len() - 1].abs() < 1e-5, "{voice:?} at {rate}");
            assert!((0.1..2.0).contains(&peak), "{voice:?} at {rate}: {peak}");
            assert!(mean.abs() < 0.01, "{voice:?} at {rate}: {mean}");
        }
    }
}
