//! What a browser's developer tools saved, imported.

mod attached;
mod mitmproxy;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lagtape::app::{self, AnalyzeOptions, CatFilter};
use lagtape::capture::{Body, Direction, Opcode, Records};
use lagtape::playhead::PlayheadSource;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{check, check_complaint};

/// Seconds from 1970 to the handshake of the sessions here.
const STARTED_S: f64 = 1_795_359_600.25;
const STARTED: &str = "2026-11-22T15:00:00.250Z";

pub fn stall() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape")
}

/// The messages of a capture as Chromium saves them, in whole microseconds.
pub fn frames(capture: &Path) -> Vec<Value> {
    let mut frames = Vec::new();
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        let Body::Message(message) = &record.body else { continue };
        let (opcode, data) = match message.opcode {
            Opcode::Text => (1, message.text().unwrap().to_owned()),
            Opcode::Binary => (2, STANDARD.encode(message.payload)),
            _ => continue,
        };
        let way = match message.direction {
            Direction::ClientToServer => "send",
            Direction::ServerToClient => "receive",
        };
        let time = STARTED_S + (record.t.0 / 1_000) as f64 / 1e6;
        frames.push(json!({"type": way, "time": time, "opcode": opcode, "data": data}));
    }
    frames
}

pub fn entry(frames: &[Value]) -> Value {
    json!({
        "startedDateTime": STARTED,
        "request": {"method": "GET", "url": "ws://pod.example:1318/ws?token=SECRET"},
        "response": {"status": 101, "content": {"size": 0}},
        "_resourceType": "websocket",
        "_webSocketMessages": frames,
    })
}

pub fn har(entries: &[Value]) -> String {
    let page = json!({"request": {"url": "http://pod.example/"}, "response": {"status": 200}});
    let entries = [&[page], entries].concat();
    let creator = json!({"name": "WebInspector", "version": "537.36"});
    let browser = json!({"name": "Firefox"});
    let log = json!({"creator": creator, "browser": browser, "entries": entries});
    json!({"log": log}).to_string()
}

struct Bench(TempDir);

