//! Encoding slices: the server's side.
//!
//! Enters: audio as `f32`, channels interleaved, and where it belongs. Leaves: messages that bring
//! the client there. Invariant: the basis is what the client holds, rounding errors included, so
//! errors never add up. Never sends raw slices; no known server does.

use zstd::zstd_safe::{self, CCtx};

use super::{FLAGS_DELTA, HEADER_LEN, SliceHeader};
use crate::wire::halves::HALF_LEN;
use crate::wire::kernel;

/// The server's side: turns audio into deltas against what the client already holds.
pub struct SliceEncoder {
    /// What the client holds once it has applied every slice so far.
    basis: Vec<f32>,
    channels: u16,
    level: i32,
    context: CCtx<'static>,
    /// The halves of one slice before they are compressed.
    delta: Vec<u8>,
}

impl SliceEncoder {
    /// An encoder against `basis`, the buffer as the client first gets it, channels interleaved.
    /// `level` is zstd's.
    ///
    /// # Panics
    /// When `basis` is not whole frames of at least one channel.
    #[must_use]
    pub fn new(basis: Vec<f32>, channels: u16, level: i32) -> Self {
        assert_whole_frames(&basis, channels);
        Self { basis, channels, level, context: CCtx::create(), delta: Vec::new() }
    }

    /// What the client holds once it has applied every slice so far, channels interleaved.
    #[must_use]
    pub fn basis(&self) -> &[f32] {
        &self.basis
    }

    /// The message that brings the client's audio from frame `start` on as near to `audio` as a
    /// half can. Audio past the end of the buffer is left out; `None` when that is all of it.
    ///
    /// # Panics
    /// When `audio` is not whole frames, or is longer than a header can say.
    pub fn encode(
        &mut self,
        start: u32,
        audio: &[f32],
        tick_ms: f32,
        dec_ms: f32,
        generations: u32,
    ) -> Option<Vec<u8>> {
        assert_whole_frames(audio, self.channels);
        let channels = usize::from(self.channels);
        let basis = self.basis.get_mut((start as usize).checked_mul(channels)?..)?;
        let frames = audio.len().min(basis.len()) / channels;
        if frames == 0 {
            return None;
        }
        let basis = &mut basis[..frames * channels];
        self.delta.resize(basis.len() * HALF_LEN, 0);
        let halves = self.delta.as_chunks_mut().0;
        kernel::differences(halves, audio, basis);
        kernel::add(basis, halves);
        let header = SliceHeader {
            flags: FLAGS_DELTA,
            start,
            frames: u32::try_from(frames).expect("a slice has at most u32::MAX frames"),
            channels: self.channels,
            tick_ms,
            dec_ms,
            generations,
        };
        Some(self.compress(&header))
    }

    /// From now on `audio` is taken for what the client holds from frame `start` on. Where that is
    /// not so, what it holds departs from what it should, and stays so.
    pub fn assume(&mut self, start: u32, audio: &[f32]) {
        let first = (start as usize).saturating_mul(usize::from(self.channels));
        let basis = self.basis.get_mut(first..).unwrap_or_default();
        for (held, &assumed) in basis.iter_mut().zip(audio) {
            *held = assumed;
        }
    }

    fn compress(&mut self, header: &SliceHeader) -> Vec<u8> {
        let mut message = header.to_bytes().to_vec();
        message.resize(HEADER_LEN + zstd_safe::compress_bound(self.delta.len()), 0);
        let room = &mut message[HEADER_LEN..];
        let len = self
            .context
            .compress(room, &self.delta, self.level)
            .expect("zstd compresses anything into as much room as it asked for");
        message.truncate(HEADER_LEN + len);
        message
    }
}

#[track_caller]
fn assert_whole_frames(samples: &[f32], channels: u16) {
    assert!(
        channels > 0 && samples.len().is_multiple_of(usize::from(channels)),
        "{} samples are not whole frames of {channels} channels",
        samples.len()
    );
}

#[cfg(test)]
mod tests {
    use super::super::SliceDecoder;
    use super::*;

    #[test]
    fn the_encoder_clips_at_the_end_and_is_silent_past_it() {
        let mut encoder = SliceEncoder::new(vec![0.0; 8], 2, 3);
        let mut frames = |start, audio: &[f32]| {
            let message = encoder.encode(start, audio, 0.0, 0.0, 0)?;
            SliceHeader::parse(&message).ok().map(|header| (header.start, header.frames))
        };
        assert_eq!(frames(2, &[1.0; 8]), Some((2, 2)));
        assert_eq!(frames(3, &[1.0; 2]), Some((3, 1)));
        assert_eq!(frames(4, &[1.0; 2]), None);
        assert_eq!(frames(u32::MAX, &[1.0; 2]), None);
        assert_eq!(frames(0, &[]), None);
        assert_eq!(encoder.basis(), [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    }

    /// 1/3 is no half: the basis is what the client gets, not what was wanted. 1e6 overflows.
    #[test]
    fn the_basis_is_what_the_client_gets() {
        let mut encoder = SliceEncoder::new(vec![0.5, 0.0], 1, 3);
        let message = encoder.encode(0, &[0.5 + 1.0 / 3.0, 1e6], 0.0, 0.0, 0).unwrap();
        let mut decoder = SliceDecoder::new();
        assert_eq!(decoder.decode(&message).unwrap().halves, [0x55, 0x35, 0x00, 0x7c]);
        assert_eq!(encoder.basis(), [0.5 + 0.333_251_95, f32::INFINITY]);
    }
}
