//! The mirror: the buffer that the client holds, rebuilt from slices.
//!
//! Samples are `f32` with interleaved channels. Slices are added with one plain `f32` addition per
//! value, in their order, so the mirror equals the client's buffer bit for bit (except for NaN
//! payloads). The length never changes, and a slice that does not fit changes nothing.

pub mod drift;
pub mod old_source;

use std::ops::Range;

use thiserror::Error;

use crate::wire::halves::{HALF_LEN, widen};
use crate::wire::kernel;
use crate::wire::slice::{Coding, Slice, SliceHeader};

/// The client's buffer of one epoch.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// Whole frames of `channels` values.
    samples: Vec<f32>,
    /// At least 1.
    channels: u16,
}

/// Why bytes are not a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MirrorError {
    /// Frames of no channels cannot be counted.
    #[error("a buffer needs at least one channel; the session declares 0")]
    NoChannels,
    /// The last frame is cut.
    #[error("{len} bytes are not whole frames of {channels} channels of {HALF_LEN} bytes")]
    CutFrame {
        /// Bytes of the message.
        len: usize,
        /// Channels that the session declares.
        channels: u16,
    },
}

/// Why a slice does not fit a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a slice of {slice} channels does not fit a buffer of {buffer} channels")]
pub struct ApplyError {
    pub slice: u16,
    pub buffer: u16,
}

/// Not derived: what is derived is compiled where it is used, and tests are compiled without optimising.
impl PartialEq for Mirror {
    fn eq(&self, other: &Mirror) -> bool {
        // Compared block by block, without a branch for each sample.
        let (own, others) = (self.samples.chunks(64), other.samples.chunks(64));
        let same = |a: &[f32], b: &[f32]| a.iter().zip(b).fold(true, |all, (a, b)| all & (a == b));
        self.channels == other.channels
            && self.samples.len() == other.samples.len()
            && own.zip(others).all(|(own, other)| same(own, other))
    }
}

impl Mirror {
    /// The buffer as the server sent it: little-endian halves, channels interleaved.
    pub fn from_wire(halves: &[u8], channels: u16) -> Result<Mirror, MirrorError> {
        if channels == 0 {
            return Err(MirrorError::NoChannels);
        }
        if !halves.len().is_multiple_of(HALF_LEN * usize::from(channels)) {
            return Err(MirrorError::CutFrame { len: halves.len(), channels });
        }
        let (halves, _) = halves.as_chunks();
        let mut samples = vec![0.0; halves.len()];
        kernel::replace(&mut samples, halves);
        Ok(Mirror { samples, channels })
    }

    /// A buffer of known audio, channels interleaved; `None` when that is not whole frames.
    #[must_use]
    pub fn from_samples(samples: Vec<f32>, channels: u16) -> Option<Mirror> {
        let whole = channels > 0 && samples.len().is_multiple_of(usize::from(channels));
        whole.then_some(Mirror { samples, channels })
    }

    /// Audio frames in the buffer.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.samples.len() / usize::from(self.channels)
    }

    /// Channels of each frame, at least 1.
    #[must_use]
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// The audio, channels interleaved.
    #[must_use]
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// Applies a slice and returns the audio frames it touched: see [`applied_range`].
    pub fn apply(&mut self, slice: &Slice<'_>) -> Result<Range<usize>, ApplyError> {
        let range = applied_range(&slice.header, self.frames(), self.channels)?;
        let channels = usize::from(self.channels);
        let region = &mut self.samples[range.start * channels..range.end * channels];
        let (halves, _) = slice.halves.as_chunks();
        let is_spread = slice.header.channels != self.channels;
        match (slice.header.coding(), is_spread) {
            (Coding::Replace, false) => kernel::replace(region, halves),
            (Coding::Delta | Coding::RawAdd, false) => kernel::add(region, halves),
            (Coding::Replace, true) => spread(region, halves, channels, |_, value| value),
            (Coding::Delta | Coding::RawAdd, true) => {
                spread(region, halves, channels, |sample, value| sample + value);
            }
        }
        Ok(range)
    }
}

/// The audio frames that a slice touches on a buffer of this shape: from its start to its end or
/// the buffer's, whichever comes first. One channel fits any number of channels; a slice that
/// touches nothing fits any buffer.
pub fn applied_range(
    header: &SliceHeader,
    frames: usize,
    channels: u16,
) -> Result<Range<usize>, ApplyError> {
    let frames = frames as u64;
    let start = u64::from(header.start).min(frames);
    let end = (u64::from(header.start) + u64::from(header.frames)).min(frames);
    if start < end && header.channels != channels && header.channels != 1 {
        return Err(ApplyError { slice: header.channels, buffer: channels });
    }
    Ok(start as usize..end as usize)
}