impl Bench {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn har(&self, entries: &[Value]) -> String {
        let path = self.path("x.har");
        fs::write(&path, har(entries)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn out(&self) -> String {
        self.path("x.lagtape").to_str().unwrap().to_owned()
    }
}

/// The listener of a HAR is known by the reports alone, and times are whole microseconds.
#[test]
fn a_session_of_a_browser_is_analysed_like_any_other() {
    let bench = Bench(TempDir::new().unwrap());
    let frames = frames(&stall());
    let (har, out) = (bench.har(&[entry(&frames)]), bench.out());
    let (_, said) = check(&["import", &har, "-o", &out], 0);
    assert!(said.contains(&format!("{} messages", frames.len())), "{said}");

    let reported =
        AnalyzeOptions { playhead: Some(PlayheadSource::Reported), ..Default::default() };
    let expected = app::analyze(&stall(), &reported).unwrap();
    let actual = app::analyze(Path::new(&out), &AnalyzeOptions::default()).unwrap();
    let (expected, actual) = (expected.lag.unwrap(), actual.lag.unwrap());
    let counts = |lag: &lagtape::lag::LagReport| {
        (lag.slices.count, lag.slices.behind_playhead, lag.ticks.count, lag.ticks.stale_ticks)
    };
    assert_eq!(counts(&actual), counts(&expected));
    let figures = |lag: &lagtape::lag::LagReport| {
        let (lead, staleness) = (lag.slices.lead_s.unwrap(), lag.ticks.staleness_s.unwrap());
        [lead.min, lead.p5, lead.p50, lead.max, staleness.p50, staleness.max]
    };
    for (actual, expected) in figures(&actual).into_iter().zip(figures(&expected)) {
        assert!((actual - expected).abs() < 0.000_2, "{actual} {expected}");
    }
    let (info, _) = check(&["info", &out], 0);
    assert!(info.contains("WebInspector") && info.contains("pod.example"), "{info}");
    assert!(!info.contains("SECRET") && info.contains("2026-11-22"), "{info}");
    check(&["verify", "--replay", &out], 0);
}

#[test]
fn payloads_are_the_bytes_that_were_sent() {
    let bench = Bench(TempDir::new().unwrap());
    let (har, out) = (bench.har(&[entry(&frames(&stall()))]), bench.path("x.lagtape"));
    app::import_har(Path::new(&har), None, &out, false).unwrap();
    let printed = |capture: &Path| {
        let mut lines = Vec::new();
        let filter = CatFilter {
            json: true,
            kinds: vec!["buffer".to_owned(), "slice".to_owned(), "params".to_owned()],
            ..CatFilter::default()
        };
        app::cat(capture, &filter, &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        let told = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            ["dir", "len", "sha256", "text"].map(|key| line[key].clone())
        };
        lines.lines().map(told).collect::<Vec<_>>()
    };
    let lines = printed(&out);
    assert!(lines.len() > 200 && lines[0][2].is_string(), "{:?}", lines[0]);
    assert_eq!(lines, printed(&stall()));
}

#[test]
fn of_several_sessions_one_is_chosen() {
    let bench = Bench(TempDir::new().unwrap());
    let whole = frames(&stall());
    let reload = json!({"type": "receive", "time": STARTED_S, "opcode": 1, "data": "reload"});
    let failed = json!({"type": "error", "time": STARTED_S + 9.0, "opcode": -1, "data": "reset"});
    let cut = [&whole[..100], &[failed]].concat();
    let sockets = [entry(std::slice::from_ref(&reload)), entry(&whole), entry(&cut)];
    let (har, out) = (bench.har(&sockets), bench.out());
    check_complaint(&["import", &har, "-o", &out], 1, "there are 2 sessions in it");
    check_complaint(&["import", &har, "--session", "3", "-o", &out], 1, "no number 3");
    check_complaint(&["import", &har, "--session", "0", "-o", &out], 1, "no number 0");
    let (_, said) = check(&["import", &har, "--session", "2", "-o", &out], 0);
    assert!(said.contains("100 messages"), "{said}");

    let har = bench.har(&[entry(&[reload])]);
    let (_, said) = check(&["import", &har, "-o", &out, "--force"], 0);
    assert!(said.contains("no DEMON server"), "{said}");
    let har = bench.har(&[]);
    check_complaint(&["import", &har, "-o", &out, "--force"], 1, "open the developer tools before");
}

#[test]
fn what_is_no_har_gets_a_sentence() {
    let bench = Bench(TempDir::new().unwrap());
    let mut broken = frames(&stall());
    broken[2]["data"] = json!("?");
    broken[2]["opcode"] = json!(2);
    let (har, out) = (bench.har(&[entry(&broken)]), bench.out());
    check_complaint(&["import", &har, "-o", &out], 1, "message 3 cannot be used");
    assert!(!Path::new(&out).exists(), "half a capture stays");
    check_complaint(&["import", &har, "-o", &har, "--force"], 1, "is what is being read");
    check_complaint(&["import", "/dev/zero", "-o", &out], 1, "is a device; name a file");
    check_complaint(&["import", "no-such.har", "-o", &out], 1, "no-such.har");
}

/// The messages of a capture: which way, what, and the bytes.
fn messages(capture: &Path) -> Vec<(Direction, Opcode, Vec<u8>)> {
    let mut messages = Vec::new();
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = &record.body {
            messages.push((message.direction, message.opcode, message.payload.to_vec()));
        }
    }
    messages
}

impl Bench {
    /// Imports a file of these bytes and gives back what was said of it.
    #[track_caller]
    fn import(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        check(&["import", path, "-o", &self.out(), "--force"], 0).1
    }

    /// The capture has all messages of the session and its verdict, from checkpoints too.
    #[track_caller]
    fn check_same(&self, what: &str) {
        let out = self.path("x.lagtape");
        let is_data = |message: &(Direction, Opcode, Vec<u8>)| {
            matches!(message.1, Opcode::Text | Opcode::Binary)
        };
        let expected: Vec<_> = messages(&stall()).into_iter().filter(is_data).collect();
        assert!(messages(&out) == expected, "{what}: other messages");
        check(&["analyze", out.to_str().unwrap()], 4);
        check(&["analyze", "--quick", out.to_str().unwrap()], 4);
    }
}

#[test]
fn encodings_units_and_types_of_other_writers_are_read() {
    let bench = Bench(TempDir::new().unwrap());
    let frames = frames(&stall());
    let text = har(&[entry(&frames)]);
    bench.import("bom.har", format!("\u{feff}{text}"));
    bench.check_same("a byte order mark");
    let utf16: Vec<_> =
        format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    bench.import("utf16.har", utf16);
    bench.check_same("UTF-16");
    let retold = |change: fn(&mut Value)| {
        let mut frames = frames.clone();
        frames.iter_mut().for_each(change);
        har(&[entry(&frames)])
    };
    for (name, change) in [
        (
            "milliseconds",
            (|frame| {
                frame["time"] = json!(frame["time"].as_f64().unwrap() * 1e3);
            }) as fn(&mut Value),
        ),
        ("numbers in quotes", |frame| {
            frame["time"] = json!(frame["time"].to_string());
            frame["opcode"] = json!(frame["opcode"].to_string());
        }),
        ("words", |frame| {
            frame["opcode"] = json!(if frame["opcode"] == 1 { "text" } else { "binary" });
            frame["type"] = json!(if frame["type"] == "send" { "sent" } else { "Received" });
        }),
        ("further fields", |frame| frame["_id"] = json!({"x": [1, null]})),
    ] {
        bench.import("x.har", retold(change));
        bench.check_same(name);
    }
}

#[test]
fn base64_of_other_writers_is_read() {
    let bench = Bench(TempDir::new().unwrap());
    let recoded = |change: fn(&str) -> String| {
        let mut frames = frames(&stall());
        for frame in frames.iter_mut().filter(|frame| frame["opcode"] == 2) {
            frame["data"] = json!(change(frame["data"].as_str().unwrap()));
        }
        har(&[entry(&frames)])
    };
    fn wrapped(data: &str) -> String {
        let lines = data.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap());
        lines.collect::<Vec<_>>().join("\r\n")
    }
    for (name, change) in [
        ("wrapped", wrapped as fn(&str) -> String),
        ("unpadded", |data| data.trim_end_matches('=').to_owned()),
        ("URL-safe", |data| data.replace('+', "-").replace('/', "_")),
        ("a data URL", |data| format!("data:application/octet-stream;base64,{data}")),
    ] {
        bench.import("x.har", recoded(change));
        bench.check_same(name);
    }
}

