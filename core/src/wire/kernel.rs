//! Loops that use the widest instructions that the processor has.
//!
//! Enters: samples, and the halves that replace them or are added to them, one for each; what either
//! side has too many stays out. Leaves: the samples, or the halves by which two lists of them differ. [`tone`] makes the simulated server's notes, which
//! are most of what a simulation costs. [`wide`] does the same favour to any plain loop.
//! All paths give the same bits for every half, except for the payloads of NaNs, and each sample
//! is added to once. This is the only file with unsafe code. It holds nothing but the loads and
//! stores of the vector path and the steps into it; the portable path is plain code, which the
//! compiler vectorises as far as every processor of the architecture goes. It does not in builds for
//! tests, which take the vector path all the same.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "instructions that not every processor has are called at the caller's word"
    )
)]

use super::halves::{HALF_LEN, narrow, widen};

/// Puts each half in the place of a sample.
pub fn replace(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    patch::<false>(samples, halves);
}

/// Adds each half to a sample: one rounded `f32` addition.
pub fn add(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    patch::<true>(samples, halves);
}

/// The halves nearest to what each sample differs from the one that is held: one rounded subtraction.
pub fn differences(halves: &mut [[u8; HALF_LEN]], samples: &[f32], held: &[f32]) {
    let len = halves.len().min(samples.len()).min(held.len());
    let (halves, samples, held) = (&mut halves[..len], &samples[..len], &held[..len]);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
        // SAFETY: this processor has AVX2 and F16C, and `vectors::differences` needs no more.
        unsafe { vectors::differences(halves, samples, held) };
        return;
    }
    portable_differences(halves, samples, held);
}

/// Three partials of a note, by their levels. Its phase, of which 2^32 are all the way round, is `phase`
/// at first and goes on by `stride` with every sample.
pub fn tone(samples: &mut [f32], phase: u32, stride: u32, partials: &[f32; 3]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2, and `vectors::tone` needs no more.
        unsafe { vectors::tone(samples, phase, stride, partials) };
        return;
    }
    portable_tone(samples, phase, stride, partials);
}

/// A loop without calls that [`wide`] runs. Its `run` has to be always inlined: a function of its own is
/// compiled for any processor, as what a closure does is wherever the compiler leaves it a function.
pub trait WideLoop {
    /// What the loop comes to.
    type Output;

    /// Runs it to its end.
    fn run(self) -> Self::Output;
}

/// Runs a loop compiled for AVX2 where that is there. The results are the same: neither path fuses or
/// reorders what is written.
#[inline]
pub fn wide<L: WideLoop>(work: L) -> L::Output {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") {
        // SAFETY: this processor has AVX2, and `vectors::with_avx2` needs no more.
        return unsafe { vectors::with_avx2(work) };
    }
    work.run()
}

fn patch<const ADD: bool>(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    let len = samples.len().min(halves.len());
    let (samples, halves) = (&mut samples[..len], &halves[..len]);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("f16c") {
        // SAFETY: this processor has AVX2 and F16C, and `vectors::patch` needs no more.
        unsafe { vectors::patch::<ADD>(samples, halves) };
        return;
    }
    portable::<ADD>(samples, halves);
}

fn portable<const ADD: bool>(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    for (sample, &half) in samples.iter_mut().zip(halves) {
        *sample = if ADD { *sample + widen(half) } else { widen(half) };
    }
}

fn portable_differences(halves: &mut [[u8; HALF_LEN]], samples: &[f32], held: &[f32]) {
    for ((half, sample), held) in halves.iter_mut().zip(samples).zip(held) {
        *half = narrow(sample - held);
    }
}

fn portable_tone(samples: &mut [f32], mut phase: u32, stride: u32, partials: &[f32; 3]) {
    for sample in samples {
        *sample = partials[0] * sine(phase)
            + partials[1] * sine(phase.wrapping_mul(2))
            + partials[2] * sine(phase.wrapping_mul(3));
        phase = phase.wrapping_add(stride);
    }
}

/// What half a turn is as a phase, inverted.
const PER_HALF_TURN: f32 = 1.0 / (1_u32 << 31) as f32;
/// How much of the second parabola is in a sine.
const ROUNDER: f32 = 0.225;

