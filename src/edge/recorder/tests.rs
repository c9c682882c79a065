//! The recorder on disks that take their time, take little at once, or break.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::future::Future;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::*;
use crate::capture::{Direction, Kind, Opcode, Records};
use crate::engine::{Engine, Options};
use crate::flight::{PART_KEY, RingLimits, SplitAt};
use crate::time::Span;

const MARKER: SyncMarker = SyncMarker(*b"recorder");
const S: u64 = 1_000_000_000;

/// Files in memory, on a disk whose ways the test decides.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Ways>>);

#[derive(Default)]
struct Ways {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// What the next creations of files answer.
    creations: VecDeque<ErrorKind>,
    /// Files that were created by force.
    forced: usize,
    /// Bytes that a write takes, if that is limited.
    at_most: Option<usize>,
    /// Each write waits for a permission, until nobody can give one any more.
    permissions: Option<Receiver<()>>,
    /// Writing panics.
    is_broken: bool,
    /// So many writes are interrupted before they write anything.
    interrupted: usize,
    /// The disk is full when it holds so many bytes.
    room: Option<usize>,
    /// Writes for which there was no room.
    refused: usize,
    syncs: usize,
}

impl Shelf {
    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes every write wait for the sender.
    fn permitted(&self) -> SyncSender<()> {
        let (permit, permissions) = sync_channel(0);
        self.ways().permissions = Some(permissions);
        permit
    }

    fn names(&self) -> Vec<String> {
        self.ways().files.keys().map(|path| path.display().to_string()).collect()
    }

    /// The records of a file that the recorder was offered, in a few words.
    fn read(&self, path: &str) -> Vec<String> {
        let bytes = self.ways().files[Path::new(path)].clone();
        let mut records = Records::new(&bytes[..]);
        let mut found = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            if record.kind() != Kind::Checkpoint {
                found.push(shape(&record));
            }
        }
        found
    }
}

struct Sheet {
    shelf: Shelf,
    path: PathBuf,
}

impl Store for Shelf {
    fn create(&mut self, path: &Path, force: bool) -> io::Result<Box<dyn Disk>> {
        let mut ways = self.ways();
        ways.forced += usize::from(force);
        if let Some(error) = ways.creations.pop_front() {
            return Err(error.into());
        }
        if ways.files.contains_key(path) && !force {
            return Err(ErrorKind::AlreadyExists.into());
        }
        ways.files.insert(path.to_owned(), Vec::new());
        Ok(Box::new(Sheet { shelf: self.clone(), path: path.to_owned() }))
    }
}

