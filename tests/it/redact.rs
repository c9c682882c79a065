//! Texts that are to be forgotten: found however they are written, wherever they stand.

use std::fs;

use lagtape::app::{self, Outcome, RedactOptions};
use lagtape::capture::{
    Body, Clock, ConnectionBreak, Context, Direction, End, Gap, Header, Marker, Message, Opcode,
    Record, Salvage, ServerRefusal, SessionState, StreamState, SyncMarker, Writer,
};
use lagtape::checkpoint::Checkpointer;
use lagtape::time::Nanos;
use tempfile::TempDir;

use crate::program;

const MARKER: SyncMarker = SyncMarker(*b"to forge");

/// A capture with these bodies behind a header, and checkpoints.
fn capture(header: Header, bodies: &[Body<'_>]) -> Vec<u8> {
    let mut writer = Writer::new(MARKER);
    let mut plain = Vec::new();
    writer.begin(&mut plain);
    for body in std::iter::once(&Body::Header(header)).chain(bodies) {
        let is_context = matches!(body, Body::Context(_));
        let seq = writer.next_seq() - u64::from(is_context);
        let t = Nanos(1_000_000_000 * writer.next_seq());
        writer.write(&Record { seq, t, conn: 0, body: body.clone() }, &mut plain);
    }
    let mut woven = Vec::new();
    Checkpointer::new(MARKER).weave(&plain, &mut woven).unwrap();
    woven
}

fn up(opcode: Opcode, payload: &[u8]) -> Body<'_> {
    Body::Message(Message::new(Direction::ClientToServer, opcode, payload))
}

