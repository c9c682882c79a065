//! The client's buffer, compressed.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use crate::capture::format::MAX_PAYLOAD_LEN;

/// A buffer may inflate to this many bytes and two for each byte that is really there.
const FREE_BUFFER_LEN: u64 = 32 << 20;
/// A packed buffer is shorter than this.
const MAX_PACKED_LEN: usize = MAX_PAYLOAD_LEN / 2;
/// Bytes of a plane that are compressed at a time.
const PART_LEN: usize = 64 << 10;
/// Magic number of a zstd frame that decoders skip; buffers are filled up with one.
const SKIPPABLE: [u8; 4] = 0x184d_2a50_u32.to_le_bytes();
/// Fast, and the planes that shrink at all do so at any level.
const BUFFER_LEVEL: i32 = 1;

/// The bytes are not the buffer that the snapshot describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    #[error("its buffer is too short for its length")]
    TooShort,
    #[error("its buffer declares another length")]
    OtherDeclared,
    #[error("its buffer cannot be inflated")]
    NotZstd,
    #[error("its buffer has another length")]
    OtherLength,
}

/// The client's buffer, packed: its 32-bit floats as four planes of bytes (all highest bytes, then
/// all second ones, …), in one zstd frame that declares its length.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedBuffer<'a>(pub(in crate::capture) Cow<'a, [u8]>);

impl PackedBuffer<'_> {
    /// Samples beyond which no buffer can be packed, however well it compresses.
    pub const MAX_SAMPLES: u64 = (FREE_BUFFER_LEN + 2 * MAX_PACKED_LEN as u64) / 4;

    /// Packs a buffer; `None` when it is too long for a record.
    #[must_use]
    pub fn pack(samples: &[f32]) -> Option<PackedBuffer<'static>> {
        if samples.len() as u64 > Self::MAX_SAMPLES {
            return None;
        }
        let len = samples.len() as u64 * 4;
        let mut packed = compress_planes(samples, len).ok()?;
        fill_up(&mut packed, len);
        (packed.len() < MAX_PACKED_LEN).then_some(PackedBuffer(Cow::Owned(packed)))
    }

    /// Unpacks a buffer that should have this many samples.
    ///
    /// # Errors
    /// The bytes are not such a buffer. No memory is allocated for a length that the bytes at hand
    /// could not inflate to.
    pub fn unpack(&self, samples: u64) -> Result<Vec<f32>, BufferError> {
        let mut unpacked = Vec::new();
        self.inflate(samples, |plane, at, bytes| {
            unpacked.resize(samples as usize, 0.0_f32);
            let shift = 8 * (3 - plane);
            for (sample, &byte) in unpacked[at..].iter_mut().zip(bytes) {
                *sample = f32::from_bits(sample.to_bits() | u32::from(byte) << shift);
            }
        })?;
        Ok(unpacked)
    }

    /// Looks whether it unpacks to this many samples, without holding them.
    ///
    /// # Errors
    /// As [`PackedBuffer::unpack`].
    pub fn check(&self, samples: u64) -> Result<(), BufferError> {
        self.inflate(samples, |_, _, _| ())
    }

    /// Inflates the planes in their order. Each part goes to `take` with its plane and with the number
    /// of its first sample.
    fn inflate(
        &self,
        samples: u64,
        mut take: impl FnMut(u32, usize, &[u8]),
    ) -> Result<(), BufferError> {
        let bytes = samples.saturating_mul(4);
        if bytes > may_inflate_to(self.0.len()) {
            return Err(BufferError::TooShort);
        }
        let declared = zstd::zstd_safe::get_frame_content_size(&self.0).ok().flatten();
        if declared != Some(bytes) {
            return Err(BufferError::OtherDeclared);
        }
        let decoder = zstd::Decoder::with_buffer(&self.0[..]);
        let mut decoder = decoder.map_err(|_| BufferError::NotZstd)?;
        let mut part = vec![0; PART_LEN];
        let mut done = 0;
        loop {
            let (plane, at) = (done / samples.max(1), done % samples.max(1));
            let room = (samples - at).clamp(1, PART_LEN as u64) as usize;
            let read = decoder.read(&mut part[..room]).map_err(|_| BufferError::NotZstd)?;
            if read == 0 {
                break;
            }
            if plane > 3 {
                return Err(BufferError::OtherLength);
            }
            take(plane as u32, at as usize, &part[..read]);
            done += read as u64;
        }
        if done == bytes { Ok(()) } else { Err(BufferError::OtherLength) }
    }
}

