//! A recorder whose disk is full, for a while or to the end.

use std::io::{self, ErrorKind};
use std::time::Duration;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Body, Kind, Salvage, Writer};
use lagtape::edge::recorder::RecorderNotice as Notice;
use lagtape::edge::recorder::{
    FileLayout, Quota, Recorder, RecorderOptions, RingOptions, SyncPolicy, Taken,
};
use lagtape::engine::OddityKind;
use lagtape::flight::{RingLimits, TriggerReason};

use super::{MARKER, Medium, Session, is_complete, read};
use crate::checkpoint::woven;
use crate::flight::each;
use crate::promises::measured;
use crate::simulated::simulated_bytes;

#[test]
fn a_disk_that_is_full_for_a_while_costs_nothing_that_fits_the_buffer() {
    let medium = Medium::new();
    // Full in the middle of a record.
    medium.lock().room = 5_000;
    let mut session = Session::begin(&medium, 1 << 20, SyncPolicy::None);
    for _ in 0..100 {
        assert_eq!(session.offer(300), Taken::Kept);
    }
    session.wait(|notice| matches!(notice, Notice::DiskFails { .. }));
    let status = session.recorder.status();
    assert!(status.failing.is_some() && status.written < 20 && status.lost == 0, "{status:?}");
    assert_eq!(session.recorder.failure(), Some(format!("cannot write x: {}", full())));
    assert_eq!(session.offer(300), Taken::Kept, "measuring goes on");
    medium.lock().room = usize::MAX;
    session.wait(|notice| matches!(notice, Notice::DiskIsBack { .. }));
    assert_eq!(session.recorder.failure(), None);
    let ended = session.finish();
    assert_eq!(ended.seen, read(&medium.bytes()));
    assert_eq!((ended.seen.len(), ended.lost, ended.failure), (103, 0, None));
    assert!(is_complete(&medium.bytes()));
}

fn full() -> io::Error {
    ErrorKind::StorageFull.into()
}

#[test]
fn what_a_full_disk_costs_is_measured_and_told_when_it_is_back() {
    let medium = Medium::new();
    medium.lock().room = 5_000;
    let mut session = Session::begin(&medium, 10_000, SyncPolicy::None);
    while session.recorder.status().failing.is_none() {
        // A full buffer whose disk is not known to fail would cost records that nobody sees.
        if session.recorder.status().waiting_bytes < 8_000 {
            session.offer(300);
        }
        std::thread::yield_now();
    }
    let mut shown = 0;
    while shown < 50 {
        shown += u64::from(session.offer(300) == Taken::Shown);
    }
    medium.lock().room = usize::MAX;
    session.wait_until_written();
    assert_eq!(session.offer(7), Taken::Kept);
    let ended = session.finish();
    let written = read(&medium.bytes());
    let gap = written.iter().find(|(_, what)| what.starts_with("gap of")).unwrap();
    assert!(gap.1.ends_with(&format!("{} bytes", ended.lost * 300)), "{gap:?}");
    assert!(ended.lost >= 50 && ended.failure.is_none());
    assert_eq!(ended.seen.len() as u64, written.len() as u64 + ended.lost, "it saw the lost ones");
    assert!(is_complete(&medium.bytes()));
    // The live engine knows of the gap, and misses nothing.
    assert_eq!(ended.engine.facts().gaps.len(), 1);
    let odd: Vec<_> = ended.engine.facts().oddities.iter().map(|oddity| oddity.kind).collect();
    assert_eq!(odd, [OddityKind::Gap]);
    let Some((_, end)) = &ended.engine.facts().end else { panic!("no end was seen") };
    assert_eq!(end.lost, ended.lost);
    measured(end.lost, "records lost, all told by gaps");
}

#[test]
fn a_disk_that_stays_full_is_told_and_tried_a_last_time() {
    let medium = Medium::new();
    medium.lock().room = 5_000;
    let mut session = Session::begin(&medium, 1 << 20, SyncPolicy::None);
    for _ in 0..100 {
        session.offer(300);
    }
    session.wait(|notice| matches!(notice, Notice::DiskFails { .. }));
    let ended = session.finish();
    let written = read(&medium.bytes());
    assert!(written.len() > 10, "{} whole records in 5000 bytes", written.len());
    assert_eq!(ended.lost, 102 - written.len() as u64, "the end record is lost too");
    let sentence = format!("cannot write x: {}; {} records are missing", full(), ended.lost);
    assert_eq!(ended.failure, Some(sentence));
}

/// An incident recorder on a full disk that was asked for an incident.
fn asked_on_a_full_disk(queue_bytes: usize) -> (Medium, Session) {
    let medium = Medium::new();
    medium.lock().room = 0;
    let ring = RingOptions {
        limits: "60s".parse::<RingLimits>().unwrap(),
        triggers: Vec::new(),
        after: "1h".parse().unwrap(),
        quota: Quota::default(),
    };
    let layout = FileLayout::Ring(ring);
    let options = RecorderOptions { layout, queue_bytes, ..RecorderOptions::new("x") };
    let mut session = Session::with(&medium, options);
    session.offer(300);
    session.wait_until_written();
    session.recorder.request_incident(TriggerReason::Asked);
    session.wait(|notice| matches!(notice, Notice::DiskFails { .. }));
    (medium, session)
}

