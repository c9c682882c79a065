//! Audio files as sources: WAV, FLAC, MP3, Ogg Vorbis, AAC and M4A.
//!
//! The result is interleaved samples at the wanted rate, short enough for one upload. Resampling keeps
//! the length and shifts nothing in time. A truncated file ends with its last whole packet. Loudness
//! and channels stay as they are, and so does the silence that AAC encoders put in front.

use std::fs::File;
use std::io::ErrorKind;
use std::panic;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::audio::GenericAudioBufferRef;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;

use super::files;
use crate::peer::server::{MAX_CHANNELS, Pcm};

/// The longest upload in bytes, header included: what the protocol allows one message.
pub const MAX_UPLOAD_LEN: usize = 100 << 20;
/// The most samples that such an upload has room for.
pub const MAX_SAMPLES: usize = (MAX_UPLOAD_LEN - Pcm::HEADER_LEN) / size_of::<f32>();
/// The most samples that are decoded before resampling: 192 kHz may become 48 kHz.
pub const MAX_DECODED_SAMPLES: usize = 4 * MAX_SAMPLES;
/// Slowest and fastest sample rate in Hz, of files and of what is wanted.
pub const SAMPLE_RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;

/// What to do about a file that cannot be read.
const FORMATS: &str = "a WAV, FLAC, MP3, Ogg Vorbis, AAC or M4A file";
/// Fewest frames in a block of the resampler, at the lower of the two rates. The longer the block,
/// the closer the filter comes to half the rate; this one is flat to 98 % of it.
const MIN_BLOCK_FRAMES: u64 = 2_048;

/// Reads an audio file and brings it to `sample_rate`.
pub fn load(path: &Path, sample_rate: u32) -> Result<Pcm> {
    ensure!(
        SAMPLE_RATES.contains(&sample_rate),
        "{sample_rate} Hz is no sample rate to play at; choose one from {} to {} Hz",
        SAMPLE_RATES.start(),
        SAMPLE_RATES.end()
    );
    let file = open(path)?;
    let named = || format!("cannot use {}", path.display());
    // With checked arithmetic some headers make the decoders panic, such as a WAV with more than 31
    // channels.
    let decoded = panic::catch_unwind(|| decode(file, sample_rate))
        .unwrap_or_else(|_| Err(anyhow!("it is damaged; export it again")))
        .with_context(named)?;
    resample(decoded, sample_rate).with_context(named)
}

fn open(path: &Path) -> Result<File> {
    if path.is_dir() {
        bail!("{} is a folder; name {FORMATS} in it", path.display());
    }
    let (file, len) = files::open_plain(path)?;
    if len == 0 {
        bail!("{} is empty; name {FORMATS}", path.display());
    }
    Ok(file)
}

/// Audio as the file has it.
struct Decoded {
    pcm: Pcm,
    sample_rate: u32,
}

fn decode(file: File, wanted_rate: u32) -> Result<Decoded> {
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(&Hint::new(), stream, Default::default(), Default::default())
        .map_err(not_audio)?;
    let track = format.default_track(TrackType::Audio);
    let Some(track) = track else { bail!("it has no audio track; name {FORMATS}") };
    let id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let Some(parameters) = parameters else {
        bail!("it does not say how its audio is coded; convert it to WAV or FLAC")
    };
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &Default::default())
        .map_err(|error| anyhow!("{error}; convert it to WAV or FLAC"))?;
    collect(format.as_mut(), decoder.as_mut(), id, wanted_rate)
}

/// Why a probe failed: the disk, or what is on it.
fn not_audio(error: Error) -> anyhow::Error {
    match error {
        Error::IoError(error) if error.kind() != ErrorKind::UnexpectedEof => error.into(),
        error => anyhow!("it is not {FORMATS} ({error})"),
    }
}

/// Decodes the packets of one track up to the end of the file.
fn collect(
    format: &mut dyn FormatReader,
    decoder: &mut dyn AudioDecoder,
    track: u32,
    wanted_rate: u32,
) -> Result<Decoded> {
    let mut shape = None;
    let mut audio = Vec::new();
    let mut packet_audio = Vec::new();
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(Error::ResetRequired) => {
                bail!("it holds several streams one after the other; save it as a single one")
            }
            Err(error) => bail!("it is damaged ({error}); export it again"),
        };
        if packet.track_id != track {
            continue;
        }
        // A packet that cannot be decoded is left out, as players do: MP3 files cut from longer
        // ones begin with such packets.
        let decoded = match decoder.decode(&packet) {
            Ok(decoded) if !decoded.is_empty() => decoded,
            Ok(_) | Err(Error::DecodeError(_) | Error::IoError(_)) => continue,
            Err(error) => bail!("it cannot be decoded ({error}); convert it to WAV or FLAC"),
        };
        let packet_shape = Shape::of(&decoded)?;
        let shape = *shape.get_or_insert(packet_shape);
        if packet_shape != shape {
            bail!("its channels or sample rate change on the way; convert it to WAV or FLAC");
        }
        decoded.copy_to_vec_interleaved::<f32>(&mut packet_audio);
        shape.ensure_room(audio.len() + packet_audio.len(), wanted_rate)?;
        audio.extend_from_slice(&packet_audio);
    }
    let Some(shape) = shape else { bail!("there is no audio in it; export it again") };
    Ok(Decoded { pcm: Pcm::new(shape.channels, audio), sample_rate: shape.sample_rate })
}

/// What must stay the same from packet to packet.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    channels: u16,
    sample_rate: u32,
}

