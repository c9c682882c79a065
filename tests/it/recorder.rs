//! The recorder against slow, failing and lying disks.

mod full_disk;

use std::collections::VecDeque;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{
    Body, Direction, Ending, Gap, Header, Kind, Message, Opcode, Record, Records, SyncMarker,
};
use lagtape::edge::recorder::RecorderNotice as Notice;
use lagtape::edge::recorder::{
    Disk, Recorder, RecorderOptions, RecorderStatus, Store, SyncPolicy, Taken,
};
use lagtape::engine::{Engine, Options};
use lagtape::time::Nanos;
use tempfile::TempDir;

use crate::promises::measured;
use crate::simulated::simulated_bytes;

const MARKER: SyncMarker = SyncMarker(*b"recorder");

/// A disk whose faults the test decides.
#[derive(Clone, Default)]
struct Medium(Arc<Mutex<Faults>>);

#[derive(Default)]
struct Faults {
    bytes: Vec<u8>,
    /// Bytes that fit.
    room: usize,
    /// Bytes that one write takes at most.
    at_most: usize,
    /// What the next writes answer.
    errors: VecDeque<ErrorKind>,
    sync_error: Option<ErrorKind>,
    /// Length of what was safe after each sync.
    synced: Vec<usize>,
    /// Writing panics.
    broken: bool,
    /// A write waits for a permission, until the test has dropped its end.
    permissions: Option<Receiver<()>>,
}

impl Medium {
    fn new() -> Self {
        let medium = Medium::default();
        medium.lock().room = usize::MAX;
        medium.lock().at_most = usize::MAX;
        medium
    }

    /// The same, standing still until the sender is dropped.
    fn standing() -> (Self, Sender<()>) {
        let medium = Medium::new();
        let (permit, permissions) = channel();
        medium.lock().permissions = Some(permissions);
        (medium, permit)
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.lock().unwrap()
    }

    fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }
}

impl Store for Medium {
    fn create(&mut self, _: &Path, _: bool) -> io::Result<Box<dyn Disk>> {
        Ok(Box::new(self.clone()))
    }
}

impl Write for Medium {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let permissions = self.lock().permissions.take();
        if let Some(permissions) = permissions
            && permissions.recv().is_ok()
        {
            self.lock().permissions = Some(permissions);
        }
        let broken = self.lock().broken;
        assert!(!broken, "the disk is broken, as this test has it");
        let mut faults = self.lock();
        if let Some(error) = faults.errors.pop_front() {
            return Err(error.into());
        }
        let taken = bytes.len().min(faults.room - faults.bytes.len()).min(faults.at_most);
        if taken == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        faults.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Medium {
    fn sync(&mut self) -> io::Result<()> {
        let mut faults = self.lock();
        if let Some(error) = faults.sync_error {
            return Err(error.into());
        }
        let len = faults.bytes.len();
        faults.synced.push(len);
        Ok(())
    }
}

/// A recorder and what it has shown.
struct Session {
    recorder: Recorder,
    seen: Vec<(u64, String)>,
    engine: Engine,
    news: Vec<Notice>,
    now: u64,
}

impl Session {
    fn begin(medium: &Medium, queue_bytes: usize, sync: SyncPolicy) -> Session {
        Session::with(medium, RecorderOptions { queue_bytes, sync, ..RecorderOptions::new("x") })
    }

    fn with(medium: &Medium, options: RecorderOptions) -> Session {
        let options = RecorderOptions { retry: Duration::from_millis(1), ..options };
        let mut seen = Vec::new();
        let mut engine = Engine::new(Options::default());
        let header = Header::new("test", Nanos(0));
        let mut see = |record: &Record<'_>| {
            seen.push(shape(record));
            engine.handle(record);
        };
        let store = Box::new(medium.clone());
        let recorder = Recorder::start(options, store, MARKER, header, &mut see).unwrap();
        Session { recorder, seen, engine, news: Vec::new(), now: 0 }
    }

