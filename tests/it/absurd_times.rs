//! Captures whose times cannot be: a record of the year 2600, centuries between two slices, no time at
//! all. What a verb does is bounded by the records that there are, never by the time between them.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use lagtape::capture::{Body, Clock, Header, Message, Record, Records, SyncMarker, Writer};
use lagtape::checkpoint::Checkpointer;
use lagtape::time::Nanos;
use tempfile::TempDir;

/// 574 years, in nanoseconds.
const CENTURIES: u64 = 18_114_307_200_000_000_000;

/// The records of a bundled capture of the first five seconds, at other times: of a record's number, of how
/// many, and its time.
fn rewrite(path: &Path, with_checkpoints: bool, time: impl Fn(u64, u64, u64) -> u64) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
    let (mut bodies, mut began) = (Vec::new(), None);
    let mut records = Records::new(File::open(bundled).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        let body = match &record.body {
            Body::Header(header) => Body::Header(Header { start: Nanos(0), ..header.clone() }),
            Body::Message(message) => Body::Message(Message {
                payload: Vec::leak(message.payload.to_vec()),
                ..message.clone()
            }),
            Body::Clock(clock) => Body::Clock(Clock { monotonic: Nanos(0), ..clock.clone() }),
            _ => continue,
        };
        let first = *began.get_or_insert(record.t.0);
        bodies.push((record.t.0 - first, body));
        if record.t.0 - first > 5_000_000_000 {
            break;
        }
    }
    let marker = SyncMarker::derive(b"absurd times");
    let (mut writer, mut checkpointer) = (Writer::new(marker), Checkpointer::new(marker));
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let count = bodies.len() as u64;
    let mut put = |record: &Record<'_>, writer: &mut Writer| {
        if with_checkpoints {
            checkpointer.before(record, &mut bytes);
        }
        let start = if record.seq == 0 { 0 } else { bytes.len() };
        writer.write(record, &mut bytes);
        if with_checkpoints {
            checkpointer.after(record, bytes.len() - start);
        }
    };
    let mut latest = 0;
    for (seq, (t, body)) in (0..).zip(bodies) {
        let t = Nanos(time(seq, count, t));
        latest = latest.max(t.0);
        put(&Record { seq, t, conn: 0, body }, &mut writer);
    }
    let body = Body::End(writer.end(Some("all of it".to_owned())));
    put(&Record { seq: count, t: Nanos(latest), conn: 0, body }, &mut writer);
    fs::write(path, bytes).unwrap();
}

/// Runs a verb with an end to its patience: `timeout` answers 124 for one that does not end.
#[track_caller]
fn check(folder: &Path, words: &[&str]) {
    let output = Command::new("timeout")
        .arg("60")
        .arg(env!("CARGO_BIN_EXE_lagtape"))
        .args(words)
        .current_dir(folder)
        .env("LAGTAPE_THREADS", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [&output.stdout[..], b"\n", &output.stderr].concat();
    let said: String = String::from_utf8_lossy(&said).chars().take(2_000).collect();
    let code = output.status.code();
    assert!(code.is_some_and(|code| code < 100), "{words:?} ended with {code:?}: {said}");
    assert!(!said.contains("panicked"), "{words:?} said: {said}");
    if words[0] == "analyze" {
        assert!(code != Some(0), "{words:?} calls it healthy: {said}");
    }
}

/// Every verb that computes something over time.
const VERBS: [&[&str]; 17] = [
    &["info"],
    &["verify", "--replay"],
    &["analyze"],
    &["analyze", "--timeline"],
    &["analyze", "--quick"],
    &["analyze", "--json"],
    &["cat"],
    &["what-if", "--lead-floor", "0.6", "--members", "4"],
    &["what-if", "--open-loop", "--rate", "1.01"],
    &["what-if", "--op", "2s:pause"],
    &["what-if", "--down", "200KB/s", "-o", "out.lagtape", "--force"],
    &["sweep", "--rate", "0.99,1.01"],
    &["sweep", "--lead-floor", "0.25,0.6"],
    &["plot", "-o", "out.svg", "--force"],
    &["audio", "-o", "out.wav", "--force"],
    &["cut", "--from", "1s", "-o", "out.lagtape", "--force"],
    &["diff"],
];

#[track_caller]
fn check_all(time: impl Fn(u64, u64, u64) -> u64) {
    let folder = TempDir::new().unwrap();
    for with_checkpoints in [true, false] {
        rewrite(&folder.path().join("x.lagtape"), with_checkpoints, &time);
        for words in VERBS {
            let input: &[&str] = if words[0] == "diff" { &["x.lagtape"; 2] } else { &["x.lagtape"] };
            check(folder.path(), &[&words[..1], input, &words[1..]].concat());
        }
    }
}

#[test]
fn the_last_record_is_of_another_century() {
    check_all(|seq, count, t| if seq + 1 == count { CENTURIES } else { t });
}

#[test]
fn a_record_in_the_middle_is_of_another_century() {
    check_all(|seq, count, t| if seq == count / 2 { CENTURIES } else { t });
}

#[test]
fn centuries_lie_between_the_records() {
    check_all(|_, _, t| t.saturating_mul(4_000_000_000));
}

#[test]
fn the_second_half_is_of_another_century() {
    check_all(|seq, count, t| if seq >= count / 2 { CENTURIES + t } else { t });
}

#[test]
fn there_is_no_time() {
    check_all(|_, _, _| 0);
}

#[test]
fn all_is_at_the_end_of_time() {
    check_all(|_, _, _| u64::MAX);
}

#[test]
fn times_leap_to_and_fro() {
    check_all(|seq, _, t| if seq % 2 == 0 { t } else { u64::MAX - t });
}
