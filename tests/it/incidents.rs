//! The incident recorder: which files it leaves, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use lagtape::capture::{Body, Records};
use lagtape::edge::recorder::{
    FileLayout, Quota, Recorder, RecorderNotice as Notice, RecorderOptions, RingOptions,
};
use lagtape::engine::{Engine, Options};
use lagtape::flight::{INCIDENT_FINDING_KEY, INCIDENT_KEY, RingLimits, Trigger, TriggerReason};
use lagtape::parse::ByteSize;
use lagtape::time::{Nanos, Span};
use tempfile::TempDir;

use crate::checkpoint::check_indexed;
use crate::flight::each;
use crate::join::record;
use crate::simulated::simulated_bytes;

fn ring(span_s: u64, after_s: u64) -> RingOptions {
    RingOptions {
        limits: RingLimits { span: Span(span_s * 1_000_000_000), bytes: ByteSize(64_000_000) },
        triggers: Trigger::defaults(),
        after: Span(after_s * 1_000_000_000),
        quota: Quota::default(),
    }
}

fn options(folder: &TempDir, ring: RingOptions) -> RecorderOptions {
    let path = folder.path().join("x.lagtape");
    RecorderOptions { layout: FileLayout::Ring(ring), ..RecorderOptions::new(path) }
}

/// An incident on the disk.
struct Incident {
    path: PathBuf,
    metadata: BTreeMap<String, String>,
    seqs: Vec<u64>,
    ended: bool,
    engine: Engine,
}

impl Incident {
    fn read(path: &Path) -> Incident {
        let mut records = Records::new(fs::File::open(path).unwrap());
        let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
        let (mut seqs, mut ended, mut metadata) = (Vec::new(), false, BTreeMap::new());
        while let Some(record) = records.next_record().unwrap() {
            match &record.body {
                Body::Header(header) => metadata = header.metadata.clone(),
                Body::Context(_) | Body::Checkpoint(_) => {}
                // It has the number of what comes next, which is not in here.
                Body::End(_) => {
                    ended = true;
                    continue;
                }
                _ => seqs.push(record.seq),
            }
            engine.handle(&record);
        }
        Incident { path: path.to_owned(), metadata, seqs, ended, engine }
    }

    fn word(&self) -> &str {
        let stem = self.path.file_stem().unwrap().to_str().unwrap();
        stem.rsplit('-').next().unwrap()
    }
}

/// Times of the records of a session by their numbers, and the states after them.
struct Whole {
    times: Vec<Nanos>,
    bytes: Vec<u8>,
}

impl Whole {
    fn of(session: &[u8]) -> Whole {
        let mut times = Vec::new();
        each(session, |record, _| times.push(record.t));
        Whole { times, bytes: session.to_vec() }
    }

    fn engine_at(&self, seq: u64) -> Engine {
        let mut engine = Engine::new(Options { audio_crc: true, ..Options::default() });
        each(&self.bytes, |record, _| {
            if record.seq <= seq {
                engine.handle(record);
            }
        });
        engine
    }
}

/// An incident has all records from the ring's length before it to its own after it.
#[track_caller]
fn check(incident: &Incident, whole: &Whole, ring: &RingOptions) {
    let at: u64 = incident.metadata["incident_ns"].parse().unwrap();
    let (first, last) = (incident.seqs[0], *incident.seqs.last().unwrap());
    let all: Vec<u64> = (first..=last).collect();
    assert_eq!(incident.seqs, all, "{}", incident.path.display());
    check_indexed(&incident.path);
    let time = |seq: u64| whole.times[seq as usize].0;
    assert!(at - time(first) <= ring.limits.span.0, "it holds no more than the ring");
    assert!(first <= 1 || at - time(first - 1) > ring.limits.span.0, "and no less");
    assert!(time(last) <= at + ring.after.0);
    let is_last = last as usize == whole.times.len() - 2;
    assert!(is_last || time(last + 1) > at + ring.after.0, "it goes on as long as it should");
    assert!(incident.ended);
    let reference = whole.engine_at(last);
    assert_eq!(incident.engine.state(), reference.state());
    assert!(incident.engine.mirror() == reference.mirror());
}

#[track_caller]
fn check_session(trouble: &str, ring: &RingOptions, expected: &[&str]) {
    let session = simulated_bytes(trouble, 5, 14);
    let folder = TempDir::new().unwrap();
    let finished = record(&session, &options(&folder, ring.clone()), |_, _| ());
    assert_eq!(finished.failure, None);
    let whole = Whole::of(&session);
    let incidents: Vec<_> = finished.files.iter().map(|path| Incident::read(path)).collect();
    let words: Vec<_> = incidents.iter().map(Incident::word).collect();
    assert_eq!(words, expected, "{trouble}");
    for incident in &incidents {
        check(incident, &whole, ring);
    }
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, expected.len(), "nothing else is written");
}

#[test]
fn an_incident_has_what_came_before_it_and_after_it() {
    check_session("stall:at=7,for=5", &ring(3, 2), &["stale"]);
    check_session("stall:at=7,for=5", &ring(60, 60), &["stale"]);
    check_session("behind:at=7,for=3", &ring(4, 2), &["stale", "behind"]);
    check_session("preempted:at=9", &ring(5, 10), &["closed"]);
    check_session("healthy", &ring(5, 10), &[]);
}