    fn offer(&mut self, len: usize) -> Taken {
        self.now += 1;
        let payload = vec![0; len];
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &payload);
        let Session { recorder, seen, engine, .. } = self;
        recorder.offer(Nanos(self.now), 0, Body::Message(message), &mut |record: &Record<'_>| {
            seen.push(shape(record));
            engine.handle(record);
        })
    }

    /// Waits for something that becomes of the recording.
    fn wait(&mut self, is_it: impl Fn(&Notice) -> bool) {
        while !self.news.iter().any(&is_it) {
            self.news.extend(self.recorder.news());
            std::thread::yield_now();
        }
    }

    fn wait_until_written(&self) {
        while self.recorder.status().waiting_bytes > 0 {
            std::thread::yield_now();
        }
    }

    /// What was seen, and what of the end.
    fn finish(self) -> Ended {
        let Session { recorder, mut seen, mut engine, mut news, now } = self;
        let finished =
            recorder.finish(Nanos(now + 1), "done".to_owned(), &mut |record: &Record<'_>| {
                seen.push(shape(record));
                engine.handle(record);
            });
        news.extend(finished.news);
        Ended { seen, news, failure: finished.failure, lost: finished.status.lost, engine }
    }
}

struct Ended {
    seen: Vec<(u64, String)>,
    news: Vec<Notice>,
    failure: Option<String>,
    lost: u64,
    engine: Engine,
}

/// What a record is, for comparing what was seen with what was written.
fn shape(record: &Record<'_>) -> (u64, String) {
    let what = match &record.body {
        Body::Message(message) => format!("message of {}", message.payload.len()),
        Body::Gap(Gap { first_seq, count, bytes, .. }) => {
            format!("gap of {count} from {first_seq}, {bytes} bytes")
        }
        other => other.kind().to_string(),
    };
    (record.seq, what)
}

/// The records of a file, those that the recorder was not offered left out.
fn read(bytes: &[u8]) -> Vec<(u64, String)> {
    let mut records = Records::new(bytes);
    let mut found = Vec::new();
    while let Some(record) = records.next_record().unwrap() {
        if record.kind() != Kind::Checkpoint {
            found.push(shape(&record));
        }
    }
    found
}

fn is_complete(bytes: &[u8]) -> bool {
    let mut records = Records::new(bytes);
    while records.next_record().unwrap().is_some() {}
    records.ending() == Some(Ending::Complete)
}

#[test]
fn a_slow_disk_costs_records_that_a_gap_tells_of() {
    let (medium, permit) = Medium::standing();
    let mut session = Session::begin(&medium, 1000, SyncPolicy::None);
    // The disk stands still: 1000 bytes fit.
    let taken: Vec<_> = (0..100).map(|_| session.offer(300)).collect();
    let whole = taken.iter().filter(|taken| **taken == Taken::Kept).count();
    assert!((1..5).contains(&whole), "{whole} were kept");
    assert!(taken[whole..].iter().all(|taken| *taken == Taken::Lost));
    session.wait(|notice| *notice == Notice::Losing);
    drop(permit);
    session.wait_until_written();
    assert_eq!(session.offer(5), Taken::Kept);
    let ended = session.finish();

    let written = read(&medium.bytes());
    assert_eq!(ended.seen, written, "what the engine saw is what the file has");
    let lost = 100 - whole as u64;
    let first = 1 + whole as u64;
    let told = (first + lost, format!("gap of {lost} from {first}, {} bytes", lost * 300));
    let gaps: Vec<_> = written.iter().filter(|(_, what)| what.starts_with("gap")).collect();
    assert_eq!(gaps, [&told]);
    assert_eq!(written.len(), 1 + whole + 1 + 1 + 1, "header, messages, gap, message, end");
    assert_eq!((ended.failure, ended.lost), (None, lost));
    assert!(ended.news.contains(&Notice::Gap { records: lost, bytes: lost * 300 }));
    measured(lost, "records lost, all told by gaps");
}

