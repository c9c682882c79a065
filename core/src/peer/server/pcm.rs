//! Audio uploads (`<II` channels and frames, then interleaved `f32`) and buffers of halves.
//!
//! No memory is allocated for a length that the bytes only claim.

use crate::wire::halves::narrow;

/// Most channels a client may bring.
pub const MAX_CHANNELS: u16 = 8;
/// Audio with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Pcm {
    /// Channels, at least one.
    pub channels: u16,
    /// Samples, channels interleaved.
    pub audio: Vec<f32>,
}

impl Pcm {
    /// Bytes of an upload before its samples.
    pub const HEADER_LEN: usize = 8;

    /// Audio that can be played: samples that are no numbers become silence, and those far beyond
    /// full scale are clipped.
    #[must_use]
    pub fn new(channels: u16, mut audio: Vec<f32>) -> Self {
        for sample in &mut audio {
            *sample = playable(*sample);
        }
        Self { channels, audio }
    }

    /// How many frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.audio.len() / usize::from(self.channels.max(1))
    }

    /// The bytes of an upload, as the server reads them. A last frame that is not whole is left
    /// out.
    #[must_use]
    pub fn to_message(&self) -> Vec<u8> {
        let frames = u32::try_from(self.frames()).unwrap_or(u32::MAX);
        let samples = frames as usize * usize::from(self.channels);
        let mut bytes = Vec::with_capacity(Self::HEADER_LEN + samples * size_of::<f32>());
        bytes.extend(u32::from(self.channels).to_le_bytes());
        bytes.extend(frames.to_le_bytes());
        bytes.extend(self.audio.iter().take(samples).flat_map(|sample| sample.to_le_bytes()));
        bytes
    }
}

/// Why bytes are no upload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PcmError {
    /// Not even a header.
    #[error("an upload begins with 8 bytes of channels and frames, but {0} bytes came")]
    NoHeader(usize),
    /// A number of channels that no one has.
    #[error("{0} channels; 1 to {MAX_CHANNELS} are possible")]
    Channels(u32),
    /// Nothing to play.
    #[error("no frames")]
    Empty,
    /// The header and the bytes disagree.
    #[error("{channels} channels of {frames} frames are not the {bytes} bytes that came")]
    Length {
        channels: u32,
        /// Frames claimed.
        frames: u32,
        /// Bytes of samples that came.
        bytes: usize,
    },
}

/// Reads an upload.
pub fn parse(bytes: &[u8]) -> Result<Pcm, PcmError> {
    let no_header = || PcmError::NoHeader(bytes.len());
    let (channels, rest) = bytes.split_first_chunk::<4>().ok_or_else(no_header)?;
    let (frames, samples) = rest.split_first_chunk::<4>().ok_or_else(no_header)?;
    let (channels, frames) = (u32::from_le_bytes(*channels), u32::from_le_bytes(*frames));
    let known = u16::try_from(channels).ok().filter(|known| (1..=MAX_CHANNELS).contains(known));
    let Some(known) = known else { return Err(PcmError::Channels(channels)) };
    if frames == 0 {
        return Err(PcmError::Empty);
    }
    if u64::from(channels) * u64::from(frames) * 4 != samples.len() as u64 {
        return Err(PcmError::Length { channels, frames, bytes: samples.len() });
    }
    let (samples, _) = samples.as_chunks::<4>();
    let audio = samples.iter().map(|&sample| f32::from_le_bytes(sample)).collect();
    Ok(Pcm::new(known, audio))
}

fn playable(sample: f32) -> f32 {
    if sample.is_nan() { 0.0 } else { sample.clamp(-16.0, 16.0) }
}

/// The bytes of a buffer as the client gets it.
#[must_use]
pub fn to_halves(audio: &[f32]) -> Vec<u8> {
    audio.iter().flat_map(|&sample| narrow(sample)).collect()
}

/// The audio for a loop of that many channels, if it fits one: a single channel fits any, and of
/// more than two only the first two are taken.
pub(super) fn for_channels(pcm: &Pcm, channels: u16) -> Option<Vec<f32>> {
    let brought = usize::from(pcm.channels.max(1));
    let wanted = usize::from(channels);
    let frames = pcm.audio.chunks_exact(brought);
    match brought {
        1 => Some(pcm.audio.iter().flat_map(|&sample| vec![sample; wanted]).collect()),
        _ if brought == wanted => Some(pcm.audio.clone()),
        _ if wanted == 2 => Some(frames.flat_map(|frame| [frame[0], frame[1]]).collect()),
        _ => None,
    }
}

/// What the server takes for the vocals and the instruments of a source.
pub(super) fn stems(pcm: &Pcm) -> [Vec<f32>; 2] {
    [0.4, 0.6].map(|share| pcm.audio.iter().map(|sample| sample * share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(channels: u32, frames: u32, samples: &[f32]) -> Vec<u8> {
        let mut bytes = [channels.to_le_bytes(), frames.to_le_bytes()].concat();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        bytes
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: Result<(u16, &[f32]), PcmError>) {
        let expected = expected.map(|(channels, audio)| Pcm { channels, audio: audio.to_vec() });
        assert_eq!(parse(bytes), expected);
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let pcm = Pcm { channels: 2, audio: vec![0.5, -0.5, 0.25, 1.5, 0.125] };
        let whole = Pcm { channels: 2, audio: pcm.audio[..4].to_vec() };
        assert_eq!(pcm.to_message(), upload(2, 2, &whole.audio));
        assert_eq!(parse(&pcm.to_message()), Ok(whole));
    }

    #[test]
    fn uploads_as_they_come() {
        check(&upload(2, 1, &[0.5, -0.5]), Ok((2, &[0.5, -0.5])));
        check(&upload(1, 2, &[f32::NAN, f32::INFINITY]), Ok((1, &[0.0, 16.0])));
        check(&[], Err(PcmError::NoHeader(0)));
        check(&[1, 0, 0, 0, 1, 0, 0], Err(PcmError::NoHeader(7)));
        check(&upload(0, 1, &[]), Err(PcmError::Channels(0)));
        check(&upload(65_537, 1, &[]), Err(PcmError::Channels(65_537)));
        check(&upload(1, 0, &[]), Err(PcmError::Empty));
        let frames = u32::MAX;
        check(&upload(8, frames, &[0.0]), Err(PcmError::Length { channels: 8, frames, bytes: 4 }));
    }
}
