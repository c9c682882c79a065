//! Whether the mirror is what the server codes its deltas against.
//!
//! A delta is rounded to halves, so that the client misses what was wanted by up to half a step. A server
//! that codes against the client's samples makes up for it the next time that it sends the same audio:
//! its next delta there is that small rest. One that codes against the samples that it wanted sends a
//! plain zero, and the error stays and adds up. Which of the two a stream does shows in every region that
//! is sent twice. A raw slice shows the error itself, where it repeats what the mirror holds.
//!
//! Enters: each slice, before the mirror takes it. Leaves: [`MirrorDrift`]. One channel of every
//! [`STRIDE`]th frame is watched, which costs a sixteenth of a half per sample.

use super::Mirror;
use crate::time::Nanos;
use crate::wire::halves::{HALF_LEN, narrow, widen};
use crate::wire::slice::{Coding, Slice};

/// Frames from one that is watched to the next.
pub const STRIDE: usize = 16;
/// Deltas from this size on are rounded by steps of 2⁻¹⁸ or more, which are no audio of their own.
const LEAST_DELTA: f32 = 1.0 / 256.0;
/// Samples on this grid, as of 16-bit audio, may have come without any rounding.
const GRID: f32 = 65_536.0;
/// All of a half but its sign.
const MAGNITUDE: u16 = 0x7FFF;
/// The magnitude that stands for a delta of zero, which is one as well; its rounding counts no further.
const ZERO_DELTA: u16 = 1;
/// A raw slice repeats what is there if they differ by no more than this share of it.
const SAME_WITHIN: f64 = 0.1;

/// What was seen of it: counts of watched samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MirrorDrift {
    /// Roundings that the next delta made up for.
    pub corrected: u64,
    /// Roundings after which the same audio was sent as a zero.
    pub uncorrected: u64,
    /// Sum of the squares of the errors that these leave, as far as their steps tell.
    pub uncorrected_squares: f64,
    /// The slices of the first and the last of these: when they came, and the numbers of their records.
    pub first: Option<(Nanos, u64)>,
    pub last: Option<(Nanos, u64)>,
    /// Samples of raw slices that repeat what deltas had made of the mirror, …
    pub compared: u64,
    /// … the squares of the mirror's errors there, and of those that rounding alone may have left, …
    pub error_squares: f64,
    pub rounding_squares: f64,
    /// … and the greatest error.
    pub error_max: f64,
}

impl MirrorDrift {
    /// Root mean square of the errors that roundings leave that nothing made up for, each by itself.
    #[must_use]
    pub fn uncorrected_rms(&self) -> Option<f64> {
        rms(self.uncorrected_squares, self.uncorrected)
    }

    /// Root mean square of the mirror's errors where raw slices repeat it, and what rounding may leave.
    #[must_use]
    pub fn error_rms(&self) -> Option<(f64, f64)> {
        rms(self.error_squares, self.compared).zip(rms(self.rounding_squares, self.compared))
    }

    /// Adds a slice's comparisons; `at` is when it came, and its record.
    fn add(&mut self, other: &MirrorDrift, at: (Nanos, u64)) {
        self.corrected += other.corrected;
        self.uncorrected += other.uncorrected;
        self.uncorrected_squares += other.uncorrected_squares;
        self.compared += other.compared;
        self.error_squares += other.error_squares;
        self.rounding_squares += other.rounding_squares;
        self.error_max = self.error_max.max(other.error_max);
        if other.uncorrected > 0 || other.error_squares > other.rounding_squares {
            self.first.get_or_insert(at);
            self.last = Some(at);
        }
    }
}

fn rms(squares: f64, count: u64) -> Option<f64> {
    (count > 0).then(|| (squares / count as f64).sqrt())
}

/// Watches one session.
#[derive(Clone, Debug, Default)]
pub struct DriftWatch {
    /// The magnitude of the last delta of every watched frame, as a half; 0 where none came since its
    /// buffer or a raw slice.
    last: Vec<u16>,
    seen: MirrorDrift,
}

