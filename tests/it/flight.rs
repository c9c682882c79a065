//! The ring and the sentry of the incident recorder, on virtual time.

use std::sync::Arc;

use lagtape::capture::{
    Body, Direction, Header, Kind, Message, Opcode, Reader, Record, Step, SyncMarker, Writer,
};
use lagtape::engine::{Engine, Options};
use lagtape::flight::{Ring, RingLimits, Sentry, Trigger};
use lagtape::peer::units::ByteSize;
use lagtape::time::{Nanos, Span};
use lagtape::wire::slice::SliceHeader;

use crate::simulated::simulated_bytes;

const MARKER: SyncMarker = SyncMarker(*b"a flight");
const SECOND: u64 = 1_000_000_000;

/// Visits the records of a capture with their bytes, as a live session would bring them: without
/// the checkpoints.
pub fn each(mut bytes: &[u8], mut see: impl FnMut(&Record<'_>, &[u8])) {
    let mut reader = Reader::new();
    while !bytes.is_empty() {
        let Step::Record { record, len } = reader.step(bytes).unwrap() else {
            panic!("{} bytes are left", bytes.len())
        };
        if record.kind() != Kind::Checkpoint {
            see(&record, &bytes[..len]);
        }
        bytes = &bytes[len..];
    }
}

/// The capture that a ring would become now.
fn written(ring: &Ring) -> Vec<u8> {
    let mut bytes = Vec::new();
    let metadata = [("incident".to_owned(), "a test".to_owned())];
    let mut writer = ring.open(MARKER, metadata, &mut bytes);
    ring.visit(&mut |record, _| writer.write(record, &mut bytes));
    bytes
}

/// Whenever the ring is written, what is written ends in the state of the whole session.
#[track_caller]
fn check_ring(incident: &str, seed: u64, limits: RingLimits) {
    let mut whole = Engine::new(Options { audio_crc: true, ..Options::default() });
    let mut ring = Ring::new(limits);
    let mut seen = 0;
    let mut let_go = 0;
    each(&simulated_bytes(incident, seed, 12), |record, bytes| {
        whole.handle(record);
        ring.push(record, bytes.into());
        seen += 1;
        assert!(ring.held_bytes() as u64 <= limits.bytes.0);
        assert!(ring.held_span() <= limits.span);
        if seen % 97 != 0 {
            return;
        }
        let mut part = Engine::new(Options { audio_crc: true, ..Options::default() });
        let mut records = 0;
        each(&written(&ring), |record, _| {
            part.handle(record);
            records += u64::from(record.is_numbered());
        });
        let_go += u64::from(records < seen);
        assert_eq!(part.state(), whole.state(), "after {seen} records of {incident}");
        assert!(part.mirror() == whole.mirror(), "after {seen} records of {incident}");
        assert!(part.facts().oddities.is_empty(), "{:?}", part.facts().oddities);
    });
    assert!(let_go > 3, "the ring was full {let_go} times");
}

#[test]
fn a_ring_can_become_a_capture_at_any_moment() {
    let limits = |span_s, bytes| RingLimits { span: Span(span_s * SECOND), bytes: ByteSize(bytes) };
    check_ring("stall", 1, limits(2, 1_000_000_000));
    check_ring("seek-lead-runaway", 2, limits(60, 200_000));
    check_ring("healthy", 3, limits(5, 300_000));
    // Not even one record fits: what is written is the state alone.
    check_ring("behind", 4, limits(60, 10));
}

/// What the sentry reports of a session, in order.
fn reported(incident: &str, triggers: &[Trigger]) -> Vec<&'static str> {
    let mut sentry = Sentry::new(triggers);
    let mut reported = Vec::new();
    each(&simulated_bytes(incident, 7, 14), |record, _| {
        reported.extend(sentry.see(record).map(|why| why.word()));
    });
    reported
}

#[track_caller]
fn check_sentry(incident: &str, triggers: &[&str], expected: &[&str]) {
    let triggers: Vec<Trigger> = triggers.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(reported(incident, &triggers), expected, "{incident} {triggers:?}");
}

#[test]
fn the_sentry_reports_each_spell_of_lag_once() {
    let defaults = ["lead=-0.05:1s", "stale=3s", "close"];
    check_sentry("healthy", &defaults, &[]);
    check_sentry("stall:at=7,for=5", &defaults, &["stale"]);
    check_sentry("stall:at=7,for=5", &["close"], &[]);
    check_sentry("stall:at=7,for=5", &["stale=60s"], &[]);
    check_sentry("behind:at=7,for=4", &["lead=-0.05:1s"], &["behind"]);
    check_sentry("behind:at=7,for=4", &["lead=-5:1s"], &[]);
    check_sentry("behind:at=7,for=4", &["lead=-0.05:10s"], &[]);
    check_sentry("preempted:at=7", &defaults, &["closed"]);
    check_sentry("preempted:at=7", &["stale=3s"], &[]);
    // A lead of 10 s there never is; the seek and the pause each end a spell.
    check_sentry("healthy", &["lead=10:1s"], &["behind", "behind", "behind"]);
}

