//! What the simulated server plays: chords and a bass as a loop's source, a melody over them as what
//! the model makes of it.
//!
//! A seed, a length in frames, a channel count and a sample rate enter; interleaved f32 audio within
//! ±0.88 leaves. The source has no melody, and every variation has another one on another
//! instrument, so one hears raw and stale audio.
//!
//! Invariants: the same arguments give the same bits on every platform (integer phases, and of
//! floats only what IEEE 754 rounds exactly); a frame depends on its place in the loop and on nothing
//! rendered before; no note crosses the loop point, so the source and all variations join there.

use crate::peer::rng::{Rng, Stream};
use crate::wire::kernel::{self, WideLoop};

/// A loop is cut into steps of about this length, an eighth note at 120 beats a minute.
const STEPS_PER_S: usize = 4;
const STEPS_PER_CHORD: usize = 8;
/// Frames whose voices are made before they are mixed.
const BLOCK: usize = 256;
/// Sample rates that notes are tuned for; a rate outside is played as the nearest within.
const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 2_000..=384_000;

/// Chords of a minor key as semitones above its root, from the lowest note.
const PROGRESSIONS: [[[u8; 3]; 4]; 3] = [
    [[0, 3, 7], [8, 12, 15], [3, 7, 10], [10, 14, 17]],
    [[0, 3, 7], [5, 8, 12], [8, 12, 15], [7, 10, 14]],
    [[0, 3, 7], [10, 14, 17], [5, 8, 12], [8, 12, 15]],
];
/// The minor pentatonic, whose notes fit every chord above.
const SCALE: [u8; 8] = [0, 3, 5, 7, 10, 12, 15, 17];
/// Levels of the first three partials. All voices together reach 0.88; neighbouring variations have
/// different instruments.
const INSTRUMENTS: [[f32; 3]; 4] =
    [[0.17, 0.035, 0.015], [0.11, 0.075, 0.035], [0.145, 0.0, 0.075], [0.085, 0.06, 0.075]];
const CHORD_NOTE: [f32; 3] = [0.11, 0.025, 0.015];
const BASS: [f32; 3] = [0.20, 0.05, 0.02];
const HAT: f32 = 0.03;

/// Hertz of MIDI notes 0 to 11, in equal temperament with A at 440 Hz; an octave up doubles them.
const LOWEST_OCTAVE_HZ: [f64; 12] = [
    8.175_799, 8.661_957, 9.177_024, 9.722_718, 10.300_861, 10.913_382, 11.562_326, 12.249_857,
    12.978_272, 13.75, 14.567_618, 15.433_853,
];

/// A loop's source, `frames` × `channels` interleaved, seamless at the loop point.
///
/// # Panics
/// When `channels` is 0.
pub fn source(seed: u64, frames: usize, channels: u16, sample_rate: u32) -> Vec<f32> {
    let mut out = vec![0.0; frames * usize::from(channels)];
    Variations::new(seed, frames, channels, sample_rate).play(None, 0, &mut out);
    out
}

/// What the model makes of a [`source`]: its chords with a melody, another one for every number.
#[derive(Clone, Debug)]
pub struct Variations {
    seed: u64,
    frames: usize,
    channels: usize,
    sample_rate: u32,
    /// MIDI note that everything counts from.
    root: u8,
    progression: [[u8; 3]; 4],
}

impl Variations {
    /// The variations of `source(seed, frames, channels, sample_rate)`.
    ///
    /// # Panics
    /// When `channels` is 0.
    pub fn new(seed: u64, frames: usize, channels: u16, sample_rate: u32) -> Self {
        assert!(channels > 0, "audio has at least one channel");
        let mut rng = Rng::new(seed, Stream::Tune);
        let root = 33 + (rng.next_u64() % 12) as u8;
        let progression = pick(&mut rng, &PROGRESSIONS);
        let sample_rate = sample_rate.clamp(*SAMPLE_RATES.start(), *SAMPLE_RATES.end());
        Self { seed, frames, channels: usize::from(channels), sample_rate, root, progression }
    }

    /// Writes the frames `start..start + out.len() / channels` of one variation into `out`; frames
    /// past the end of the loop are those from its beginning.
    ///
    /// # Panics
    /// When `out` ends inside a frame.
    pub fn render(&self, variation: u32, start: usize, out: &mut [f32]) {
        self.play(Some(variation), start, out);
    }