impl DriftWatch {
    /// What was seen so far.
    #[must_use]
    pub fn seen(&self) -> &MirrorDrift {
        &self.seen
    }

    /// Takes over what was seen before a hole in the capture.
    pub fn follow(&mut self, before: &DriftWatch) {
        self.seen = before.seen;
    }

    /// Another buffer, or one that is not known.
    pub fn forget(&mut self) {
        self.last.clear();
    }

    /// A slice of that moment and record comes to what the mirror holds.
    pub fn slice(&mut self, at: (Nanos, u64), mirror: &Mirror, slice: &Slice<'_>) {
        let (frames, channels) = (mirror.frames(), usize::from(mirror.channels()));
        self.last.resize(frames.div_ceil(STRIDE), 0);
        let frame_len = HALF_LEN * usize::from(slice.header.channels);
        let start = slice.header.start as usize;
        let end = frames.min(start + slice.header.frames as usize);
        let watched = start.div_ceil(STRIDE)..end.div_ceil(STRIDE);
        let first = (watched.start * STRIDE - start) * frame_len;
        let halves =
            slice.halves.get(first..).unwrap_or_default().chunks((STRIDE * frame_len).max(1));
        let halves = halves.map_while(|chunk| chunk.first_chunk().copied());
        let held = |watched: usize| mirror.samples()[watched * STRIDE * channels];
        let mut found = MirrorDrift::default();
        let mut raw = RawSlice::default();
        // A slice that begins past the end has none.
        let last = self.last.get_mut(watched.clone()).unwrap_or_default();
        for ((watched, last), half) in watched.zip(last).zip(halves) {
            match slice.header.coding() {
                Coding::Delta => {
                    let came = u16::from_le_bytes(half) & MAGNITUDE;
                    let before = std::mem::replace(last, came.max(ZERO_DELTA));
                    // Most deltas are audio of their own, and cost no more than this.
                    if came < LEAST_AUDIO[usize::from(before >> MANTISSA_BITS)] {
                        found.delta(of_bits(before), held(watched), of_bits(came));
                    }
                }
                Coding::Replace => {
                    raw.sample(of_bits(std::mem::take(last)), held(watched), widen(half));
                }
                Coding::RawAdd => *last = 0,
            }
        }
        raw.finish(&mut found);
        self.seen.add(&found, at);
    }
}

impl MirrorDrift {
    /// A delta of that magnitude comes to a sample whose last delta had the magnitude `last`.
    fn delta(&mut self, last: f32, held: f32, came: f32) {
        let is_rest = last >= LEAST_DELTA && f64::from(came) <= step(last) / 2.0;
        if !is_rest || may_be_exact(held) {
            return;
        }
        if came == 0.0 {
            self.uncorrected += 1;
            // Errors lie anywhere within half a step.
            self.uncorrected_squares += step(last).powi(2) / 12.0;
        } else {
            self.corrected += 1;
        }
    }
}

/// Bits of a half behind its exponent.
const MANTISSA_BITS: u16 = 10;
/// By the exponent of the last delta, the least magnitude that is no rest of its rounding.
const LEAST_AUDIO: [u16; 32] = {
    /// The exponent of [`LEAST_DELTA`], as a half has it.
    const LEAST_EXPONENT: u16 = 7;
    /// Half a step is as far below a delta: the bits of its mantissa, and one.
    const HALF_STEP: u16 = MANTISSA_BITS + 1;
    const INFINITE: u16 = 31;
    let mut least = [0; 32];
    let mut exponent = LEAST_EXPONENT;
    while exponent < INFINITE {
        // A number without an exponent of its own has its bit in the mantissa.
        let half_step = match exponent.checked_sub(HALF_STEP) {
            Some(its_own @ 1..) => its_own << MANTISSA_BITS,
            _ => 1 << (exponent - 2),
        };
        least[exponent as usize] = half_step + 1;
        exponent += 1;
    }
    least[INFINITE as usize] = u16::MAX;
    least
};

