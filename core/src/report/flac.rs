//! Audio as a FLAC file (RFC 9639): 24 bits, with labels as chapters in its comments, as players know them
//! from Xiph's "Chapter Extension".
//!
//! Samples are whole numbers there: each is rounded by half a part in 2^23 at most, and clipped at full scale.

use std::io::{Seek, Write};

use flac_codec::encode::{FlacSampleWriter, Options};

use super::text::Figure;
use super::wav::AudioLabel;

/// Why samples do not become a FLAC file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FlacError {
    /// A FLAC file has one channel to eight.
    #[error("{0} channels are more than a FLAC file can hold; name it .wav")]
    TooManyChannels(u16),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] flac_codec::Error),
}

/// Bits of a sample.
const BITS: u32 = 24;
/// What a sample of 1 is, and one more than any sample may be.
const FULL_SCALE: f32 = (1 << (BITS - 1)) as f32;
/// Frames that are encoded at a time.
const FRAMES_AT_ONCE: usize = 1 << 16;
/// A chapter has three digits.
const MAX_CHAPTERS: usize = 1_000;

/// Writes interleaved samples as one FLAC file, with the first thousand of the labels. Gives the samples that
/// were clipped.
pub fn write<W: Write + Seek>(
    out: &mut W,
    samples: &[f32],
    channels: u16,
    sample_rate: u32,
    labels: &[AudioLabel],
) -> Result<usize, FlacError> {
    let count = u8::try_from(channels).ok().filter(|count| (1..=8).contains(count));
    let count = count.ok_or(FlacError::TooManyChannels(channels))?;
    let options = with_chapters(Options::default().no_padding(), labels, sample_rate);
    let mut writer = FlacSampleWriter::new(out, options, sample_rate, BITS, count, None)?;
    for chunk in samples.chunks(FRAMES_AT_ONCE * usize::from(count)) {
        let whole: Vec<_> = chunk.iter().map(|&sample| whole(sample)).collect();
        writer.write(&whole)?;
    }
    writer.finalize()?;
    Ok(samples.iter().filter(|sample| sample.abs() > 1.0).count())
}

/// A sample as a whole number.
fn whole(sample: f32) -> i32 {
    (sample * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1.0) as i32
}

fn with_chapters(options: Options, labels: &[AudioLabel], sample_rate: u32) -> Options {
    let seconds = |frames: u64| frames as f64 / f64::from(sample_rate);
    let labels = labels.iter().take(MAX_CHAPTERS).enumerate();
    labels.fold(options, |options, (number, label)| {
        let name = match label.frames {
            0 => label.text.clone(),
            frames => format!("{} (for {} s)", label.text, Figure(seconds(frames))),
        };
        options
            .tag(&format!("CHAPTER{number:03}"), clock(seconds(label.frame)))
            .tag(&format!("CHAPTER{number:03}NAME"), name)
    })
}

/// A time as chapters have it: hours, minutes, seconds and thousandths.
fn clock(s: f64) -> String {
    let ms = (s * 1e3).round() as u64;
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
    format!("{h:02}:{m:02}:{s:02}.{:03}", ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sample: f32, expected: i32) {
        assert_eq!(whole(sample), expected);
    }

    #[test]
    fn samples_are_rounded_and_clipped() {
        check(0.0, 0);
        check(0.5, 1 << 22);
        check(-1.0, -(1 << 23));
        check(1.0, (1 << 23) - 1);
        check(-7.5, -(1 << 23));
        check(0.6 / FULL_SCALE, 1);
        check(f32::NAN, 0);
    }

    #[test]
    fn times_of_chapters_have_all_their_digits() {
        assert_eq!(clock(0.0), "00:00:00.000");
        assert_eq!(clock(3_725.062_5), "01:02:05.063");
        assert_eq!(clock(59.9996), "00:01:00.000");
    }

    #[test]
    fn more_channels_than_eight_are_refused() {
        let refused = write(&mut std::io::Cursor::new(Vec::new()), &[0.0; 9], 9, 48_000, &[]);
        assert!(matches!(refused, Err(FlacError::TooManyChannels(9))));
    }
}
