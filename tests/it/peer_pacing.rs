//! The simulated server against recordings of the real one.

use std::path::{Path, PathBuf};

use lagtape::capture::{ClientKind, Header, Marker};
use lagtape::lag::{Figures, LagReport, ReportArgs};
use lagtape::peer::client::{ClientOptions, Dialect};
use lagtape::peer::link::LinkOptions;
use lagtape::peer::pacing::{LeadController, Placement, PlayheadClock};
use lagtape::peer::policy::Policy;
use lagtape::peer::script::ScriptedOp;
use lagtape::peer::server::{ServerOptions, ServerSource};
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::time::{Nanos, Span};
use lagtape::wire::slice::SliceHeader;
use serde_json::{Value, json};

use crate::golden;

/// Seeds run for each session, and seeds tried until one is near: outcomes of a seek are two-valued,
/// and the session is one of them.
const FEWEST_SEEDS: u64 = 4;
const MOST_SEEDS: u64 = 16;

/// A prediction is near when leads are within 30 ms and intervals within 1 ms.
const LEAD_TOLERANCE_S: f64 = 0.030;
const INTERVAL_TOLERANCE_S: f64 = 0.001;
/// A seek onto the edge of a bucket of 0.25 s: the whole bucket is stale at once, or not at all.
const STALE_TOLERANCE_TICKS: f64 = 16.0;
/// All recordings share one seed of the model's; the mean over ours is what compares.
type Figure = (&'static str, fn(&Figures) -> f64);
const INTERVAL_FIGURES: [Figure; 2] =
    [("p50", |interval| interval.p50), ("p95", |interval| interval.p95)];
/// How far a report lies from the moment it was stamped until the intake has it, and how far a slice
/// lies from the end of its decode until the client stamps it: measured as their sum.
const UP_NS: u64 = 1_000_000;
const DOWN_NS: u64 = 1_500_000;

/// The sessions whose set-up is simulated here: those over loopback.
fn sessions() -> Vec<(PathBuf, Value)> {
    let mut sessions = golden::json_files("pairs");
    sessions.retain(|(path, _)| path.ends_with("session.json") && is_over_loopback(path));
    assert!(!sessions.is_empty());
    sessions
}

fn is_over_loopback(session: &Path) -> bool {
    let pair = session.parent().unwrap().parent().unwrap().join("pair.json");
    let pair: Value = serde_json::from_slice(&std::fs::read(&pair).unwrap()).unwrap();
    let is_so = pair["link"] == "loopback";
    if !is_so {
        eprintln!("SKIPPED: {} is not over loopback: {}", session.display(), pair["link"]);
    }
    is_so
}

/// Seeks in a session: after each of them a modern client has two outcomes.
fn seeks(session: &Value) -> usize {
    session["ops"].as_array().unwrap().iter().filter(|op| op["op"] == "seek").count()
}

#[test]
fn real_pairs_are_met_by_simulated_sessions() {
    for (path, session) in sessions() {
        let expected = full_report(&session);
        let mut outcomes: Vec<LagReport> =
            (0..FEWEST_SEEDS).map(|seed| run(arm(&session, seed))).collect();
        for (name, figure) in INTERVAL_FIGURES {
            let of_seed = |report: &LagReport| figure(report.slices.interval_s.as_ref().unwrap());
            let mean_s = outcomes.iter().map(of_seed).sum::<f64>() / outcomes.len() as f64;
            near(mean_s, &expected["slices"]["interval_s"][name], INTERVAL_TOLERANCE_S);
        }
        let figures = if seeks(&session) > 1 { &["p50"][..] } else { &["p5", "p50", "p95"] };
        let is_near = |report: &LagReport| distance(report, expected, figures) <= LEAD_TOLERANCE_S;
        let more = (FEWEST_SEEDS..MOST_SEEDS).map(|seed| run(arm(&session, seed)));
        let nearest = outcomes.drain(..).chain(more).find(is_near);
        let nearest = nearest.unwrap_or_else(|| panic!("{}: no seed is near", path.display()));
        if seeks(&session) > 1 {
            continue; // Which of many outcomes came is a matter of luck; p50 alone was compared.
        }
        let stale = nearest.ticks.stale_ticks as f64;
        near(stale, &expected["ticks"]["stale_ticks"], STALE_TOLERANCE_TICKS);
    }
}

/// A forward seek of a modern client has two outcomes, and both come: either a slice that was on its
/// way throws the transport lead to its cap, or nothing happens.
#[test]
fn real_seeks_of_modern_clients_come_out_both_ways() {
    let is_one = |session: &Value| {
        let op = &session["ops"][0];
        session["client"] == "modern" && seeks(session) == 1 && op["to_s"].as_f64() > Some(12.0)
    };
    let (_, session) = sessions().into_iter().find(|(_, session)| is_one(session)).unwrap();
    let most_s = |seed| {
        let mut arm = arm(&session, seed);
        arm.client.run_for = arm.client.script.last().map(|op| Span(op.at.0 + 1_000_000_000));
        run(arm).slices.lead_s.unwrap().max
    };
    let leads: Vec<f64> = (0..32).map(most_s).collect();
    let thrown = leads.iter().filter(|&&lead_s| (3.1..3.3).contains(&lead_s)).count();
    let calm = leads.iter().filter(|&&lead_s| lead_s < 0.26).count();
    assert_eq!(thrown + calm, leads.len(), "{leads:?}");
    assert!(thrown >= 4 && calm >= 4, "{leads:?}");
}

#[track_caller]
fn near(actual: f64, expected: &Value, tolerance: f64) {
    let expected = expected.as_f64().unwrap();
    assert!((actual - expected).abs() <= tolerance, "{actual} is not {expected}");
}

fn full_report(session: &Value) -> &Value {
    let reports = session["expected"]["reports"].as_array().unwrap();
    let full =
        reports.iter().find(|report| report["args"].get("window_s").is_some_and(Value::is_null));
    &full.unwrap()["expected"]
}

/// How far the leads of an outcome are from the expected ones, at worst, in seconds.
fn distance(outcome: &LagReport, expected: &Value, figures: &[&str]) -> f64 {
    let lead = serde_json::to_value(outcome.slices.lead_s.as_ref().unwrap()).unwrap();
    let expected = &expected["slices"]["lead_s"];
    let apart =
        |name: &&str| (lead[*name].as_f64().unwrap() - expected[*name].as_f64().unwrap()).abs();
    figures.iter().map(apart).fold(0.0, f64::max)
}

/// The simulated arm of a recorded session: the same kind of client, loop, model and script.
fn arm(session: &Value, seed: u64) -> SimulationOptions {
    let report = full_report(session);
    let figure = |name: &str| report["slices"][name]["p50"].as_f64().unwrap();
    let seconds = report["buffer_duration_s"].as_f64().unwrap();
    let channels = session["expected"]["channels"].as_u64().unwrap() as u16;
    let source = ServerSource::BuiltIn { seconds, channels };
    let mut server = ServerOptions { seed, source, ..ServerOptions::default() };
    server.generator.tick_ms = (figure("tick_ms") / 5.0).round() * 5.0;
    server.generator.decode_ms = figure("dec_ms");
    let since_buffer =
        |ns: &Value| Span(ns.as_u64().unwrap() - session["initial_buffer_ns"].as_u64().unwrap());
    let ops = session["ops"].as_array().unwrap().iter();
    let script = ops.map(|op| ScriptedOp { at: since_buffer(&op["t_ns"]), op: marker(op) });
    let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
    let modern = session["client"] == "modern";
    let client = ClientOptions {
        config: config.as_object().cloned().unwrap(),
        params_hz: session["params_hz"].as_f64().unwrap(),
        dialect: if modern { Dialect::Modern } else { Dialect::Legacy },
        script: script.collect(),
        run_for: Some(since_buffer(&session["report_ns"])),
        ..ClientOptions::default()
    };
    SimulationOptions::new(client, server, LinkOptions::loopback(), LinkOptions::loopback())
}

fn marker(op: &Value) -> Marker {
    match op["op"].as_str().unwrap() {
        "seek" => Marker::Seek { to_s: op["to_s"].as_f64().unwrap() },
        "rate" => Marker::Rate { rate: op["rate"].as_f64().unwrap() },
        "pause" => Marker::Pause,
        "resume" => Marker::Resume,
        other => panic!("an op of a new kind: {other}"),
    }
}

fn run(options: SimulationOptions) -> LagReport {
    let header = Header { client: ClientKind::Headless, ..Header::default() };
    let simulated = simulate(options, header, &mut |_| {});
    let epoch = simulated.client.engine().epochs().last().unwrap();
    let args = ReportArgs { window_s: None, ..ReportArgs::default() };
    epoch.tracker.report(simulated.ended.seconds(), &args)
}

/// Fed with the moments of a recording, the pacing repeats the places of its slices exactly, but for
/// the few where a report came within a millisecond of the look.
#[test]
fn real_starts_follow_from_the_reports() {
    for (path, session) in sessions() {
        let repeated = repeated_starts(path.parent().unwrap(), &session);
        assert!(repeated > 0.95, "{}: {repeated}", path.display());
    }
}

/// The share of slices that the pacing places where the real server did.
fn repeated_starts(folder: &Path, session: &Value) -> f64 {
    let policy = Policy::default();
    let seconds = full_report(session)["buffer_duration_s"].as_f64().unwrap();
    let frames = (seconds * 48e3) as u32;
    let began = Nanos(session["initial_buffer_ns"].as_u64().unwrap());
    let mut clock = PlayheadClock::new(&policy.clock, frames, 48_000, began);
    let mut lead = LeadController::new(&policy.lead, policy.placement.window_s);
    let placement = Placement::new(&policy.placement, frames, 48_000);
    let (reports, slices) = read(folder);
    let mut heard = reports.iter().peekable();
    let (mut equal, mut placed) = (0, 0);
    for pair in slices.windows(2) {
        let ((at, slice), (_, next)) = (&pair[0], &pair[1]);
        // A header carries the durations of the generation before it.
        let look = Nanos(at.0 - (f64::from(next.dec_ms) * 1e6) as u64 - DOWN_NS);
        while let Some((at, report)) = heard.next_if(|(at, _)| at.0 + UP_NS <= look.0) {
            let number = |key: &str| report.get(key).and_then(Value::as_f64);
            let position_s = number("playback_pos").unwrap();
            clock.report(Nanos(at.0 + UP_NS), position_s, number("client_time"));
            number("slice_lead_s").into_iter().for_each(|lead_s| lead.report(lead_s));
        }
        let estimate = clock.look(look);
        let region = placement.place(estimate, lead.look(look, false)).region;
        equal += usize::from((region.start, region.frames) == (slice.start, slice.frames));
        placed += 1;
    }
    assert!(placed > 100);
    equal as f64 / placed as f64
}

type Stamped<T> = Vec<(Nanos, T)>;

/// The reports and the slice headers of a recorded session.
fn read(folder: &Path) -> (Stamped<Value>, Stamped<SliceHeader>) {
    let packed = std::fs::read(folder.join("frames.jsonl.zst")).unwrap();
    let lines = String::from_utf8(zstd::decode_all(&packed[..]).unwrap()).unwrap();
    let (mut reports, mut slices) = (Vec::new(), Vec::new());
    for line in lines.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let at = Nanos(line["t_ns"].as_u64().unwrap());
        if let Some(hex) = line["header_hex"].as_str() {
            slices.push((at, SliceHeader::parse(&bytes(hex)).unwrap()));
        } else if line["dir"] == "c2s"
            && let Some(text) = line["text"].as_str()
        {
            let report: Value = serde_json::from_str(text).unwrap();
            if report["type"] == "params" {
                reports.push((at, report));
            }
        }
    }
    (reports, slices)
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
}