#[test]
fn the_end_waits_for_a_slow_disk() {
    let (medium, permit) = Medium::standing();
    let mut session = Session::begin(&medium, 1000, SyncPolicy::None);
    for _ in 0..100 {
        session.offer(300);
    }
    let disk = std::thread::spawn(move || drop(permit));
    let ended = session.finish();
    disk.join().unwrap();
    let written = read(&medium.bytes());
    assert_eq!(ended.seen, written, "what the engine saw is what the file has");
    let [.., (_, gap), (_, end)] = &written[..] else { panic!("{written:?}") };
    assert!(gap.starts_with("gap of") && end == "end", "{gap}, {end}");
    assert!(is_complete(&medium.bytes()), "the end counts the gap");
}

#[test]
fn the_end_does_not_wait_for_a_disk_that_fails() {
    let (medium, permit) = Medium::standing();
    medium.lock().room = 0;
    let mut session = Session::begin(&medium, 1000, SyncPolicy::None);
    while session.offer(300) == Taken::Kept {}
    let disk = std::thread::spawn(move || drop(permit));
    let ended = session.finish();
    disk.join().unwrap();
    assert!(ended.failure.unwrap().contains("cannot write x"));
    assert!(medium.bytes().is_empty());
}

#[test]
fn a_writing_thread_that_breaks_off_is_told_and_not_waited_for() {
    let medium = Medium::new();
    medium.lock().broken = true;
    let mut session = Session::begin(&medium, 1000, SyncPolicy::None);
    while session.offer(300) == Taken::Kept {}
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(session.finish()).is_ok());
    let ended =
        told.recv_timeout(Duration::from_secs(60)).expect("the end waits for a dead thread");
    let failure = ended.failure.unwrap();
    assert!(failure.contains("broke off") && ended.lost > 0, "{failure}");
    assert!(ended.news.iter().any(|notice| matches!(notice, Notice::DiskFails { .. })));
}

#[test]
fn short_and_interrupted_writes_are_gone_on_with() {
    let medium = Medium::new();
    medium.lock().at_most = 7;
    medium.lock().errors = [ErrorKind::Interrupted; 40].into();
    let mut session = Session::begin(&medium, 1 << 20, SyncPolicy::None);
    for len in 0..50 {
        session.offer(len);
    }
    let ended = session.finish();
    assert_eq!(ended.seen, read(&medium.bytes()));
    assert_eq!((ended.news, ended.failure), (Vec::new(), None));
}

/// An engine that has seen what the file lacks makes no checkpoint of it any more.
#[test]
fn what_a_failing_disk_lacks_is_in_no_checkpoint() {
    let medium = Medium::new();
    let session = &simulated_bytes("healthy", 1, 12);
    let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
    let options = RecorderOptions {
        queue_bytes: 100_000,
        retry: Duration::from_millis(1),
        ..RecorderOptions::new("x")
    };
    let (store, header) = (Box::new(medium.clone()), Header::new("test", Nanos(0)));
    let mut recorder = Recorder::start(options, store, MARKER, header, &mut engine).unwrap();
    let (mut shown, mut records) = (0, Records::new(&session[..]));
    while let Some(Record { t, body, .. }) = records.next_record().unwrap() {
        if !matches!(body, Body::Message(_)) {
            continue;
        }
        // From the sixth second to the eighth the disk takes nothing.
        let second = t.0 / 1_000_000_000;
        let is_full = (6..8).contains(&second);
        let written = medium.lock().bytes.len();
        medium.lock().room = if is_full { written } else { usize::MAX };
        match recorder.offer(t, 0, body, &mut engine) {
            Taken::Shown => shown += 1,
            Taken::Lost => panic!("a disk that fails does not stop the measuring"),
            Taken::Kept => {}
        }
        // What comes next finds a disk that fails, or a queue with room.
        let is_done = |status: RecorderStatus| match is_full {
            true => status.failing.is_some(),
            false => status.waiting_bytes == 0,
        };
        while !is_done(recorder.status()) {
            std::thread::yield_now();
        }
    }
    let finished = recorder.finish(Nanos(20_000_000_000), "done".to_owned(), &mut engine);
    assert!(shown > 0 && finished.status.lost == shown, "{shown}, {:?}", finished.status);

    check_what_is_proven(&medium);
}

