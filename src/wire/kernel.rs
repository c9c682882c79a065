//! Loops that use the widest instructions that the processor has.
//!
//! Enters: samples, and the halves that replace them or are added to them, one for each; what either
//! side has too many stays out. Leaves: the samples. [`wide`] does the same favour to any plain loop.
//! All paths give the same bits for every half, except for the payloads of NaNs, and each sample
//! is added to once. This is the only file with unsafe code. It holds nothing but the loads and
//! stores of the vector path and the steps into it; the portable path is plain code, which the
//! compiler vectorises as far as every processor of the architecture goes.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "instructions that not every processor has are called at the caller's word"
    )
)]

use super::halves::{HALF_LEN, widen};

/// Puts each half in the place of a sample.
pub fn replace(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    patch::<false>(samples, halves);
}

/// Adds each half to a sample: one rounded `f32` addition.
pub fn add(samples: &mut [f32], halves: &[[u8; HALF_LEN]]) {
    patch::<true>(samples, halves);
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

#[cfg(target_arch = "x86_64")]
mod vectors {
    use std::arch::x86_64::{
        __m128i, _mm_loadu_si128, _mm256_add_ps, _mm256_cvtph_ps, _mm256_loadu_ps, _mm256_storeu_ps,
    };

    use super::{HALF_LEN, WideLoop};

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
