use super::*;
use crate::capture::{Body, Direction, Header, Message, Opcode, Record};
use crate::engine::{Engine, Options};
use crate::report::{Analysis, CaptureDescription};
use crate::time::Nanos;
use base64::Engine as _;
use std::io::Read;

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

/// A session with these messages, a second apart.
fn session(messages: &[(Direction, &str)]) -> PageSession {
    let (mut engine, mut collector) = (Engine::new(Options::default()), PageCollector::default());
    let header = Body::Header(Header::new("a test", Nanos(0)));
    let bodies = messages.iter().map(|(direction, payload)| {
        let opcode = if payload.starts_with('{') { Opcode::Text } else { Opcode::Binary };
        Body::Message(Message::new(*direction, opcode, payload.as_bytes()))
    });
    let mut at = Nanos(0);
    for (seq, body) in (0..).zip([header].into_iter().chain(bodies)) {
        at = Nanos(seq * 1_000_000_000);
        let record = Record { seq, t: at, conn: 0, body };
        engine.handle(&record);
        collector.see(&engine, &record);
    }
    let about = CaptureDescription::live("a </script> & <b>".to_owned(), at);
    let analysis = Analysis::of(&engine, about, &crate::lag::ReportArgs::default());
    PageSession::of(&engine, collector, &analysis, &PageExtras::default())
}

/// The head of a session as the page reads it.
pub(super) fn head(session: &PageSession) -> serde_json::Value {
    let deflated = base64::engine::general_purpose::STANDARD.decode(&session.packed).unwrap();
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(&deflated[..]).read_to_end(&mut bytes).unwrap();
    let len = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    serde_json::from_slice(&bytes[4..4 + len]).unwrap()
}

#[test]
fn texts_of_peers_are_no_markup() {
    let evil = r#"{"type":"prompt","text":"</script><script>alert(1)</script>\u001b[31m"}"#;
    let session = session(&[
        (UP, "{}"),
        (DOWN, r#"{"type":"ready","sample_rate":8,"channels":1}"#),
        (DOWN, "sixteen bytes of"),
        (UP, evil),
    ]);
    let page = html(std::slice::from_ref(&session));
    assert!(!page.contains("alert(1)"));
    assert!(page.contains("<title>a &lt;/script&gt; &amp; &lt;b&gt; · lagtape</title>"));
    // One script for the session, one for the page.
    assert_eq!(page.matches("</script>").count(), 2);
    let head = head(&session);
    assert_eq!(head["texts"][2], serde_json::json!([3, evil]));
    assert_eq!(head["kinds"], serde_json::json!(["text", "ready", "buffer", "prompt"]));
    assert_eq!((&head["from_s"], &head["to_s"]), (&(-2.0).into(), &1.0.into()));
}

#[test]
fn a_session_without_a_stream_has_a_page() {
    for messages in [&[][..], &[(UP, "{}"), (DOWN, r#"{"type":"error","code":"busy"}"#)]] {
        let session = session(messages);
        let head = head(&session);
        assert_eq!(head["analysis"]["lag"], serde_json::Value::Null);
        assert!(html(&[session]).contains("class=\"session\""));
    }
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let messages = [(UP, "{}"), (DOWN, r#"{"type":"ready","sample_rate":8,"channels":1}"#)];
    assert_eq!(html(&[session(&messages)]), html(&[session(&messages)]));
}

#[test]
fn what_stands_in_a_value_is_no_name() {
    assert_eq!(filled("a {{x}} b {{y}}", &[("x", "{{y}}"), ("y", "2")]), "a {{y}} b 2");
}
