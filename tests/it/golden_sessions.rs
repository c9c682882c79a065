//! Whole sessions of the reference client, imported and replayed: every report, record, event and
//! buffer has to equal what the reference computed.

use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Expectation, Records, SessionPhase};
use lagtape::engine::{Engine, Options};
use lagtape::lag::ReportArgs;
use lagtape::time::Nanos;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::golden;

#[test]
fn golden_sessions() {
    for folder in folders("sessions") {
        check_session(&folder);
    }
}

#[test]
fn golden_pairs() {
    for folder in folders("pairs") {
        check_session(&folder);
        check_positions(&folder);
    }
}

fn folders(kind: &str) -> Vec<PathBuf> {
    golden::files(kind, |path| path.file_name().is_some_and(|name| name == "session.json"))
        .into_iter()
        .map(|path| path.parent().unwrap().to_owned())
        .collect()
}

struct Session {
    name: String,
    expected: Value,
    report_at: Nanos,
    engine: Engine,
    capture: PathBuf,
    _folder: TempDir,
}

fn replay(folder: &Path, options: Options) -> Session {
    let name = folder.display().to_string();
    let session: Value =
        serde_json::from_slice(&std::fs::read(folder.join("session.json")).unwrap()).unwrap();
    let temporary = TempDir::new().unwrap();
    let capture = temporary.path().join("x.lagtape");
    app::import(folder, &capture, false).unwrap();
    let mut engine = Engine::new(options);
    let mut records = Records::new(std::fs::File::open(&capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
    }
    Session {
        name,
        expected: session["expected"].clone(),
        report_at: Nanos(session["report_ns"].as_u64().unwrap()),
        engine,
        capture,
        _folder: temporary,
    }
}

fn check_session(folder: &Path) {
    let session = replay(folder, Options::default());
    check_reports(&session);
    check_records(&session);
    check_events(&session);
    check_state(&session);
    check_json(&session);
}

fn args_of(args: &Value) -> ReportArgs {
    let timeline = args["include_timeline"].as_bool().unwrap_or(false);
    ReportArgs {
        window_s: args.get("window_s").map_or(Some(30.0), Value::as_f64),
        stale_threshold_s: args["stale_threshold_s"].as_f64().unwrap_or(3.0),
        timeline_step_s: timeline.then(|| args["timeline_step_s"].as_f64().unwrap_or(1.0)),
    }
}

fn check_reports(session: &Session) {
    for case in session.expected["reports"].as_array().unwrap() {
        let report = session.engine.report(session.report_at, &args_of(&case["args"]));
        let context = format!("{} {}", session.name, case["args"]);
        golden::assert_json_eq(&serde_json::to_value(report).unwrap(), &case["expected"], &context);
    }
}

/// The tracker's records since the last swap, where the session lists them.
fn check_records(session: &Session) {
    let Some(epoch) = session.engine.epochs().last() else { return };
    if let Some(expected) = session.expected.get("slices") {
        let rows: Vec<_> = epoch
            .tracker
            .slices()
            .map(|s| {
                json!([
                    s.t_s,
                    s.start,
                    s.frames,
                    s.lead_s,
                    s.interval_s,
                    s.tick_ms,
                    s.dec_ms,
                    s.generations
                ])
            })
            .collect();
        golden::assert_json_eq(&Value::from(rows), expected, &format!("{} slices", session.name));
    }
    if let Some(expected) = session.expected.get("ticks") {
        let rows: Vec<_> =
            epoch.tracker.ticks().map(|t| json!([t.t_s, t.playhead_s, t.staleness_s])).collect();
        golden::assert_json_eq(&Value::from(rows), expected, &format!("{} ticks", session.name));
    }
}

/// Events that the reference keeps.
const EVENTS_OF_REFERENCE: usize = 200;

fn check_events(session: &Session) {
    let facts = session.engine.facts();
    let events: Vec<_> = facts
        .events
        .iter()
        .filter(|event| facts.refusal.is_none() || event.fields["type"] != "error")
        .collect();
    let events = &events[events.len().saturating_sub(EVENTS_OF_REFERENCE)..];
    let kinds: Vec<_> = events.iter().map(|event| event.fields["type"].clone()).collect();
    if let Some(expected) = session.expected.get("event_types") {
        assert_eq!(&Value::from(kinds.clone()), expected, "{}", session.name);
    }
    let Some(expected) = session.expected.get("events").and_then(Value::as_array) else { return };
    assert_eq!(events.len(), expected.len(), "{} {kinds:?}", session.name);
    for (event, expected) in events.iter().zip(expected) {
        assert_eq!(Some(event.t.seconds()), expected["wall"].as_f64(), "{}", session.name);
        for (key, value) in expected.as_object().unwrap() {
            let wording = expected["type"] == "_client_decode_error" && key == "error";
            if key != "wall" && !wording {
                golden::assert_json_eq(&event.fields[key], value, &session.name);
            }
        }
    }
}

fn check_state(session: &Session) {
    let Session { name, expected, engine, .. } = session;
    let facts = engine.facts();
    assert_eq!(Some(facts.slices), expected["slice_count"].as_u64(), "{name}");
    if let Some(raw) = expected.get("raw") {
        golden::assert_json_eq(&Value::Object(facts.raw.clone()), raw, name);
    }
    if let Some(last) = expected.get("last_params_update") {
        golden::assert_json_eq(&Value::Object(facts.last_params_update()), last, name);
    }
    if let Some(pending) = expected.get("pending_expectations").and_then(Value::as_array) {
        let ours: Vec<_> = engine.interpreter().pending().map(expectation_name).collect();
        let theirs: Vec<_> = pending
            .iter()
            .map(|pending| pending.as_str().or(pending["kind"].as_str()).unwrap())
            .collect();
        assert_eq!(ours, theirs, "{name}");
    }
    let refused = engine.interpreter().phase() == SessionPhase::Refused;
    let names_refusal =
        expected["start_error"].as_str().is_some_and(|error| error.contains("session init failed"));
    assert_eq!(refused, names_refusal, "{name}");
    let Some(epoch) = engine.epochs().last() else { return };
    assert_eq!(Some(u64::from(epoch.channels)), expected["channels"].as_u64(), "{name}");
    assert_eq!(Some(epoch.frames), expected["mirror_samples"].as_u64(), "{name}");
    assert_eq!(
        engine.playhead_frame(session.report_at),
        expected["playhead_sample_at_report"].as_u64(),
        "{name}"
    );
    if let Some(hash) = expected.get("mirror_canon_sha256").and_then(Value::as_str) {
        assert_eq!(canonical_hash(engine.mirror().unwrap().samples()), hash, "{name}");
    }
}

fn expectation_name(expectation: &Expectation) -> &'static str {
    match expectation {
        Expectation::SwapBuffer(_) => "swap_buffer",
        Expectation::Stem => "stem",
        Expectation::Bounce => "bounce",
    }
}

