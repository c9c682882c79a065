//! Slices: the binary messages that patch a region of the loop.
//!
//! A slice is a header of 23 bytes and its audio as little-endian halves, raw or as one zstd frame.
//! Enters and leaves: the header's bytes, here; whole messages, in the decoder (the client's side)
//! and the encoder (the server's side). Positions and lengths are audio frames, times are
//! milliseconds. Never looks at the buffer that a slice patches: that is the mirror's business.

mod decode;
mod encode;

pub use decode::{InflatedDelta, MAX_PAYLOAD, SliceDecoder, SliceError};
pub use encode::SliceEncoder;

use crate::wire::halves::HALF_LEN;

/// Bytes of a slice's header, before its audio.
pub const HEADER_LEN: usize = 23;

/// `flags` of a slice whose halves lie there raw and replace.
const FLAGS_RAW: u8 = 0;
/// `flags` of a slice whose halves lie there as one zstd frame and are added.
const FLAGS_DELTA: u8 = 1;

/// What the first 23 bytes of a slice say. Nothing in them is checked. The two times and the
/// generations are those of the generation before: a session's first slice has zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SliceHeader {
    /// How the audio is coded; see [`SliceHeader::coding`].
    pub flags: u8,
    /// First audio frame of the loop that the slice patches.
    pub start: u32,
    /// Audio frames in the slice.
    pub frames: u32,
    /// Channels of the slice's audio.
    pub channels: u16,
    /// How long the server's generator took, in milliseconds.
    pub tick_ms: f32,
    /// How long the server's decoder took, in milliseconds.
    pub dec_ms: f32,
    pub generations: u32,
}

/// How a slice's audio is stored and applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Raw halves that replace.
    Replace,
    /// One zstd frame of halves that are added.
    Delta,
    /// Raw halves that are added. No server means to send this, but it is how the reference
    /// client reads flags that it does not know.
    RawAdd,
}

impl SliceHeader {
    /// Reads the header of a message; what follows it is not looked at.
    pub fn parse(message: &[u8]) -> Result<Self, SliceError> {
        Self::read(message).ok_or(SliceError::TooShort { len: message.len() })
    }

    /// Fields stand in the order of the wire: a struct expression evaluates them as written.
    fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        Some(Self {
            flags: u8::from_le_bytes(take(bytes)?),
            start: u32::from_le_bytes(take(bytes)?),
            frames: u32::from_le_bytes(take(bytes)?),
            channels: u16::from_le_bytes(take(bytes)?),
            tick_ms: f32::from_le_bytes(take(bytes)?),
            dec_ms: f32::from_le_bytes(take(bytes)?),
            generations: u32::from_le_bytes(take(bytes)?),
        })
    }

    /// The header as it goes over the wire.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = self.flags;
        bytes[1..5].copy_from_slice(&self.start.to_le_bytes());
        bytes[5..9].copy_from_slice(&self.frames.to_le_bytes());
        bytes[9..11].copy_from_slice(&self.channels.to_le_bytes());
        bytes[11..15].copy_from_slice(&self.tick_ms.to_le_bytes());
        bytes[15..19].copy_from_slice(&self.dec_ms.to_le_bytes());
        bytes[19..23].copy_from_slice(&self.generations.to_le_bytes());
        bytes
    }

    /// How the audio is stored and applied.
    #[must_use]
    pub fn coding(&self) -> Coding {
        match self.flags {
            FLAGS_RAW => Coding::Replace,
            FLAGS_DELTA => Coding::Delta,
            _ => Coding::RawAdd,
        }
    }

    /// Bytes of audio that the header announces, inflated. May be absurd: up to 2^49.
    #[must_use]
    pub fn payload_len(&self) -> u64 {
        u64::from(self.frames) * u64::from(self.channels) * HALF_LEN as u64
    }
}

/// Takes the first `N` bytes away, if there are as many.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

/// A slice that was accepted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice<'a> {
    /// What its first 23 bytes say.
    pub header: SliceHeader,
    /// Its audio: little-endian halves, channels interleaved, exactly
    /// [`SliceHeader::payload_len`] bytes.
    pub halves: &'a [u8],
    /// Bytes after the zstd frame. The reference ignores them too; a sound server sends none.
    pub trailing: usize,
    /// The zstd frame does not declare how long its content is. A sound server declares it.
    pub undeclared_len: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every header field differs from every other, so that a swap of two shows.
    #[test]
    fn header_goes_there_and_back() {
        let header = SliceHeader {
            flags: 0x01,
            start: 0x0504_0302,
            frames: 0x0908_0706,
            channels: 0x0b0a,
            tick_ms: f32::from_bits(0x0f0e_0d0c),
            dec_ms: f32::from_bits(0x1312_1110),
            generations: 0x1716_1514,
        };
        let bytes: [u8; HEADER_LEN] = std::array::from_fn(|i| i as u8 + 1);
        assert_eq!(header.to_bytes(), bytes);
        assert_eq!(SliceHeader::parse(&bytes), Ok(header));
    }
}