/// How a session ended, out of an entry that says it like this.
#[track_caller]
fn check_end(close: &Value, failure: Option<&str>, kind: &str, code: Option<u16>, exit: i32) {
    let bench = Bench(TempDir::new().unwrap());
    let mut entry = entry(&frames(Path::new("captures/healthy.lagtape")));
    if !close.is_null() {
        entry["_webSocketClose"] = close.clone();
    }
    if let Some(failure) = failure {
        entry["response"]["_failureText"] = json!(failure);
    }
    bench.import("x.har", har(&[entry]));
    for words in [&["analyze", "--json"][..], &["analyze", "--quick", "--json"]] {
        let (json, _) = check(&[words, &[&bench.out()]].concat(), exit);
        let ending = serde_json::from_str::<Value>(&json).unwrap()["ending"].clone();
        assert_eq!((&ending["kind"], &ending["code"]), (&json!(kind), &json!(code)), "{close}");
    }
}

#[test]
fn the_end_of_the_connection_is_that_of_the_capture() {
    check_end(&json!(null), None, "recorder_stopped", None, 0);
    let time = STARTED_S + 60.0;
    check_end(&json!({"code": 1000, "timestamp": time}), None, "client_closed", Some(1000), 0);
    check_end(&json!({"code": "1001", "reason": "bye"}), None, "client_closed", Some(1001), 0);
    check_end(&json!({}), None, "client_closed", None, 0);
    check_end(&json!({"code": 4001, "reason": "preempted"}), None, "preempted", Some(4001), 5);
    check_end(&json!({"code": 1006}), None, "cut", Some(1006), 5);
    check_end(&json!("aborted"), None, "cut", Some(1006), 5);
    check_end(&json!(null), Some("net::ERR_CONNECTION_RESET"), "cut", Some(1006), 5);
    check_end(&json!([7]), None, "recorder_stopped", None, 0);
}

/// Binary messages of the server, each changed like this, carry no verdict, whatever is asked.
#[track_caller]
fn check_no_audio(name: &str, is_hit: fn(usize) -> bool, change: fn(&str) -> Value, why: &str) {
    let bench = Bench(TempDir::new().unwrap());
    let mut frames = frames(&stall());
    let binaries = frames.iter_mut().filter(|f| f["opcode"] == 2 && f["type"] == "receive");
    for (_, frame) in binaries.enumerate().filter(|(number, _)| is_hit(*number)) {
        frame["data"] = change(frame["data"].as_str().unwrap());
    }
    let said = bench.import("x.har", har(&[entry(&frames)]));
    assert!(said.contains(why), "{name}: {said}");
    let out = bench.out();
    for words in [&["analyze", &out][..], &["analyze", "--quick", &out]] {
        let (text, _) = check(words, 1);
        assert!(text.contains(why) && !text.contains("healthy"), "{name}: {text}");
    }
}

#[test]
fn audio_that_is_not_there_carries_no_verdict() {
    let half = |data: &str| json!(&data[..data.len() / 2]);
    let [first, others, all]: [fn(usize) -> bool; 3] = [|n| n == 0, |n| n > 0, |_| true];
    check_no_audio("none at all", all, |_| Value::Null, "have no data");
    check_no_audio("no slices", others, |_| json!(""), "have no data");
    check_no_audio("half slices", others, half, "cut short");
    check_no_audio("half a buffer", first, half, "a source buffer is cut short");
    check_no_audio("an odd buffer", first, |data| json!(&data[..44]), "cut short");
    check_no_audio("dots", others, |data| json!(format!("{}…", &data[..40])), "cut short");
}