/// SHA-256 of the samples with every NaN replaced by one pattern.
fn canonical_hash(samples: &[f32]) -> String {
    let canonical = |sample: f32| if sample.is_nan() { 0x7fc0_0000 } else { sample.to_bits() };
    let bytes: Vec<u8> =
        samples.iter().flat_map(|&sample| canonical(sample).to_le_bytes()).collect();
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same report through the verb that people use, as the JSON that it prints.
fn check_json(session: &Session) {
    for case in session.expected["reports"].as_array().unwrap() {
        let options =
            AnalyzeOptions { report: args_of(&case["args"]), ..AnalyzeOptions::default() };
        for headers_only in [false, true] {
            if headers_only && session.engine.facts().decode_errors > 0 {
                continue; // Payload damage is what headers cannot show.
            }
            let options = AnalyzeOptions { headers_only, ..options.clone() };
            let analysis = app::analyze(&session.capture, &options).unwrap();
            let printed: Value =
                serde_json::from_str(&serde_json::to_string(&analysis).unwrap()).unwrap();
            golden::assert_json_eq(&printed["lag"], &case["expected"], &session.name);
            assert_eq!(printed["report_ns"], session.report_at.0);
        }
    }
}

/// Every position that the client sent is the simulated playhead's.
fn check_positions(folder: &Path) {
    let session = replay(folder, Options::default());
    let mut sent = Vec::new();
    let mut records = Records::new(std::fs::File::open(&session.capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        if let lagtape::capture::Body::Message(message) = &record.body
            && let Some(text) = message.text()
            && let Ok(lagtape::wire::message::ClientText::Params(params)) =
                lagtape::wire::message::client_text(text)
        {
            sent.push(params.playback_pos.unwrap());
        }
    }
    let simulated: Vec<_> =
        session.engine.epochs()[0].tracker.ticks().map(|tick| tick.playhead_s).collect();
    assert_eq!(sent, simulated, "{}", session.name);
}
