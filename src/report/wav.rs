//! Audio as a WAV file: 32-bit float, interleaved.

use std::io::{Seek, Write};

/// Why samples do not become a WAV file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WavError {
    /// The sizes of a WAV file have 32 bits, and that of a frame 16.
    #[error(
        "{frames} frames of {channels} channels at {sample_rate} Hz are more than a WAV file can \
         hold; take the last part of it (--last 10min)"
    )]
    TooLarge {
        /// Frames to write.
        frames: usize,
        /// Samples in a frame.
        channels: u16,
        /// Frames per second.
        sample_rate: u32,
    },
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] hound::Error),
}

/// Bytes of a sample.
const SAMPLE_LEN: u16 = 4;
/// More than the header of a WAV file needs.
const HEADER_ROOM: usize = 256;

/// Writes interleaved samples as one WAV file.
pub fn write<W: Write + Seek>(
    out: W,
    samples: &[f32],
    channels: u16,
    sample_rate: u32,
) -> Result<(), WavError> {
    if !fits(samples.len(), channels, sample_rate) {
        let frames = samples.len() / usize::from(channels.max(1));
        return Err(WavError::TooLarge { frames, channels, sample_rate });
    }
    let spec = hound::WavSpec {
        channels,
        sample_rate,
        bits_per_sample: 8 * SAMPLE_LEN,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::new(out, spec)?;
    for &sample in samples {
        writer.write_sample(sample)?;
    }
    Ok(writer.finalize()?)
}

/// Whether every size fits its field; hound multiplies them unchecked.
fn fits(samples: usize, channels: u16, sample_rate: u32) -> bool {
    let file_len =
        samples.checked_mul(SAMPLE_LEN.into()).and_then(|len| len.checked_add(HEADER_ROOM));
    let frame_len = channels.checked_mul(SAMPLE_LEN);
    let second_len = frame_len.and_then(|len| sample_rate.checked_mul(len.into()));
    file_len.is_some_and(|len| u32::try_from(len).is_ok()) && second_len.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(samples: usize, channels: u16, sample_rate: u32, expected: bool) {
        assert_eq!(fits(samples, channels, sample_rate), expected);
    }

    #[test]
    fn sizes_stay_within_their_fields() {
        check(0, 1, 48_000, true);
        check(3 * 3600 * 96_000, 2, 48_000, true);
        check(4 * 3600 * 96_000, 2, 48_000, false);
        check(usize::MAX, 2, 48_000, false);
        check(0, 16_384, 1, false);
        check(0, 2, u32::MAX, false);
        let refused = write(std::io::Cursor::new(Vec::new()), &[0.0; 2], 2, u32::MAX);
        assert!(refused.unwrap_err().to_string().contains("more than a WAV file can hold"));
    }
}