/// The planes of a buffer in one zstd frame, of which only a part at a time is held uncompressed.
fn compress_planes(samples: &[f32], len: u64) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), BUFFER_LEVEL)?;
    encoder.include_contentsize(true)?;
    encoder.set_pledged_src_size(Some(len))?;
    let mut part = Vec::with_capacity(PART_LEN);
    for plane in 0..4 {
        for samples in samples.chunks(PART_LEN) {
            part.clear();
            part.extend(samples.iter().map(|sample| sample.to_be_bytes()[plane]));
            encoder.write_all(&part)?;
        }
    }
    encoder.finish()
}

/// Pads a buffer that compressed very well, so that readers need not trust the declared length.
fn fill_up(packed: &mut Vec<u8>, inflated_len: u64) {
    let least = inflated_len.saturating_sub(FREE_BUFFER_LEN).div_ceil(2) as usize;
    if let Some(missing) = least.checked_sub(packed.len()).filter(|&missing| missing > 0) {
        packed.extend_from_slice(&SKIPPABLE);
        packed.extend_from_slice(&(missing as u32).to_le_bytes());
        packed.resize(packed.len() + missing, 0);
    }
}

fn may_inflate_to(packed_len: usize) -> u64 {
    FREE_BUFFER_LEN + 2 * packed_len as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: &[f32]) -> usize {
        let packed = PackedBuffer::pack(samples).unwrap();
        let unpacked = packed.unpack(samples.len() as u64).unwrap();
        let bits = |samples: &[f32]| samples.iter().map(|s| s.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&unpacked), bits(samples));
        assert_eq!(packed.check(samples.len() as u64), Ok(()));
        packed.0.len()
    }

    #[test]
    fn buffers_go_there_and_back() {
        check(&[]);
        check(&[1.5]);
        check(&[0.0, -0.0, 1.0e-40, f32::NAN, f32::INFINITY, 0.1, -7.25]);
        let ramp: Vec<f32> =
            (0..10_000).map(|i| half::f16::from_f32(i as f32 / 1e4).into()).collect();
        let len = check(&ramp);
        assert!(len < ramp.len() * 5 / 2, "{len} bytes");
    }

    #[test]
    fn a_long_silence_is_filled_up_so_that_a_short_one_cannot_claim_to_be_long() {
        let samples = vec![0.0; 10 << 20];
        let packed = PackedBuffer::pack(&samples).unwrap();
        assert_eq!(packed.0.len() as u64, (40 << 20) / 2 - (16 << 20) + 8);
        assert_eq!(packed.unpack(samples.len() as u64).unwrap(), samples);
        let cut = PackedBuffer(packed.0[..packed.0.len() - 9].into());
        let refused = cut.unpack(samples.len() as u64);
        assert_eq!(refused, Err(BufferError::TooShort));
        assert_eq!(cut.check(samples.len() as u64), Err(BufferError::TooShort));
    }

    #[test]
    fn a_buffer_of_another_length_is_refused() {
        let packed = PackedBuffer::pack(&[1.0, 2.0]).unwrap();
        assert_eq!(packed.unpack(3), Err(BufferError::OtherDeclared));
        assert_eq!(packed.unpack(u64::MAX), Err(BufferError::TooShort));
        assert_eq!(PackedBuffer(b"xyz"[..].into()).unpack(1), Err(BufferError::OtherDeclared));
    }
}
