//! Audio files become samples, and samples at another rate stay where they were.

use std::f64::consts::TAU;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavSpec, WavWriter};
use lagtape::edge::audio_file::{MAX_SAMPLES, load};
use lagtape::peer::server::Pcm;
use proptest::prelude::*;
use tempfile::TempDir;

/// A folder and a file of these bytes in it.
fn file(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audio");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn wav<S: hound::Sample + Copy>(channels: u16, sample_rate: u32, samples: &[S]) -> Vec<u8> {
    let bits_per_sample = 8 * size_of::<S>() as u16;
    let sample_format = if bits_per_sample == 32 { SampleFormat::Float } else { SampleFormat::Int };
    let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = WavWriter::new(&mut bytes, spec).unwrap();
    for &sample in samples {
        writer.write_sample(sample).unwrap();
    }
    writer.finalize().unwrap();
    bytes.into_inner()
}

fn load_bytes(bytes: &[u8], sample_rate: u32) -> anyhow::Result<Pcm> {
    let (_folder, path) = file(bytes);
    load(&path, sample_rate)
}

/// A sine of amplitude 0.5, the same in each channel but for its sign.
fn sine(hz: f64, sample_rate: u32, channels: u16, frames: usize) -> Vec<f32> {
    let value = |frame| 0.5 * (TAU * hz * frame as f64 / f64::from(sample_rate)).sin();
    (0..frames)
        .flat_map(|frame| {
            (0..channels)
                .map(move |channel| value(frame) as f32 * if channel % 2 == 0 { 1.0 } else { -1.0 })
        })
        .collect()
}

#[test]
fn samples_at_their_own_rate_are_exact() {
    let shorts: Vec<i16> = (0..5_000).map(|n| (n * 7_919 % 65_536 - 32_768) as i16).collect();
    let floats: Vec<f32> = (0..5_000).map(|n| n as f32 / 2_000.0 - 1.25).collect();
    let of_shorts: Vec<f32> = shorts.iter().map(|&short| f32::from(short) / 32_768.0).collect();
    for channels in [1, 2, 8] {
        let loaded = load_bytes(&wav(channels, 44_100, &shorts), 44_100).unwrap();
        assert_eq!(loaded, Pcm { channels, audio: of_shorts.clone() });
        let loaded = load_bytes(&wav(channels, 48_000, &floats), 48_000).unwrap();
        assert_eq!(loaded, Pcm { channels, audio: floats.clone() });
    }
}

#[test]
fn samples_that_are_no_numbers_are_silence() {
    let loaded = load_bytes(&wav(1, 48_000, &[f32::NAN, 0.5, f32::INFINITY]), 48_000).unwrap();
    assert_eq!(loaded.audio, [0.0, 0.5, 16.0]);
}

/// Half a second of a sine comes out as the same sine sampled at the other rate, which pins its
/// frequency, amplitude and phase at once. Near the ends the silence around the file shows.
#[track_caller]
fn check_resampled(hz: f64, from: u32, to: u32, channels: u16) {
    let frames = from as usize / 2 + 1;
    let loaded = load_bytes(&wav(channels, from, &sine(hz, from, channels, frames)), to).unwrap();
    let expected = (frames as f64 * f64::from(to) / f64::from(from)).round() as usize;
    assert_eq!((loaded.channels, loaded.frames()), (channels, expected));
    assert_eq!(loaded.audio.len(), expected * usize::from(channels));
    let ideal = sine(hz, to, channels, expected);
    let margin = expected / 10 * usize::from(channels);
    let inner = margin..ideal.len() - margin;
    let error = std::iter::zip(&loaded.audio[inner.clone()], &ideal[inner])
        .map(|(got, ideal)| (got - ideal).abs())
        .fold(0.0, f32::max);
    assert!(error < 1e-5, "{hz} Hz from {from} to {to} Hz differs by {error}");
}

#[test]
fn resampling_keeps_length_frequency_amplitude_and_phase() {
    check_resampled(1_000.0, 44_100, 48_000, 1);
    check_resampled(1_000.0, 44_100, 48_000, 2);
    check_resampled(21_600.0, 44_100, 48_000, 2);
    check_resampled(50.0, 48_000, 44_100, 2);
    check_resampled(3_000.0, 96_000, 48_000, 1);
    check_resampled(3_000.0, 11_025, 48_000, 1);
    check_resampled(440.0, 44_101, 48_000, 1);
    check_resampled(440.0, 47_999, 48_001, 1);
}

#[test]
fn what_the_lower_rate_cannot_hold_is_silent() {
    let loaded = load_bytes(&wav(1, 96_000, &sine(30_000.0, 96_000, 1, 48_000)), 48_000).unwrap();
    assert!(loaded.audio[2_400..21_600].iter().all(|sample| sample.abs() < 1e-5));
}

#[test]
fn a_click_stays_where_it_was() {
    let mut samples = vec![0.0_f32; 44_100];
    samples[22_050] = 1.0;
    let loaded = load_bytes(&wav(1, 44_100, &samples), 48_000).unwrap();
    let loudest = (0..loaded.frames()).max_by(|&a, &b| loaded.audio[a].total_cmp(&loaded.audio[b]));
    assert_eq!(loudest, Some(24_000));
    for distance in 1..100 {
        let sides = [24_000 - distance, 24_000 + distance].map(|frame| loaded.audio[frame]);
        assert!((sides[0] - sides[1]).abs() < 1e-5, "{sides:?} at distance {distance}");
    }
}

