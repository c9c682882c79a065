//! The ring and the sentry of the incident recorder, on virtual time.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use lagtape::capture::{
    Body, Direction, Header, Kind, Message, Opcode, ReadStep, Reader, Record, SyncMarker, Writer,
};
use lagtape::edge::recorder::{Disk, Recorder, RecorderOptions, Store, Taken};
use lagtape::engine::{Engine, Options};
use lagtape::flight::{Ring, RingLimits, Trigger, TriggerWatch};
use lagtape::parse::ByteSize;
use lagtape::time::{Nanos, Span};
use lagtape::wire::slice::SliceHeader;

use crate::promises::measured;
use crate::simulated::simulated_bytes;

const MARKER: SyncMarker = SyncMarker(*b"a flight");
const SECOND: u64 = 1_000_000_000;

/// Visits the records of a capture with their bytes, as a live session would bring them: without
/// the checkpoints.
pub fn each(mut bytes: &[u8], mut see: impl FnMut(&Record<'_>, &[u8])) {
    let mut reader = Reader::new();
    while !bytes.is_empty() {
        let ReadStep::Record { record, len } = reader.step(bytes).unwrap() else {
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
        measured(1, "captures with the state of the whole session");
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
    let mut sentry = TriggerWatch::new(triggers);
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
    measured(1, "sessions");
    measured(expected.len() as u64, "incidents in them");
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
    // A lead of 10 s there never is; the seek and the pause each end a spell, and little of it lies
    // between the transients.
    check_sentry("healthy", &["lead=10:0"], &["behind", "behind", "behind"]);
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

/// Everything that a live recording keeps in memory, without its sockets: the client's engine, the
/// ring with its sentry, and a recorder that writes checkpoints, to a disk that keeps nothing.
struct Live {
    engine: Engine,
    ring: Ring,
    sentry: TriggerWatch,
    recorder: Recorder,
    reported: Vec<&'static str>,
    /// Bytes of all records.
    recorded: u64,
    /// The most bytes in the ring after its first minute.
    most_held: usize,
}

/// A disk that keeps nothing, and what it was given.
#[derive(Clone, Default)]
struct Nowhere(Arc<AtomicU64>);

impl Store for Nowhere {
    fn create(&mut self, _: &Path, _: bool) -> io::Result<Box<dyn Disk>> {
        Ok(Box::new(self.clone()))
    }
}

impl Write for Nowhere {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Nowhere {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Live {
    fn begin(disk: &Nowhere) -> Live {
        let limits = RingLimits { span: Span(10 * SECOND), bytes: ByteSize(1_000_000_000) };
        let options = RecorderOptions { queue_bytes: 4 << 20, ..RecorderOptions::new("x") };
        let header = Header::new("a test", Nanos(0));
        let store = Box::new(disk.clone());
        Live {
            engine: Engine::new(Options { tracker_bound: Some(10_000), ..Options::default() }),
            ring: Ring::new(limits),
            sentry: TriggerWatch::new(&Trigger::defaults()),
            recorder: Recorder::start(options, store, MARKER, header, &mut ()).unwrap(),
            reported: Vec::new(),
            recorded: 0,
            most_held: 0,
        }
    }

    fn see(&mut self, record: &Record<'_>, bytes: &[u8]) {
        self.recorded += bytes.len() as u64;
        self.ring.push(record, Arc::from(bytes));
        self.reported.extend(self.sentry.see(record).map(|why| why.word()));
        if record.t.0 > 60 * SECOND {
            self.most_held = self.most_held.max(self.ring.held_bytes());
        }
        if record.seq == 0 {
            self.engine.handle(record);
            return;
        }
        // Virtual time is faster than any disk: the stream waits here, as a real one does not.
        while self.recorder.status().waiting_bytes > 2 << 20 {
            std::thread::yield_now();
        }
        let engine = &mut self.engine;
        let mut see = |record: &Record<'_>| engine.handle(record);
        let taken = self.recorder.offer(record.t, 0, record.body.clone(), &mut see);
        assert_eq!(taken, Taken::Kept);
    }
}

/// How often memory is looked at.
const LOOKS: u64 = 24;

/// Runs so many hours of stream through [`Live`]; says what this process held at each look.
fn live_for(hours: u64) -> Vec<u64> {
    let disk = Nowhere::default();
    let mut live = Live::begin(&disk);
    let mut resident = Vec::new();
    Stream::new().run(hours, &mut |record, bytes| {
        live.see(record, bytes);
        if record.t.0 * LOOKS / (hours * 3600 * SECOND) > resident.len() as u64 {
            resident.push(resident_bytes());
        }
    });
    resident.push(resident_bytes());
    assert_eq!(live.reported, vec!["stale"; 6 * hours as usize], "a stall every 10 minutes");
    // 10 s of 20 slices and 30 ticks a second, and their upkeep.
    let most = 10 * 20 * (2_400 * 2 + 200) + 10 * 30 * 250 + 30_000;
    assert!(live.most_held < most, "{} bytes held", live.most_held);
    assert_eq!(live.engine.facts().ticks, hours * 3600 * 30 - 1);
    let end = Nanos(hours * 3600 * SECOND);
    let finished = live.recorder.finish(end, "over".to_owned(), &mut ());
    assert_eq!((finished.failure, finished.status.lost), (None, 0));
    let checkpoints = disk.0.load(Ordering::Relaxed) - live.recorded;
    assert!(checkpoints * 50 < live.recorded, "{checkpoints} bytes");
    assert!(checkpoints > hours * 3600 * 200, "{checkpoints} bytes");
    resident
}

fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// The variable that shortens the day, and the memory that may come after its first sixth.
const HOURS: &str = "LAGTAPE_TEST_HOURS";
const MAY_GROW: u64 = 3 << 20;

/// In a process of its own, whose memory is that of the stream alone.
#[test]
fn an_hour_of_stream_costs_no_more_memory_than_ten_minutes() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "flight::a_day_of_stream"])
        .env(HOURS, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// The whole of it: `cargo test --test it -- --ignored --exact flight::a_day_of_stream`, on its own,
/// because the memory of the whole process is measured.
#[test]
#[ignore = "a day of stream takes minutes; run it alone"]
fn a_day_of_stream() {
    let hours = std::env::var(HOURS).ok().and_then(|hours| hours.parse().ok()).unwrap_or(24);
    let resident = live_for(hours);
    let (early, late) = (resident[LOOKS as usize / 6], resident[LOOKS as usize - 1]);
    let grown = late.saturating_sub(early);
    assert!(grown < MAY_GROW, "{grown} bytes more at the end: {resident:?}");
    measured(grown >> 10, "KiB more at the end of an hour than after ten minutes");
}