impl Shape {
    fn of(decoded: &GenericAudioBufferRef<'_>) -> Result<Shape> {
        let count = decoded.spec().channels().count();
        let channels = u16::try_from(count).ok().filter(|known| (1..=MAX_CHANNELS).contains(known));
        let Some(channels) = channels else {
            bail!("it has {count} channels; mix it down to {MAX_CHANNELS} or fewer")
        };
        let sample_rate = decoded.spec().rate();
        ensure!(
            SAMPLE_RATES.contains(&sample_rate),
            "its sample rate is {sample_rate} Hz; convert it to 48000 Hz"
        );
        Ok(Shape { channels, sample_rate })
    }

    /// Refuses more samples than there is room for, before or after resampling.
    fn ensure_room(self, samples: usize, wanted_rate: u32) -> Result<()> {
        let channels = usize::from(self.channels);
        let wanted = resampled_frames(samples / channels, self.sample_rate, wanted_rate);
        let longest = (MAX_SAMPLES / channels / wanted_rate as usize)
            .min(MAX_DECODED_SAMPLES / channels / self.sample_rate as usize);
        ensure!(
            samples <= MAX_DECODED_SAMPLES && wanted <= MAX_SAMPLES / channels,
            "it is too long for one upload of {} MiB; cut it to {longest} s or less",
            MAX_UPLOAD_LEN >> 20
        );
        Ok(())
    }
}

/// How many frames `frames` become, rounded to the nearest.
fn resampled_frames(frames: usize, from_hz: u32, to_hz: u32) -> usize {
    let (from, to) = (u128::from(from_hz), u128::from(to_hz));
    let frames = (2 * frames as u128 * to + from) / (2 * from);
    usize::try_from(frames).unwrap_or(usize::MAX)
}

fn resample(decoded: Decoded, wanted_rate: u32) -> Result<Pcm> {
    let Decoded { pcm, sample_rate } = decoded;
    if sample_rate == wanted_rate {
        return Ok(pcm);
    }
    let channels = usize::from(pcm.channels);
    let frames = resampled_frames(pcm.frames(), sample_rate, wanted_rate);
    ensure!(frames > 0, "it is shorter than one frame at {wanted_rate} Hz; name a longer one");
    let input = InterleavedSlice::new(&pcm.audio, channels, pcm.frames())?;
    let mut resampler = Fft::<f32>::new_custom(
        sample_rate as usize,
        wanted_rate as usize,
        block_frames(sample_rate, wanted_rate),
        1,
        channels,
        rubato::WindowFunction::BlackmanHarris2,
        FixedSync::Both,
    )?;
    let output = resampler.process_all(&input, pcm.frames(), None)?;
    let mut audio = output.take_data();
    audio.resize(frames * channels, 0.0);
    Ok(Pcm::new(pcm.channels, audio))
}

/// Frames in a block of the resampler on the side of the file.
///
/// Blocks are whole periods of the two rates. Their number is even, because the delay that the
/// resampler takes off again is half a block, which must be whole frames on both sides.
fn block_frames(from_hz: u32, to_hz: u32) -> usize {
    let divisor = greatest_common_divisor(from_hz, to_hz);
    let shorter = u64::from(from_hz.min(to_hz) / divisor);
    let periods = MIN_BLOCK_FRAMES.div_ceil(shorter).next_multiple_of(2);
    (periods * u64::from(from_hz / divisor)) as usize
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_room(channels: u16, sample_rate: u32, wanted: u32, most: usize) {
        let shape = Shape { channels, sample_rate };
        assert!(shape.ensure_room(most, wanted).is_ok());
        let error = shape.ensure_room(most + usize::from(channels), wanted).unwrap_err();
        assert!(error.to_string().starts_with("it is too long for one upload of 100 MiB"));
    }

    #[test]
    fn an_upload_has_room_up_to_its_limit() {
        check_room(1, 48_000, 48_000, MAX_SAMPLES);
        check_room(2, 48_000, 48_000, MAX_SAMPLES / 2 * 2);
        check_room(1, 24_000, 48_000, MAX_SAMPLES / 2);
        check_room(1, 192_000, 48_000, MAX_DECODED_SAMPLES);
        check_room(1, 768_000, 1_000, MAX_DECODED_SAMPLES);
    }

    #[test]
    fn an_upload_of_the_most_samples_is_one_message() {
        let bytes = Pcm::HEADER_LEN + MAX_SAMPLES * size_of::<f32>();
        assert_eq!(bytes, MAX_UPLOAD_LEN);
    }

    #[track_caller]
    fn check_frames(frames: usize, from_hz: u32, to_hz: u32, expected: usize) {
        assert_eq!(resampled_frames(frames, from_hz, to_hz), expected);
    }

    #[test]
    fn lengths_are_rounded_to_the_nearest_frame() {
        check_frames(44_100, 44_100, 48_000, 48_000);
        check_frames(1, 44_100, 48_000, 1);
        check_frames(1, 2_000, 1_000, 1);
        check_frames(1, 3_000, 1_000, 0);
        check_frames(usize::MAX, 1_000, 48_000, usize::MAX);
    }

    #[test]
    fn blocks_have_whole_halves_at_both_rates() {
        for (from, to) in [(44_100, 48_000), (48_000, 44_100), (44_101, 48_000), (1_000, 768_000)] {
            let block = block_frames(from, to) as u64;
            let other = block * u64::from(to) / u64::from(from);
            assert_eq!(other * u64::from(from), block * u64::from(to));
            assert!(
                block.is_multiple_of(2)
                    && other.is_multiple_of(2)
                    && block.min(other) >= MIN_BLOCK_FRAMES
            );
        }
    }
}
