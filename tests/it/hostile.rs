//! Files that want to hurt: memory stays bounded, whatever a length in them claims.

#![cfg(target_os = "linux")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::fuzz::entries::sealed;
use crate::promises::measured;

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
    let out = folder.path().join("out.lagtape").to_str().unwrap().to_owned();
    let copies =
        ["recover", "cut", "redact --drop-audio"].map(|verb| format!("{verb} --force -o {out}"));
    let verbs = ["verify", "analyze", "analyze --quick", "info", "cat", "redact --check --text x"];
    for words in verbs.into_iter().chain(copies.iter().map(String::as_str)) {
        run(name, words, &path, LIMIT_KIB);
    }
}

/// Runs a verb on a file within a limit of memory.
#[track_caller]
fn run(name: &str, words: &str, path: &Path, limit_kib: u32) {
    let run = Command::new("sh")
        .args(["-c", &format!("ulimit -v {limit_kib}; exec \"$0\" \"$@\"")])
        .arg(env!("CARGO_BIN_EXE_lagtape"))
        .args(words.split(' '))
        .arg(path)
        .env("LAGTAPE_THREADS", "1")
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    let code = run.status.code();
    // A verdict that cannot be given, or is bad, is printed and no error.
    let is_verdict = matches!(code, Some(1 | 4 | 5)) && said.is_empty();
    assert!(matches!(code, Some(0 | 3)) || is_verdict, "{name}, {words}: {code:?} {said}");
}

/// A loop is not held a second time, as it came or as samples, by verbs that copy records.
#[test]
fn a_long_loop_is_held_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("long.lagtape");
    let out = folder.path().join("out.lagtape").to_str().unwrap().to_owned();
    // Audio that does not compress.
    let noise: Vec<u8> =
        (0..40_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let bodies = [
        body(2, 1, [1, 1], b"{}", b""),
        body(2, 2, [2, 1], br#"{"type":"ready","channels":1}"#, b""),
        body(2, 3, [2, 2], &noise, b""),
        body(2, 4, [1, 1], br#"{"type":"params","playback_pos":1}"#, b""),
        body(6, 5, [0, 0], b"\x80", b""),
    ];
    let records: Vec<u8> = bodies.iter().flat_map(|body| sealed(body)).collect();
    fs::write(&path, [PREAMBLE, &header(), &records].concat()).unwrap();
    for words in ["verify", "recover -o", "cut -o"] {
        let words = words.replace("-o", &format!("--force -o {out}"));
        // A buffer that grows by doubling takes up to twice the address space of its bytes.
        run("a long loop", &words, &path, (48 + 2 * 40 + 24) << 10);
    }
    // A part from the middle begins with the samples, which are twice as long as the bytes that came.
    let words = format!("cut --from 0.000000001s --force -o {out}");
    run("a part of a long loop", &words, &path, (48 + 2 * 40 + 2 * 40 + 24) << 10);
    measured(40, "MiB long");
    measured(48 + 2 * 40 + 2 * 40 + 24, "MiB of address space at most, the program's own included");
}

/// Hundreds of links are tried, each in a run of the whole session.
#[test]
fn links_are_tried_in_the_memory_of_one() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("thin.lagtape");
    let words = ["simulate", "--incident", "thin-link", "--for", "5min", "--headers-only", "-o"];
    let made = Command::new(env!("CARGO_BIN_EXE_lagtape")).args(words).arg(&path).output();
    assert!(made.is_ok() && path.is_file());
    run("a thin link", "what-if --rate 1.01", &path, LIMIT_KIB);
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

    claims(&session, before);

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
    let end = body(6, 1, [0, 0], b"\x80", b"");
    check("a buffer that inflates", &[context, end.clone()], b"");

    // The same for 3.6 GiB, and 65,535 buckets of them.
    let frames = u32::from(u16::MAX) * 12_000;
    let mut huge = b"\x81\xa6stream\x87\xa6origin\x00\xa5began\x00\xa6frames\xce".to_vec();
    huge.extend_from_slice(&frames.to_be_bytes());
    huge.extend_from_slice(b"\xa8channels\x01\xabrefreshed_s\xdc\xff\xff");
    huge.extend((0..u16::MAX).flat_map(|_| [0xca, 0, 0, 0, 0]));
    let rest = state.windows(9).position(|window| window == b"simulated").unwrap();
    huge.extend_from_slice(&state[rest - 1..]);
    let context = body(7, 0, [0, 0], &huge, &bin(&zeros(4 * u64::from(frames))));
    check("a buffer that inflates to gigabytes", &[context, end], b"");
}

/// A zstd frame of so many zeros, which declares its length.
fn zeros(len: u64) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_contentsize(true).unwrap();
    encoder.set_pledged_src_size(Some(len)).unwrap();
    let block = [0; 1 << 16];
    let mut left = len;
    while left > 0 {
        let now = left.min(block.len() as u64);
        encoder.write_all(&block[..now as usize]).unwrap();
        left -= now;
    }
    encoder.finish().unwrap()
}