#[test]
fn triggers_as_people_write_them() {
    let lead = |under_s, for_s| Some(Trigger::Lead { under_s, for_s });
    for (text, expected) in [
        ("lead=-0.05:1s", lead(-0.05, 1.0)),
        ("lead=200ms:0", lead(0.2, 0.0)),
        ("stale=2500ms", Some(Trigger::Stale { over_s: 2.5 })),
        ("close", Some(Trigger::Close)),
        ("lead=-0.05", None),
        ("stale", None),
        ("stale=-1", None),
        ("closes", None),
        ("", None),
    ] {
        assert_eq!(text.parse().ok(), expected, "{text:?}");
    }
    let limits = |text: &str| text.parse::<RingLimits>().ok();
    let of =
        |span_s, bytes| Some(RingLimits { span: Span(span_s * SECOND), bytes: ByteSize(bytes) });
    assert_eq!(limits("60s"), of(60, 64_000_000));
    assert_eq!(limits("2min,16MB"), of(120, 16_000_000));
    assert_eq!(limits("0s"), None);
    assert_eq!(limits("60s,10KB"), None);
    assert_eq!(limits("64MB"), None);
}

/// A stream without end: slices 20 times and ticks 30 times a second, and a stall every 10 minutes.
struct Stream {
    writer: Writer,
    bytes: Vec<u8>,
}

impl Stream {
    fn new() -> Self {
        Stream { writer: Writer::new(MARKER), bytes: Vec::new() }
    }

    /// Hands the records of so many hours to `see`.
    fn run(&mut self, hours: u64, see: &mut dyn FnMut(&Record<'_>, &[u8])) {
        let text = |direction, text| (direction, Opcode::Text, text);
        let ready = br#"{"type":"ready","sample_rate":48000,"channels":1}"#;
        let (up, down) = (Direction::ClientToServer, Direction::ServerToClient);
        self.put(0, Body::Header(Header::new("a test", Nanos(0))), see);
        let buffer = vec![0; 48_000 * 2 * 4];
        let opening = [
            text(up, &b"{\"client_id\":\"x\"}"[..]),
            text(down, ready),
            (down, Opcode::Binary, &buffer),
        ];
        for (direction, opcode, payload) in opening {
            self.put(0, Body::Message(Message::new(direction, opcode, payload)), see);
        }
        for step in 1..hours * 3600 * 60 {
            let t_ns = step * SECOND / 60;
            let position_s = (step % 240) as f64 / 60.0;
            let stalls = step % (600 * 60) > 590 * 60;
            if step % 2 == 0 {
                let params = format!(
                    r#"{{"type":"params","raw":{{"a":{}}},"playback_pos":{position_s}}}"#,
                    step / 600
                );
                let tick = Message::new(up, Opcode::Text, params.as_bytes());
                self.put(t_ns, Body::Message(tick), see);
            }
            if step % 3 == 0 && !stalls {
                let slice = slice(((position_s + 0.3) % 4.0 * 48_000.0) as u32);
                self.put(t_ns, Body::Message(Message::new(down, Opcode::Binary, &slice)), see);
            }
        }
    }

    fn put(&mut self, t_ns: u64, body: Body<'_>, see: &mut dyn FnMut(&Record<'_>, &[u8])) {
        self.bytes.clear();
        let record = Record { seq: self.writer.next_seq(), t: Nanos(t_ns), conn: 0, body };
        if record.seq == 0 {
            self.writer.begin(&mut self.bytes);
        }
        self.writer.write(&record, &mut self.bytes);
        see(&record, &self.bytes);
    }
}

/// A slice of 50 ms.
fn slice(start: u32) -> Vec<u8> {
    let header = SliceHeader {
        flags: 0,
        start,
        frames: 2_400,
        channels: 1,
        tick_ms: 40.0,
        dec_ms: 7.0,
        generations: 1,
    };
    let mut message = header.to_bytes().to_vec();
    message.resize(message.len() + 2_400 * 2, 0);
    message
}

/// Runs so many hours through a ring of 10 s and a sentry; says what was reported, and how many
/// bytes this process held after each hour.
fn hours(hours: u64) -> (Vec<&'static str>, Vec<u64>) {
    let limits = RingLimits { span: Span(10 * SECOND), bytes: ByteSize(1_000_000_000) };
    let mut ring = Ring::new(limits);
    let mut sentry = Sentry::new(&Trigger::defaults());
    let (mut reported, mut resident) = (Vec::new(), Vec::new());
    let mut most = 0;
    Stream::new().run(hours, &mut |record, bytes| {
        ring.push(record, Arc::from(bytes));
        reported.extend(sentry.see(record).map(|why| why.word()));
        // The initial buffer is in the ring for the first seconds.
        if record.t.0 > 60 * SECOND {
            most = most.max(ring.held_bytes());
        }
        if record.t.0 / (3600 * SECOND) > resident.len() as u64 {
            resident.push(resident_bytes());
        }
    });
    resident.push(resident_bytes());
    // 10 s of 20 slices and 30 ticks a second, and their upkeep.
    assert!(most < 10 * 20 * (2_400 * 2 + 200) + 10 * 30 * 250 + 30_000, "{most} bytes held");
    (reported, resident)
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[test]
fn an_hour_of_stream_costs_no_more_memory_than_a_minute() {
    let (reported, _) = hours(1);
    assert_eq!(reported, ["stale"; 6], "a stall every 10 minutes");
}

/// The whole of it: `cargo test --test it -- --ignored --exact flight::a_day_of_stream`, on its own,
/// because the memory of the whole process is measured.
#[test]
#[ignore = "a day of stream takes a minute; run it alone"]
fn a_day_of_stream() {
    let (reported, resident) = hours(24);
    assert_eq!(reported, ["stale"; 144]);
    let grown = resident[23].saturating_sub(resident[1]);
    assert!(grown < 2 << 20, "{grown} bytes more after a day than after two hours: {resident:?}");
}
