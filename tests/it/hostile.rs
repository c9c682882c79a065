//! Files that want to hurt: memory stays bounded, whatever a length in them claims.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::fuzz::entries::sealed;

const PREAMBLE: &[u8] = b"\xc4\x08\x89LTP1\r\n\x1a";
/// Address space in KiB: the program itself, and 64 MiB.
const LIMIT_KIB: u32 = 64 * 1024 + 48 * 1024;

fn body(kind: u8, seq: u64, ways: [u8; 2], payload: &[u8], extra: &[u8]) -> Vec<u8> {
    let fields = 0x97 + u8::from(!extra.is_empty());
    let len = (payload.len() as u32).to_be_bytes();
    let (seq, [direction, opcode]) = (seq.to_be_bytes(), ways);
    [
        &[fields, kind, 0xcf],
        &seq[..],
        &[0xcf],
        &seq,
        &[0xce, 0, 0, 0, 0, direction, opcode, 0xc6],
        &len,
        payload,
        extra,
    ]
    .concat()
}

fn bin(bytes: &[u8]) -> Vec<u8> {
    [&[0xc6][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat()
}

fn header() -> Vec<u8> {
    sealed(&body(1, 0, [0, 0], b"\x81\xa6format\x01", b""))
}

/// Runs `analyze` and `verify` on a capture of these bodies within the limit of memory.
#[track_caller]
fn check(name: &str, bodies: &[Vec<u8>], tail: &[u8]) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("hostile.lagtape");
    let header = header();
    let records: Vec<u8> = bodies.iter().flat_map(|body| sealed(body)).collect();
    fs::write(&path, [PREAMBLE, &header, &records, tail].concat()).unwrap();
    for words in ["verify", "analyze", "analyze --quick", "info", "cat"] {
        let run = Command::new("sh")
            .args(["-c", &format!("ulimit -v {LIMIT_KIB}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_lagtape"))
            .args(words.split(' '))
            .arg(&path)
            .env("LAGTAPE_THREADS", "1")
            .env("MALLOC_ARENA_MAX", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stderr).into_owned();
        let code = run.status.code();
        assert!(matches!(code, Some(0 | 3)), "{name}, {words}: {code:?} {said}");
    }
}

#[test]
fn memory_stays_bounded() {
    let ready = body(2, 2, [2, 1], br#"{"type":"ready","channels":1}"#, b"");
    let config = body(2, 1, [1, 1], b"{}", b"");
    let buffer = body(2, 3, [2, 2], &[0; 960], b"");
    let session = [config, ready, buffer];
    check("nothing special", &session, b"");

    let lengths = [0x07ff_ffff_u32, 0x0800_0000, u32::MAX];
    for len in lengths {
        let claim = [b"\x93\xc4\x08a fuzzer\xce\0\0\0\0\xc6", &len.to_be_bytes()[..]].concat();
        check("a length that lies", &session, &[&claim[..], &[7; 100_000]].concat());
    }

    let slice = [&[1, 0, 0, 0, 0][..], &[0xff; 4], &[0xff; 2], &[0; 12]].concat();
    let huge = zstd::bulk::compress(&vec![0; 60 << 20], 3).unwrap();
    let bomb = body(2, 4, [2, 2], &[&slice[..], &huge].concat(), b"");
    check("a slice that inflates", &[&session[..], &[bomb]].concat(), b"");

    let nested = body(3, 4, [0, 0], &[0x91; 1 << 20], b"");
    check("values in values", &[&session[..], &[nested]].concat(), b"");

    let map = b"\x82\xa2at\x00\xacfirst_row_at\x00";
    let rows = zstd::bulk::compress(&vec![0xff; 200 << 20], 3).unwrap();
    let checkpoint = body(8, 3, [0, 0], map, &bin(&rows));
    check("rows that inflate", &[&session[..], &[checkpoint]].concat(), b"");

    // A checkpoint that stands where it says, and names itself as the one before.
    let before: usize = session.iter().map(|body| sealed(body).len()).sum();
    let at = (PREAMBLE.len() + header().len() + before) as u64;
    let place = [&[0xcf][..], &at.to_be_bytes()].concat();
    let circle = [
        &b"\x83\xa2at"[..],
        &place,
        b"\xa8previous",
        &place,
        b"\xacfirst_row_at\xcf",
        &u64::MAX.to_be_bytes(),
    ];
    let rows = zstd::bulk::compress(&[0; 4], 3).unwrap();
    let checkpoint = body(8, 3, [0, 0], &circle.concat(), &bin(&rows));
    let end = body(6, 4, [0, 0], b"\x80", b"");
    check("checkpoints in a circle", &[&session[..], &[checkpoint, end]].concat(), b"");

    // Frames for 150 MiB of audio, with just the buckets that such a loop has.
    let frames = 39_000_000_u32;
    let stamps = frames.div_ceil(12_000) as u16;
    let mut state = b"\x81\xa6stream\x87\xa6origin\x00\xa5began\x00\xa6frames\xce".to_vec();
    state.extend_from_slice(&frames.to_be_bytes());
    state.extend_from_slice(b"\xa8channels\x01\xabrefreshed_s\xdc".as_slice());
    state.extend_from_slice(&stamps.to_be_bytes());
    state.extend((0..stamps).flat_map(|_| [0xca, 0, 0, 0, 0]));
    state.extend_from_slice(b"\xa9simulated\x84\xa6anchor\x00\xaaanchored_s\x00\xa4rate\x01");
    state.extend_from_slice(b"\xa6paused\xc2\xa8reported\x83\xaaposition_s\x00\xa4at_s\x00");
    state.extend_from_slice(b"\xa7reports\x00");
    let packed = zstd::bulk::compress(&vec![0; 4 * frames as usize], 3).unwrap();
    let context = body(7, 0, [0, 0], &state, &bin(&packed));
    check("a buffer that inflates", &[context], b"");
}