/// The header of the first incident names what was at work when it was seen.
#[track_caller]
fn check_finding(trouble: &str, class: &str) {
    let session = simulated_bytes(trouble, 5, 14);
    let folder = TempDir::new().unwrap();
    let finished = record(&session, &options(&folder, ring(60, 2)), |_, _| ());
    let incident = Incident::read(&finished.files[0]);
    let finding = incident.metadata.get(INCIDENT_FINDING_KEY);
    let finding = finding.unwrap_or_else(|| panic!("{trouble}: {:?}", incident.metadata));
    assert!(finding.starts_with(&format!("{class}: ")), "{trouble}: {finding}");
}

#[test]
fn an_incident_names_its_cause() {
    check_finding("stall:at=7,for=5", "generation-stall");
    check_finding("preempted:at=9", "preempted");
}

/// Waits for something that becomes of the recording, and keeps what came before it.
fn wait(recorder: &Recorder, news: &mut Vec<Notice>, is_it: impl Fn(&Notice) -> bool) {
    let heard = news.len();
    while !news[heard..].iter().any(&is_it) {
        news.extend(recorder.news());
        std::thread::yield_now();
    }
}

/// Records a session and asks for an incident at each of these times.
fn asked_at(
    session: &[u8],
    options: &RecorderOptions,
    seconds: &[f64],
) -> (Vec<PathBuf>, Vec<Notice>) {
    let mut seconds = seconds.iter().copied().peekable();
    let mut news = Vec::new();
    let mut finished = record(session, options, |recorder, record| {
        if seconds.next_if(|at_s| record.t.seconds() >= *at_s).is_some() {
            while recorder.status().waiting_bytes > 0 {
                std::thread::yield_now();
            }
            recorder.request_incident(TriggerReason::Asked);
            wait(recorder, &mut news, |notice| {
                matches!(notice, Notice::Incident { .. } | Notice::Crowded { .. })
            });
        }
    });
    news.append(&mut finished.news);
    (finished.files, news)
}

#[test]
fn incidents_that_overlap_are_both_whole() {
    let session = simulated_bytes("healthy", 6, 12);
    let whole = Whole::of(&session);
    let folder = TempDir::new().unwrap();
    let ring = ring(3, 4);
    let (files, _) = asked_at(&session, &options(&folder, ring.clone()), &[4.0, 5.0, 5.5, 9.5]);
    assert_eq!(files.len(), 4);
    for path in &files {
        check(&Incident::read(path), &whole, &ring);
    }
}

#[test]
fn too_many_at_once_are_refused_and_told() {
    let session = simulated_bytes("healthy", 6, 12);
    let folder = TempDir::new().unwrap();
    let times: Vec<f64> = (0..10).map(|i| 4.0 + f64::from(i) / 10.0).collect();
    let (files, news) = asked_at(&session, &options(&folder, ring(3, 60)), &times);
    assert_eq!(files.len(), 8);
    let crowded = news.iter().filter(|notice| matches!(notice, Notice::Crowded { .. })).count();
    assert_eq!(crowded, 2);
}

#[test]
fn the_quota_deletes_the_oldest_and_nothing_of_anybody_else() {
    let session = simulated_bytes("healthy", 6, 12);
    let folder = TempDir::new().unwrap();
    let foreign = ["x.lagtape", "x-notes.lagtape", "x-2020-01-01T00-00-00Z-asked.lagtape", "a.txt"]
        .map(|name| folder.path().join(name));
    for path in &foreign {
        fs::write(path, "mine").unwrap();
    }
    // An incident of a recorder of the same name, long ago.
    let earlier = TempDir::new().unwrap();
    let (of_earlier, _) = asked_at(&session, &options(&earlier, ring(3, 0)), &[5.0]);
    let old = folder.path().join("x-2021-01-01T00-00-00Z-asked.lagtape");
    fs::copy(&of_earlier[0], &old).unwrap();

    let quota = Quota { files: 3, bytes: ByteSize(u64::MAX) };
    let kept = RingOptions { quota, ..ring(2, 0) };
    let (files, news) = asked_at(&session, &options(&folder, kept), &[4.0, 5.0, 6.0, 7.0, 8.0]);
    let times: Vec<_> =
        files.iter().map(|path| Incident::read(path).metadata["incident_ns"].clone()).collect();
    let times: Vec<u64> =
        times.iter().map(|ns| ns.parse::<u64>().unwrap() / 1_000_000_000).collect();
    assert_eq!(times, [6, 7, 8].map(|s| s + times[0] - 6), "the newest three are left");
    assert!(news.contains(&Notice::Deleted(old.clone())) && !old.exists());
    assert!(foreign.iter().all(|path| path.exists()));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3 + foreign.len());

    // By size: one alone is kept, whatever its size.
    let quota = Quota { files: 20, bytes: ByteSize(1) };
    let folder = TempDir::new().unwrap();
    let (files, _) = asked_at(
        &session,
        &options(&folder, RingOptions { quota, ..ring(2, 0) }),
        &[4.0, 5.0, 6.0],
    );
    assert_eq!(files.len(), 1);
    assert!(Incident::read(&files[0]).metadata.contains_key(INCIDENT_KEY));
}
