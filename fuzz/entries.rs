//! What is fuzzed: each function takes any bytes and panics only when lagtape is wrong.
//!
//! The same functions run under cargo-fuzz (fuzz_targets/) and, briefly and with a fixed seed, in
//! `cargo test` (tests/it/fuzz.rs). A checksum would stop a fuzzer at once: under cargo-fuzz readers
//! take every checksum (`cfg(fuzzing)`, in capture/format.rs), and [`reader`] puts right ones around
//! the bodies that it is given.

use lagtape::capture::{
    Direction, Message, Opcode, Records, Salvage, SyncMarker, import_session_log,
};
use lagtape::engine::{Engine, Options};
use lagtape::event::Interpreter;
use lagtape::wire::message;
use lagtape::wire::slice::SliceDecoder;

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
