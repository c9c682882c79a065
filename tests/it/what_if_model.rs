//! The closed-loop model against recordings of the real server and against simulated sessions.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use lagtape::capture::{Records, import_session_log};
use lagtape::lag::ReportArgs;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::script::ScriptedOp;
use lagtape::scenario::model::{
    Answer, Change, DEFAULT_MEMBERS, Fit, Question, Trace, Tracer, answer,
};
use lagtape::time::Span;
use serde_json::Value;

use crate::golden;

fn trace_of(capture: &[u8]) -> Trace {
    let mut tracer = Tracer::new();
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record().unwrap() {
        tracer.handle(&record);
    }
    tracer.finish().unwrap()
}

/// The capture of a recorded session.
fn capture_of(folder: &Path) -> Vec<u8> {
    let session = std::fs::read_to_string(folder.join("session.json")).unwrap();
    let packed = std::fs::read(folder.join("frames.jsonl.zst")).unwrap();
    let lines = zstd::decode_all(&packed[..]).unwrap();
    let mut capture = Vec::new();
    import_session_log(&session, BufReader::new(&lines[..]), None, &mut capture).unwrap();
    capture
}

/// Folders of pairs: those with a description.
fn pairs() -> Vec<(PathBuf, Value)> {
    let mut pairs = golden::json_files("pairs");
    pairs.retain(|(path, _)| path.ends_with("pair.json"));
    pairs.into_iter().map(|(path, pair)| (path.parent().unwrap().to_path_buf(), pair)).collect()
}

/// What the pair's intervention means to the model; a sentence where it knows nothing like it.
fn change_of(pair: &Value) -> Result<Change, String> {
    let mut change = Change::default();
    let mut ops = Vec::new();
    for op in pair["intervention"].as_array().ok_or("no intervention")? {
        let at = Span((op["at_s"].as_f64().ok_or("no time")? * 1e9) as u64);
        match op["op"].as_str() {
            Some("seek" | "rate" | "pause" | "resume") => {
                let op = serde_json::from_value(op.clone()).map_err(|error| error.to_string())?;
                ops.push(ScriptedOp { at, op });
            }
            Some("down" | "throttle") => {
                let rate = ["bytes_per_s", "down_bytes_per_s", "rate_bytes_per_s"];
                let rate = rate.iter().find_map(|key| op[key].as_f64()).ok_or("no rate")?;
                let bytes_per_s = Some(rate);
                change.down.push((at, LinkOptions { bytes_per_s, ..LinkOptions::default() }));
            }
            other => return Err(format!("an intervention of a new kind: {other:?}")),
        }
    }
    change.ops = (!ops.is_empty()).then_some(ops);
    Ok(change)
}

fn ask(trace: &Trace, fit: &Fit, change: &Change) -> Answer {
    let args = ReportArgs::default();
    let question = Question { trace, fit, change, args, members: DEFAULT_MEMBERS, seed: 0 };
    answer(&question).unwrap()
}

const FIGURES: [&str; 5] = ["lead_p5", "lead_p50", "lead_p95", "lead_min", "staleness_p95"];
const COUNTS: [&str; 2] = ["behind_playhead", "stale_ticks"];

fn figure(report: &Value, name: &str) -> f64 {
    let value = match name.split_once('_') {
        Some(("lead", which)) => &report["slices"]["lead_s"][which],
        Some(("staleness", which)) => &report["ticks"]["staleness_s"][which],
        _ if name == "stale_ticks" => &report["ticks"][name],
        _ => &report["slices"][name],
    };
    value.as_f64().unwrap()
}

/// By how much the worst figure exceeds what is allowed: at most 1 is good.
fn excess(predicted: &Value, actual: &Value, noise: &Value) -> (f64, String) {
    let allowed = |name: &str, least: f64| (2.0 * noise[name].as_f64().unwrap()).max(least);
    let names = FIGURES.map(|name| (name, 0.020)).into_iter().chain(COUNTS.map(|name| (name, 3.0)));
    names
        .map(|(name, least)| {
            let (ours, theirs) = (figure(predicted, name), figure(actual, name));
            let by = (ours - theirs).abs() / allowed(name, least);
            (by, format!("{name} {ours} for {theirs}"))
        })
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap()
}

/// Noise of the outcome that a session came to.
fn noise<'a>(pair: &'a Value, session: &str) -> &'a Value {
    let outcomes = pair["counterfactual_outcomes"].as_array();
    let own = outcomes
        .into_iter()
        .flatten()
        .find(|outcome| outcome["sessions"].as_array().unwrap().iter().any(|name| name == session));
    own.map_or(&pair["noise_floor"]["counterfactual"], |outcome| &outcome["spread"])
}

#[test]
fn golden_pairs_are_predicted() {
    for (folder, pair) in pairs() {
        let change = match change_of(&pair) {
            Ok(change) => change,
            Err(reason) => {
                eprintln!("{} is skipped: {reason}", folder.display());
                continue;
            }
        };
        for factual in pair["factual"].as_array().unwrap() {
            let path = folder.join(factual.as_str().unwrap());
            if !path.is_dir() {
                continue;
            }
            let trace = trace_of(&capture_of(&path));
            let fit = Fit::of(&trace).unwrap();
            eprintln!(
                "{} rtt {:.2} ms floor {} {:?}",
                path.display(),
                fit.round_trip_ns as f64 / 1e6,
                fit.policy.lead.floor_s,
                fit.factual_error
            );
            let answer = ask(&trace, &fit, &change);
            for outcome in &answer.outcomes {
                let predicted = serde_json::to_value(&outcome.lag).unwrap();
                let actual = pair["sessions"].as_object().unwrap().iter();
                let nearest = actual
                    .filter(|(name, _)| name.starts_with("counterfactual"))
                    .map(|(name, session)| {
                        let report = &session["full_window_report"];
                        (excess(&predicted, report, noise(&pair, name)), name)
                    })
                    .min_by(|a, b| a.0.0.total_cmp(&b.0.0))
                    .unwrap();
                eprintln!(
                    "   share {:.2} {nearest:?} x {:?}",
                    outcome.share, outcome.transport_peak_s
                );
            }
        }
    }
}