#[test]
fn an_incident_waits_for_a_full_disk() {
    let (medium, mut session) = asked_on_a_full_disk(1 << 20);
    for _ in 0..50 {
        assert_eq!(session.offer(300), Taken::Kept, "the ring goes on");
    }
    medium.lock().room = usize::MAX;
    session.wait(|notice| matches!(notice, Notice::DiskIsBack { .. }));
    let ended = session.finish();
    assert!(ended.news.iter().any(|notice| matches!(notice, Notice::Written { .. })));
    assert_eq!(read(&medium.bytes()).len(), 1 + 51 + 1, "header, messages, end");
    assert!(is_complete(&medium.bytes()));
}

#[test]
fn an_incident_ends_early_when_too_much_waits_for_a_full_disk() {
    let (medium, mut session) = asked_on_a_full_disk(5_000);
    for _ in 0..200 {
        assert_eq!(session.offer(300), Taken::Kept, "the ring goes on");
        session.wait_until_written();
    }
    session.recorder.request_incident(TriggerReason::Asked);
    session.wait(|notice| matches!(notice, Notice::Crowded { .. }));
    medium.lock().room = usize::MAX;
    session.wait(|notice| matches!(notice, Notice::CutShort(_)));
    let ended = session.finish();
    assert_eq!(ended.failure, None);
    let written = read(&medium.bytes()).len();
    assert!((30..60).contains(&written), "{written} records of some 10000 bytes");
    assert!(is_complete(&medium.bytes()));
}

/// Records a session on a disk that is full after `room` bytes, until it is told so; `then` has the
/// disk before the end.
fn full_at(session: &[u8], room: usize, then: impl FnOnce(&Medium)) -> Vec<u8> {
    let medium = Medium::new();
    medium.lock().room = room;
    let options = RecorderOptions { retry: Duration::from_millis(1), ..RecorderOptions::new("x") };
    let mut recorder = None;
    let mut then = Some(then);
    each(session, |record, _| match (&record.body, &mut recorder) {
        (Body::Header(header), _) => {
            let store = Box::new(medium.clone());
            let header = header.clone();
            recorder =
                Some(Recorder::start(options.clone(), store, MARKER, header, &mut ()).unwrap());
        }
        (Body::End(end), _) => {
            let recorder = recorder.take().unwrap();
            while recorder.status().failing.is_none() {
                std::thread::yield_now();
            }
            if let Some(then) = then.take() {
                then(&medium);
            }
            recorder.finish(record.t, end.reason.clone().unwrap(), &mut ());
        }
        (body, Some(recorder)) => {
            recorder.offer(record.t, record.conn, body.clone(), &mut ());
        }
        (_, None) => panic!("a session begins with its header"),
    });
    medium.bytes()
}

/// Where the third checkpoint of a capture begins, and where it ends.
fn third_checkpoint(bytes: &[u8]) -> (usize, usize) {
    let mut salvage = Salvage::new(bytes);
    let mut count = 0;
    while let Some(stored) = salvage.next_stored().unwrap() {
        count += u64::from(stored.record.kind() == Kind::Checkpoint);
        if count == 3 {
            return (stored.offset as usize, stored.offset as usize + stored.bytes.len());
        }
    }
    panic!("{count} checkpoints")
}

#[test]
fn wherever_the_disk_fails_the_checkpoints_are_those_of_the_file() {
    let session = simulated_bytes("stall", 12, 6);
    let mut plain = Vec::new();
    let mut writer = Writer::new(MARKER);
    writer.begin(&mut plain);
    each(&session, |record, _| writer.write(record, &mut plain));
    let expected = woven(&plain);
    let (begin, end) = third_checkpoint(&expected);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("x.lagtape");
    for room in [begin - 1, begin, begin + 1, end - 1, end, end + 1, 5, expected.len() / 2] {
        let back = full_at(&session, room, |medium| medium.lock().room = usize::MAX);
        assert!(back == expected, "full at {room}, then back");
        let cut = full_at(&session, room, |_| ());
        assert!(cut == expected[..room], "full at {room} for good");
        if room > begin - 2 {
            std::fs::write(&path, &cut).unwrap();
            assert!(!app::info(&path).unwrap().complete);
            let verified = app::verify(&path, true).unwrap().remove(0);
            assert_eq!(verified.outcome(), app::Outcome::Healthy, "full at {room}");
            let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
            let quick = app::analyze(&path, &quick).unwrap();
            let full = app::analyze(&path, &AnalyzeOptions::default()).unwrap();
            assert_eq!(
                quick.slices, full.slices,
                "no index is taken for all of a file that it is not"
            );
        }
    }
}