    /// Plays a variation, or the source where there is none.
    fn play(&self, variation: Option<u32>, start: usize, mut out: &mut [f32]) {
        assert!(out.len().is_multiple_of(self.channels), "a window is a whole number of frames");
        if self.frames == 0 {
            return out.fill(0.0);
        }
        let mut at = start % self.frames;
        while !out.is_empty() {
            let step = self.step(variation, at);
            let frames = (step.end - at).min(out.len() / self.channels);
            let (head, tail) = out.split_at_mut(frames * self.channels);
            let mut voices = Voices::default();
            for (block, out) in head.chunks_mut(BLOCK * self.channels).enumerate() {
                step.play(at + block * BLOCK, self.channels, out, &mut voices);
            }
            (at, out) = ((at + frames) % self.frames, tail);
        }
    }

    /// The step in which the frame `at` lies, and what is played in it.
    fn step(&self, variation: Option<u32>, at: usize) -> Step {
        let steps = (self.frames * STEPS_PER_S / self.sample_rate as usize).max(1);
        let begins = |step: usize| (step.min(steps) * self.frames).div_ceil(steps);
        let index = at * steps / self.frames;
        let chord = index / STEPS_PER_CHORD;
        let number = variation.map_or(0, |variation| u64::from(variation) + 1);
        let key = (number << 32 | index as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut rng = Rng::new(self.seed ^ key, Stream::Tune);

        let notes = self.progression[chord % self.progression.len()];
        let mut pitches = notes.map(|note| self.root + 24 + note);
        // Inverted for each variation in its own way.
        (0..number as usize % 3).for_each(|lowest| pitches[lowest] += 12);
        let bass = self.root + notes[0] % 12 + pick(&mut rng, &[0, 0, 0, 7, 12]);
        let melody = pick(&mut rng, &[true, true, true, false])
            .then(|| self.root + 36 + pick(&mut rng, &SCALE));
        let instrument = INSTRUMENTS[number as usize % INSTRUMENTS.len()];
        Step {
            start: begins(index),
            end: begins(index + 1),
            chord_start: begins(chord * STEPS_PER_CHORD),
            chord_end: begins((chord + 1) * STEPS_PER_CHORD),
            chord: pitches.map(|pitch| self.stride(pitch)),
            bass: self.stride(bass),
            melody: melody
                .filter(|_| variation.is_some())
                .map(|pitch| (self.stride(pitch), instrument)),
            noise: rng.next_u64() as u32,
            attack: 200.0 / self.sample_rate as f32,
        }
    }

    /// How far the phase of that note goes in one frame, where 2^32 is all the way round.
    fn stride(&self, pitch: u8) -> u32 {
        let octave_up = f64::from(1_u32 << (pitch / 12));
        let hz = LOWEST_OCTAVE_HZ[usize::from(pitch % 12)] * octave_up;
        (hz / f64::from(self.sample_rate) * f64::from(1_u32 << 16) * f64::from(1_u32 << 16)) as u32
    }
}

/// What is played between two frames; pitches are strides of a phase.
struct Step {
    start: usize,
    end: usize,
    chord_start: usize,
    chord_end: usize,
    chord: [u32; 3],
    bass: u32,
    melody: Option<(u32, [f32; 3])>,
    noise: u32,
    /// What a note gains in one frame until it is as loud as it gets, after 5 ms.
    attack: f32,
}

/// Frames of each voice, before they are mixed.
#[derive(Clone, Copy)]
struct Voices {
    chord: [[f32; BLOCK]; 3],
    bass: [f32; BLOCK],
    melody: [f32; BLOCK],
}

impl Default for Voices {
    fn default() -> Voices {
        let silence = [0.0; BLOCK];
        Voices { chord: [silence; 3], bass: silence, melody: silence }
    }
}

impl Step {
    /// Plays a block of frames at most, from `at` on, into interleaved channels.
    fn play(&self, at: usize, channels: usize, out: &mut [f32], voices: &mut Voices) {
        let frames = out.len() / channels;
        let tone = |voice: &mut [f32; BLOCK], start: usize, stride: u32, partials| {
            let phase = ((at - start) as u32).wrapping_mul(stride);
            kernel::tone(&mut voice[..frames], phase, stride, partials);
        };
        for (voice, stride) in voices.chord.iter_mut().zip(self.chord) {
            tone(voice, self.chord_start, stride, &CHORD_NOTE);
        }
        tone(&mut voices.bass, self.start, self.bass, &BASS);
        if let Some((stride, instrument)) = &self.melody {
            tone(&mut voices.melody, self.start, *stride, instrument);
        }
        let (mut left, mut right) = ([0.0; BLOCK], [0.0; BLOCK]);
        kernel::wide(Mix { step: self, at, voices, left: &mut left, right: &mut right });
        for (frame, (&left, &right)) in out.chunks_exact_mut(channels).zip(left.iter().zip(&right))
        {
            frame.fill(0.5 * (left + right));
            if let [first, second, ..] = frame {
                (*first, *second) = (left, right);
            }
        }
    }
}

/// Mixes the block of voices that begins at the frame `at`.
struct Mix<'a> {
    step: &'a Step,
    at: usize,
    voices: &'a Voices,
    left: &'a mut [f32; BLOCK],
    right: &'a mut [f32; BLOCK],
}

