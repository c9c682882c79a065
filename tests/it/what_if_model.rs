//! The closed-loop model against pairs of sessions of the real server, with and without a change.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use lagtape::capture::{Records, import_session_log};
use lagtape::lag::ReportArgs;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::script::ScriptedOp;
use lagtape::scenario::model::{
    Change, DEFAULT_MEMBERS, EnsembleAnswer, FactualError, Fit, Question, Trace, Tracer, answer,
};
use lagtape::time::Span;
use serde_json::{Value, json};

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

/// Folders of pairs, whatever the link.
fn pairs() -> Vec<(PathBuf, Value)> {
    let mut pairs = golden::json_files("pairs");
    pairs.retain(|(path, _)| path.ends_with("pair.json"));
    let folder = |(path, pair): (PathBuf, Value)| (path.parent().unwrap().to_path_buf(), pair);
    pairs.into_iter().map(folder).collect()
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

fn ask(trace: &Trace, fit: &Fit, change: &Change) -> EnsembleAnswer {
    let args = ReportArgs::default();
    let question = Question { trace, fit, change, args, members: DEFAULT_MEMBERS, seed: 0 };
    answer(&question)
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

/// The report of the factual slices with only the playhead moved, in the words of a report.
fn open_loop(pair: &Value, session: usize) -> Value {
    let flat = &pair["open_loop"]["per_factual_session"][session];
    let lead = ["p5", "p50", "p95", "min"].map(|name| (name, flat[format!("lead_{name}")].clone()));
    json!({
        "slices": {
            "behind_playhead": flat["behind_playhead"],
            "lead_s": lead.into_iter().collect::<BTreeMap<_, _>>(),
        },
        "ticks": {
            "stale_ticks": flat["stale_ticks"], "staleness_s": {"p95": flat["staleness_p95"]},
        },
    })
}

/// How far a report is from the nearest counterfactual session, and what is worst.
fn nearest(pair: &Value, report: &Value) -> (f64, String) {
    let sessions = pair["sessions"].as_object().unwrap().iter();
    sessions
        .filter(|(name, _)| name.starts_with("counterfactual"))
        .map(|(name, session)| excess(report, &session["full_window_report"], noise(pair, name)))
        .min_by(|a, b| a.0.total_cmp(&b.0))
        .unwrap()
}

#[test]
fn real_pairs_are_predicted() {
    let mut predicted = 0;
    for (folder, pair) in pairs() {
        let change = match change_of(&pair) {
            Ok(change) => change,
            Err(reason) => {
                eprintln!("{} is skipped: {reason}", folder.display());
                continue;
            }
        };
        for (i, factual) in pair["factual"].as_array().unwrap().iter().enumerate() {
            let path = folder.join(factual.as_str().unwrap());
            if path.is_dir() {
                let open_loop = open_loop(&pair, i);
                check_pair(&path, &pair, &change, &open_loop);
                predicted += 1;
            }
        }
    }
    assert!(predicted > 1, "only {predicted} sessions were tried");
}

fn check_pair(path: &Path, pair: &Value, change: &Change, open_loop: &Value) {
    let trace = trace_of(&capture_of(path));
    let fit = Fit::of(&trace).unwrap();
    let answer = ask(&trace, &fit, change);
    let (open_excess, _) = nearest(pair, open_loop);
    eprintln!(
        "{}: {:.2} ms, {:?}",
        path.display(),
        fit.server.round_trip_ns as f64 / 1e6,
        fit.factual_error
    );
    for outcome in answer.outcomes.iter().filter(|outcome| outcome.share >= 0.2) {
        let (excess, worst) = nearest(pair, &serde_json::to_value(&outcome.lag).unwrap());
        let share = outcome.share;
        eprintln!(
            "  share {share:.2}: {excess:.2} of what is allowed ({worst}), open loop {open_excess:.1}"
        );
        assert!(excess <= 1.0, "{}: share {share}: {worst}", path.display());
        assert!(excess < open_excess, "{}: the open loop is as good", path.display());
    }
    let outcomes = pair["counterfactual_outcomes"].as_array().map_or(1, Vec::len);
    let likely = answer.outcomes.iter().filter(|outcome| (0.2..=0.8).contains(&outcome.share));
    if outcomes > 1 {
        assert_eq!(likely.count(), outcomes, "{}", path.display());
    }
}

#[test]
fn real_sessions_repeat_themselves_where_nothing_changes() {
    let mut repeated = 0;
    for (folder, pair) in pairs() {
        for name in pair["sessions"].as_object().unwrap().keys() {
            let path = folder.join(name);
            if path.is_dir() {
                let fit = Fit::of(&trace_of(&capture_of(&path))).unwrap();
                let FactualError { exact_share, missing_share, .. } = fit.factual_error;
                let is_good = exact_share > 0.95 && missing_share < 0.01;
                assert!(is_good, "{}: {:?}", path.display(), fit.factual_error);
                repeated += 1;
            }
        }
    }
    assert!(repeated > 2, "only {repeated} sessions were tried");
}
