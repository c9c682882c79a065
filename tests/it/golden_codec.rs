//! The slice codec against vectors of the original: every frame's header, audio and verdict, and
//! the whole buffer after it.

use std::fs;
use std::path::Path;

use lagtape::mirror::Mirror;
use lagtape::wire::halves::widen;
use lagtape::wire::slice::{HEADER_LEN, SliceDecoder, SliceEncoder, SliceHeader};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::golden;
use crate::promises::measured;

#[test]
fn golden_codec_decode() {
    let mut rows = 0;
    for (path, vector) in golden::json_files("codec") {
        if vector["kind"] != "encode" {
            rows += check_decode(&path, &vector);
        }
    }
    assert!(rows > 0, "no frames to decode");
    measured(rows as u64, "slices decoded");
}

#[test]
fn golden_codec_encode() {
    let mut rows = 0;
    for (path, vector) in golden::json_files("codec") {
        if vector["kind"] == "encode" {
            rows += check_encode(&path, &vector);
        }
    }
    assert!(rows > 0, "no slices to encode");
    measured(rows as u64, "slices encoded");
}

fn check_decode(path: &Path, vector: &Value) -> usize {
    let frames = blob(path, &vector["frames_file"]);
    let initial = blob(path, &vector["init_file"]);
    let mut mirror = Mirror::from_wire(&initial, number(&vector["channels"]) as u16).unwrap();
    assert_eq!(mirror.frames() as u64, number(&vector["buffer_samples"]), "{}", path.display());
    check_samples(vector, "init_mirror", mirror.samples(), &path.display().to_string());

    let mut decoder = SliceDecoder::new();
    let rows = vector["frames"].as_array().unwrap();
    for (i, row) in rows.iter().enumerate() {
        let context = format!("{} frame {i} ({})", path.display(), row["note"]);
        let from = number(&row["offset"]) as usize;
        let message = &frames[from..from + number(&row["length"]) as usize];
        check_frame(&mut decoder, &mut mirror, message, row, &context);
        check_samples(row, "mirror", mirror.samples(), &context);
    }
    rows.len()
}

fn check_frame(
    decoder: &mut SliceDecoder,
    mirror: &mut Mirror,
    message: &[u8],
    row: &Value,
    context: &str,
) {
    let slice = match decoder.decode(message) {
        Ok(slice) => slice,
        Err(error) => return assert_eq!(row["decode"], "error", "{context}: {error}"),
    };
    assert_eq!(row["decode"], "ok", "{context}: {:?}", slice.header);
    golden::assert_json_eq(&header_json(&slice.header), &row["header"], context);
    assert_eq!(slice.header.to_bytes(), message[..HEADER_LEN], "{context}");
    if let Some(expected) = row["payload_f16_sha256"].as_str() {
        assert_eq!(sha256(slice.halves), expected, "{context}: halves");
    }
    let audio: Vec<f32> = slice.halves.as_chunks().0.iter().map(|&half| widen(half)).collect();
    check_samples(row, "audio", &audio, context);

    match mirror.apply(&slice) {
        Ok(range) => {
            assert_eq!(row["apply"], "ok", "{context}: {range:?}");
            assert_eq!(range.len() as u64, number(&row["applied_samples"]), "{context}");
        }
        Err(error) => assert_eq!(row["apply"], "error", "{context}: {error}"),
    }
}

fn check_encode(path: &Path, vector: &Value) -> usize {
    let audio = samples(&blob(path, &vector["audio_file"]));
    let basis = samples(&blob(path, &vector["base_file"]));
    let channels = number(&vector["channels"]) as u16;
    let mut encoder = SliceEncoder::new(basis, channels, 1);
    let mut decoder = SliceDecoder::new();

    let rows = vector["slices"].as_array().unwrap();
    for (i, row) in rows.iter().enumerate() {
        let context = format!("{} slice {i} ({})", path.display(), row["kind"]);
        let from = number(&row["audio_offset"]) as usize / size_of::<f32>();
        let len = number(&row["audio_samples"]) as usize * usize::from(channels);
        let start = number(&row["start_sample"]) as u32;
        // The times and the count are inputs that stand nowhere but in the expected header.
        let header = row["header_hex"].as_str().map(unhex);
        let given = header
            .as_deref()
            .map_or_else(SliceHeader::default, |bytes| SliceHeader::parse(bytes).unwrap());
        let message = encoder.encode(
            start,
            &audio[from..from + len],
            given.tick_ms,
            given.dec_ms,
            given.generations,
        );
        assert_eq!(
            message.as_ref().map(|bytes| &bytes[..HEADER_LEN]),
            header.as_deref(),
            "{context}"
        );
        assert_eq!(message.is_none(), row.get("frame").is_some_and(Value::is_null), "{context}");
        if let Some(message) = message {
            let slice = decoder.decode(&message).unwrap();
            assert_eq!(slice.halves.len() as u64, number(&row["payload_bytes"]), "{context}");
            assert_eq!(sha256(slice.halves), row["payload_f16_sha256"], "{context}: halves");
        }
        check_samples(row, "mirror", encoder.basis(), &context);
    }
    rows.len()
}

fn header_json(header: &SliceHeader) -> Value {
    json!({
        "flags": header.flags,
        "start_sample": header.start,
        "num_samples": header.frames,
        "channels": header.channels,
        "tick_ms_bits": format!("{:08x}", header.tick_ms.to_bits()),
        "dec_ms_bits": format!("{:08x}", header.dec_ms.to_bits()),
        "num_gens": header.generations,
    })
}

/// Compares samples with the hash that a row gives: `X_sha256` of their bits, or where NaNs are
/// among them `X_canon_sha256`, with one pattern for every NaN.
#[track_caller]
fn check_samples(row: &Value, name: &str, samples: &[f32], context: &str) {
    let canonical = |sample: f32| if sample.is_nan() { 0x7fc0_0000 } else { sample.to_bits() };
    let plain = row[format!("{name}_sha256")].as_str();
    let canon = row[format!("{name}_canon_sha256")].as_str();
    let (actual, expected) = match (plain, canon) {
        (Some(expected), _) => (hash_samples(samples, f32::to_bits), expected),
        (None, Some(expected)) => (hash_samples(samples, canonical), expected),
        (None, None) => panic!("{context}: no hash of {name}"),
    };
    assert_eq!(actual, expected, "{context}: {name}");
}

fn hash_samples(samples: &[f32], bits: impl Fn(f32) -> u32) -> String {
    let bytes: Vec<u8> = samples.iter().flat_map(|&sample| bits(sample).to_le_bytes()).collect();
    sha256(&bytes)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn samples(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&sample| f32::from_le_bytes(sample)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().as_chunks::<2>().0;
    digits
        .iter()
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// The file beside the vector that one of its fields names.
fn blob(path: &Path, name: &Value) -> Vec<u8> {
    let path = path.with_file_name(name.as_str().unwrap());
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[track_caller]
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is not a count"))
}
