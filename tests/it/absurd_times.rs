//! Captures whose times cannot be: a record of the year 2600, centuries between two slices, no time at
//! all, and numbers that are none. What a verb does is bounded by the records that there are, never by
//! the time between them.

#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use lagtape::capture::{
    Body, Clock, Header, Marker, Message, Opcode, Record, Records, SyncMarker, Writer,
};
use lagtape::checkpoint::Checkpointer;
use lagtape::time::Nanos;
use tempfile::TempDir;

/// 574 years, in nanoseconds.
const CENTURIES: u64 = 18_114_307_200_000_000_000;

/// What is different about a record: its time, by its number, how many there are and its time, or what it
/// says.
struct Oddity {
    time: fn(u64, u64, u64) -> u64,
    body: fn(u64, Body<'static>) -> Body<'static>,
}

/// The records of a bundled capture of the first five seconds, oddly.
fn rewrite(path: &Path, with_checkpoints: bool, odd: &Oddity) {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
    let (mut bodies, mut began) = (Vec::new(), None);
    let mut records = Records::new(File::open(bundled).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        let body = match &record.body {
            Body::Header(header) => Body::Header(Header { start: Nanos(0), ..header.clone() }),
            Body::Message(message) => {
                Body::Message(Message { payload: Vec::leak(message.payload.to_vec()), ..*message })
            }
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
        let t = Nanos((odd.time)(seq, count, t));
        let body = (odd.body)(seq, body);
        latest = latest.max(t.0);
        put(&Record { seq, t, conn: 0, body }, &mut writer);
    }
    let body = Body::End(writer.end(Some("all of it".to_owned())));
    put(&Record { seq: count, t: Nanos(latest), conn: 0, body }, &mut writer);
    fs::write(path, bytes).unwrap();
}

/// Runs a verb with an end to its patience: `timeout` answers 124 for one that does not end.
#[track_caller]
fn check(folder: &Path, words: &[&str], may_be_healthy: bool) {
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
    if words[0] == "analyze" && !may_be_healthy {
        assert!(code != Some(0), "{words:?} calls it healthy: {said}");
    }
}

/// Every verb that computes something over time.
const VERBS: [&[&str]; 19] = [
    &["info"],
    &["verify", "--replay"],
    &["analyze"],
    &["analyze", "--timeline"],
    &["analyze", "--quick"],
    &["analyze", "--json"],
    &["diagnose"],
    &["report", "-o", "out.html", "--force"],
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
fn check_odd(odd: &Oddity, may_be_healthy: bool) {
    let folder = TempDir::new().unwrap();
    for with_checkpoints in [true, false] {
        rewrite(&folder.path().join("x.lagtape"), with_checkpoints, odd);
        for words in VERBS {
            let input: &[&str] =
                if words[0] == "diff" { &["x.lagtape"; 2] } else { &["x.lagtape"] };
            check(folder.path(), &[&words[..1], input, &words[1..]].concat(), may_be_healthy);
        }
    }
}

#[track_caller]
fn check_times(time: fn(u64, u64, u64) -> u64) {
    check_odd(&Oddity { time, body: |_, body| body }, false);
}

#[test]
fn the_last_record_is_of_another_century() {
    check_times(|seq, count, t| if seq + 1 == count { CENTURIES } else { t });
}

#[test]
fn a_record_in_the_middle_is_of_another_century() {
    check_times(|seq, count, t| if seq == count / 2 { CENTURIES } else { t });
}

#[test]
fn centuries_lie_between_the_records() {
    check_times(|_, _, t| t.saturating_mul(3_600_000_000));
}

#[test]
fn a_minute_and_a_half_is_a_second() {
    check_times(|_, _, t| t * 100);
}

#[test]
fn the_second_half_is_of_another_century() {
    check_times(|seq, count, t| if seq >= count / 2 { CENTURIES + t } else { t });
}

#[test]
fn there_is_no_time() {
    check_times(|_, _, _| 0);
}

#[test]
fn all_is_at_the_end_of_time() {
    check_times(|_, _, _| u64::MAX);
}

#[test]
fn times_leap_to_and_fro() {
    check_times(|seq, _, t| if seq % 2 == 0 { t } else { u64::MAX - t });
}

/// Slices and reports with numbers that are none, and ops with such.
fn check_numbers(body: fn(u64, Body<'static>) -> Body<'static>) {
    check_odd(&Oddity { time: |_, _, t| t, body }, true);
}

/// A binary message with these durations in the place of a slice's.
fn with_durations(body: Body<'static>, ms: f32) -> Body<'static> {
    let Body::Message(mut message) = body else { return body };
    if message.opcode == Opcode::Binary && message.payload.len() > 23 {
        let mut payload = message.payload.to_vec();
        payload[11..15].copy_from_slice(&ms.to_le_bytes());
        payload[15..19].copy_from_slice(&ms.to_le_bytes());
        message.payload = Vec::leak(payload);
    }
    Body::Message(message)
}

/// A report with this in the place of its position and clock.
fn with_report(body: Body<'static>, number: &str) -> Body<'static> {
    let Body::Message(mut message) = body else { return body };
    if message.text().is_some_and(|text| text.contains("playback_pos")) {
        let text = format!(
            r#"{{"type":"params","raw":{{}},"playback_pos":{number},"client_time":{number},"slice_bytes_rx":{number},"slice_lead_s":{number}}}"#
        );
        message.payload = String::leak(text).as_bytes();
    }
    Body::Message(message)
}

#[test]
fn durations_are_no_numbers() {
    check_numbers(|_, body| with_durations(body, f32::NAN));
    check_numbers(|seq, body| {
        with_durations(body, if seq % 2 == 0 { f32::INFINITY } else { 1e38 })
    });
}

#[test]
fn reports_are_no_numbers() {
    check_numbers(|_, body| with_report(body, "NaN"));
    check_numbers(|seq, body| with_report(body, if seq % 2 == 0 { "-Infinity" } else { "1e308" }));
}

#[test]
fn ops_are_no_numbers() {
    check_numbers(|seq, body| match (seq % 50, body) {
        (20, _) => Body::Marker(Marker::Seek { to_s: f64::NAN }),
        (30, _) => Body::Marker(Marker::Rate { rate: f64::INFINITY }),
        (40, _) => Body::Marker(Marker::Rate { rate: 1e300 }),
        (_, body) => body,
    });
}