/// The number that a half of these bits is.
fn of_bits(bits: u16) -> f32 {
    widen(bits.to_le_bytes())
}

/// Whether a sample can be what was wanted without any rounding.
fn may_be_exact(held: f32) -> bool {
    widen(narrow(held)) == held || (held * GRID).fract() == 0.0
}

/// The distance of a half of that size to the next.
fn step(value: f32) -> f64 {
    const LEAST_EXPONENT: i32 = -14;
    if value.is_infinite() {
        return f64::INFINITY;
    }
    let exponent = match value.is_nan() {
        true => LEAST_EXPONENT,
        false => ((value.to_bits() >> 23) & 0xFF) as i32 - 127,
    };
    // 2 to that power, as the exponent is all that such a number has.
    let power = exponent.max(LEAST_EXPONENT) - 10;
    f64::from_bits(((power + 1023) as u64) << 52)
}

/// What a raw slice is beside the mirror.
#[derive(Default)]
struct RawSlice {
    samples: u64,
    squares: f64,
    error_squares: f64,
    rounding_squares: f64,
    error_max: f64,
}

impl RawSlice {
    /// A sample that replaces the one held; nothing is compared where no delta had come.
    fn sample(&mut self, last: f32, held: f32, came: f32) {
        if last == 0.0 || !held.is_finite() || !came.is_finite() {
            return;
        }
        let error = f64::from(held - came);
        self.samples += 1;
        self.squares += f64::from(came).powi(2);
        self.error_squares += error.powi(2);
        self.rounding_squares += (step(last).powi(2) + step(came).powi(2)) / 12.0;
        self.error_max = self.error_max.max(error.abs());
    }