impl WideLoop for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Mix { step, at, voices, left, right } = self;
        let chord_frame = (at - step.chord_start) as u32;
        let chord_len = (step.chord_end - step.chord_start) as f32;
        let (note_frame, note_len) = ((at - step.start) as u32, (step.end - step.start) as f32);
        for i in 0..BLOCK {
            let chord_level = level(chord_frame + i as u32, chord_len, step.attack);
            let [low, middle, high] = voices.chord.each_ref().map(|voice| chord_level * voice[i]);
            let frame = note_frame + i as u32;
            let level = level(frame, note_len, step.attack);
            let (bass, melody) = (level * voices.bass[i], level * level * voices.melody[i]);
            let hat = HAT * level * level * level * level * noise(frame ^ step.noise);
            let centre = bass + melody + middle + hat;
            left[i] = centre + low + 0.4 * high;
            right[i] = centre + 0.4 * low + high;
        }
    }
}

/// The level of a note that many frames after its beginning; it has faded by `len`. None is so long that the
/// sign would matter, and processors widen signed numbers only.
#[inline(always)]
fn level(frame: u32, len: f32, attack: f32) -> f32 {
    let frame = frame.cast_signed() as f32;
    (frame * attack).min(1.0) * (1.0 - frame / len)
}

/// Noise within ±1: bits mixed as in MurmurHash3.
#[inline(always)]
fn noise(mut bits: u32) -> f32 {
    bits = (bits ^ (bits >> 16)).wrapping_mul(0x85EB_CA6B);
    bits = (bits ^ (bits >> 13)).wrapping_mul(0xC2B2_AE35);
    (bits ^ (bits >> 16)).cast_signed() as f32 / (1_u32 << 31) as f32
}

