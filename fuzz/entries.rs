//! What is fuzzed: each function takes any bytes and panics only when lagtape is wrong.
//!
//! The same functions run under cargo-fuzz (fuzz_targets/) and, briefly and with a fixed seed, in
//! `cargo test` (tests/it/fuzz.rs). A checksum would stop a fuzzer at once: under cargo-fuzz readers
//! take every checksum (`cfg(fuzzing)`, in capture/format.rs), and [`reader`] puts right ones around
//! the bodies that it is given.

use std::sync::OnceLock;

use lagtape::app;
use lagtape::capture::{
    Body, Direction, Marker, Message, Opcode, PackedRows, Record, Records, Salvage, SyncMarker,
    Writer, import_session_log,
};
use lagtape::edge::proxy::{ServerTrust, Upstream, read_heads};
use lagtape::engine::{Engine, Options};
use lagtape::event::Interpreter;
use lagtape::wire::message;
use lagtape::wire::slice::SliceDecoder;
use lagtape::wire::websocket::{Inflater, Messages};

const MARKER: &[u8; 8] = b"a fuzzer";

/// Bodies of records: two bytes of length each, and so many bytes.
pub fn reader(data: &[u8]) {
    let mut bytes = b"\xc4\x08\x89LTP1\r\n\x1a".to_vec();
    let mut rest = data;
    while let Some((len, body)) = rest.split_first_chunk::<2>() {
        let (body, behind) = body.split_at(usize::from(u16::from_be_bytes(*len)).min(body.len()));
        bytes.extend_from_slice(&sealed(body));
        rest = behind;
    }
    raw(&bytes);
}

/// A record around a body.
pub fn sealed(body: &[u8]) -> Vec<u8> {
    let len = (body.len() as u32).to_be_bytes();
    let crc = crc32c::crc32c(&[&MARKER[..], &len, body].concat());
    [b"\x93\xc4\x08", &MARKER[..], b"\xce", &crc.to_be_bytes(), b"\xc6", &len, body].concat()
}

/// Any file. What the strict reader takes the tolerant one takes too, unless its numbers go back,
/// and every byte is accounted for.
pub fn raw(data: &[u8]) {
    let mut strict = Records::new(data);
    let mut kept = 0;
    while let Ok(Some(_)) = strict.next_record() {
        kept += 1;
    }
    let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
    let mut salvage = Salvage::new(data);
    let mut sound = 0;
    loop {
        match salvage.next_stored() {
            Ok(Some(stored)) => {
                sound += 1;
                engine.handle(&stored.record);
            }
            Ok(None) => break,
            Err(_) => return,
        }
    }
    let left_out = salvage.losses().repeated;
    assert!(sound + left_out >= kept, "{sound} and {left_out} of {kept}");
    if let Some((_, last)) = engine.facts().span {
        let _ = engine.report(last, &lagtape::lag::ReportArgs::default());
        let mut other = Engine::new(Options { audio_crc: true, ..Options::default() });
        other.handle(&engine.context());
        let refused = other.facts().decode_errors > 0;
        assert!(refused || other.state().stream.is_some() == engine.state().stream.is_some());
    }
}

/// One binary message.
pub fn slice(data: &[u8]) {
    if let Ok(slice) = SliceDecoder::new().decode(data) {
        assert_eq!(slice.halves.len() as u64, slice.header.payload_len());
    }
}

/// Lines of text: even ones from the client, odd ones from the server.
pub fn json(data: &[u8]) {
    let mut interpreter = Interpreter::new();
    for (number, line) in data.split(|&byte| byte == b'\n').enumerate() {
        let direction =
            if number % 2 == 0 { Direction::ClientToServer } else { Direction::ServerToClient };
        let text = Message::new(direction, Opcode::Text, line);
        let _ = interpreter.read(0, &text);
        if let Ok(line) = std::str::from_utf8(line) {
            let _ = (message::client_text(line), message::server_text(line));
        }
    }
}

/// A session log: its three files, with a byte 255 between them. What is imported can be read.
pub fn import(data: &[u8]) {
    let mut files = data.splitn(3, |&byte| byte == 0xff);
    let mut next = || files.next().unwrap_or_default();
    let (session, lines, mut blob) = (String::from_utf8_lossy(next()), next(), next());
    let mut capture = Vec::new();
    let imported = import_session_log(&session, lines, Some(&mut blob), &mut capture);
    if imported.is_ok() {
        let mut records = Records::new(&capture[..]);
        while records.next_record().expect("an import is sound").is_some() {}
    }
    let _ = SyncMarker::derive(data);
}

/// The head of a request or of a response: what the proxy forwards is read like what came.
pub fn heads(data: &[u8]) {
    for url in ["ws://pod:1318/?key=1", "wss://pod.example/path", "http://[::1]:80"] {
        read_heads(data, &Upstream::parse(url, &ServerTrust::Anybody).expect("an address"));
    }
}

