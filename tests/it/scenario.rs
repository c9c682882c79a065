//! What-ifs in the open loop: the columns answer as the engine does when it is fed the same records
//! with the scenario's ops among them.

use std::fs::File;
use std::path::{Path, PathBuf};

use lagtape::app::{self, CutOptions, SimulateVerb};
use lagtape::capture::{Body, Marker, Record, Records};
use lagtape::engine::{Engine, Options};
use lagtape::lag::{Arrival, LagReport, LagTracker, ReportArgs, SliceRecord as Slice};
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::peer::script::ScriptedOp;
use lagtape::playhead::PlayheadSource;
use lagtape::scenario::answer::{AskOptions, NoAnswer, Recording};
use lagtape::scenario::columns::{Columns, ColumnsBuilder};
use lagtape::scenario::open_loop::{OpenLoop, OpenLoopError, Scratch};
use lagtape::scenario::{Playback, Scenario, Tier, parse};
use lagtape::sweep;
use lagtape::sweep::axis::{Axis, points};
use lagtape::time::{Nanos, Span};
use lagtape::verdict::{HeardUse, Verdict};
use tempfile::TempDir;

use crate::golden;
use crate::promises::measured;

/// Captures to try scenarios on, in a folder that goes with them.
struct Captures {
    paths: Vec<PathBuf>,
    folder: TempDir,
}

impl Captures {
    fn new() -> Self {
        Captures { paths: Vec::new(), folder: TempDir::new().unwrap() }
    }

    /// Every golden session and pair.
    fn golden(mut self) -> Self {
        for kind in ["sessions", "pairs"] {
            let is_session =
                |path: &Path| path.file_name().is_some_and(|name| name == "session.json");
            for session in golden::files(kind, is_session) {
                let capture = self.next();
                app::import(session.parent().unwrap(), &capture, false).unwrap();
            }
        }
        self
    }

    /// The captures that come with the sources.
    fn bundled(mut self) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
        self.paths.extend(["healthy.lagtape", "stall.lagtape"].map(|name| folder.join(name)));
        self
    }

    fn simulated(mut self) -> Self {
        for incident in ["stall", "thin-link", "seek-lead-runaway", "clock-skew", "behind"] {
            let script = ["2s:pause", "2500ms:resume", "4s:rate=0.98"];
            let verb = SimulateVerb {
                trouble: incident.parse().unwrap(),
                seed: 5,
                run_for: Span(9_000_000_000),
                family: lagtape::family::Family::Acestep,
                loop_s: 8.0,
                channels: 1,
                client: ClientModel::Lagtape,
                params_hz: None,
                dialect: Some(Dialect::Modern),
                rate: Some(1.01),
                script: script.iter().map(|op| op.parse().unwrap()).collect(),
                out: self.next(),
                force: false,
            };
            app::simulate(&verb).unwrap();
        }
        self
    }

    /// The same without their first seconds, where something is left of them.
    fn from(mut self, begin: &str) -> Self {
        let whole = std::mem::take(&mut self.paths);
        for (number, capture) in whole.iter().enumerate() {
            let out = self.folder.path().join(format!("from-{begin}-{number}.lagtape"));
            let options =
                CutOptions { from: Some(begin.parse().unwrap()), ..CutOptions::default() };
            if app::cut(capture, &out, &options).is_ok() {
                self.paths.push(out);
            }
        }
        assert!(self.paths.len() > whole.len() / 2, "most captures are longer than that");
        self
    }

    fn next(&mut self) -> PathBuf {
        let path = self.folder.path().join(format!("{}.lagtape", self.paths.len()));
        self.paths.push(path.clone());
        path
    }
}

/// Reads a capture once; `None` where no buffer came.
fn columns(capture: &Path, options: Options) -> (Engine, Option<Columns>) {
    let mut engine = Engine::new(options);
    let mut builder = ColumnsBuilder::new();
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        engine.handle(&record);
        builder.see(&engine, &record);
    }
    let ended = ended(&engine);
    let columns = builder.finish(&engine, ended);
    (engine, columns)
}

fn ended(engine: &Engine) -> Nanos {
    engine.facts().span.map_or(Nanos(0), |(_, last)| last)
}

/// What the engine heard, and its verdict.
fn judged(engine: &Engine) -> String {
    let heard = HeardUse::of(engine.heard_meter().unwrap(), engine.origin().unwrap());
    let verdict = Verdict::of(&heard.report, engine.doubts().sentence());
    serde_json::to_string(&(heard, verdict)).unwrap()
}