#[test]
fn a_few_frames_are_enough() {
    assert_eq!(load_bytes(&wav(2, 44_100, &[0.5_f32; 6]), 48_000).unwrap().frames(), 3);
    assert_eq!(load_bytes(&wav(1, 48_000, &[0.5_f32]), 96_000).unwrap().frames(), 2);
}

/// Every file in the folder is 100 ms of a 441 Hz sine of amplitude 0.5 at 44.1 kHz in stereo, the
/// second channel with its sign turned.
#[test]
fn other_formats_hold_the_same_sine() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audio");
    let mut read = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let loaded = load(&path, 48_000).unwrap();
        let frames = loaded.frames();
        assert_eq!(loaded.channels, 2, "{}", path.display());
        // AAC has silence in front and whole blocks of 1024 frames; LAME turns down by 5 %.
        assert!((4_800..=8_000).contains(&frames), "{}: {frames} frames", path.display());
        let power: f32 = loaded.audio.iter().map(|sample| sample * sample).sum();
        let expected = 2.0 * 4_800.0 * 0.125;
        assert!((power / expected - 1.0).abs() < 0.15, "{}: {power}", path.display());
        let (pairs, _) = loaded.audio.as_chunks::<2>();
        let sum = pairs.iter().map(|[left, right]| (left + right).abs()).fold(0.0, f32::max);
        assert!(sum < 0.05, "{}: {sum}", path.display());
        read += 1;
    }
    assert!(read >= 4, "only {read} files were read");
}

#[track_caller]
fn check_refused(bytes: &[u8], sample_rate: u32, sentence: &str) {
    let error = format!("{:#}", load_bytes(bytes, sample_rate).unwrap_err());
    assert!(error.contains(sentence), "{error}");
}

#[test]
fn what_is_no_audio_is_refused_with_a_sentence() {
    let mono = wav(1, 48_000, &[0.5_f32; 10]);
    check_refused(b"", 48_000, "is empty; name a WAV");
    check_refused(b"just a text\n", 48_000, "it is not a WAV, FLAC");
    check_refused(&[0xff; 10_000], 48_000, "cannot use");
    check_refused(&mono[..20], 48_000, "it is not a WAV, FLAC");
    check_refused(&mono[..44], 48_000, "it is not a WAV, FLAC");
    check_refused(&wav::<f32>(1, 48_000, &[]), 48_000, "there is no audio in it");
    check_refused(&wav(9, 48_000, &[0.5_f32; 18]), 48_000, "9 channels; mix it down to 8");
    check_refused(&wav(34, 48_000, &[0.5_f32; 68]), 48_000, "cannot use");
    check_refused(&wav(1, 999, &[0.5_f32; 18]), 48_000, "its sample rate is 999 Hz");
    check_refused(&wav(1, 768_000, &[0.5_f32]), 1_000, "shorter than one frame");
    check_refused(&mono, 0, "0 Hz is no sample rate to play at; choose one from 1000");
    let folder = tempfile::tempdir().unwrap();
    let error = load(folder.path(), 48_000).unwrap_err().to_string();
    assert!(error.contains("is a folder; name a WAV"), "{error}");
    let error = load(&folder.path().join("none.wav"), 48_000).unwrap_err().to_string();
    assert!(error.contains("cannot open"), "{error}");
}

#[test]
fn what_no_upload_holds_is_refused() {
    // Each frame at 1 kHz becomes 96.
    let long = wav(1, 1_000, &vec![0_i16; MAX_SAMPLES / 96 + 2]);
    check_refused(&long, 96_000, "too long for one upload of 100 MiB; cut it to 273 s or less");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    /// A WAV that breaks off is refused or gives the beginning of what it held.
    #[test]
    fn a_truncated_wav_holds_the_beginning(keep in 0.0..1.0_f64) {
        let samples: Vec<f32> = (0..6_000).map(|n| n as f32 / 6_000.0).collect();
        let bytes = wav(2, 48_000, &samples);
        let keep = (bytes.len() as f64 * keep) as usize;
        if let Ok(loaded) = load_bytes(&bytes[..keep], 48_000) {
            prop_assert!(!loaded.audio.is_empty());
            prop_assert_eq!(&samples[..loaded.audio.len()], &loaded.audio[..]);
        }
    }

    /// Whatever a header claims, there is an answer.
    #[test]
    fn a_damaged_header_is_survived(at in 0..68_usize, byte: u8) {
        let mut bytes = wav(2, 44_100, &[0.5_f32; 4_000]);
        bytes[at] = byte;
        match load_bytes(&bytes, 48_000) {
            Ok(loaded) => prop_assert!(loaded.audio.iter().all(|sample| sample.is_finite())),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// Nor does noise that begins like a known format stop the reader.
    #[test]
    fn garbage_is_survived(
        magic in prop::sample::select(vec![
            &b""[..], b"RIFF\xff\xff\xff\xffWAVE", b"fLaC", b"OggS\0\x02", b"\xff\xfb\x90\x64",
            b"\xff\xf1\x50\x80", b"\0\0\0\x20ftypM4A ", b"ID3\x04\0\0\x7f\x7f\x7f\x7f",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..2_000),
    ) {
        if let Ok(loaded) = load_bytes(&[magic, &noise].concat(), 48_000) {
            prop_assert!(!loaded.audio.is_empty());
        }
    }
}
