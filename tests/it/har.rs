//! What a browser's developer tools saved, imported.

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
    check_complaint(&["import", &har, "-o", &out, "--force"], 1, "none of its 1 WebSockets");
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
    check_complaint(&["import", "/dev/zero", "-o", &out], 1, "neither a HAR file");
    check_complaint(&["import", "no-such.har", "-o", &out], 1, "no-such.har");
}
