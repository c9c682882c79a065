//! What cannot be replayed.

use std::fs::{self, File};

use lagtape::capture::{
    Body, Direction, Header, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::edge::replay::{Replay, ServeOptions};
use lagtape::engine::{Engine, Options};
use lagtape::time::Nanos;
use tempfile::TempDir;

use super::bundled;
use crate::program;

/// Runs `lagtape replay` with words that it refuses.
#[track_caller]
pub fn check_refused(words: &[&str], code: i32, sentence: &str) {
    let output = program::lagtape(&[&["replay"], words].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {said}");
    // What is said of a command line is wrapped.
    assert!(said.replace('\n', " ").contains(sentence), "{words:?}: {said}");
}

#[test]
fn what_cannot_be_replayed_is_refused_before_anybody_connects() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let stall = bundled("stall").to_str().unwrap().to_owned();
    let (notes, cut, empty) = (path("notes"), path("cut"), path("empty"));
    fs::write(&notes, "Dear all").unwrap();
    fs::write(&cut, &fs::read(&stall).unwrap()[..600]).unwrap();
    fs::write(&empty, without_payloads()).unwrap();
    let middle = path("middle");
    fs::write(&middle, a_middle_of_nothing()).unwrap();
    check_refused(&[&middle], 1, "replay a capture with payloads");
    check_refused(&[&middle, "--to", "ws://127.0.0.1:1"], 1, "configuration is missing");
    check_refused(&["nowhere.lagtape"], 1, "cannot open nowhere.lagtape");
    check_refused(&[&notes], 1, "not a lagtape capture");
    check_refused(&[&cut], 1, "no initial buffer");
    check_refused(&[&empty], 1, "replay a capture with payloads");
    check_refused(&[&stall, "--start-at", "5s", "--until", "5s"], 2, "end before it begins");
    check_refused(&[&stall, "--start-at", "99s"], 1, "earlier --start-at");
    check_refused(&[&stall, "-o", &notes], 1, "use --force");
    let own = path("own");
    fs::copy(&stall, &own).unwrap();
    let to_itself = ServeOptions {
        out: Some(folder.path().join("./own")),
        force: true,
        ..ServeOptions::new(own.clone().into())
    };
    let refused = Replay::prepare(to_itself).err().unwrap().to_string();
    assert!(refused.contains("is what is being read"), "{refused}");
    let words = [&own, "--to", "ws://127.0.0.1:1", "-o", &own, "--force"];
    check_refused(&words, 1, "is what is being read");
    assert_eq!(fs::read(&own).unwrap(), fs::read(&stall).unwrap());
    check_refused(&[&stall, "--rate", "0"], 2, "above 0");
    check_refused(&[&stall, "--rate", "-1"], 2, "above 0");
    check_refused(&[&stall, "--listen", "pod:1"], 2, "an address and a port");
    check_refused(&[&stall, "--max", "--rate", "2"], 2, "leave out --rate");
    check_refused(&[&stall, "--to", "ws://127.0.0.1:1", "--loop"], 2, "--loop");
    check_refused(&[&stall, "--verbatim"], 2, "--to");
    check_refused(&[&cut, "--to", "ws://127.0.0.1:1"], 1, "no initial buffer");
    let out = path("out");
    check_refused(&[&stall, "--to", "http://127.0.0.1:1", "-o", &out], 2, "no WebSocket address");
}

/// A capture that begins in the middle of a session of which neither config nor audio is known.
fn a_middle_of_nothing() -> Vec<u8> {
    let mut engine = Engine::new(Options::default());
    let mut records = Records::new(File::open(bundled("stall")).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    let mut context = engine.context();
    if let Body::Context(context) = &mut context.body {
        context.buffer = None;
        context.state.config.clear();
    }
    let (mut writer, mut file) = (Writer::new(SyncMarker::derive(b"x")), Vec::new());
    writer.begin(&mut file);
    let header = Body::Header(Header::new("a test", Nanos(0)));
    writer.write(&Record { seq: 0, t: Nanos(0), conn: 0, body: header }, &mut file);
    writer.write(&context, &mut file);
    file
}

/// A capture whose audio was left out.
fn without_payloads() -> Vec<u8> {
    let (mut writer, mut file) = (Writer::new(SyncMarker::derive(b"x")), Vec::new());
    writer.begin(&mut file);
    let message = |direction, opcode, payload| Message::new(direction, opcode, payload);
    let buffer = message(Direction::ServerToClient, Opcode::Binary, b"");
    let bodies = [
        Body::Header(Header::new("a test", Nanos(0))),
        Body::Message(message(Direction::ClientToServer, Opcode::Text, b"{}")),
        Body::Message(message(Direction::ServerToClient, Opcode::Text, br#"{"type":"ready"}"#)),
        Body::Message(Message { whole_len: Some(192_000), ..buffer }),
    ];
    for body in bodies {
        let record = Record { seq: writer.next_seq(), t: Nanos(1), conn: 0, body };
        writer.write(&record, &mut file);
    }
    file
}