fn pick<T: Copy>(rng: &mut Rng, items: &[T]) -> T {
    items[(rng.next_u64() % items.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::loop_audio::LoopAudio;
    use crate::peer::pacing::Region;
    use crate::wire::slice::SliceEncoder;

    const RATE: u32 = 48_000;
    const CEILING: f32 = 0.88;

    fn variation(seed: u64, number: u32, frames: usize, channels: u16) -> Vec<f32> {
        let mut out = vec![0.0; frames * usize::from(channels)];
        Variations::new(seed, frames, channels, RATE).render(number, 0, &mut out);
        out
    }

    fn bits(samples: &[f32]) -> Vec<u32> {
        samples.iter().map(|sample| sample.to_bits()).collect()
    }

    fn rms(samples: &[f32]) -> f32 {
        (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32).sqrt()
    }

    #[test]
    fn seed_decides_everything() {
        let frames = 48_000;
        assert_eq!(bits(&source(1, frames, 2, RATE)), bits(&source(1, frames, 2, RATE)));
        assert_ne!(bits(&source(1, frames, 2, RATE)), bits(&source(2, frames, 2, RATE)));
        assert_eq!(bits(&variation(1, 3, frames, 2)), bits(&variation(1, 3, frames, 2)));
        assert_ne!(bits(&variation(1, 3, frames, 2)), bits(&variation(1, 4, frames, 2)));
        assert_ne!(bits(&variation(1, 3, frames, 2)), bits(&source(1, frames, 2, RATE)));
    }

    /// Recordings of the simulated server hash its audio: these bits are the same on every platform
    /// and in every release.
    #[test]
    fn streams_are_pinned() {
        #[track_caller]
        fn check(samples: &[f32], expected: u32) {
            let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            assert_eq!(crc32c::crc32c(&bytes), expected);
        }
        check(&source(7, 300_000, 2, RATE), 0x1A3A_833F);
        for (number, expected) in (0..).zip([0xCF6A_3B67, 0xAC24_6D6D, 0xEAB0_DE1E, 0xA88E_B358]) {
            check(&variation(7, number, 300_000, 2), expected);
        }
    }

    #[test]
    fn windows_are_cuts_of_the_whole() {
        #[track_caller]
        fn check(frames: usize, channels: u16, cut: usize) {
            let whole = variation(9, 2, frames, channels);
            let variations = Variations::new(9, frames, channels, RATE);
            let mut out = vec![f32::NAN; whole.len()];
            let window = cut * usize::from(channels);
            // Backwards, so that nothing can depend on what was rendered before.
            for (i, out) in out.chunks_mut(window).enumerate().collect::<Vec<_>>().into_iter().rev()
            {
                variations.render(2, i * cut, out);
            }
            assert!(bits(&out) == bits(&whole), "{frames} frames of {channels} cut at {cut}");
        }
        check(300_000, 2, 1_920);
        check(300_000, 2, 65_537);
        check(100_000, 1, 777);
        check(50_000, 3, 8_191);
        check(2_000, 2, 1);
        check(100, 2, 3);
    }

    #[test]
    fn windows_run_past_the_loop_point() {
        let frames = 20_000;
        let whole = variation(4, 1, frames, 2);
        let mut out = vec![0.0; 5 * frames];
        Variations::new(4, frames, 2, RATE).render(1, 3 * frames + 15_000, &mut out);
        let expected = [&whole[30_000..], &whole[..], &whole[..], &whole[..10_000]].concat();
        assert!(bits(&out) == bits(&expected[..out.len()]));
    }

    #[test]
    fn levels_are_those_of_music() {
        for seed in 0..8 {
            let frames = 384_000;
            for samples in [source(seed, frames, 2, RATE), variation(seed, seed as u32, frames, 2)]
            {
                assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
                let loudness = rms(&samples);
                assert!((0.1..0.3).contains(&loudness), "{loudness}");
                let offset = samples.iter().sum::<f32>() / samples.len() as f32;
                assert!(offset.abs() < 0.003, "{offset}");
            }
        }
    }

    #[test]
    fn loop_point_is_silent_so_everything_joins_there() {
        for seed in 0..6 {
            let frames = 190_000 + 7 * seed as usize;
            for samples in [source(seed, frames, 2, RATE), variation(seed, 0, frames, 2)] {
                assert!(samples[..2].iter().all(|sample| sample.abs() < 1e-3));
                assert!(samples[samples.len() - 2..].iter().all(|sample| sample.abs() < 1e-2));
            }
        }
    }

    #[test]
    fn any_shape_is_filled() {
        for frames in [0, 1, 2, 100, 4_800] {
            for channels in [1, 2, 3, 6] {
                for rate in [0, 8_000, 44_100, u32::MAX] {
                    let samples = source(3, frames, channels, rate);
                    assert_eq!(samples.len(), frames * usize::from(channels));
                    assert!(samples.iter().all(|sample| sample.abs() <= CEILING));
                    let mut out = samples;
                    Variations::new(3, frames, channels, rate).render(u32::MAX, 0, &mut out);
                    assert!(out.iter().all(|sample| sample.abs() <= CEILING));
                }
            }
        }
    }

    #[test]
    fn further_channels_are_the_middle() {
        let (stereo, three) = (source(3, 9_600, 2, RATE), source(3, 9_600, 3, RATE));
        let mono = source(3, 9_600, 1, RATE);
        for ((pair, triple), middle) in stereo.chunks(2).zip(three.chunks(3)).zip(&mono) {
            assert_eq!([pair, &[*middle]].concat(), triple);
        }
        assert!(stereo.chunks(2).any(|pair| pair[0] != pair[1]));
    }

    /// Slices of 0.36 s of the recorded servers shrink to a sixth to a third at zstd's level 1, by the
    /// medians of the bundled captures and of others.
    #[test]
    fn slices_compress_like_those_of_the_model() {
        const FRAMES: usize = 192_000;
        let audio = source(1, FRAMES, 2, RATE);
        let variations = Variations::new(1, FRAMES, 2, RATE);
        let mut canvas = LoopAudio::new(audio, 2, variations, false);
        let mut encoder = SliceEncoder::new(canvas.audio().to_vec(), 2, 1);
        let mut ratios = Vec::new();
        for start in (0..3 * FRAMES as u32).step_by(1_920).map(|start| start % FRAMES as u32) {
            let region = Region { start, frames: 17_280.min(FRAMES as u32 - start) };
            let rendered = canvas.render(region, false);
            let message = encoder.encode(start, &rendered, 0.0, 0.0, 0).unwrap();
            let held = &encoder.basis()[start as usize * 2..][..rendered.len()];
            canvas.settle(start, &rendered, held);
            ratios.push(rendered.len() as f64 * 2.0 / message.len() as f64);
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        assert!((3.0..6.5).contains(&median), "{median}");
    }
}
