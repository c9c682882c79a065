//! The closed-loop model against recordings of the real server and against simulated sessions.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use lagtape::capture::{
    ClientKind, FORMAT_VERSION, Header, Records, SyncMarker, Writer, import_session_log,
};
use lagtape::lag::stats::percentile;
use lagtape::lag::{LagTracker, ReportArgs};
use lagtape::peer::client::{ClientOptions, Dialect};
use lagtape::peer::link::LinkOptions;
use lagtape::peer::script::ScriptedOp;
use lagtape::peer::server::{ServerOptions, Source};
use lagtape::peer::simulation::{SimulationOptions, simulate};
use lagtape::scenario::model::{
    Answer, Change, DEFAULT_MEMBERS, FactualError, Fit, Predicted, Question, Trace, Tracer, answer,
    predict,
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

/// Folders of pairs over loopback, the only link that the model was held against so far.
fn pairs() -> Vec<(PathBuf, Value)> {
    let mut pairs = golden::json_files("pairs");
    pairs.retain(|(path, _)| path.ends_with("pair.json"));
    let folder = |(path, pair): (PathBuf, Value)| (path.parent().unwrap().to_path_buf(), pair);
    let pairs = pairs.into_iter().map(folder);
    pairs
        .filter(|(folder, pair)| {
            let is_so = pair["link"] == "loopback";
            if !is_so {
                eprintln!("SKIPPED: {} is not over loopback: {}", folder.display(), pair["link"]);
            }
            is_so
        })
        .collect()
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
        fit.round_trip_ns as f64 / 1e6,
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

/// A simulated session whose constants the model is not told.
#[derive(Clone)]
struct Hidden {
    seed: u64,
    tick_ms: f64,
    latency_s: f64,
    jitter_s: f64,
    floor_s: f64,
    dialect: Dialect,
}

impl Hidden {
    fn of(seed: u64, dialect: Dialect) -> Self {
        let drawn = |i: u64, least: f64, most: f64| {
            least + (most - least) * ((seed * 7 + i * 5) % 11) as f64 / 10.0
        };
        Self {
            seed,
            tick_ms: drawn(1, 35.0, 60.0),
            latency_s: drawn(2, 0.0, 0.02),
            jitter_s: drawn(3, 0.000_2, 0.004),
            floor_s: drawn(4, 0.22, 0.4),
            dialect,
        }
    }

    /// The records of a session of ours with that change.
    fn run(&self, change: &Change) -> (Vec<u8>, LagTracker, f64) {
        let source = Source::BuiltIn { seconds: 20.0, channels: 1 };
        let mut server = ServerOptions { seed: self.seed, source, ..ServerOptions::default() };
        server.generator.tick_ms = self.tick_ms;
        server.policy.lead.floor_s = self.floor_s;
        server.policy = change.policy(&server.policy).unwrap();
        let way = LinkOptions {
            latency_s: self.latency_s,
            jitter_s: self.jitter_s,
            ..LinkOptions::default()
        };
        let mut down = way.clone();
        if let Some((_, thin)) = change.down.first() {
            (down.bytes_per_s, down.slow_from_s) = (thin.bytes_per_s, thin.slow_from_s);
        }
        let config = json!({"use_server_fixture": true, "fixture_name": "built-in"});
        let client = ClientOptions {
            config: config.as_object().cloned().unwrap(),
            params_hz: 60.0,
            dialect: self.dialect,
            script: change.ops.clone().unwrap_or_default(),
            run_for: Some(Span(14_000_000_000)),
            ..ClientOptions::default()
        };
        let options = SimulationOptions { client, server, up: way, down, handles_every_s: 0.0 };
        let mut capture = Vec::new();
        let mut writer = Writer::new(SyncMarker::derive(b"hidden"));
        writer.begin(&mut capture);
        let header =
            Header { format: FORMAT_VERSION, client: ClientKind::Headless, ..Header::default() };
        let simulated = simulate(options, header, &mut |record| writer.write(record, &mut capture));
        let tracker = simulated.client.engine().epochs().last().unwrap().tracker.clone();
        (capture, tracker, simulated.ended.seconds())
    }
}

fn ops(script: &[&str]) -> Change {
    let ops = script.iter().map(|op| op.parse().unwrap()).collect();
    Change { ops: Some(ops), ..Change::default() }
}

/// Median distance between the leads of two sessions at the same moments.
fn lead_error_s(ours: &LagTracker, theirs: &LagTracker) -> f64 {
    let loop_s = ours.report(0.0, &ReportArgs::default()).buffer_duration_s;
    let mut ours = ours.slices().peekable();
    let mut errors: Vec<f64> = Vec::new();
    for slice in theirs.slices() {
        while ours.next_if(|own| own.t_s < slice.t_s - 0.02).is_some() {}
        if let Some(own) = ours.peek().filter(|own| own.t_s < slice.t_s + 0.02) {
            let off = (own.lead_s - slice.lead_s).abs();
            errors.push(off.min(loop_s - off));
        }
    }
    assert!(errors.len() * 10 > theirs.slices().len() * 9, "slices at other moments");
    percentile(&mut errors, 0.5)
}

#[track_caller]
fn check_oracle(name: &str, dialect: Dialect, change: &Change) {
    for seed in 0..4 {
        let hidden = Hidden::of(seed, dialect);
        let trace = trace_of(&hidden.run(&Change::default()).0);
        let fit = Fit::of(&trace).unwrap();
        let (_, actual, ended_s) = hidden.run(change);
        let report = actual.report(ended_s, &ReportArgs::default());
        let policy = change.policy(&fit.policy).unwrap();
        let distances = ask(&trace, &fit, change).outcomes.into_iter().map(|outcome| {
            let Predicted { tracker, .. } = predict(&trace, &fit, &policy, change, &outcome.luck);
            let ours = &outcome.lag;
            let off = |a: usize, b: usize| a.abs_diff(b);
            let behind = off(ours.slices.behind_playhead, report.slices.behind_playhead);
            let stale = off(ours.ticks.stale_ticks, report.ticks.stale_ticks);
            (lead_error_s(&tracker, &actual), behind, stale, outcome.share)
        });
        let best = distances.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
        eprintln!(
            "{name} seed {seed}: {best:?}, rtt {:.2} of {:.2} ms, floor {:.3} of {:.3}, exact {:.3}",
            fit.round_trip_ns as f64 / 1e6,
            hidden.latency_s * 2e3 + hidden.jitter_s * 1e3,
            fit.policy.lead.floor_s,
            hidden.floor_s,
            fit.factual_error.exact_share
        );
        assert!(best.0 < 0.020, "{name} seed {seed}: {best:?}");
    }
}

#[test]
fn simulated_counterfactuals_are_predicted() {
    use Dialect::{Legacy, Modern};
    for dialect in [Modern, Legacy] {
        check_oracle("seek back", dialect, &ops(&["8:seek=2"]));
        check_oracle("slower", dialect, &ops(&["4:rate=0.97"]));
        check_oracle("faster", dialect, &ops(&["4:rate=1.03"]));
        check_oracle("pause", dialect, &ops(&["5:pause", "8:resume"]));
    }
}