impl Write for Sheet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let permissions = self.shelf.ways().permissions.take();
        if let Some(permissions) = permissions
            && permissions.recv().is_ok()
        {
            self.shelf.ways().permissions = Some(permissions);
        }
        let mut ways = self.shelf.ways();
        assert!(!ways.is_broken, "the disk is broken, as this test has it");
        if let Some(left) = ways.interrupted.checked_sub(1) {
            ways.interrupted = left;
            return Err(ErrorKind::Interrupted.into());
        }
        let held: usize = ways.files.values().map(Vec::len).sum();
        let room = ways.room.map_or(usize::MAX, |room| room.saturating_sub(held));
        if room == 0 {
            ways.refused += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        let taken = ways.at_most.unwrap_or(usize::MAX).min(room).min(bytes.len());
        ways.files.entry(self.path.clone()).or_default().extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Sheet {
    fn sync(&mut self) -> io::Result<()> {
        self.shelf.ways().syncs += 1;
        Ok(())
    }
}

fn shape(record: &Record<'_>) -> String {
    match &record.body {
        Body::Message(message) => format!("{}: {} bytes", record.seq, message.payload.len()),
        Body::Gap(gap) => format!("{}: {} lost from {}", record.seq, gap.count, gap.first_seq),
        other => format!("{}: {}", record.seq, other.kind()),
    }
}

/// A recording, what it showed, and an engine that saw that.
struct Recording {
    recorder: Recorder,
    seen: Vec<String>,
    engine: Engine,
    news: Vec<RecorderNotice>,
}

impl Recording {
    fn begin(shelf: &Shelf, options: RecorderOptions) -> Recording {
        let options = RecorderOptions { retry: Duration::from_millis(1), ..options };
        let (mut seen, mut engine) = (Vec::new(), Engine::new(Options::default()));
        let mut see = |record: &Record<'_>| {
            seen.push(shape(record));
            engine.handle(record);
        };
        let (store, header) = (Box::new(shelf.clone()), Header::new("test", Nanos(0)));
        let recorder = Recorder::start(options, store, MARKER, header, &mut see).unwrap();
        Recording { recorder, seen, engine, news: Vec::new() }
    }

    fn offer(&mut self, t: Nanos, len: usize) -> Taken {
        let payload = vec![0; len];
        let message = Message::new(Direction::ServerToClient, Opcode::Binary, &payload);
        let Recording { recorder, seen, engine, .. } = self;
        recorder.offer(t, 0, Body::Message(message), &mut |record: &Record<'_>| {
            seen.push(shape(record));
            engine.handle(record);
        })
    }

    fn wait_until(&self, is_it: impl Fn(&RecorderStatus) -> bool) {
        while !is_it(&self.recorder.status()) {
            std::thread::yield_now();
        }
    }

    fn finish(self, t: Nanos) -> (Finished, Vec<String>, Engine) {
        let Recording { recorder, mut seen, mut engine, mut news } = self;
        news.extend(recorder.news());
        let mut finished = recorder.finish(t, "done".to_owned(), &mut |record: &Record<'_>| {
            seen.push(shape(record));
            engine.handle(record);
        });
        news.append(&mut finished.news);
        finished.news = news;
        (finished, seen, engine)
    }
}

/// Whenever the disk has stood still until a dozen records were lost, it takes all that waits.
#[test]
fn a_disk_that_keeps_stopping_costs_a_gap_each_time() {
    const ROUNDS: u64 = 20;
    let shelf = Shelf::default();
    let permit = shelf.permitted();
    let options = RecorderOptions { queue_bytes: 4_000, ..RecorderOptions::new("x") };
    let mut recording = Recording::begin(&shelf, options);
    let mut offered = 0;
    for round in 0..ROUNDS {
        let mut lost = 0;
        // Until a dozen are lost.
        while lost < 12 {
            let taken = recording.offer(Nanos(round * S), 300);
            assert_ne!(taken, Taken::Shown, "the disk does not fail");
            lost += u64::from(taken == Taken::Lost);
            offered += 1;
        }
        recording.wait_until(|status| {
            let is_waiting = status.waiting_bytes > 0;
            // Only a write that waits takes a permission.
            let _ = is_waiting.then(|| permit.try_send(()));
            !is_waiting
        });
    }
    drop(permit);
    let (finished, seen, engine) = recording.finish(Nanos(ROUNDS * S));
    assert_eq!(shelf.read("x"), seen, "what was seen is what the file has");
    assert_eq!((finished.status.lost, finished.failure), (12 * ROUNDS, None));
    let counts: Vec<_> = engine.facts().gaps.iter().map(|(_, gap)| gap.count).collect();
    assert_eq!(counts, [12; ROUNDS as usize], "a gap for each time that it did not keep up");
    let kept = seen.iter().filter(|what| what.ends_with("bytes")).count() as u64;
    assert_eq!(kept + finished.status.lost, offered);
    let gaps = finished.news.iter().filter(|news| matches!(news, RecorderNotice::Gap { .. }));
    assert_eq!(gaps.count() as u64, ROUNDS);
}

/// The files of a recording of four messages at these times, in parts of a second.
fn parts(times_ms: [u64; 4]) -> Vec<Vec<String>> {
    let shelf = Shelf::default();
    let layout = FileLayout::Parts(SplitAt::Time(Span(S)));
    let options = RecorderOptions { layout, ..RecorderOptions::new("live.lagtape") };
    let mut recording = Recording::begin(&shelf, options);
    for (len, t_ms) in (10..).zip(times_ms) {
        recording.offer(Nanos(t_ms * 1_000_000), len);
    }
    let (finished, ..) = recording.finish(Nanos(9 * S));
    let names: Vec<_> = finished.files.iter().map(|path| path.display().to_string()).collect();
    assert_eq!(names, shelf.names());
    let messages = |name: &String| -> Vec<String> {
        shelf.read(name).into_iter().filter(|what| what.ends_with("bytes")).collect()
    };
    names.iter().map(messages).collect()
}

