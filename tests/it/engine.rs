//! Sessions that no golden vector shows: what peers may send and seldom do.

use lagtape::capture::{Body, ClientKind, Direction, Gap, Header, Message, Opcode, Record};
use lagtape::engine::{Engine, OddityKind, Options};
use lagtape::time::Nanos;
use lagtape::wire::slice::SliceHeader;
use serde_json::{Value, json};

/// A session in the making; times are seconds, the initial buffer comes at 1 s.
struct Session {
    engine: Engine,
    seq: u64,
    conn: u32,
}

impl Session {
    fn new() -> Self {
        let header = Header { client: ClientKind::Headless, ..Header::new("a test", Nanos(0)) };
        let mut session = Session { engine: Engine::new(Options::default()), seq: 0, conn: 0 };
        session.record(0.0, Body::Header(header));
        session
    }

    /// With a buffer of one second.
    fn streaming(channels: u16) -> Self {
        Session::new().handshake(channels)
    }

    fn handshake(self, channels: u16) -> Self {
        self.client(1.0, &json!({"prompt": "x"}))
            .server(1.0, &json!({"type": "ready", "channels": channels, "sample_rate": 48_000}))
            .binary(1.0, &vec![0; 96_000 * usize::from(channels)])
    }

    fn on(self, conn: u32) -> Self {
        Session { conn, ..self }
    }

    fn client(self, t_s: f64, text: &Value) -> Self {
        let text = text.to_string();
        self.message(t_s, &Message::new(Direction::ClientToServer, Opcode::Text, text.as_bytes()))
    }

    fn server(self, t_s: f64, text: &Value) -> Self {
        let text = text.to_string();
        self.message(t_s, &Message::new(Direction::ServerToClient, Opcode::Text, text.as_bytes()))
    }

    fn binary(self, t_s: f64, payload: &[u8]) -> Self {
        self.message(t_s, &Message::new(Direction::ServerToClient, Opcode::Binary, payload))
    }

    /// A raw slice of one frame.
    fn slice(self, t_s: f64, channels: u16) -> Self {
        let header = SliceHeader { frames: 1, channels, ..SliceHeader::default() };
        let payload = vec![0; 2 * usize::from(channels)];
        self.binary(t_s, &[&header.to_bytes()[..], &payload].concat())
    }

    fn message(mut self, t_s: f64, message: &Message<'_>) -> Self {
        self.record(t_s, Body::Message(*message));
        self
    }

    fn record(&mut self, t_s: f64, body: Body<'_>) {
        let t = Nanos((t_s * 1e9) as u64);
        self.engine.handle(&Record { seq: self.seq, t, conn: self.conn, body });
        self.seq += 1;
    }

    fn event_types(&self) -> Vec<&Value> {
        self.engine.facts().events.iter().map(|event| &event.fields["type"]).collect()
    }

    fn is_odd(&self, kind: OddityKind) -> bool {
        self.engine.facts().oddities.iter().any(|oddity| oddity.kind == kind)
    }
}

#[track_caller]
fn check_echo(raw: &Value, merged: &Value, usable: bool) {
    let session = Session::streaming(1).server(1.1, &json!({"type": "params_echo", "raw": raw}));
    assert_eq!(&Value::Object(session.engine.facts().raw.clone()), merged, "{raw}");
    let expected: &[&str] =
        if usable { &["params_echo"] } else { &["params_echo", "_client_decode_error"] };
    assert_eq!(session.event_types(), expected, "{raw}");
}

#[test]
fn echoes_are_merged_as_python_merges_them() {
    check_echo(&json!({"a": 1}), &json!({"a": 1}), true);
    for nothing in [json!(null), json!({}), json!([]), json!(""), json!(0), json!(false)] {
        check_echo(&nothing, &json!({}), true);
    }
    for unusable in [json!(5), json!([1]), json!("ab"), json!(true)] {
        check_echo(&unusable, &json!({}), false);
    }
}