    fn finish(self, found: &mut MirrorDrift) {
        if self.error_squares <= SAME_WITHIN.powi(2) * self.squares {
            found.compared += self.samples;
            found.error_squares += self.error_squares;
            found.rounding_squares += self.rounding_squares;
            found.error_max = found.error_max.max(self.error_max);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::slice::{SliceDecoder, SliceEncoder, SliceHeader};

    const FRAMES: usize = 16_000;

    /// What a generator makes: no value is a half, and each round is another by a tenth.
    fn wanted(round: u32) -> Vec<f32> {
        let turn = f64::from(round) * 0.1;
        (0..FRAMES).map(|i| (0.3 * (i as f64 * 0.013 + turn).sin()) as f32).collect()
    }

    /// Sends three rounds twice each, then the last one raw, from a server that codes against what it
    /// wanted or against what the client has.
    fn watched(codes_against_wanted: bool, make: fn(u32) -> Vec<f32>) -> MirrorDrift {
        let mut mirror = Mirror::from_samples(vec![0.0; FRAMES], 1).unwrap();
        let mut encoder = SliceEncoder::new(mirror.samples().to_vec(), 1, 1);
        let (mut decoder, mut watch) = (SliceDecoder::new(), DriftWatch::default());
        let mut seq = 0;
        for round in [0, 0, 1, 1, 2, 2] {
            let audio = make(round);
            let message = encoder.encode(0, &audio, 30.0, 8.0, round).unwrap();
            if codes_against_wanted {
                encoder.assume(0, &audio);
            }
            let slice = decoder.decode(&message).unwrap();
            seq += 1;
            watch.slice((Nanos(seq), seq), &mirror, &slice);
            mirror.apply(&slice).unwrap();
        }
        let halves: Vec<u8> = make(2).iter().flat_map(|&sample| narrow(sample)).collect();
        let header = SliceHeader { frames: FRAMES as u32, channels: 1, ..SliceHeader::default() };
        let raw = Slice { header, halves: &halves, trailing: 0, undeclared_len: false };
        watch.slice((Nanos(9), 9), &mirror, &raw);
        *watch.seen()
    }

    #[test]
    fn a_server_that_knows_its_client_makes_up_for_its_rounding() {
        let seen = watched(false, wanted);
        assert!(seen.corrected > 300, "{seen:?}");
        assert!(seen.uncorrected * 50 < seen.corrected, "{seen:?}");
        let (error, rounding) = seen.error_rms().unwrap();
        assert!(seen.compared > 500 && error < 1.3 * rounding, "{seen:?}");
    }

    #[test]
    fn a_server_that_does_not_lets_errors_stand() {
        let seen = watched(true, wanted);
        assert!(seen.uncorrected > 300 && seen.corrected == 0, "{seen:?}");
        // What came to a silent buffer may have needed no rounding.
        assert_eq!(seen.first, Some((Nanos(4), 4)));
        let (error, rounding) = seen.error_rms().unwrap();
        assert!(error > 1.3 * rounding, "{error} of {rounding}: {seen:?}");
        let left = seen.uncorrected_rms().unwrap();
        assert!(left > 1e-7 && left < 1e-3, "{left}");
    }

    #[test]
    fn a_step_is_that_of_a_half_of_the_same_size() {
        let values = [0.0, 1e-30, 6.1e-5, 0.003_906_25, 0.124_999_99, 0.125, -0.3, 1.0, 65_504.0];
        for value in values.into_iter().chain([f32::INFINITY, f32::NAN]) {
            let exponent = f64::from(value.abs()).log2().floor().max(-14.0);
            assert_eq!(step(value), (exponent - 10.0).exp2(), "{value}");
        }
    }

    #[test]
    fn no_rest_is_taken_for_audio() {
        for last in (0..32).flat_map(|exponent| [0, 1, 0x3FF].map(|it| exponent << 10 | it)) {
            let is_rest = |came: u16| {
                let mut found = MirrorDrift::default();
                found.delta(of_bits(last), 0.1, of_bits(came));
                found.corrected + found.uncorrected > 0
            };
            let least = LEAST_AUDIO[usize::from(last >> MANTISSA_BITS)];
            let rests = (0..=MAGNITUDE).filter(|&came| is_rest(came)).count();
            // Of what is no number nothing is a rest.
            let expected = if last > 0x7C00 { 0 } else { least.min(0x7C01) };
            assert_eq!(rests, usize::from(expected), "{last:#x}");
            assert!((least.min(0x7C01)..=MAGNITUDE).all(|came| !is_rest(came)), "{last:#x}");
        }
    }

    #[test]
    fn audio_that_needs_no_rounding_tells_nothing() {
        let sixteen_bits: fn(u32) -> Vec<f32> = |round| {
            wanted(round).iter().map(|sample| (sample * 1_024.0).round() / 1_024.0).collect()
        };
        let seen = watched(true, sixteen_bits);
        assert_eq!((seen.uncorrected, seen.corrected), (0, 0), "{seen:?}");
    }

    #[test]
    fn new_audio_is_not_compared() {
        let other: fn(u32) -> Vec<f32> =
            |round| wanted(round).iter().map(|sample| -sample).collect();
        let mirror = Mirror::from_samples(wanted(0), 1).unwrap();
        let last = u16::from_le_bytes(narrow(0.1));
        let mut watch = DriftWatch { last: vec![last; FRAMES / STRIDE], ..DriftWatch::default() };
        let halves: Vec<u8> = other(0).iter().flat_map(|&sample| narrow(sample)).collect();
        let header = SliceHeader { frames: FRAMES as u32, channels: 1, ..SliceHeader::default() };
        let raw = Slice { header, halves: &halves, trailing: 0, undeclared_len: false };
        watch.slice((Nanos(1), 1), &mirror, &raw);
        assert_eq!(watch.seen().compared, 0);
    }
}