#[test]
fn a_part_ends_before_what_comes_its_length_after_its_first_message() {
    let one = |text: &str| text.to_owned();
    assert_eq!(parts([0, 10, 20, 999]).len(), 1);
    let second = parts([500, 600, 1_499, 1_500]);
    assert_eq!(second.len(), 2);
    assert_eq!(second[1], [one("4: 13 bytes")]);
    assert_eq!(parts([0, 1_000, 2_000, 3_000]).len(), 4);
}

fn ring() -> RecorderOptions {
    let layout = FileLayout::Ring(RingOptions {
        limits: "60s".parse::<RingLimits>().unwrap(),
        triggers: Vec::new(),
        after: "1h".parse().unwrap(),
        quota: Quota::default(),
    });
    RecorderOptions { layout, ..RecorderOptions::new("in/no/folder/live.lagtape") }
}

#[test]
fn an_incident_is_whole_on_a_disk_that_takes_seven_bytes_at_once() {
    let shelf = Shelf::default();
    shelf.ways().at_most = Some(7);
    let mut recording = Recording::begin(&shelf, ring());
    for len in 0..20 {
        recording.offer(Nanos(S), len);
    }
    recording.wait_until(|status| status.waiting_bytes == 0);
    recording.recorder.request_incident(TriggerReason::Asked);
    recording.wait_until(|status| status.file_count == 1);
    for len in 20..40 {
        recording.offer(Nanos(2 * S), len);
    }
    let (finished, seen, _) = recording.finish(Nanos(3 * S));
    assert_eq!(finished.failure, None);
    let [name] = &shelf.names()[..] else { panic!("{:?}", shelf.names()) };
    assert_eq!(shelf.read(name), seen);
    assert_eq!(shelf.ways().forced, 0, "no incident takes the place of another file");
    let len = shelf.ways().files[Path::new(name)].len() as u64;
    let written = |news: &RecorderNotice| matches!(news, RecorderNotice::Written { bytes, .. } if *bytes == len);
    assert!(finished.news.iter().any(written), "{:?}", finished.news);
}

/// An incident for which the first creations of a file answer with these errors.
#[track_caller]
fn check_name(creations: &[ErrorKind], expected_end: &str) {
    let shelf = Shelf::default();
    shelf.ways().creations = creations.iter().copied().collect();
    let mut recording = Recording::begin(&shelf, ring());
    recording.offer(Nanos(S), 9);
    recording.recorder.request_incident(TriggerReason::Asked);
    recording.wait_until(|status| status.file_count == 1);
    let (finished, seen, _) = recording.finish(Nanos(2 * S));
    assert_eq!(finished.failure, None);
    let [name] = &shelf.names()[..] else { panic!("{:?}", shelf.names()) };
    assert!(name.ends_with(expected_end), "{name}");
    assert_eq!(shelf.read(name), seen);
    let path = Path::new(name);
    assert_eq!(finished.files, [path]);
    let is_it = |news: &RecorderNotice| matches!(news, RecorderNotice::Written { path: it, .. } if it == path);
    assert!(finished.news.iter().any(is_it), "{:?}", finished.news);
    if !creations.contains(&ErrorKind::StorageFull) {
        let begun: Vec<_> = finished.news.iter().filter_map(RecorderNotice::begun).collect();
        assert_eq!(begun, [path], "its name is told once it has it");
    }
}

#[test]
fn an_incident_whose_name_is_taken_by_another_recorder_gets_the_next() {
    let (taken, full) = (ErrorKind::AlreadyExists, ErrorKind::StorageFull);
    check_name(&[], "Z-asked.lagtape");
    check_name(&[taken], "Z-asked-2.lagtape");
    check_name(&[taken, taken], "Z-asked-3.lagtape");
    // Another one takes it while this one waits for the disk.
    check_name(&[full, taken], "Z-asked-2.lagtape");
}