/// One direction of a WebSocket connection, and compressed messages: two bytes of length each, whose
/// highest bit says that something was lost before. Wherever the bytes are cut, the messages are the
/// same; a limit cuts what comes out and changes nothing else. Only while it is in doubt what came before
/// cannot be told of a message what lies beyond the limit.
pub fn deflate(data: &[u8]) {
    for takes_over in [false, true] {
        let mut rest = data;
        let (mut whole, mut short) = (Inflater::new(takes_over), Inflater::new(takes_over));
        while let Some((len, behind)) = rest.split_first_chunk::<2>() {
            let len = u16::from_be_bytes(*len);
            if len & 0x8000 != 0 {
                whole.lose();
                short.lose();
            }
            let (message, behind) = behind.split_at(usize::from(len & 0x7fff).min(behind.len()));
            rest = behind;
            let in_doubt = short.is_in_doubt();
            let (all, part) = (whole.inflate(message, 1 << 20), short.inflate(message, 100));
            if in_doubt && part.is_none() {
                continue;
            }
            assert_eq!(all.as_ref().map(|all| all.1), part.as_ref().map(|part| part.1));
            if let Some(((all, _), (part, len))) = all.zip(part) {
                assert_eq!(part.len() as u64, len.min(100));
                assert!(all.starts_with(&part));
            }
        }
    }
    assert_eq!(messages(data, data.len().max(1)), messages(data, 1));
}

type Found = (u8, Vec<u8>, u64, bool);

fn messages(data: &[u8], piece: usize) -> Vec<Found> {
    let mut messages = Messages::new(Some(Inflater::new(true)));
    let mut found = Vec::new();
    for mut bytes in data.chunks(piece) {
        while let Some(whole) = messages.next(&mut bytes) {
            found.push((whole.opcode, whole.payload.to_vec(), whole.len, whole.is_compressed));
        }
    }
    found
}

/// A HAR file, or a zip with one. What is imported can be read.
pub fn har(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (saved, out) = (folder.path().join("x.har"), folder.path().join("x.lagtape"));
    std::fs::write(&saved, data).expect("room");
    if app::import_har(&saved, None, &out, false).is_ok() {
        let mut records = Records::new(std::fs::File::open(&out).expect("what was imported"));
        while records.next_record().expect("an import is sound").is_some() {}
    }
}

/// The columns of a checkpoint, unpacked, of which the first rows may be ops: what was unpacked
/// packs and unpacks to itself, and an engine takes it.
pub fn checkpoint(data: &[u8]) {
    let packed = PackedRows::of_bytes(zstd::bulk::compress(data, 1).expect("compressible"));
    let count = data.first_chunk().map_or(0, |count| u32::from_be_bytes(*count));
    let kinds = data.get(4..).unwrap_or_default().iter().take(count as usize);
    let ops: Vec<_> = (0..)
        .zip(kinds)
        .filter(|(_, kind)| **kind == 7)
        .map(|(row, _)| (row, Marker::Seek { to_s: f64::from(row) }))
        .collect();
    let Ok(rows) = packed.unpack(&ops) else { return };
    let (once, found) = PackedRows::pack(&rows);
    assert_eq!(found, ops);
    let again = once.unpack(&found).expect("what was packed unpacks");
    assert_eq!(PackedRows::pack(&again).0, once);
    let mut engine = Engine::new(Options::default());
    rows.iter().for_each(|row| engine.recall(row));
}

/// Bytes of a context, two for the place and one for the value, put into that of a real session, which
/// then goes on.
pub fn context(data: &[u8]) {
    static SESSION: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    let (context, rest) = SESSION.get_or_init(session);
    let mut context = context.clone();
    for change in data.chunks_exact(3) {
        let at = usize::from(u16::from_be_bytes([change[0], change[1]]));
        let len = context.len();
        context[at % len] = change[2];
    }
    raw(&[b"\xc4\x08\x89LTP1\r\n\x1a", &sealed(&context)[..], rest].concat());
}

/// The body of a context from the middle of a recording, and some of the records that follow it.
fn session() -> (Vec<u8>, Vec<u8>) {
    const HEAD_LEN: usize = 21;
    let mut records = Records::new(&include_bytes!("../captures/healthy.lagtape")[..]);
    let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
    let mut writer = Writer::new(SyncMarker(*MARKER));
    let (mut context, mut rest) = (Vec::new(), Vec::new());
    while let Ok(Some(record)) = records.next_record() {
        if matches!(record.body, Body::Checkpoint(_)) {
            continue;
        }
        if engine.facts().records < 200 {
            engine.handle(&record);
            continue;
        }
        if context.is_empty() {
            // Without the audio, which is most of it and looks at nothing.
            let Body::Context(mut found) = engine.context().body else { continue };
            found.buffer = None;
            let body = Body::Context(found);
            writer.write(&Record { body, ..engine.context() }, &mut context);
            context.drain(..HEAD_LEN);
        }
        writer.write(&record, &mut rest);
        if engine.facts().records + 40 < record.seq {
            break;
        }
    }
    (context, rest)
}