/// What would have been heard by the columns, and the verdict.
fn judged_again(
    recording: &Recording,
    playback: &Playback,
    args: &ReportArgs,
) -> Result<String, NoAnswer> {
    let ask = AskOptions { open_loop: true, report: *args, ..AskOptions::default() };
    let prepared = recording.prepare(ask);
    let answer = prepared.answer(&scenario(playback.clone()), &mut Scratch::default())?;
    Ok(serde_json::to_string(&(answer.heard.unwrap(), answer.verdict.unwrap())).unwrap())
}

/// The engine when the scenario's ops stand among the records.
fn engine_under(capture: &Path, playback: &Playback, args: &ReportArgs) -> Engine {
    let skew = playback.skew_ppm.map_or(1.0, |ppm| 1.0 + ppm * 1e-6);
    let skewed = |marker: &Marker| match marker {
        Marker::Rate { rate } => Marker::Rate { rate: rate * skew },
        other => other.clone(),
    };
    let put = |engine: &mut Engine, t: Nanos, marker: Marker| {
        engine.handle(&Record { seq: 0, t, conn: 0, body: Body::Marker(marker) });
    };
    let mut ops = playback.ops.clone();
    ops.sort_by_key(|op| op.at);
    let mut ops = ops.into_iter().peekable();
    let stale_threshold_s = args.stale_threshold_s;
    let mut engine = Engine::new(Options { stale_threshold_s, ..Options::default() });
    let mut records = Records::new(File::open(capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        if let Some(origin) = engine.origin() {
            while let Some(op) = ops.next_if(|op| origin.checked_add(op.at).unwrap() < record.t) {
                put(&mut engine, origin.checked_add(op.at).unwrap(), skewed(&op.op));
            }
        }
        let had_buffer = engine.origin().is_some();
        match &record.body {
            Body::Marker(_) if playback.replace_ops => {}
            Body::Marker(Marker::Rate { .. }) if playback.rate.is_some() => {}
            Body::Marker(marker) => put(&mut engine, record.t, skewed(marker)),
            _ => engine.handle(&record),
        }
        let playhead = engine.simulated_playhead().filter(|_| !had_buffer);
        if let Some(rate) = playhead.map(|playhead| playhead.state().rate) {
            if let Some(to_s) = playback.start_offset_s {
                put(&mut engine, record.t, Marker::Seek { to_s });
            }
            if playback.rate.is_some() || playback.skew_ppm.is_some() {
                let rate = playback.rate.unwrap_or(rate) * skew;
                put(&mut engine, record.t, Marker::Rate { rate });
            }
        }
    }
    engine
}

fn playback(ops: &[&str]) -> Playback {
    let ops = ops.iter().map(|op| op.parse::<ScriptedOp>().unwrap()).collect();
    Playback { ops, ..Playback::default() }
}

fn playbacks() -> Vec<Playback> {
    vec![
        Playback::default(),
        Playback { rate: Some(1.002), ..Playback::default() },
        Playback { rate: Some(-0.7), ..Playback::default() },
        Playback { rate: Some(0.0), ..Playback::default() },
        Playback { skew_ppm: Some(250.0), ..playback(&["1s:rate=0.98"]) },
        Playback { start_offset_s: Some(1.7), ..playback(&[]) },
        playback(&["1s:seek=3s"]),
        playback(&["500ms:pause", "1500ms:resume"]),
        playback(&[
            "1s:seek=3s",
            "1100ms:seek=1s",
            "1s:seek=2s",
            "2s:rate=1.03",
            "0:pause",
            "90ms:resume",
        ]),
        Playback { replace_ops: true, ..playback(&["3s:seek=0.1s"]) },
        Playback { replace_ops: true, rate: Some(0.5), ..playback(&[]) },
        playback(&["1s:mark=nothing"]),
        playback(&["10h:seek=3s"]),
    ]
}

fn coverages() -> Vec<ReportArgs> {
    let all = ReportArgs::default();
    vec![
        all,
        ReportArgs { window_s: Some(2.5), stale_threshold_s: 0.2, ..all },
        ReportArgs { window_s: Some(0.0), ..all },
        ReportArgs { timeline_step_s: Some(0.5), ..all },
    ]
}

fn json(report: &LagReport) -> String {
    serde_json::to_string(report).unwrap()
}

fn scenario(playback: Playback) -> Scenario {
    Scenario { playback, ..Scenario::default() }
}

#[track_caller]
fn check_null_scenarios(captures: &Captures) {
    let mut scratch = Scratch::default();
    for capture in &captures.paths {
        for source in [PlayheadSource::Simulated, PlayheadSource::Reported] {
            let options = Options { playhead: Some(source), ..Options::default() };
            let (engine, columns) = columns(capture, options.clone());
            let Some(columns) = columns else { continue };
            for args in coverages() {
                let stale_threshold_s = args.stale_threshold_s;
                let options = Options { stale_threshold_s, ..options.clone() };
                let heard = judged(&self::columns(capture, options).0);
                let recording = Recording::of_columns(columns.clone());
                let again = judged_again(&recording, &Playback::default(), &args);
                assert_eq!(again, Ok(heard), "{} {source:?}", capture.display());
                let expected = engine.report(columns.report_at, &args).unwrap();
                let open_loop = OpenLoop::new(&columns, args);
                let answer = open_loop.answer(&Scenario::default(), &mut scratch).unwrap();
                assert_eq!(json(&answer.lag), json(&expected), "{} {source:?}", capture.display());
                assert_eq!((answer.tier, answer.valid_until_s), (Tier::Exact, None));
            }
        }
    }
}

#[test]
fn golden_null_scenarios() {
    check_null_scenarios(&Captures::new().golden().bundled().simulated());
}

/// Whoever comes in the middle finds a listener who was somewhere, and audio that is old already.
#[test]
fn golden_null_scenarios_from_the_middle() {
    check_null_scenarios(&Captures::new().golden().bundled().simulated().from("4.2s"));
}

#[track_caller]
fn check_against_engine(captures: &Captures, playbacks: &[Playback]) {
    let mut scratch = Scratch::default();
    for capture in &captures.paths {
        let Some(columns) = columns(capture, Options::default()).1 else { continue };
        let recording = Recording::of_columns(columns.clone());
        let ends_s = columns.report_at.seconds_since(columns.origin);
        for playback in playbacks {
            for args in coverages() {
                let engine = engine_under(capture, playback, &args);
                let expected = engine.report(ended(&engine), &args).unwrap();
                let open_loop = OpenLoop::new(&columns, args);
                let answer = open_loop.answer(&scenario(playback.clone()), &mut scratch).unwrap();
                let context = format!("{} {playback:?} {args:?}", capture.display());
                assert_eq!(json(&answer.lag), json(&expected), "{context}");
                let again = judged_again(&recording, playback, &args);
                if playback.ops.iter().any(|op| op.at.seconds() > ends_s) {
                    assert!(matches!(again, Err(NoAnswer::AfterItEnds { .. })), "{context}");
                } else {
                    assert_eq!(again, Ok(judged(&engine)), "{context}");
                }
            }
        }
    }
}

#[test]
fn golden_columns_answer_as_the_engine_does() {
    check_against_engine(&Captures::new().golden().bundled().simulated(), &playbacks());
}

#[test]
fn golden_columns_answer_as_the_engine_does_from_the_middle() {
    let later = [
        playback(&[
            "5s:seek=3s",
            "5100ms:seek=1s",
            "6s:rate=1.03",
            "4200ms:pause",
            "4900ms:resume",
        ]),
        Playback { replace_ops: true, ..playback(&["7s:seek=0.1s"]) },
    ];
    let mut playbacks = playbacks();
    playbacks.retain(|playback| playback.ops.is_empty());
    playbacks.extend(later);
    check_against_engine(&Captures::new().golden().bundled().simulated().from("4.2s"), &playbacks);
}

/// Slices that are coming in may not change before the server can know.
#[test]
fn golden_horizons_begin_with_the_first_report_that_differs() {
    let captures = Captures::new().bundled();
    let (_, columns) = columns(&captures.paths[0], Options::default());
    let columns = columns.unwrap();
    let open_loop = OpenLoop::new(&columns, ReportArgs::default());
    let answer = |playback| open_loop.answer(&scenario(playback), &mut Scratch::default()).unwrap();
    let sought = answer(playback(&["2s:seek=1s"]));
    let ticks = &columns.last().ticks.t_s;
    let first_s = ticks.iter().find(|&&t_s| t_s - columns.origin.seconds() > 2.0).unwrap();
    let tick_ms = columns.last().slices.tick_ms.iter().copied().fold(f64::INFINITY, f64::min);
    let expected_s = first_s - columns.origin.seconds() + tick_ms / 1e3;
    assert_eq!(sought.tier, Tier::Horizon);
    assert!((sought.valid_until_s.unwrap() - expected_s).abs() < 1e-6);
    assert!(sought.beyond_share > 0.0 && sought.beyond_share < 1.0);
    // Of a window, only its own slices count, all of which came later.
    let window = ReportArgs { window_s: Some(0.5), ..ReportArgs::default() };
    let seek = scenario(playback(&["2s:seek=1s"]));
    let last = OpenLoop::new(&columns, window).answer(&seek, &mut Scratch::default()).unwrap();
    assert_eq!(last.beyond_share, 1.0);
    assert_eq!(answer(playback(&["2s:mark=x", "2s:resume"])).tier, Tier::Exact);
    assert_eq!(answer(playback(&["10h:seek=3s"])).valid_until_s, None);
}

#[test]
fn positions_in_quanta_are_rounded_down() {
    let captures = Captures::new().bundled();
    let (engine, columns) = columns(&captures.paths[0], Options::default());
    let columns = columns.unwrap();
    let quantum_frames = Some(4_800);
    let epoch = columns.last();
    let mut tracker = LagTracker::new(epoch.frames, columns.sample_rate, epoch.began.seconds());
    let tick = |tracker: &mut LagTracker, row: usize| {
        tracker.on_tick(epoch.ticks.t_s[row], epoch.ticks.playhead[row] / 4_800 * 4_800);
    };
    let mut ticks = 0..epoch.ticks.t_s.len();
    for (row, slice) in engine.epochs().last().unwrap().tracker.slices().enumerate() {
        let before = epoch.slices.ticks_before[row] as usize - ticks.start;
        ticks.by_ref().take(before).for_each(|row| tick(&mut tracker, row));
        let playhead = epoch.slices.playhead[row] / 4_800 * 4_800;
        let Slice { start, frames, tick_ms, dec_ms, generations, .. } = *slice;
        let arrival = Arrival { start, frames, playhead, tick_ms, dec_ms, generations };
        tracker.on_slice(slice.t_s, arrival);
    }
    ticks.for_each(|row| tick(&mut tracker, row));
    let args = ReportArgs::default();
    let expected = tracker.report(columns.report_at.seconds(), &args);
    let asked = scenario(Playback { quantum_frames, ..Playback::default() });
    let answer = OpenLoop::new(&columns, args).answer(&asked, &mut Scratch::default()).unwrap();
    assert_eq!(json(&answer.lag), json(&expected));
    assert_eq!(answer.tier, Tier::Horizon);
}

#[test]
fn what_the_open_loop_cannot_answer() {
    let captures = Captures::new().bundled();
    let options = Options { playhead: Some(PlayheadSource::Reported), ..Options::default() };
    let columns = columns(&captures.paths[0], options).1.unwrap();
    let open_loop = OpenLoop::new(&columns, ReportArgs::default());
    let ask = |scenario| open_loop.answer(&scenario, &mut Scratch::default()).unwrap_err();
    assert_eq!(ask(scenario(playback(&["1s:pause"]))), OpenLoopError::ReportedPlayhead);
    let mut slower = Scenario::default();
    parse::assign(&mut slower, "tick-factor", "2").unwrap();
    assert_eq!(ask(slower), OpenLoopError::MoreThanPlayhead);
}

#[test]
fn sweeps_are_the_same_on_any_number_of_threads() {
    let captures = Captures::new().bundled().simulated();
    let columns: Vec<_> = captures
        .paths
        .iter()
        .map(|capture| columns(capture, Options::default()).1.unwrap())
        .collect();
    let axes = [("rate", "0.99..1.01:0.002"), ("start-offset", "0s,500ms")]
        .map(|(name, values)| Axis::parse(name, values).unwrap());
    let points = points(&Scenario::default(), &axes).unwrap();
    let args = ReportArgs::default();
    let run = |threads| sweep::open_loop(&columns, &points, &args, threads).unwrap().unwrap();
    let one = run(1);
    assert_eq!(one.len(), columns.len() * 22);
    measured(one.len() as u64, "rows, the same bytes with 1, 2 and 8 threads");
    for threads in [2, 8] {
        assert_eq!(
            serde_json::to_string(&run(threads)).unwrap(),
            serde_json::to_string(&one).unwrap(),
            "{threads} threads"
        );
    }
    for (number, row) in one.iter().enumerate() {
        let point = &points[number % points.len()];
        let open_loop = OpenLoop::new(&columns[row.capture], args);
        let alone = open_loop.answer(&point.scenario, &mut Scratch::default()).unwrap();
        assert_eq!(row.lag.as_ref(), Some(&alone.lag), "row {number}");
        assert_eq!(row.values, point.values, "row {number}");
    }
}