/// An incident recorder that keeps one incident in a folder, and has begun that.
#[cfg(unix)]
fn incident_in(folder: &Path, t: Nanos) -> Recording {
    let FileLayout::Ring(ring) = ring().layout else { panic!("it is one") };
    let quota = Quota { files: 1, bytes: crate::parse::ByteSize(u64::MAX) };
    let layout = FileLayout::Ring(RingOptions { quota, ..ring });
    let options = RecorderOptions { layout, ..RecorderOptions::new(folder.join("live.lagtape")) };
    let header = Header::new("test", t);
    let recorder = Recorder::create(options, MARKER, header, &mut ()).unwrap();
    let (seen, engine) = (Vec::new(), Engine::new(Options::default()));
    let mut recording = Recording { recorder, seen, engine, news: Vec::new() };
    recording.offer(t, 9);
    recording.wait_until(|status| status.waiting_bytes == 0);
    recording.recorder.request_incident(TriggerReason::Asked);
    recording.wait_until(|status| status.file_count == 1);
    // When this one is through, so is what the incident begins with.
    recording.offer(t, 9);
    recording.wait_until(|status| status.waiting_bytes == 0);
    recording
}

#[cfg(unix)]
#[test]
fn the_quota_spares_what_another_session_is_writing() {
    let folder = tempfile::tempdir().unwrap();
    let first = incident_in(folder.path(), Nanos(S));
    let second = incident_in(folder.path(), Nanos(2 * S));
    let (second, ..) = second.finish(Nanos(3 * S));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{:?}", second.news);
    // Once it is written it is one like any other, and the older.
    let (first, ..) = first.finish(Nanos(3 * S));
    assert_eq!((first.failure, first.files), (None, Vec::new()));
    assert!(second.files.iter().all(|path| path.exists()), "{:?}", first.news);
}

#[cfg(unix)]
#[test]
fn a_file_that_is_being_written_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.lagtape");
    let mut disk = FileSystem.create(&path, true).unwrap();
    disk.write_all(b"mine").unwrap();
    let refused = FileSystem.create(&path, true).err().unwrap();
    assert_eq!(refused.to_string(), "it is being written by another recording");
    let options = RecorderOptions { force: true, ..RecorderOptions::new(&path) };
    assert!(options.check().unwrap_err().to_string().contains("is being written by another"));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    drop(disk);
    options.check().unwrap();
    FileSystem.create(&path, true).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    // A device has room for all.
    let both = [(); 2].map(|()| FileSystem.create(Path::new("/dev/null"), true));
    assert!(both.iter().all(Result::is_ok));
}

/// A capture whose header says that it is this part.
fn part_file(number: u64) -> Vec<u8> {
    let mut header = Header::new("test", Nanos(0));
    header.metadata.insert(PART_KEY.to_owned(), number.to_string());
    let mut writer = Writer::new(MARKER);
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let body = Body::Header(header);
    writer.write(&Record { seq: 0, t: Nanos(0), conn: 0, body }, &mut bytes);
    bytes
}

#[test]
fn parts_of_an_earlier_recording_are_refused_or_replaced_together() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let options = |force| RecorderOptions {
        force,
        layout: FileLayout::Parts(SplitAt::Time(Span(S))),
        ..RecorderOptions::new(at("live.lagtape"))
    };
    options(false).check().unwrap();
    fs::write(at("live-003.lagtape"), part_file(3)).unwrap();
    let refused = options(false).check().unwrap_err().to_string();
    assert!(refused.contains("live-003.lagtape exists already"), "{refused}");

    // By force: only what is a part by its name and its header.
    let others = ["live-0002.lagtape", "live-004.lagtape", "live-005.wav", "alive-006.lagtape"];
    for name in others {
        fs::write(at(name), part_file(7)).unwrap();
    }
    fs::write(at("live-007.lagtape"), "notes").unwrap();
    let header = Header::new("test", Nanos(0));
    let recorder = Recorder::create(options(true), MARKER, header, &mut ()).unwrap();
    let finished = recorder.finish(Nanos(1), "done".to_owned(), &mut ());
    assert_eq!((finished.failure, finished.files), (None, vec![at("live-001.lagtape")]));
    assert!(!at("live-003.lagtape").exists());
    let is_there = |name: &&str| at(name).exists();
    assert!(others.iter().chain(&["live-007.lagtape"]).all(is_there));
}

