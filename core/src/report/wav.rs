//! Audio as a WAV file: 32-bit float, interleaved, with labels at moments and stretches that players and
//! editors show: the chunks `cue ` and `LIST` of type `adtl` of Microsoft's "Multimedia Programming
//! Interface and Data Specifications 1.0".

use std::io::{self, Seek, SeekFrom, Write};

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

/// Something to be found in the audio.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioLabel {
    /// Where it begins.
    pub frame: u64,
    /// How long it lasts; 0 for a moment.
    pub frames: u64,
    pub text: String,
}

/// Bytes of a sample.
const SAMPLE_LEN: u16 = 4;
/// More than the header of a WAV file needs.
const HEADER_ROOM: usize = 256;

/// Writes interleaved samples as one WAV file.
pub fn write<W: Write + Seek>(
    out: &mut W,
    samples: &[f32],
    channels: u16,
    sample_rate: u32,
    labels: &[AudioLabel],
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
    let mut writer = hound::WavWriter::new(&mut *out, spec)?;
    for &sample in samples {
        writer.write_sample(sample)?;
    }
    writer.finalize()?;
    if labels.is_empty() {
        return Ok(());
    }
    append(out, &label_chunks(labels)).map_err(|error| hound::Error::IoError(error).into())
}

/// Appends whole chunks to a file of the RIFF kind, and counts them in.
fn append<W: Write + Seek>(out: &mut W, chunks: &[u8]) -> io::Result<()> {
    let end = out.seek(SeekFrom::End(0))?;
    out.write_all(chunks)?;
    let riff_len = end + chunks.len() as u64 - 8;
    out.seek(SeekFrom::Start(4))?;
    out.write_all(&u32::try_from(riff_len).map_err(io::Error::other)?.to_le_bytes())?;
    out.seek(SeekFrom::End(0)).map(drop)
}

/// Both chunks. Frames beyond what 32 bits can say are those of no WAV file.
fn label_chunks(labels: &[AudioLabel]) -> Vec<u8> {
    let number = |frames: u64| u32::try_from(frames).unwrap_or(u32::MAX).to_le_bytes();
    let mut cues = number(labels.len() as u64).to_vec();
    let mut texts = b"adtl".to_vec();
    for (id, label) in (1..).zip(labels) {
        let (id, at) = (number(id), number(label.frame));
        cues.extend([&id, &at, b"data", &[0; 4], &[0; 4], &at].into_iter().flatten());
        let text = [&id[..], label.text.as_bytes(), b"\0"].concat();
        texts.extend(chunk(*b"labl", &text));
        if label.frames > 0 {
            // A region, without country, language, dialect and code page.
            let region = [&id[..], &number(label.frames), b"rgn ", &[0; 8]].concat();
            texts.extend(chunk(*b"ltxt", &region));
        }
    }
    [chunk(*b"cue ", &cues), chunk(*b"LIST", &texts)].concat()
}

/// A chunk, padded to an even length.
fn chunk(name: [u8; 4], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap_or(u32::MAX);
    let padding: &[u8] = if body.len().is_multiple_of(2) { &[] } else { &[0] };
    [&name[..], &len.to_le_bytes(), body, padding].concat()
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
        let mut out = std::io::Cursor::new(Vec::new());
        let refused = write(&mut out, &[0.0; 2], 2, u32::MAX, &[]);
        assert!(refused.unwrap_err().to_string().contains("more than a WAV file can hold"));
    }

    /// The chunks of a file of the RIFF kind, by name and body.
    fn chunks(mut bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        while bytes.len() >= 8 {
            let len = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
            let name = String::from_utf8_lossy(&bytes[..4]).into_owned();
            found.push((name, bytes[8..8 + len].to_vec()));
            bytes = &bytes[8 + len + len % 2..];
        }
        assert!(bytes.is_empty());
        found
    }

    #[test]
    fn labels_stand_behind_the_audio_and_are_counted() {
        let label = |frame, frames, text: &str| AudioLabel { frame, frames, text: text.to_owned() };
        let labels = [label(1, 2, "LAG"), label(3, 0, "seek to 2 s")];
        let mut out = std::io::Cursor::new(Vec::new());
        write(&mut out, &[0.0, 0.25, 0.5, 0.75], 1, 48_000, &labels).unwrap();
        let bytes = out.into_inner();
        assert_eq!(
            bytes.len() as u64 - 8,
            u64::from(u32::from_le_bytes(bytes[4..8].try_into().unwrap()))
        );
        let all = chunks(&bytes[12..]);
        let names: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names[names.len() - 3..], ["data", "cue ", "LIST"]);
        let (cues, list) = (&all[all.len() - 2].1, &all[all.len() - 1].1);
        assert_eq!(cues.len(), 4 + 2 * 24);
        assert_eq!((cues[0], cues[4], cues[8], &cues[12..16]), (2, 1, 1, &b"data"[..]));
        assert_eq!(cues[4 + 24 + 20], 3, "the frame of the second");
        let texts = chunks(&list[4..]);
        assert_eq!(texts[0], ("labl".to_owned(), b"\x01\0\0\0LAG\0".to_vec()));
        assert_eq!(texts[1].1[..12], *b"\x01\0\0\0\x02\0\0\0rgn ");
        assert_eq!(texts[2], ("labl".to_owned(), b"\x02\0\0\0seek to 2 s\0".to_vec()));
        // Whoever reads audio alone still can.
        let read = hound::WavReader::new(&bytes[..]).unwrap().into_samples::<f32>();
        assert_eq!(read.map(Result::unwrap).collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75]);
    }
}