/// Puts each half into all channels of a frame; what either side has too many stays out.
fn spread(
    region: &mut [f32],
    halves: &[[u8; HALF_LEN]],
    channels: usize,
    put: impl Fn(f32, f32) -> f32,
) {
    for (frame, &half) in region.chunks_exact_mut(channels).zip(halves) {
        let value = widen(half);
        frame.iter_mut().for_each(|sample| *sample = put(*sample, value));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;
    use crate::wire::halves::narrow;
    use crate::wire::slice::{SliceDecoder, SliceEncoder};

    fn halves(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|&value| narrow(value)).collect()
    }

    #[test]
    fn buffers_are_whole_frames() {
        let frames = |len, channels| {
            Mirror::from_wire(&vec![0; len], channels).map(|mirror| mirror.frames())
        };
        assert_eq!(frames(0, 2), Ok(0));
        assert_eq!(frames(8, 2), Ok(2));
        assert_eq!(frames(6, 3), Ok(1));
        assert_eq!(frames(3, 1), Err(MirrorError::CutFrame { len: 3, channels: 1 }));
        assert_eq!(frames(6, 2), Err(MirrorError::CutFrame { len: 6, channels: 2 }));
        assert_eq!(frames(6, 0), Err(MirrorError::NoChannels));
    }

    /// Applies a slice of `values` to the two-channel buffer `1 2 | 3 4 | 5 6`.
    #[track_caller]
    fn check(
        (flags, start, channels): (u8, u32, u16),
        values: &[f32],
        expected: Result<(usize, usize), ApplyError>,
        expected_samples: [f32; 6],
    ) {
        let mut mirror = Mirror::from_wire(&halves(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), 2).unwrap();
        let frames = values.len().checked_div(channels.into()).unwrap_or(3) as u32;
        let header = SliceHeader { flags, start, frames, channels, ..SliceHeader::default() };
        let halves = halves(values);
        let slice = Slice { header, halves: &halves, trailing: 0, undeclared_len: false };
        assert_eq!(mirror.apply(&slice).map(|range| (range.start, range.end)), expected);
        assert_eq!(mirror.samples(), expected_samples);
    }

    #[test]
    fn slices_replace_or_add() {
        check((0, 1, 2), &[9.0, 8.0], Ok((1, 2)), [1.0, 2.0, 9.0, 8.0, 5.0, 6.0]);
        check((1, 1, 2), &[9.0, 8.0], Ok((1, 2)), [1.0, 2.0, 12.0, 12.0, 5.0, 6.0]);
        check((2, 1, 2), &[9.0, 8.0], Ok((1, 2)), [1.0, 2.0, 12.0, 12.0, 5.0, 6.0]);
    }

    #[test]
    fn slices_are_clipped_at_the_end() {
        check((0, 2, 2), &[9.0, 8.0, 7.0, 7.0], Ok((2, 3)), [1.0, 2.0, 3.0, 4.0, 9.0, 8.0]);
        check((1, 2, 1), &[9.0, 8.0], Ok((2, 3)), [1.0, 2.0, 3.0, 4.0, 14.0, 15.0]);
    }

    #[test]
    fn one_channel_goes_to_all() {
        check((0, 0, 1), &[9.0, 8.0], Ok((0, 2)), [9.0, 9.0, 8.0, 8.0, 5.0, 6.0]);
        check((1, 1, 1), &[9.0, 8.0], Ok((1, 3)), [1.0, 2.0, 12.0, 13.0, 13.0, 14.0]);
    }

    #[test]
    fn other_channels_fit_only_where_they_touch_nothing() {
        let untouched = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let refused = |slice| Err(ApplyError { slice, buffer: 2 });
        check((0, 0, 3), &[9.0; 3], refused(3), untouched);
        check((1, 2, 3), &[9.0; 3], refused(3), untouched);
        check((0, 0, 0), &[], refused(0), untouched);
        check((0, 3, 3), &[9.0; 3], Ok((3, 3)), untouched);
        check((0, u32::MAX, 0), &[], Ok((3, 3)), untouched);
        check((0, 1, 3), &[], Ok((1, 1)), untouched);
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(23),
            failure_persistence: None,
            ..Default::default()
        })]

        /// Whatever the audio, the client ends up with exactly what the server believes it holds.
        #[test]
        fn the_mirror_follows_the_encoder_bit_for_bit(
            channels in 1u16..4,
            initial in proptest::collection::vec(any::<u16>(), 60),
            slices in proptest::collection::vec(
                (0u32..40, 0usize..30, any::<u64>(), -20i32..20), 1..8),
        ) {
            let halves: Vec<u8> = initial.iter().flat_map(|half| half.to_le_bytes()).collect();
            let mut mirror = Mirror::from_wire(&halves, channels).unwrap();
            let mut encoder = SliceEncoder::new(mirror.samples().to_vec(), channels, 1);
            let mut decoder = SliceDecoder::new();
            for (start, frames, seed, exponent) in slices {
                let audio = noise(frames * usize::from(channels), seed, exponent);
                let end = mirror.frames().min(start as usize + frames);
                match encoder.encode(start, &audio, 1.0, 2.0, 3) {
                    None => prop_assert!(start as usize >= end),
                    Some(message) => {
                        let slice = decoder.decode(&message).unwrap();
                        prop_assert_eq!((slice.trailing, slice.undeclared_len), (0, false));
                        prop_assert_eq!(mirror.apply(&slice), Ok(start as usize..end));
                    }
                }
                prop_assert_eq!(canonical(mirror.samples()), canonical(encoder.basis()));
            }
        }
    }

    /// Samples between -2^`exponent` and 2^`exponent`.
    fn noise(len: usize, mut seed: u64, exponent: i32) -> Vec<f32> {
        let next = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            ((seed >> 32) as i32 as f32 / 2f32.powi(31)) * 2f32.powi(exponent)
        };
        std::iter::repeat_with(next).take(len).collect()
    }

    /// Bits, with one pattern for every NaN: the payloads of NaNs are up to the processor.
    fn canonical(samples: &[f32]) -> Vec<u32> {
        let bits = |sample: &f32| if sample.is_nan() { 0x7fc0_0000 } else { sample.to_bits() };
        samples.iter().map(bits).collect()
    }
}