/// One place for the text, in every way in which it can be written.
fn everywhere() -> (Vec<u8>, u64) {
    let secret = "Café-noir";
    let mut header = Header::new(format!("a test of {secret}"), Nanos(0));
    header.url = Some("ws://host/Caf%C3%A9-noir".to_owned());
    header.config = Some(r#"{"prompt":"Caf\u00e9-noir"}"#.to_owned());
    header.metadata.insert(secret.to_owned(), format!("{secret}, again"));
    header
        .metadata
        .insert("client".to_owned(), r#"{"a":"{\"b\":\"Caf\\u00e9-noir\"}"}"#.to_owned());
    let stream = StreamState {
        frames: 1,
        channels: 1,
        refreshed_s: vec![0.0],
        tick_knobs: secret.to_owned(),
        ..StreamState::default()
    };
    let state = SessionState {
        config: secret.to_owned(),
        ready_text: secret.to_owned(),
        knobs: r#"{"k":"Caf\u00e9\u002dnoir"}"#.to_owned(),
        params_update: secret.to_owned(),
        refusal: Some(ServerRefusal { code: Some(secret.into()), message: Some(secret.into()) }),
        stream: Some(stream),
        ..SessionState::default()
    };
    let text = secret.as_bytes();
    let mut compressed = Message::new(Direction::ServerToClient, Opcode::Text, b"\x01\x02\x03");
    compressed.compressed = true;
    let close = [&4000_u16.to_be_bytes()[..], text].concat();
    let tagged = [&[0, 0xff, 0xfe][..], text, &[0, 0x80]].concat();
    let broken = ConnectionBreak { reason: secret.to_owned(), ..ConnectionBreak::default() };
    let bodies = [
        Body::Context(Context { state: Box::new(state), buffer: None }),
        up(Opcode::Text, br#"{"type":"prompt","tags":"Caf\u00e9-noir \/ say \"hi\"","n":1}"#),
        up(Opcode::Text, "{\"Café-noir\":1, \"cut\":\"Café-noir".as_bytes()),
        up(Opcode::Text, br#"{"a":"{\"b\":\"Caf\\u00E9-noir\"}"}"#),
        up(Opcode::Ping, text),
        up(Opcode::Binary, text),
        up(Opcode::Binary, &tagged),
        Body::Message(compressed),
        Body::Marker(Marker::Point { name: secret.to_owned() }),
        Body::Clock(Clock { monotonic: Nanos(1), utc: secret.to_owned() }),
        Body::Gap(Gap { first_seq: 10, count: 1, bytes: 0, reason: secret.to_owned() }),
        Body::Break(broken),
        Body::Other(99),
        up(Opcode::Close, &close),
        Body::End(End { reason: Some(secret.to_owned()), ..End::default() }),
    ];
    // Software, address, config, key and value and nested value of the metadata; seven in the
    // context; messages; marker, clock, gap, break, close, end.
    (capture(header, &bodies), 6 + 7 + (1 + 2 + 1) + 1 + 1 + 1 + 6)
}

fn options(patterns: &[&str]) -> RedactOptions {
    let patterns = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
    RedactOptions { patterns, ..RedactOptions::default() }
}

#[test]
fn a_text_is_removed_wherever_it_can_stand_and_however_it_is_written() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (bytes, places) = everywhere();
    fs::write(path("with"), &bytes).unwrap();
    let pattern = vec!["Café-noir".to_owned()];
    let before = app::check_redacted(&path("with"), &pattern).unwrap();
    assert!(before.texts >= places && before.unreadable == 2, "{before:?}");
    assert_eq!(before.outcome(), Outcome::Differs);
    assert!(before.found.iter().any(|place| place.kind == "checkpoint"), "{before:?}");

    let summary = app::redact(&path("with"), &path("without"), &options(&["Café-noir"])).unwrap();
    assert_eq!((summary.removed.texts, summary.removed.unreadable), (places, 2));
    let after = app::check_redacted(&path("without"), &pattern).unwrap();
    assert_eq!((after.texts, after.unreadable), (0, 0), "{after:?}");
    assert_eq!(after.outcome(), Outcome::Healthy);

    let mut texts = Vec::new();
    let mut salvage = Salvage::new(fs::File::open(path("without")).unwrap());
    while let Some(record) = salvage.next_record().unwrap() {
        match &record.body {
            Body::Message(message) if message.opcode == Opcode::Text => {
                texts.push(String::from_utf8(message.payload.to_vec()).unwrap());
            }
            Body::Message(message) if message.opcode == Opcode::Close => {
                assert_eq!(message.payload, [&4000_u16.to_be_bytes()[..], b"[redacted]"].concat());
            }
            Body::Header(header) => {
                assert_eq!(header.metadata["[redacted]"], "[redacted], again");
                assert!(header.metadata["redacted"].contains("2 messages that cannot be read"));
            }
            _ => {}
        }
    }
    assert!(salvage.losses().is_empty());
    assert_eq!(
        texts,
        [
            r#"{"type":"prompt","tags":"[redacted] \/ say \"hi\"","n":1}"#,
            r#"{"[redacted]":1, "cut":"[redacted]"#,
            r#"{"a":"{\"b\":\"[redacted]\"}"}"#,
            "",
        ]
    );
}

#[test]
fn patterns_may_name_what_holds_json_together_and_what_was_put_in_their_place() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let text = br#"{"seed":123456,"a":"b","say":"he said \"no\""}"#;
    fs::write(path("with"), capture(Header::new("a test", Nanos(0)), &[up(Opcode::Text, text)]))
        .unwrap();
    for patterns in [&["345", "\"no\"", "\"b\""][..], &["a\":\"b"], &["redacted", "e*d"], &["\":"]]
    {
        let options = RedactOptions { force: true, ..options(patterns) };
        app::redact(&path("with"), &path("without"), &options).unwrap();
        let left = app::check_redacted(&path("without"), &options.patterns).unwrap();
        assert_eq!(left.texts, 0, "{patterns:?}");
    }
    let blank = app::redact(&path("with"), &path("x"), &options(&["**"])).unwrap_err();
    assert!(blank.to_string().contains("nothing but *"), "{blank}");
}

#[test]
fn the_exit_code_tells_whether_a_text_is_left() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (bytes, _) = everywhere();
    fs::write(path("with"), &bytes).unwrap();
    let check = |name: &str, pattern: &str, code: i32| {
        program::check(&["redact", &path(name), "--check", "--text", pattern], code).0
    };
    let said = check("with", "Café", 4);
    assert!(said.contains("texts are left") && !said.contains("Caf"), "{said}");
    check("with", "is not in it", 1);
    program::check(&["redact", &path("with"), "--text", "Café", "-o", &path("without")], 0);
    assert!(check("without", "Café", 0).contains("nothing of it is left"));
    let mut damaged = fs::read(path("without")).unwrap();
    let place = damaged.len() - 20;
    damaged[place] ^= 1;
    fs::write(path("damaged"), damaged).unwrap();
    check("damaged", "Café", 3);
    program::check(&["redact", &path("with"), "--check"], 2);
    program::check(&["redact", &path("with"), "--text", "x"], 2);
}

/// What stands in a damaged place is lost, and all else is as sound as before.
#[test]
fn a_damaged_capture_becomes_a_sound_one_with_gaps() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (bytes, _) = everywhere();
    let mut places = Vec::new();
    let mut salvage = Salvage::new(&bytes[..]);
    while let Some(stored) = salvage.next_stored().unwrap() {
        places.push(stored.offset as usize);
    }
    for (name, damaged) in [("header", &places[..1]), ("middle", &places[4..6])] {
        let mut bytes = bytes.clone();
        damaged.iter().for_each(|place| bytes[place + 40] ^= 1);
        fs::write(path(name), &bytes).unwrap();
        let out = path("redacted");
        let options = RedactOptions { force: true, ..options(&["Café-noir"]) };
        let summary = app::redact(&path(name), &out, &options).unwrap();
        assert_eq!(summary.outcome(), Outcome::Damaged);
        check_sound(name, &out, (name == "middle").then_some(2));

        let cut = app::CutOptions { force: true, ..app::CutOptions::default() };
        app::cut(&path(name), &out, &cut).unwrap();
        check_sound(name, &out, (name == "middle").then_some(2));
        let later = app::CutOptions { from: Some("4".parse().unwrap()), ..cut };
        app::cut(&path(name), &out, &later).unwrap();
        check_sound(name, &out, (name == "middle").then_some(2));
    }
}

#[track_caller]
fn check_sound(name: &str, path: &std::path::Path, missing: Option<u64>) {
    let found = app::verify(path, false).unwrap();
    assert!(!found[0].lost.anything(), "{name}: {:?}", found[0].lost);
    let mut salvage = Salvage::new(fs::File::open(path).unwrap());
    let first = salvage.next_record().unwrap().unwrap();
    assert!(matches!(first.body, Body::Header(_)), "{name}: {first:?}");
    let mut gaps = 0;
    while let Some(record) = salvage.next_record().unwrap() {
        if let Body::Gap(gap) = record.body
            && gap.reason.starts_with("damaged")
        {
            gaps += gap.count;
        }
    }
    assert_eq!(gaps, missing.unwrap_or_default(), "{name}");
}
