//! Audio as FLAC: what another decoder reads of it is what the WAV file has, in whole numbers of 24 bits.

use std::path::Path;

use lagtape::edge::audio_file::load;
use tempfile::TempDir;

use crate::program::{check, long};

/// The comments of a FLAC file, in their order (RFC 9639, section 8.6).
fn comments(bytes: &[u8]) -> Vec<String> {
    let mut at = 4;
    loop {
        let (kind, len) =
            (bytes[at], u32::from_be_bytes([0, bytes[at + 1], bytes[at + 2], bytes[at + 3]]));
        let body = &bytes[at + 4..at + 4 + len as usize];
        if kind & 0x7f == 4 {
            return comments_of(body);
        }
        assert_eq!(kind & 0x80, 0, "there are no comments");
        at += 4 + body.len();
    }
}

fn comments_of(mut body: &[u8]) -> Vec<String> {
    let vendor = take(&mut body);
    assert!(vendor.starts_with(b"flac-codec"));
    let (count, rest) = body.split_first_chunk().unwrap();
    body = rest;
    (0..u32::from_le_bytes(*count))
        .map(|_| String::from_utf8(take(&mut body).to_vec()).unwrap())
        .collect()
}

/// A text behind its length.
fn take<'a>(body: &mut &'a [u8]) -> &'a [u8] {
    let (len, rest) = body.split_first_chunk().unwrap();
    let (text, rest) = rest.split_at(u32::from_le_bytes(*len) as usize);
    *body = rest;
    text
}

#[test]
fn flac_has_the_samples_of_wav_and_chapters_for_labels() {
    let folder = TempDir::new().unwrap();
    let session = long(&folder, "stall:at=4s,for=4s");
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (capture, further) in
        [(session.as_str(), &[][..]), ("captures/stall.lagtape", &["--buffer"])]
    {
        let (wav, flac) = (path("x.wav"), path("x.FLAC"));
        for out in [&wav, &flac] {
            check(&[&["audio", capture, "-o", out, "--force"], further].concat(), 0);
        }
        let of = |path: &str| load(Path::new(path), 48_000).unwrap();
        let (wav, read) = (of(&wav), of(&flac));
        assert_eq!((wav.channels, wav.audio.len()), (read.channels, read.audio.len()));
        let full = f32::from(1_u16 << 15) * 256.0;
        let rounded = |sample: &f32| (sample * full).round().clamp(-full, full - 1.0) / full;
        assert!(wav.audio.iter().map(rounded).eq(read.audio.iter().copied()));
        assert!(read.audio.iter().any(|sample| sample.abs() > 0.1), "it is not silent");
    }
    check(&["audio", &session, "-o", &path("x.flac")], 0);
    let bytes = std::fs::read(path("x.flac")).unwrap();
    let comments = comments(&bytes);
    assert_eq!(comments.len() % 2, 0, "{comments:?}");
    assert!(comments[0].starts_with("CHAPTER000=00:00:0"), "{comments:?}");
    assert!(
        comments[1].starts_with("CHAPTER000NAME=LAG: ") && comments[1].ends_with(" s)"),
        "{comments:?}"
    );
}