/// A sine within 0.1 %, from two parabolas.
fn sine(phase: u32) -> f32 {
    let x = phase.cast_signed() as f32 * PER_HALF_TURN;
    let y = 4.0 * x * (1.0 - x.abs());
    y + ROUNDER * (y * y.abs() - y)
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        __m128i, __m256, __m256i, _MM_FROUND_TO_NEAREST_INT, _mm_loadu_si128, _mm_storeu_si128,
        _mm256_add_epi32, _mm256_add_ps, _mm256_andnot_ps, _mm256_cvtepi32_ps, _mm256_cvtph_ps,
        _mm256_cvtps_ph, _mm256_loadu_ps, _mm256_mul_ps, _mm256_mullo_epi32, _mm256_set1_epi32,
        _mm256_set1_ps, _mm256_setr_epi32, _mm256_storeu_ps, _mm256_sub_ps,
    };

    use super::{HALF_LEN, PER_HALF_TURN, ROUNDER, WideLoop};

    /// Halves in one step.
    const LANES: usize = 8;

    /// Work that is inlined here is compiled for AVX2.
    #[target_feature(enable = "avx2")]
    pub fn with_avx2<L: WideLoop>(work: L) -> L::Output {
        work.run()
    }

    /// Both slices should be of the same length. Safe but for its instructions, which the caller
    /// has to know of.
    #[target_feature(enable = "avx2,f16c")]
    pub fn patch<const ADD: bool>(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
        let (sample_steps, last_samples) = samples.as_chunks_mut::<LANES>();
        let (half_steps, last_halves) = halves.as_chunks::<LANES>();
        for (samples, halves) in sample_steps.iter_mut().zip(half_steps) {
            // SAFETY: `halves` is the sixteen bytes that are read, and they need no alignment.
            let halves = unsafe { _mm_loadu_si128(halves.as_ptr().cast::<__m128i>()) };
            let mut widened = _mm256_cvtph_ps(halves);
            if ADD {
                // SAFETY: `samples` is the eight floats that are read, and they need no alignment.
                let old = unsafe { _mm256_loadu_ps(samples.as_ptr()) };
                widened = _mm256_add_ps(old, widened);
            }
            // SAFETY: `samples` is the eight floats that are written, and nothing else borrows them.
            unsafe { _mm256_storeu_ps(samples.as_mut_ptr(), widened) };
        }
        super::portable::<ADD>(last_samples, last_halves);
    }

    /// All slices should be of the same length. Safe but for its instructions, which the caller has to
    /// know of.
    #[target_feature(enable = "avx2,f16c")]
    pub fn differences(halves: &mut [[u8; HALF_LEN]], samples: &[f32], held: &[f32]) {
        let (half_steps, last_halves) = halves.as_chunks_mut::<LANES>();
        let (sample_steps, last_samples) = samples.as_chunks::<LANES>();
        let (held_steps, last_held) = held.as_chunks::<LANES>();
        for ((halves, samples), held) in half_steps.iter_mut().zip(sample_steps).zip(held_steps) {
            // SAFETY: both are the eight floats that are read, and they need no alignment.
            let (samples, held) =
                unsafe { (_mm256_loadu_ps(samples.as_ptr()), _mm256_loadu_ps(held.as_ptr())) };
            let difference = _mm256_sub_ps(samples, held);
            let narrowed = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(difference);
            // SAFETY: `halves` is the sixteen bytes that are written, and nothing else borrows them.
            unsafe { _mm_storeu_si128(halves.as_mut_ptr().cast::<__m128i>(), narrowed) };
        }
        super::portable_differences(last_halves, last_samples, last_held);
    }

    /// Safe but for its instructions, which the caller has to know of.
    #[target_feature(enable = "avx2")]
    pub fn tone(samples: &mut [f32], phase: u32, stride: u32, partials: &[f32; 3]) {
        let same = |value: u32| _mm256_set1_epi32(value.cast_signed());
        let [first, second, third] = partials.map(|level| _mm256_set1_ps(level));
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let mut phases = _mm256_add_epi32(same(phase), _mm256_mullo_epi32(lanes, same(stride)));
        let step = same(stride.wrapping_mul(LANES as u32));
        let (steps, last) = samples.as_chunks_mut::<LANES>();
        let done = (steps.len() * LANES) as u32;
        for samples in steps {
            let doubled = _mm256_add_epi32(phases, phases);
            let second = _mm256_mul_ps(second, sine(doubled));
            let third = _mm256_mul_ps(third, sine(_mm256_add_epi32(doubled, phases)));
            let sum = _mm256_add_ps(_mm256_mul_ps(first, sine(phases)), second);
            let sum = _mm256_add_ps(sum, third);
            // SAFETY: `samples` is the eight floats that are written, and nothing else borrows them.
            unsafe { _mm256_storeu_ps(samples.as_mut_ptr(), sum) };
            phases = _mm256_add_epi32(phases, step);
        }
        let phase = phase.wrapping_add(stride.wrapping_mul(done));
        super::portable_tone(last, phase, stride, partials);
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn sine(phases: __m256i) -> __m256 {
        let (sign, one) = (_mm256_set1_ps(-0.0), _mm256_set1_ps(1.0));
        let x = _mm256_mul_ps(_mm256_cvtepi32_ps(phases), _mm256_set1_ps(PER_HALF_TURN));
        let left = _mm256_sub_ps(one, _mm256_andnot_ps(sign, x));
        let y = _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(4.0), x), left);
        let rounder = _mm256_sub_ps(_mm256_mul_ps(y, _mm256_andnot_ps(sign, y)), y);
        _mm256_add_ps(y, _mm256_mul_ps(_mm256_set1_ps(ROUNDER), rounder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bits, with one pattern for every NaN.
    fn canonical(samples: &[f32]) -> Vec<u32> {
        let bits = |sample: &f32| if sample.is_nan() { 0x7fc0_0000 } else { sample.to_bits() };
        samples.iter().map(bits).collect()
    }

    /// What this processor does is what the portable path does, and nothing around is touched.
    #[track_caller]
    fn check<const ADD: bool>(samples: &[f32], halves: &[[u8; HALF_LEN]]) {
        let (mut expected, mut actual) = (samples.to_vec(), samples.to_vec());
        let len = samples.len().min(halves.len());
        portable::<ADD>(&mut expected[..len], &halves[..len]);
        patch::<ADD>(&mut actual, halves);
        assert_eq!(canonical(&actual), canonical(&expected));
    }

    fn all_halves() -> Vec<[u8; HALF_LEN]> {
        (0..=u16::MAX).map(u16::to_le_bytes).collect()
    }

    #[test]
    fn every_half_replaces() {
        check::<false>(&vec![1.0; 1 << 16], &all_halves());
    }

    #[test]
    fn every_half_is_added() {
        let odd =
            [0.0, -0.0, 1.0 / 3.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, f32::INFINITY, f32::NAN];
        // Miri takes minutes for each.
        let tried = if cfg!(miri) { 1 } else { odd.len() };
        for old in &odd[..tried] {
            check::<true>(&vec![*old; 1 << 16], &all_halves());
            check::<true>(&vec![-*old; 1 << 16], &all_halves());
        }
    }

    #[test]
    fn every_difference_is_that_of_the_portable_path() {
        let odd = [0.0, -0.0, 1e-45, 6e-8, 6.1e-5, 1.0 / 3.0, 65_520.0, f32::MAX, f32::INFINITY];
        let odd: Vec<f32> = odd.into_iter().flat_map(|value| [value, -value]).collect();
        let samples: Vec<f32> = odd.iter().flat_map(|&a| odd.iter().map(move |_| a)).collect();
        let held: Vec<f32> = odd.iter().flat_map(|_| odd.iter().copied()).collect();
        for len in (0..20).chain([samples.len()]) {
            let (mut expected, mut actual) = (vec![[9; HALF_LEN]; len], vec![[9; HALF_LEN]; len]);
            portable_differences(&mut expected, &samples, &held);
            differences(&mut actual, &samples, &held);
            assert_eq!(actual, expected);
        }
        let mut halves = [[9; HALF_LEN]; 9];
        differences(&mut halves, &samples[..8], &held);
        assert_eq!(halves[8], [9; HALF_LEN], "what has no sample stays");
    }

    #[test]
    fn every_tone_is_that_of_the_portable_path() {
        let turns = [0, 1, 0x3FFF_FFFF, 0x4000_0000, 0x7FFF_FFFF, 0x8000_0000, u32::MAX];
        let partials = [[0.17, 0.035, 0.015], [0.145, 0.0, -0.075]];
        for (phase, stride) in turns.iter().flat_map(|&a| turns.map(|b| (a, b ^ 0x01A2_B3C5))) {
            for (len, partials) in (0..70).zip(partials.iter().cycle()) {
                let (mut expected, mut actual) = (vec![1.0; len], vec![2.0; len]);
                portable_tone(&mut expected, phase, stride, partials);
                tone(&mut actual, phase, stride, partials);
                let bits =
                    |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(&actual), bits(&expected));
            }
        }
    }

    #[test]
    fn a_tone_of_one_partial_is_a_sine() {
        let mut samples = vec![0.0; 1_000];
        tone(&mut samples, 1 << 29, 1_234_567, &[1.0, 0.0, 0.0]);
        for (i, sample) in (0_u32..).zip(samples) {
            let turns = f64::from(1 << 29) + f64::from(i) * 1_234_567.0;
            let expected = (turns / f64::from(1_u32 << 31) * std::f64::consts::PI).sin();
            assert!((f64::from(sample) - expected).abs() < 0.002, "{sample} is not {expected}");
        }
    }

    #[test]
    fn any_alignment_and_any_length() {
        // Halves begin at any byte of a message: 23 bytes into it, as a rule.
        let bytes: Vec<u8> = (0..200_u8).map(|byte| byte.wrapping_mul(37)).collect();
        let samples: Vec<f32> = (0..100_i16).map(|i| f32::from(i) / 3.0).collect();
        for from in 0..4 {
            for count in [0, 1, 7, 8, 9, 15, 16, 17, 63, 64] {
                let halves = bytes[from..from + HALF_LEN * count].as_chunks::<HALF_LEN>().0;
                for begin in 0..9 {
                    check::<true>(&samples[begin..], halves);
                    check::<false>(&samples[begin..begin + count], halves);
                    check::<true>(&samples[begin..begin + count / 2], halves);
                }
            }
        }
    }
}