/// An engine that was not shown a record makes no checkpoint of the file any more.
#[test]
fn what_an_engine_was_not_shown_is_in_no_checkpoint() {
    let medium = Medium::new();
    let session = &simulated_bytes("healthy", 1, 12);
    let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
    let (store, header) = (Box::new(medium.clone()), Header::new("test", Nanos(0)));
    let options = RecorderOptions::new("x");
    let mut recorder = Recorder::start(options, store, MARKER, header, &mut engine).unwrap();
    let mut records = Records::new(&session[..]);
    while let Some(Record { t, body, .. }) = records.next_record().unwrap() {
        if !matches!(body, Body::Message(_)) {
            continue;
        }
        let taken = match t.0 / 1_000_000_000 {
            6 => recorder.offer(t, 0, body, &mut ()),
            _ => recorder.offer(t, 0, body, &mut engine),
        };
        assert_eq!(taken, Taken::Kept);
    }
    recorder.finish(Nanos(20_000_000_000), "done".to_owned(), &mut engine);
    check_what_is_proven(&medium);
}

/// The file has checkpoints, each of which says what stands before it, and a quick look reads on from there.
#[track_caller]
fn check_what_is_proven(medium: &Medium) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.lagtape");
    fs::write(&path, medium.bytes()).unwrap();
    let verified = app::verify(&path, true).unwrap().remove(0);
    let proof = verified.replay.unwrap();
    assert!(verified.complete && proof.checkpoints > 3, "{proof:?}");
    assert_eq!((proof.proven, proof.first_difference), (proof.checkpoints, None));
    let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let [quick, whole] = [quick, AnalyzeOptions::default()].map(|options| {
        let analysis = app::analyze(&path, &options).unwrap();
        (analysis.lag, analysis.verdict)
    });
    assert_eq!(quick, whole);
}

#[test]
fn an_input_output_error_is_tried_again() {
    let medium = Medium::new();
    medium.lock().errors = [ErrorKind::Other, ErrorKind::BrokenPipe].into();
    let mut session = Session::begin(&medium, 1 << 20, SyncPolicy::None);
    session.offer(300);
    session.wait(|notice| matches!(notice, Notice::DiskIsBack { .. }));
    let ended = session.finish();
    assert_eq!(ended.seen, read(&medium.bytes()));
    assert_eq!(ended.news.len(), 2, "{:?}", ended.news);
}

/// Lengths of the file that were safe from a power failure, in order.
fn syncs(sync: SyncPolicy) -> (Vec<usize>, usize) {
    let medium = Medium::new();
    let mut session = Session::begin(&medium, 1 << 20, sync);
    for _ in 0..20 {
        session.offer(100);
        session.wait_until_written();
    }
    session.finish();
    let faults = medium.lock();
    (faults.synced.clone(), faults.bytes.len())
}

#[test]
fn the_policy_says_when_the_file_is_safe_from_a_power_failure() {
    assert!(syncs(SyncPolicy::None).0.is_empty());
    let (interval, len) = syncs(SyncPolicy::Interval);
    assert_eq!(interval.last(), Some(&len), "all of it at the end");
    assert!(interval.len() < 20, "{interval:?}");
    let (record, len) = syncs(SyncPolicy::Record);
    assert!(record.len() > 20 && record.last() == Some(&len), "{record:?}");
}

#[test]
fn a_disk_that_writes_and_does_not_sync_fails_too() {
    let medium = Medium::new();
    medium.lock().sync_error = Some(ErrorKind::Other);
    let mut session = Session::begin(&medium, 1 << 20, SyncPolicy::Record);
    session.offer(100);
    session.wait(|notice| matches!(notice, Notice::DiskFails { .. }));
    medium.lock().sync_error = None;
    session.wait(|notice| matches!(notice, Notice::DiskIsBack { .. }));
    let ended = session.finish();
    assert_eq!(ended.seen, read(&medium.bytes()), "nothing is written twice");
    assert_eq!(ended.failure, None);
}