#[test]
fn a_disk_that_breaks_the_thread_is_told_once_and_stops_nothing() {
    let shelf = Shelf::default();
    shelf.ways().is_broken = true;
    let mut recording = Recording::begin(&shelf, RecorderOptions::new("x"));
    recording.wait_until(|status| status.failing.is_some());
    assert_eq!(recording.offer(Nanos(1), 9), Taken::Kept, "measuring goes on");
    let (finished, ..) = recording.finish(Nanos(2));
    assert!(finished.failure.unwrap().contains("broke off"));
    let fails: Vec<_> = finished
        .news
        .iter()
        .filter_map(|news| match news {
            RecorderNotice::DiskFails { what, stops, .. } => Some((what.as_str(), *stops)),
            _ => None,
        })
        .collect();
    assert_eq!(fails, [("x", false)]);
}

/// How often a file was synced while ten records were written one by one, and at its end.
fn syncs(sync: SyncPolicy) -> (usize, usize) {
    let shelf = Shelf::default();
    let mut recording =
        Recording::begin(&shelf, RecorderOptions { sync, ..RecorderOptions::new("x") });
    for _ in 0..10 {
        recording.offer(Nanos(1), 9);
        recording.wait_until(|status| status.waiting_bytes == 0);
    }
    let before = shelf.ways().syncs;
    recording.finish(Nanos(2));
    (before, shelf.ways().syncs)
}

#[test]
fn files_are_synced_as_the_policy_says() {
    assert_eq!(syncs(SyncPolicy::None), (0, 0));
    let (_, interval) = syncs(SyncPolicy::Interval);
    assert!(interval >= 1, "at the end");
    let (before, record) = syncs(SyncPolicy::Record);
    assert!(before >= 10 && record > before, "{before} and {record}");
}

#[test]
fn a_recording_is_shown_by_its_file_or_by_a_pattern_of_its_files() {
    let shown = |layout| {
        let options = RecorderOptions { layout, ..RecorderOptions::new("in/live.lagtape") };
        options.shown()
    };
    assert_eq!(shown(FileLayout::Whole), Path::new("in/live.lagtape"));
    assert_eq!(shown(FileLayout::Parts(SplitAt::Time(Span(S)))), Path::new("in/live-*.lagtape"));
    assert_eq!(shown(ring().layout), Path::new("in/live-*.lagtape"));
}

#[test]
fn whoever_waits_for_a_trigger_is_woken_once_by_each_of_its_clones() {
    let trigger = ManualTrigger::default();
    let is_fired = || {
        let mut context = Context::from_waker(Waker::noop());
        pin!(trigger.fired()).poll(&mut context) == Poll::Ready(())
    };
    assert!(!is_fired());
    trigger.clone().fire();
    assert!(is_fired() && !is_fired());
}

#[test]
fn a_write_that_is_interrupted_is_begun_again() {
    let shelf = Shelf::default();
    shelf.ways().interrupted = 5;
    let mut recording = Recording::begin(&shelf, RecorderOptions::new("x"));
    recording.offer(Nanos(1), 9);
    let (finished, seen, _) = recording.finish(Nanos(2));
    assert_eq!((finished.failure, shelf.ways().interrupted), (None, 0));
    assert_eq!(shelf.read("x"), seen);
}