#[test]
fn events_keep_all_but_what_is_long() {
    let event =
        json!({"type": "x", "tags": ["a"], "value": {"b": 1}, "n": 2, "large": vec![0; 200]});
    let session = Session::streaming(1).server(1.1, &json!({"no": "type"})).server(1.2, &event);
    assert_eq!(session.event_types(), [&Value::Null, &json!("x")]);
    let fields = Value::Object(session.engine.facts().events[1].fields.clone());
    assert_eq!(fields, json!({"type": "x", "tags": ["a"], "value": {"b": 1}, "n": 2}));
}

#[track_caller]
fn check_swap(declared: &Value, bytes: usize, expected: Option<(u16, u64)>) {
    let session = Session::streaming(2)
        .server(1.1, &json!({"type": "swap_ready", "channels": declared}))
        .binary(1.2, &vec![0; bytes])
        .slice(1.3, 1);
    let facts = session.engine.facts();
    let last = session.engine.epochs().last().unwrap();
    assert_eq!((last.channels, last.frames), expected.unwrap_or((2, 48_000)), "{declared}");
    assert_eq!(facts.decode_errors, u64::from(expected.is_none()), "{declared}");
    assert_eq!(facts.slices, 1, "a failed swap has used up its expectation");
}

#[test]
fn swaps_take_channels_as_the_reference_does() {
    check_swap(&json!(null), 8, Some((2, 2)));
    check_swap(&json!(0), 8, Some((2, 2)));
    check_swap(&json!(1), 8, Some((1, 4)));
    check_swap(&json!(1.0), 8, Some((1, 4)));
    check_swap(&json!(3), 8, None);
    check_swap(&json!(-1), 8, None);
    check_swap(&json!(70_000), 8, None);
    check_swap(&json!(2), 0, Some((2, 0)));
}

#[test]
fn a_sample_rate_with_a_decimal_point_is_a_sample_rate() {
    let session = Session::new()
        .server(0.5, &json!({"type": "ready", "channels": 1, "sample_rate": 44100.0}));
    assert_eq!(session.engine.ready().unwrap().sample_rate, 44_100);
    assert!(session.is_odd(OddityKind::SampleRate));
}

#[test]
fn an_upload_before_the_session_is_not_the_session() {
    let session = Session::new()
        .client(0.2, &json!({"type": "upload_track"}))
        .server(0.3, &json!({"type": "error", "code": "too_long"}))
        .on(7)
        .handshake(1)
        .slice(1.1, 1)
        .on(0)
        .slice(1.2, 1);
    assert_eq!(session.engine.facts().slices, 1);
    assert_eq!(session.engine.facts().refusal, None);
    assert_eq!(session.engine.origin(), Some(Nanos(1_000_000_000)));
    assert!(session.is_odd(OddityKind::OtherConnection));
}

#[test]
fn absurd_lengths_of_omitted_payloads_cost_nothing() {
    let mut session = Session::streaming(1);
    let absurd = Message {
        whole_len: Some(u64::MAX - 1),
        ..Message::new(Direction::ServerToClient, Opcode::Binary, b"")
    };
    // Each buffer alone would keep 8 MiB of buckets.
    for _ in 0..16 {
        session = session.server(1.1, &json!({"type": "swap_ready"})).message(1.1, &absurd);
    }
    assert_eq!(session.engine.facts().swaps, 16);
    assert_eq!(session.engine.facts().traffic(Direction::ServerToClient).bytes, u64::MAX);
}

#[test]
fn records_that_are_missing_are_noticed() {
    let mut session = Session::streaming(1).slice(1.1, 1);
    let gap = |first_seq, count| Body::Gap(Gap { first_seq, count, ..Gap::default() });
    let first = session.seq;
    session.seq += 3;
    session.record(1.2, gap(first, 3));
    assert!(!session.is_odd(OddityKind::MissingRecords));
    session.seq += 1;
    assert!(session.slice(1.3, 1).is_odd(OddityKind::MissingRecords));
}
