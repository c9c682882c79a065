//! Times that are wrong, audio that is missing, and whose playhead it was: what an import makes of
//! them, and that nothing is called healthy which nobody can know.

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, DiffVerb, Outcome, PlotForm, PlotVerb};
use lagtape::capture::{
    Body, ClientKind, Clock, Direction, Header, Message, Opcode, Record, SyncMarker, Writer,
};
use lagtape::playhead::PlayheadSource;
use lagtape::report::{Analysis, TimeTrust};
use lagtape::time::Nanos;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::har::{entry, frames, har, stall};
use crate::program::check;

/// Some moment before the session, from which the client's clock counts.
const BEGAN_S: f64 = 1_795_359_000.0;

struct Har(TempDir);

impl Har {
    fn new() -> Har {
        Har(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Imports a file of this text and analyses it.
    fn analysis_of(&self, text: &str) -> (Analysis, Vec<String>) {
        let (har, out) = (self.path("x.har"), self.path("x.lagtape"));
        fs::write(&har, text).unwrap();
        let imported = app::import_har(&har, None, &out, true).unwrap();
        (app::analyze(&out, &AnalyzeOptions::default()).unwrap(), imported.assumed)
    }

    /// The same of a session of these messages.
    fn session(&self, frames: &[Value]) -> (Analysis, Vec<String>) {
        self.analysis_of(&har(&[entry(frames)]))
    }
}

/// The messages of a session with a stall, each changed by `change`.
fn changed(change: impl Fn(&mut Value)) -> Vec<Value> {
    let mut frames = clocked_frames();
    frames.iter_mut().for_each(change);
    frames
}

/// The messages of the session, with the client's clock in its reports.
fn clocked_frames() -> Vec<Value> {
    let mut frames = frames(&stall());
    for frame in &mut frames {
        let mut data: Value =
            serde_json::from_str(frame["data"].as_str().unwrap()).unwrap_or_default();
        if data["type"] == "params" {
            data["client_time"] = json!(frame["time"].as_f64().unwrap() - BEGAN_S);
            frame["data"] = json!(data.to_string());
        }
    }
    frames
}

fn set_time(change: impl Fn(f64) -> f64) -> Vec<Value> {
    changed(|frame| frame["time"] = json!(change(frame["time"].as_f64().unwrap())))
}

/// Without the client's clock in its reports, and without its position where that is to go too.
fn without(frames: Vec<Value>, fields: &[&str]) -> Vec<Value> {
    let strip = |mut frame: Value| {
        let text = frame["data"].as_str().unwrap();
        if frame["opcode"] == 1 && text.contains("playback_pos") {
            let mut params: Value = serde_json::from_str(text).unwrap();
            for field in fields {
                params.as_object_mut().unwrap().remove(*field);
            }
            frame["data"] = json!(params.to_string());
        }
        frame
    };
    frames.into_iter().map(strip).collect()
}

#[track_caller]
fn check_verdict(analysis: &Analysis, trust: TimeTrust, corrected_by: Option<&str>) {
    let verdict = &analysis.verdict;
    let time = &analysis.time;
    assert_eq!((time.trust, time.corrected_by.as_deref()), (trust, corrected_by), "{time:?}");
    if trust == TimeTrust::None {
        assert_eq!((verdict.lag, verdict.known), (None, false), "{verdict:?}");
        assert!(verdict.why.is_some() && verdict.episodes.is_empty(), "{verdict:?}");
        assert_eq!(Outcome::of_analysis(analysis), Outcome::Failed);
    } else {
        let right = app::analyze(&stall(), &AnalyzeOptions::default()).unwrap().verdict;
        assert_eq!((verdict.lag, verdict.known), (Some(true), true), "{verdict:?}");
        assert!((verdict.lag_s - right.lag_s).abs() < 0.6, "{verdict:?}\n{right:?}");
    }
}

#[test]
fn the_unit_of_times_follows_from_their_size() {
    let bench = Har::new();
    for (unit, factor) in [("milliseconds", 1e3), ("microseconds", 1e6), ("nanoseconds", 1e9)] {
        let (analysis, assumed) = bench.session(&set_time(|time| time * factor));
        check_verdict(&analysis, TimeTrust::Good, None);
        assert_eq!(analysis.time.unit.as_deref(), Some(unit));
        assert!(assumed.iter().any(|said| said.contains(unit)), "{assumed:?}");
    }
    let (analysis, assumed) = bench.session(&clocked_frames());
    check_verdict(&analysis, TimeTrust::Good, None);
    assert_eq!(analysis.time.unit, None);
    assert_eq!(assumed.len(), 1, "{assumed:?}");
}

#[test]
fn the_unit_of_times_since_no_known_moment_follows_from_the_client() {
    let bench = Har::new();
    let began = frames(&stall())[0]["time"].as_f64().unwrap() - 4_321.0;
    for (unit, factor) in [(None, 1.0), (Some("milliseconds"), 1e3)] {
        let (analysis, _) = bench.session(&set_time(|time| (time - began) * factor));
        check_verdict(&analysis, TimeTrust::Good, None);
        assert_eq!(analysis.time.unit.as_deref(), unit);
        assert_eq!(analysis.session.start_utc.as_deref(), Some("2026-11-22T15:00:00.25Z"));
    }
}

#[test]
fn wrong_times_are_taken_from_the_client_or_carry_no_verdict() {
    let bench = Har::new();
    let began = frames(&stall())[0]["time"].as_f64().unwrap();
    let wrong: [(&str, Vec<Value>); 5] = [
        ("all one", set_time(|_| began)),
        ("whole seconds", set_time(f64::floor)),
        ("set back", set_time(|time| if time > began + 2.5 { time - 1.5 } else { time })),
        ("backwards", set_time(|time| 2.0 * began - time)),
        ("none", changed(|frame| frame["time"] = Value::Null)),
    ];
    for (name, frames) in wrong {
        eprintln!("{name}");
        let (analysis, assumed) = bench.session(&frames);
        check_verdict(&analysis, TimeTrust::Corrected, Some("client_time"));
        assert!(analysis.time.was.is_some());
        assert!(assumed.iter().any(|said| said.contains("client_time")), "{assumed:?}");
        let (analysis, _) = bench.session(&without(frames.clone(), &["client_time"]));
        check_verdict(&analysis, TimeTrust::Corrected, Some("playback_pos"));
        let (analysis, _) = bench.session(&without(frames, &["client_time", "playback_pos"]));
        check_verdict(&analysis, TimeTrust::None, None);
    }
}

#[test]
fn a_clock_that_was_set_forward_is_seen_against_the_clients() {
    let began = frames(&stall())[0]["time"].as_f64().unwrap();
    let frames = set_time(|time| if time > began + 2.5 { time + 3_600.0 } else { time });
    let (analysis, _) = Har::new().session(&frames);
    check_verdict(&analysis, TimeTrust::Corrected, Some("client_time"));
    assert!(analysis.report_at_s < 100.0, "{}", analysis.report_at_s);
}

#[test]
fn no_verdict_is_printed_on_times_that_cannot_carry_one() {
    let bench = Har::new();
    let frames = without(set_time(f64::floor), &["client_time", "playback_pos"]);
    bench.session(&frames);
    let capture = bench.path("x.lagtape").to_str().unwrap().to_owned();
    let (text, _) = check(&["analyze", &capture], 1);
    assert!(text.contains("no verdict: times have a resolution of 1 s"), "{text}");
    assert!(!text.contains("healthy"), "{text}");
    let (json, _) = check(&["analyze", "--json", &capture], 1);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["verdict"]["lag"], Value::Null);
    assert_eq!(json["verdict"]["known"], false);
    assert_eq!(json["time"]["trust"], "none");
    check(&["analyze", "--quick", &capture], 1);
    let (info, _) = check(&["info", &capture], 0);
    assert!(info.contains("time.doubt"), "{info}");
}

#[test]
fn audio_that_was_left_out_carries_no_verdict() {
    let bench = Har::new();
    let is_audio = |frame: &Value| frame["opcode"] == 2 && frame["type"] == "receive";
    for data in [json!(""), Value::Null] {
        let frames = changed(|frame| {
            if is_audio(frame) {
                frame["data"] = data.clone();
            }
        });
        let (analysis, assumed) = bench.session(&frames);
        assert_eq!(
            (analysis.verdict.lag, Outcome::of_analysis(&analysis)),
            (None, Outcome::Failed)
        );
        assert!(analysis.verdict.why.unwrap().contains("have no data"));
        assert!(assumed.iter().any(|said| said.contains("have no data")), "{assumed:?}");
    }
}

#[test]
fn what_is_odd_elsewhere_in_a_file_costs_itself_alone() {
    let bench = Har::new();
    let odd = json!({"request": {"url": "ws://hmr.example/"}, "_webSocketMessages": [
        {"type": "receive", "time": 1, "opcode": 2},
        {"type": "send", "time": null, "opcode": 1, "data": "x"},
        {"type": 7, "time": "now", "opcode": {}, "data": []}, 3, null]});
    let entries = [odd, json!({"request": 5}), json!(null), entry(&clocked_frames())];
    let text = har(&entries);
    let (analysis, _) = bench.analysis_of(&text);
    check_verdict(&analysis, TimeTrust::Good, None);
    let (analysis, _) = bench.analysis_of(&format!("\u{feff}{text}"));
    check_verdict(&analysis, TimeTrust::Good, None);
}

/// A capture of a stream of 60 s in which nothing is wrong but what the clocks say.
fn clocked(folder: &TempDir, client: ClientKind, clocks: &[(u64, &str)], ahead_s: f64) -> PathBuf {
    let path = folder.path().join("clocked.lagtape");
    let (mut writer, mut bytes) = (Writer::new(SyncMarker([7; 8])), Vec::new());
    writer.begin(&mut bytes);
    let mut put = |t_ns: u64, body: Body<'_>| {
        let record = Record { seq: writer.next_seq(), t: Nanos(t_ns), conn: 0, body };
        writer.write(&record, &mut bytes);
    };
    let text = |direction, text: &'static str| {
        Body::Message(Message::new(direction, Opcode::Text, text.as_bytes()))
    };
    put(0, Body::Header(Header { client, ..Header::new("a test", Nanos(0)) }));
    put(1, text(Direction::ClientToServer, "{}"));
    put(2, text(Direction::ServerToClient, r#"{"type":"ready","channels":1}"#));
    let buffer = vec![0; 960_000];
    let buffer = Message::new(Direction::ServerToClient, Opcode::Binary, &buffer);
    put(3, Body::Message(buffer));
    for tick in 1..600_u64 {
        let t_ns = tick * 100_000_000;
        if let Some((_, utc)) = clocks.iter().find(|(t_s, _)| t_s * 10 == tick) {
            let clock = Clock { monotonic: Nanos(t_ns), utc: (*utc).to_owned() };
            put(t_ns, Body::Clock(clock));
        }
        let t_s = t_ns as f64 / 1e9;
        let client_time = if t_s > 30.0 { t_s + ahead_s } else { t_s };
        let params = json!({"type": "params", "client_time": client_time,
            "playback_pos": t_s % 10.0})
        .to_string();
        let params = Message::new(Direction::ClientToServer, Opcode::Text, params.as_bytes());
        put(t_ns, Body::Message(params));
    }
    let end = writer.end(None);
    put_end(&mut writer, &mut bytes, end);
    fs::write(&path, bytes).unwrap();
    path
}

fn put_end(writer: &mut Writer, bytes: &mut Vec<u8>, end: lagtape::capture::End) {
    let record =
        Record { seq: writer.next_seq(), t: Nanos(60_000_000_000), conn: 0, body: Body::End(end) };
    writer.write(&record, bytes);
}

#[track_caller]
fn check_clocks(
    client: ClientKind,
    clocks: &[(u64, &str)],
    ahead_s: f64,
    doubted: bool,
    said: &str,
) {
    let folder = TempDir::new().unwrap();
    let path = clocked(&folder, client, clocks, ahead_s);
    let analysis = app::analyze(&path, &AnalyzeOptions::default()).unwrap();
    assert_eq!(analysis.verdict.known, !doubted, "{:?}", analysis.time);
    let notes = analysis.time.doubts.iter().chain(&analysis.time.notes);
    let notes: Vec<_> = notes.cloned().collect();
    assert_eq!(notes.is_empty(), said.is_empty(), "{notes:?}");
    assert!(notes.iter().all(|note| note.contains(said)), "{notes:?}");
}

#[test]
fn clocks_that_part_tell_what_was_set_and_what_slept() {
    let even = [(10, "2026-11-22T15:00:10Z"), (50, "2026-11-22T15:00:50.3Z")];
    let back = [(10, "2026-11-22T15:00:10Z"), (50, "2026-11-22T14:00:50Z")];
    let forth = [(10, "2026-11-22T15:00:10Z"), (50, "2026-11-22T15:10:50Z")];
    let (headless, foreign) = (ClientKind::Headless, ClientKind::Foreign);
    check_clocks(headless, &even, 0.0, false, "");
    check_clocks(foreign, &even, 0.0, false, "");
    check_clocks(headless, &back, 0.0, false, "set back by 3600.0 s");
    check_clocks(foreign, &back, 0.0, false, "set back by 3600.0 s");
    check_clocks(headless, &forth, 0.0, true, "slept");
    check_clocks(foreign, &forth, 600.0, true, "slept");
    check_clocks(foreign, &forth, 0.0, false, "set forward by 600.0 s");
    check_clocks(foreign, &even, 600.0, false, "the client's clock went wrong");
    check_clocks(foreign, &[], 600.0, true, "nothing says which");
}

/// A session log of 20 s whose client jumps to 5 s in the middle, of a client of this name.
fn session_log(folder: &TempDir, client: Option<&str>, op: bool) -> PathBuf {
    let path = folder.path().join("log");
    fs::create_dir_all(&path).unwrap();
    let mut session = json!({"connect_ns": 0, "report_ns": 20_000_000_000_u64, "ops": []});
    if let Some(client) = client {
        session["client"] = json!(client);
    }
    if op {
        session["ops"] = json!([{"op": "seek", "to_s": 5.0, "t_ns": 10_000_000_000_u64}]);
    }
    fs::write(path.join("session.json"), session.to_string()).unwrap();
    let mut lines = vec![
        json!({"t_ns": 1, "dir": "c2s", "text": "{}"}),
        json!({"t_ns": 2, "dir": "s2c", "text": r#"{"type":"ready","channels":1}"#}),
        json!({"t_ns": 0, "dir": "s2c", "length": 5_760_000, "payload_omitted": true}),
    ];
    for tick in 1..200_u64 {
        let t_s = tick as f64 / 10.0;
        let position_s = if tick > 100 { t_s - 5.0 } else { t_s };
        let params = json!({"type": "params", "playback_pos": position_s}).to_string();
        lines.push(json!({"t_ns": tick * 100_000_000, "dir": "c2s", "text": params}));
    }
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    fs::write(path.join("frames.jsonl"), lines.join("\n")).unwrap();
    path
}

#[track_caller]
fn check_playhead(client: Option<&str>, op: bool, source: PlayheadSource, why: &str) {
    let folder = TempDir::new().unwrap();
    let log = session_log(&folder, client, op);
    let out = folder.path().join("x.lagtape");
    app::import(&log, &out, false).unwrap();
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert_eq!(analysis.playhead.source, source, "{client:?}");
    assert!(analysis.playhead.why.contains(why), "{}", analysis.playhead.why);
}

#[test]
fn the_playhead_is_that_of_the_client_or_of_the_evidence() {
    let (simulated, reported) = (PlayheadSource::Simulated, PlayheadSource::Reported);
    for client in ["web", "sdk", "demontd"] {
        check_playhead(Some(client), false, reported, &format!("names the client \"{client}\""));
    }
    check_playhead(Some("headless"), true, simulated, "names the client \"headless\"");
    check_playhead(None, true, simulated, "a headless client");
    check_playhead(None, false, reported, "leave the simulated playhead at 10.1 s");
    check_playhead(Some("headless"), false, reported, "leave the simulated playhead at 10.1 s");
}

/// A picture and a comparison measure against the playhead that `analyze` finds.
#[test]
fn every_verb_takes_the_playhead_that_the_reports_show() {
    let folder = TempDir::new().unwrap();
    let log = session_log(&folder, None, false);
    let [unnamed, named] = ["unnamed.lagtape", "named.lagtape"].map(|it| folder.path().join(it));
    app::import(&log, &unnamed, false).unwrap();
    app::import(&session_log(&folder, Some("sdk"), false), &named, false).unwrap();
    let verb = PlotVerb::default();
    let (_, analysis) = app::plot_bytes(&unnamed, PlotForm::Svg, &verb).unwrap();
    assert_eq!(analysis.playhead.source, PlayheadSource::Reported);
    assert!(analysis.playhead.why.contains("leave the simulated playhead"));
    let comparison = app::diff(&unnamed, &named, &DiffVerb::default()).unwrap();
    assert!(comparison.judgement.same, "{}", lagtape::report::compare::text(&comparison));
    assert!(comparison.setting.iter().all(|fact| fact.name != "playhead"));
}

#[test]
fn a_seek_back_of_a_page_is_healthy() {
    let log =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnosis/healthy_seek_back_web");
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    app::import(&log, &out, false).unwrap();
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert_eq!(analysis.verdict.lag, Some(false), "{:?}", analysis.verdict);
    let asked =
        AnalyzeOptions { playhead: Some(PlayheadSource::Simulated), ..AnalyzeOptions::default() };
    let analysis = app::analyze(&out, &asked).unwrap();
    let warnings = serde_json::to_value(&analysis.warnings).unwrap().to_string();
    assert!(warnings.contains("playheads_disagree"), "{warnings}");
}