#[test]
fn a_disk_that_is_full_at_the_end_is_tried_once_more_for_as_long_as_it_takes_anything() {
    let shelf = Shelf::default();
    shelf.ways().room = Some(1);
    let mut recording = Recording::begin(&shelf, RecorderOptions::new("x"));
    recording.offer(Nanos(1), 9);
    recording.wait_until(|status| status.failing.is_some());
    let (finished, ..) = recording.finish(Nanos(2));
    let failure = finished.failure.unwrap();
    // The header, the message and the end.
    assert!(
        failure.starts_with("cannot write x: ") && failure.ends_with("3 records are missing"),
        "{failure}"
    );
    assert_eq!(shelf.ways().files[Path::new("x")].len(), 1);

    let shelf = Shelf::default();
    shelf.ways().room = Some(1);
    let mut recording = Recording::begin(&shelf, RecorderOptions::new("x"));
    recording.offer(Nanos(1), 9);
    // It is tried until there is room again, which is taken seven bytes at once.
    recording.wait_until(|_| shelf.ways().refused > 3);
    (shelf.ways().room, shelf.ways().at_most) = (None, Some(7));
    let (finished, seen, _) = recording.finish(Nanos(2));
    assert_eq!((finished.failure, shelf.read("x")), (None, seen));
    let back =
        |news: &RecorderNotice| matches!(news, RecorderNotice::DiskIsBack { what } if what == "x");
    assert!(finished.news.iter().any(back), "{:?}", finished.news);
}

#[test]
fn a_gap_that_is_lost_counts_with_what_it_stands_for() {
    let shelf = Shelf::default();
    let permit = shelf.permitted();
    let options = RecorderOptions { queue_bytes: 2_000, ..RecorderOptions::new("x") };
    let mut recording = Recording::begin(&shelf, options);
    while recording.offer(Nanos(1), 300) == Taken::Kept {}
    let gap = Gap { first_seq: 99, count: 5, bytes: 50, reason: "elsewhere".to_owned() };
    let lost = recording.recorder.status().lost;
    assert_eq!(recording.recorder.offer(Nanos(2), 0, Body::Gap(gap), &mut ()), Taken::Lost);
    assert_eq!((lost, recording.recorder.status().lost), (1, 7));
    drop(permit);
    let (finished, _, engine) = recording.finish(Nanos(3));
    assert_eq!(finished.status.lost, 7);
    let gaps: Vec<_> = engine.facts().gaps.iter().map(|(_, gap)| (gap.count, gap.bytes)).collect();
    assert_eq!(gaps, [(7, 350)]);
}

#[test]
fn files_that_could_not_be_written_are_refused_early() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("x.lagtape");
    std::fs::write(&there, "").unwrap();
    let refused = |path: &Path, force| {
        let options = RecorderOptions { force, ..RecorderOptions::new(path) };
        options.check().err().map(|why| why.to_string())
    };
    assert_eq!(refused(&folder.path().join("y.lagtape"), false), None);
    assert!(refused(&there, false).unwrap().contains("exists already"));
    assert_eq!(refused(&there, true), None);
    assert!(refused(&folder.path().join("no/x"), true).unwrap().contains("there is no folder"));
    assert!(refused(Path::new("-"), true).unwrap().contains("grows in a file"));
    // Nobody makes files there, whoever they are.
    #[cfg(target_os = "linux")]
    assert!(refuse_closed_folder(Path::new("/proc/x")).is_err());
    assert!(refuse_closed_folder(&folder.path().join("y.lagtape")).is_ok());
}

#[test]
fn an_incident_on_a_disk_that_fails_is_cut_short_when_twice_the_queue_waits() {
    let shelf = Shelf::default();
    shelf.ways().room = Some(0);
    let options = RecorderOptions { queue_bytes: 4_000, ..ring() };
    let mut recording = Recording::begin(&shelf, options);
    recording.offer(Nanos(S), 300);
    recording.recorder.request_incident(TriggerReason::Asked);
    recording.wait_until(|status| status.failing.is_some());
    for _ in 0..60 {
        assert_eq!(recording.offer(Nanos(S), 300), Taken::Kept);
        recording.wait_until(|status| status.waiting_bytes == 0);
    }
    shelf.ways().room = None;
    let (finished, ..) = recording.finish(Nanos(2 * S));
    let is_cut = |news: &RecorderNotice| matches!(news, RecorderNotice::CutShort(_));
    assert!(finished.news.iter().any(is_cut), "{:?}", finished.news);
    let [name] = &shelf.names()[..] else { panic!("{:?}", shelf.names()) };
    let kept = shelf.read(name).iter().filter(|what| what.ends_with(" 300 bytes")).count();
    // Each takes somewhat more than its bytes, and the beginning takes some.
    assert!((15..27).contains(&kept), "{kept} messages");
}
