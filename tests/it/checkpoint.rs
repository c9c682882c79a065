//! Checkpoints: what they say is what a reader of the whole capture finds.

mod parts;

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, Outcome, RedactOptions, ReplayCheck, WhatIfVerb};
use lagtape::capture::{
    Body, Gap, Header, Kind, Opcode, ReadStep, Reader, Record, Salvage, SyncMarker, Writer,
};
use lagtape::checkpoint::Checkpointer;
use lagtape::edge::recorder::{Recorder, RecorderOptions, Witness};
use lagtape::engine::{Engine, Options};
use lagtape::scenario::Scenario;
use lagtape::time::Nanos;
use serde_json::Value;
use tempfile::TempDir;

use crate::flight::each;
use crate::promises::measured;
use crate::simulated::simulated_bytes;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name)
    }
}

/// Records of a capture, changed one by one; those that become nothing are left out.
fn rewritten(bytes: &[u8], change: impl Fn(Record<'_>) -> Option<Record<'_>>) -> Vec<u8> {
    let mut salvage = Salvage::new(bytes);
    let mut out = bytes[..10].to_vec();
    let mut writer = None;
    while let Some(stored) = salvage.next_stored().unwrap() {
        let writer = writer.get_or_insert(Writer::new(stored.marker()));
        if let Some(record) = change(stored.record.clone()) {
            writer.write(&record, &mut out);
        }
    }
    out
}

pub fn without_checkpoints(bytes: &[u8]) -> Vec<u8> {
    rewritten(bytes, |record| Some(record).filter(|record| record.kind() != Kind::Checkpoint))
}

pub fn woven(plain: &[u8]) -> Vec<u8> {
    let marker = Salvage::new(plain).next_stored().unwrap().unwrap().marker();
    let mut out = Vec::new();
    Checkpointer::new(marker).weave(plain, &mut out).unwrap();
    out
}

/// The checkpoints of a capture cover all of it: what is read from them alone is what is read from
/// all of it, and a replay proves them.
#[track_caller]
pub fn check_indexed(path: &Path) -> ReplayCheck {
    let name = path.display();
    assert!(!app::info(path).unwrap().checked, "{name}: the end is enough");
    let verified = app::verify(path, true).unwrap().remove(0);
    assert_eq!(verified.outcome(), Outcome::Healthy, "{name}: {:?}", verified.replay);
    let replayed = verified.replay.unwrap();
    assert!(verified.complete && replayed.checkpoints > 0, "{name}");
    assert_eq!(replayed.proven, replayed.checkpoints, "{name}");
    let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let quick = json(&app::analyze(path, &quick).unwrap());
    let full = json(&app::analyze(path, &AnalyzeOptions::default()).unwrap());
    let mut warnings = quick["warnings"].as_array().unwrap().iter();
    assert!(
        warnings.any(|warning| warning["kind"] == "quick"),
        "{name}: the checkpoints were read"
    );
    for key in ["lag", "verdict", "heard", "epochs", "slices", "ticks", "report_ns", "round_trip"] {
        assert_eq!(quick[key].to_string(), full[key].to_string(), "{name}: {key}");
    }
    replayed
}

fn checkpoints(bytes: &[u8]) -> (u64, u64) {
    let mut salvage = Salvage::new(bytes);
    let (mut count, mut len) = (0, 0);
    while let Some(stored) = salvage.next_stored().unwrap() {
        if stored.record.kind() == Kind::Checkpoint {
            count += 1;
            len += stored.bytes.len() as u64;
        }
    }
    (count, len)
}

/// A capture with checkpoints and the same without, under the same name in two folders.
fn with_and_without(incident: &str, seed: u64) -> (Folder, PathBuf, PathBuf) {
    let bytes = simulated_bytes(incident, seed, 9);
    let folder = Folder::new();
    fs::create_dir(folder.path("plain")).unwrap();
    let with = folder.write("x.lagtape", &bytes);
    let plain = folder.write("plain/x.lagtape", &without_checkpoints(&bytes));
    (folder, with, plain)
}

#[test]
fn there_is_one_a_second_and_they_are_small() {
    let bytes = simulated_bytes("healthy", 1, 20);
    let (count, len) = checkpoints(&bytes);
    assert!((20..=23).contains(&count), "{count} in 20 s");
    assert!(len * 50 < bytes.len() as u64, "{len} of {} bytes", bytes.len());
}

/// Has a live recorder record what a capture holds: what `change` says, as it leaves it.
fn recorded(folder: &Folder, bytes: &[u8], change: impl FnMut(&mut Record<'_>) -> bool) -> PathBuf {
    recorded_before(&mut (), folder, bytes, change)
}

/// The same before a witness.
fn recorded_before(
    witness: &mut dyn Witness,
    folder: &Folder,
    bytes: &[u8],
    mut change: impl FnMut(&mut Record<'_>) -> bool,
) -> PathBuf {
    let path = folder.path("recorded.lagtape");
    let options = RecorderOptions { force: true, ..RecorderOptions::new(&path) };
    let header = Header::new("a test", Nanos(0));
    let mut recorder =
        Recorder::create(options, SyncMarker(*b"recorded"), header, witness).unwrap();
    let mut last = Nanos(0);
    each(bytes, |record, _| {
        if matches!(record.kind(), Kind::Header | Kind::End) {
            return;
        }
        let mut record = record.clone();
        if change(&mut record) {
            last = record.t;
            recorder.offer(record.t, 0, record.body, witness);
        }
    });
    let finished = recorder.finish(last, "the test is over".to_owned(), witness);
    assert_eq!((finished.failure, finished.status.lost), (None, 0));
    path
}

/// How many checkpoints a capture has, and their share of the file in percent.
fn share(path: &Path) -> (u64, f64) {
    let bytes = fs::read(path).unwrap();
    let (count, len) = checkpoints(&bytes);
    (count, 100.0 * len as f64 / bytes.len() as f64)
}

/// The longest time from one checkpoint to the next.
fn longest_wait_s(bytes: &[u8]) -> f64 {
    let mut times = Vec::new();
    let mut salvage = Salvage::new(bytes);
    while let Some(record) = salvage.next_record().unwrap() {
        if times.is_empty() || record.kind() == Kind::Checkpoint {
            times.push(record.t);
        }
    }
    times.windows(2).map(|pair| pair[1].seconds_since(pair[0])).fold(0.0, f64::max)
}

#[test]
fn small_records_get_fewer_checkpoints() {
    let folder = Folder::new();
    let bytes = simulated_bytes("healthy", 1, 20);

    let whole = recorded(&folder, &bytes, |_| true);
    let (count, percent) = share(&whole);
    assert!((20..=23).contains(&count) && percent < 2.0, "{count}, {percent} %");
    check_indexed(&whole);

    let silent = folder.path("silent.lagtape");
    let options = RedactOptions { drop_audio: true, ..RedactOptions::default() };
    app::redact(&whole, &silent, &options).unwrap();
    let (count, percent) = share(&silent);
    assert!((1..=3).contains(&count) && percent < 8.0, "{count}, {percent} %");
    check_indexed(&silent);
    let slowly = woven(&rewritten(&fs::read(&silent).unwrap(), |mut record| {
        record.t = Nanos(record.t.0 * 5);
        Some(record).filter(|record| record.kind() != Kind::Checkpoint)
    }));
    let longest_s = longest_wait_s(&slowly);
    assert!((59.0..61.0).contains(&longest_s), "{longest_s} s without a checkpoint");

    // Ticks and nothing else, for a hundred seconds.
    let mut binaries = 0;
    let ticks = recorded(&folder, &bytes, |record| {
        record.t = Nanos(record.t.0 * 5);
        if let Body::Message(message) = &record.body
            && message.opcode == Opcode::Binary
        {
            binaries += 1;
            return binaries == 1;
        }
        true
    });
    let (count, percent) = share(&ticks);
    assert!((2..=4).contains(&count) && percent < 2.0, "{count}, {percent} %");
    check_indexed(&ticks);
}

#[test]
fn pieces_are_woven_as_the_whole_is() {
    let plain = without_checkpoints(&simulated_bytes("stall", 3, 8));
    let mut reader = Reader::new();
    let mut ends = Vec::new();
    let mut rest = &plain[..];
    while let Ok(ReadStep::Record { len, .. }) = reader.step(rest) {
        ends.push(plain.len() - rest.len() + len);
        rest = &rest[len..];
    }
    let marker = reader.marker().unwrap();
    let at_once = woven(&plain);
    for stride in [1, 7, 100] {
        let mut pieces = Vec::new();
        let mut checkpointer = Checkpointer::new(marker);
        let mut start = 0;
        for end in ends.iter().skip(stride - 1).step_by(stride).chain([&plain.len()]) {
            checkpointer.weave(&plain[start..*end], &mut pieces).unwrap();
            start = *end;
        }
        assert!(pieces == at_once, "{stride} records at a time");
    }
    assert!(checkpoints(&at_once).0 >= 4);
}

/// Takes a byte of one slice, which only who inflates it notices.
fn cut_a_slice() -> impl FnMut(&mut Record<'_>) -> bool {
    let mut slices = 0;
    move |record| {
        if let Body::Message(message) = &mut record.body
            && message.opcode == Opcode::Binary
        {
            slices += 1;
            message.payload = &message.payload[..message.payload.len() - usize::from(slices == 9)];
        }
        true
    }
}

/// Checkpoints that say what the engine of a live session knows are those of an engine on the writing
/// thread, byte by byte.
#[test]
fn a_live_engine_makes_the_checkpoints_of_any_other() {
    let folder = Folder::new();
    let live = Options { audio_crc: true, tracker_bound: Some(1_000), ..Options::default() };
    for (incident, seed) in [("healthy", 1), ("swap", 2), ("behind", 3), ("stall", 4)] {
        let bytes = simulated_bytes(incident, seed, 12);
        let alone = fs::read(recorded(&folder, &bytes, cut_a_slice())).unwrap();
        let mut engine = Engine::new(live.clone());
        let path = recorded_before(&mut engine, &folder, &bytes, cut_a_slice());
        assert!(fs::read(&path).unwrap() == alone, "{incident}");
        assert!(checkpoints(&alone).0 > 6);
        assert_eq!(engine.facts().decode_errors, 1);
        let proof = app::verify(&path, true).unwrap().remove(0).replay.unwrap();
        assert_eq!((proof.proven, proof.first_difference), (proof.checkpoints, None));
    }
}

#[test]
fn a_gap_of_the_recorder_is_in_the_index() {
    let folder = Folder::new();
    let bytes = rewritten(&simulated_bytes("stall", 10, 8), |mut record| {
        let lost = 300..340;
        if record.seq == lost.end {
            let reason = "a slow disk".to_owned();
            record.body = Body::Gap(Gap { first_seq: lost.start, count: 40, bytes: 0, reason });
        }
        let is_there = record.kind() != Kind::Checkpoint && !lost.contains(&record.seq);
        Some(record).filter(|_| is_there)
    });
    let path = folder.write("x", &woven(&bytes));
    check_indexed(&path);
    assert_eq!(app::info(&path).unwrap().lost, 40);
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn reports_from_checkpoints_are_those_of_the_engine() {
    let changes = [r#"{"playback":{"rate":1.01}}"#, r#"{"playback":{"quantum_frames":480}}"#, "{}"];
    for (incident, seed) in [("stall", 1), ("seek-lead-runaway", 2), ("behind", 3)] {
        let (_folder, with, plain) = with_and_without(incident, seed);
        for change in changes {
            let Ok(scenario) = serde_json::from_str::<Scenario>(change) else {
                panic!("{change} is no scenario")
            };
            let verb = WhatIfVerb { scenario, open_loop: true, ..what_if_verb() };
            let answer = |path: &Path| {
                let mut answer = json(&app::what_if(path, &verb).unwrap());
                answer.as_object_mut().unwrap().remove("capture");
                answer
            };
            assert_eq!(answer(&with), answer(&plain), "{incident} {change}");
        }
        let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
        let quick = json(&app::analyze(&with, &quick).unwrap());
        let full = json(&app::analyze(&plain, &AnalyzeOptions::default()).unwrap());
        for key in
            ["lag", "verdict", "heard", "epochs", "slices", "ticks", "report_ns", "round_trip"]
        {
            assert_eq!(quick[key], full[key], "{incident}: {key}");
        }
        assert_eq!(quick["warnings"][0]["kind"], "quick");
        measured(1 + changes.len() as u64, "answers from an index that are those of the file");
    }
}

fn what_if_verb() -> WhatIfVerb {
    WhatIfVerb { members: 1, ..WhatIfVerb::default() }
}

#[test]
fn info_is_the_same_from_the_end_and_from_the_beginning() {
    let bytes = simulated_bytes("stall", 4, 8);
    let folder = Folder::new();
    let info = |name: &str, bytes: &[u8]| {
        let mut info = json(&app::info(&folder.write(name, bytes)).unwrap());
        let checked = info["checked"].as_bool().unwrap();
        for key in ["capture", "file_bytes", "checked", "torn_bytes"] {
            info.as_object_mut().unwrap().remove(key);
        }
        (info, checked)
    };
    for kept in [bytes.len(), bytes.len() - 1, bytes.len() - 20_000] {
        let (mut from_end, checked) = info("with", &bytes[..kept]);
        let (mut all, all_checked) = info("plain", &without_checkpoints(&bytes[..kept]));
        assert_eq!((checked, all_checked), (false, true));
        assert!(from_end["round_trip"]["pings"].as_u64().unwrap() >= 6, "{from_end}");
        if kept < bytes.len() {
            // A ping before the last checkpoint whose pong came behind it.
            for info in [&mut from_end, &mut all] {
                info.as_object_mut().unwrap().remove("round_trip");
            }
        }
        assert_eq!(from_end, all, "{kept} bytes");
    }
}

#[test]
fn a_replay_proves_the_checkpoints_and_notices_others() {
    let bytes = simulated_bytes("stall", 5, 8);
    let folder = Folder::new();
    let replay = |bytes: &[u8]| app::verify(&folder.write("x", bytes), true).unwrap().remove(0);
    let sound = replay(&bytes);
    let replayed = sound.replay.clone().unwrap();
    assert_eq!((replayed.proven, replayed.audio_proven), (checkpoints(&bytes).0, replayed.proven));
    assert_eq!(sound.outcome(), Outcome::Healthy);

    type Change = fn(&mut lagtape::capture::Digest);
    let changes: [(Change, &str); 4] = [
        (|digest| digest.playhead = Some(7), "playhead"),
        (|digest| digest.buckets_crc = Some(7), "buckets"),
        (|digest| digest.audio_crc = Some(7), "audio"),
        (|digest| digest.slices += 1, "slices"),
    ];
    for (change, name) in changes {
        let other = rewritten(&bytes, |mut record| {
            if let Body::Checkpoint(checkpoint) = &mut record.body {
                change(&mut checkpoint.summary.digest);
            }
            Some(record)
        });
        let found = replay(&other);
        assert_eq!(found.outcome(), Outcome::Damaged);
        let difference = found.replay.unwrap().first_difference.unwrap();
        assert!(difference.ends_with(&format!("another {name}")), "{difference}");
    }
}

#[test]
fn checkpoints_that_do_not_cover_the_capture_are_not_trusted() {
    let bytes = simulated_bytes("stall", 11, 8);
    let folder = Folder::new();
    let is_used = |bytes: &[u8]| {
        let path = folder.write("x", bytes);
        let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
        json(&app::analyze(&path, &quick).unwrap())["warnings"].to_string().contains("\"quick\"")
    };
    assert!(is_used(&bytes));

    // The rows of one do not reach up to it.
    let number = std::cell::Cell::new(0);
    let short = rewritten(&bytes, |mut record| {
        if let Body::Checkpoint(checkpoint) = &mut record.body {
            number.set(number.get() + 1);
            checkpoint.summary.first_row_at += u64::from(number.get() == 3);
        }
        Some(record)
    });
    assert!(short.len() == bytes.len() && !is_used(&short));

    // Something stands behind the end.
    let mut salvage = Salvage::new(&bytes[..]);
    let mut writer = None;
    while let Some(stored) = salvage.next_stored().unwrap() {
        writer.get_or_insert(Writer::new(stored.marker())).copied(&stored.record);
    }
    let mut writer = writer.unwrap();
    let mut continued = bytes.clone();
    let gap = Gap { first_seq: writer.next_seq(), count: 1, bytes: 0, reason: String::new() };
    let body = Body::Gap(gap);
    let record = Record { seq: writer.next_seq() + 1, t: Nanos(u64::MAX / 2), conn: 0, body };
    writer.write(&record, &mut continued);
    assert!(!is_used(&continued));

    // One record less: every later checkpoint stands elsewhere than it says.
    let moved = rewritten(&bytes, |record| Some(record).filter(|record| record.seq != 50));
    assert!(app::info(&folder.write("x", &moved)).unwrap().checked);
    assert!(!is_used(&moved));
}