/// Checkpoints that cover their capture, as an index should, and claim what is not there.
#[track_caller]
fn claims(session: &[Vec<u8>], before: usize) {
    let first_row_at = (PREAMBLE.len() + header().len()) as u64;
    let at = first_row_at + before as u64;
    let stored: Vec<_> = session.iter().map(|body| sealed(body).len() as u64).collect();
    let planes = |width: u32, values: &[u64]| -> Vec<u8> {
        let plane = |plane: u32| values.iter().map(move |value| (value >> (8 * plane)) as u8);
        (0..width).rev().flat_map(plane).collect()
    };
    let totals = |number: u64| {
        let mut map = b"\xa6totals\x88".to_vec();
        for key in [
            "records",
            "up_messages",
            "up_bytes",
            "down_messages",
            "down_bytes",
            "lost",
            "first",
            "latest",
        ] {
            map.push(0xa0 + key.len() as u8);
            map.extend_from_slice(key.as_bytes());
            map.push(0xcf);
            map.extend_from_slice(&number.to_be_bytes());
        }
        map
    };
    let place = |key: &str, at: u64| {
        [&[0xa0 + key.len() as u8][..], key.as_bytes(), &[0xcf], &at.to_be_bytes()].concat()
    };
    for number in [u64::MAX, 1 << 62, 1 << 33] {
        for shape in [5, 6] {
            // Other, other, and a buffer of that many frames.
            let columns = [
                &3_u32.to_be_bytes()[..],
                &[if shape == 6 { 5 } else { 0 }, 0, shape],
                &planes(4, &stored),
                &planes(8, &[number, 1, 1]),
                &planes(8, &vec![number; 1 + usize::from(shape == 6)]),
                &planes(2, &vec![u64::MAX; 1 + usize::from(shape == 6)]),
                &planes(4, &vec![1; 1 + usize::from(shape == 6)]),
            ]
            .concat();
            let map = [
                &b"\x84"[..],
                &place("at", at),
                &place("first_row_at", first_row_at),
                &totals(number),
                b"\xa3ops\xdd\0\0\0\0",
            ]
            .concat();
            let rows = bin(&zstd::bulk::compress(&columns, 3).unwrap());
            let checkpoint = body(8, 3, [0, 0], &map, &rows);
            let end = body(6, 4, [0, 0], b"\x80", b"");
            let name = format!("a checkpoint that claims {number}, {shape}");
            check(&name, &[session, &[checkpoint, end]].concat(), b"");
        }
    }
    let map = [
        &b"\x83"[..],
        &place("at", at),
        &place("first_row_at", first_row_at),
        b"\xa3ops\xdd\xff\xff\xff\xff",
    ];
    let rows = zstd::bulk::compress(&u32::MAX.to_be_bytes(), 3).unwrap();
    let checkpoint = body(8, 3, [0, 0], &map.concat(), &bin(&rows));
    check("markers without end", &[session, &[checkpoint]].concat(), b"");
}
