//! One scenario more on a ten-minute session: by columns, by the model, in whole sweeps.
//!
//! The peers in Python get the same columns and their results are held against ours before anything
//! is measured.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lagtape::diagnosis::Class;
use lagtape::diagnosis::proof::{Claim, ProofOptions, prove};
use lagtape::family::Family;
use lagtape::lag::stats::{Rank, interpolate, mean};
use lagtape::lag::{Figures, ReportArgs};
use lagtape::peer::interval::Interval;
use lagtape::scenario::columns::Columns;
use lagtape::scenario::model::{Change, Fit, Perturbation, Question, Trace, answer, predict};
use lagtape::scenario::open_loop::{OpenLoop, Scratch};
use lagtape::scenario::{Playback, Scenario};
use lagtape::sweep::axis::{Axis, Point, points};
use lagtape::sweep::{cross, open_loop};
use serde_json::json;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::{self, Peer};
use crate::recorded::{self, ForSweeps};

const MINUTES: u64 = 10;
const LOOP_S: f64 = 60.0;
/// Reports a second of a client as it is, and of one that reports at every audio callback.
const PARAMS_HZ: [f64; 2] = [30.0, 125.0];
/// What the scenario asks: the listener is this much faster.
const RATE: f64 = 1.002;
const SCENARIOS: usize = 1_000;
/// Slices that waited for a link, for the client or behind a clock, none of which upstream's server explains.
const TROUBLES: [&str; 3] = ["thin-link", "transport-lead-oscillation", "stale-playhead"];
/// From when to when the server of a proof stalls, in seconds: long enough that old audio is heard.
const STALL_S: (f64, f64) = (300.0, 306.0);

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    for params_hz in PARAMS_HZ {
        bench.doing(&format!("simulating {MINUTES} minutes at {params_hz} reports a second"));
        let session = recorded::for_sweeps(recorded::healthy(MINUTES, LOOP_S, params_hz)?)?;
        by_columns(bench, &session.columns)?;
        by_model(bench, &session.trace)?;
        if params_hz == PARAMS_HZ[0] {
            whole_sweeps(bench, &session)?;
            scaling(bench, &session.columns)?;
            proofs(bench)?;
            fits(bench, &session.trace)?;
        }
    }
    Ok(())
}

fn faster() -> Scenario {
    let playback = Playback { rate: Some(RATE), ..Playback::default() };
    Scenario { playback, ..Scenario::default() }
}

fn size(columns: &Columns) -> String {
    let last = columns.last();
    format!("{} slices and {} ticks", last.slices.t_s.len(), last.ticks.t_s.len())
}

fn by_columns(bench: &mut Bench, columns: &Columns) -> Result<()> {
    let open_loop = OpenLoop::new(columns, ReportArgs::default());
    let (faster, null) = (faster(), Scenario::default());
    let playback = &faster.playback;
    let events = columns.events();
    let peer = python_peer(bench, columns, &open_loop)?;
    let (mut plain, mut ours, mut exact, mut sorting) =
        (Scratch::default(), Scratch::default(), Scratch::default(), Scratch::default());
    let rows = vec![
        Row::cpu("read floor", events, || read(columns)),
        Row::cpu("no percentiles", events, || {
            open_loop.hear(playback, &mut plain).map(|heard| {
                [heard.lead_s, heard.staleness_s].map(|values| (extremes(values), mean(values)))
            })
        }),
        Row::cpu("ours", events, || open_loop.answer(&faster, &mut ours)).aim_s(8e-9),
        Row::cpu("ours, nothing changed", events, || open_loop.answer(&null, &mut exact))
            .aim_s(8e-9),
        Row::cpu("sorting", events, || {
            open_loop
                .hear(playback, &mut sorting)
                .map(|heard| [heard.lead_s, heard.staleness_s].map(sorted_figures))
        }),
        peer.row("numpy vectorised", events, "numpy"),
        peer.row("Python, one flat loop", events, "flat"),
        peer.row("Python loop", events, "loop"),
    ];
    let ratios = vec![
        Ratio::new("ours", "no percentiles", Aim::AtMost(3.5)),
        Ratio::new("sorting", "ours", Aim::Shown),
        Ratio::new("numpy vectorised", "ours", Aim::AtLeast(10.0)),
        Ratio::new("Python, one flat loop", "ours", Aim::Shown),
        Ratio::new("Python loop", "ours", Aim::AtLeast(300.0)),
    ];
    let title = format!("open loop, {}", size(columns));
    bench.measure(Table { title, unit: "event", rows, ratios })
}

/// Reads what a scenario reads, in eight lanes, and does nothing with it.
fn read(columns: &Columns) -> f64 {
    let last = columns.last();
    let numbers = |values: &[u32]| {
        let (eights, rest) = values.as_chunks::<8>();
        let lanes = eights.iter().fold([0_u32; 8], |mut lanes, eight| {
            lanes.iter_mut().zip(eight).for_each(|(lane, value)| *lane = lane.wrapping_add(*value));
            lanes
        });
        f64::from(lanes.iter().chain(rest).fold(0_u32, |sum, value| sum.wrapping_add(*value)))
    };
    mean(&last.slices.t_s)
        + mean(&last.ticks.t_s)
        + numbers(&last.slices.start)
        + numbers(&last.slices.ticks_before)
        + last.slices.refreshed.iter().map(|&(from, until)| from ^ until).fold(0, u32::wrapping_add)
            as f64
}

/// In lanes, so that no comparison waits for the one before.
fn extremes(values: &[f64]) -> ([f64; 8], [f64; 8]) {
    let (mut lowest, mut highest) = ([f64::INFINITY; 8], [f64::NEG_INFINITY; 8]);
    for eight in values.as_chunks::<8>().0 {
        for ((low, high), &value) in lowest.iter_mut().zip(&mut highest).zip(eight) {
            *low = if value < *low { value } else { *low };
            *high = if value > *high { value } else { *high };
        }
    }
    (lowest, highest)
}

/// The figures by sorting, as one would write them first.
fn sorted_figures(values: &[f64]) -> Option<Figures> {
    let mean = mean(values);
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let quantiles = Figures::QUANTILES.map(|q| {
        let Rank { index, weight } = Rank::of(sorted.len(), q);
        interpolate(sorted[index], sorted[(index + 1).min(sorted.len() - 1)], weight)
    });
    Some(Figures::rounded(*sorted.first()?, quantiles, *sorted.last()?, mean))
}

/// Writes the columns for the peer, starts it and compares its results with ours.
fn python_peer(bench: &Bench, columns: &Columns, open_loop: &OpenLoop<'_>) -> Result<Peer> {
    let folder = bench.folder.path().join(format!("columns-{}", columns.events()));
    write_columns(&folder, columns)?;
    bench.doing("asking Python for the same figures");
    let peer = Peer::start("sweep.py", &[folder.as_os_str(), OsStr::new(&RATE.to_string())]);
    let ours = open_loop.answer(&faster(), &mut Scratch::default())?.lag;
    if let Some(theirs) = peer.ready() {
        for (name, figures) in theirs.as_object().context("no results")? {
            ensure!(
                python::agree(&ours, figures),
                "{name} finds {figures}, and we {}",
                json!(ours)
            );
        }
    }
    Ok(peer)
}

fn write_columns(folder: &Path, columns: &Columns) -> Result<()> {
    fs::create_dir_all(folder)?;
    let last = columns.last();
    let floats = |name: &str, values: &[f64]| {
        fs::write(
            folder.join(name),
            values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>(),
        )
    };
    let numbers = |name: &str, values: &mut dyn Iterator<Item = u32>| {
        fs::write(folder.join(name), values.flat_map(u32::to_le_bytes).collect::<Vec<_>>())
    };
    let slices = &last.slices;
    floats("slice_t", &slices.t_s)?;
    floats("tick_t", &last.ticks.t_s)?;
    numbers("start", &mut slices.start.iter().copied())?;
    numbers("length", &mut slices.frames.iter().copied())?;
    numbers("ticks_before", &mut slices.ticks_before.iter().copied())?;
    numbers("from", &mut slices.refreshed.iter().map(|(from, _)| *from))?;
    numbers("until", &mut slices.refreshed.iter().map(|(_, until)| *until))?;
    let meta = json!({
        "frames": last.frames,
        "sample_rate": columns.sample_rate,
        "buckets": last.buckets.count(),
        "origin_s": columns.origin.seconds(),
        "began_s": last.began.seconds(),
    });
    fs::write(folder.join("meta.json"), meta.to_string())?;
    Ok(())
}

fn by_model(bench: &mut Bench, trace: &Trace) -> Result<()> {
    bench.doing("fitting the model");
    let fit = Fit::of(trace)?;
    let events = trace.slices.len() + trace.ticks.len();
    let rows = [("null", Scenario::default()), ("rate", faster())]
        .into_iter()
        .map(|(name, scenario)| {
            let change = Change::of(&scenario, trace)?;
            let (policy, as_asked) = (change.policy(fit.policy()), Perturbation::default());
            let fit = &fit;
            let run = move || predict(trace, &fit.server, &policy, &change, &as_asked);
            Ok(Row::cpu(&format!("one member, {name}"), events, run).aim_s(40e-9))
        })
        .collect::<Result<_>>()?;
    let title = format!("model, {} slices and {} ticks", trace.slices.len(), trace.ticks.len());
    bench.measure(Table { title, unit: "event", rows, ratios: Vec::new() })
}

/// A stall in the middle of the session is taken away, in as many runs as `diagnose` makes.
fn proofs(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {MINUTES} minutes with a stall"));
    let mut options = recorded::healthy(MINUTES, LOOP_S, PARAMS_HZ[0])?;
    options.server.faults.stalls.push(Interval { at_s: STALL_S.0, for_s: STALL_S.1 - STALL_S.0 });
    let recording = recorded::for_questions(options)?;
    let (trace, _) = recording.model()?;
    let (from_s, to_s) = STALL_S;
    let claims = [Claim { class: Class::GenerationStall, from_s, to_s }];
    let options = ProofOptions::default();
    let share = prove(&recording, &claims, &options).alone[0].clone()?.share;
    ensure!(share > 0.9, "without the stall {share} of the lag is gone, and it was the only cause");
    let rows = vec![
        Row::wall("fitting the model", 1, || Fit::of(trace)),
        Row::wall("one cause taken away", 1, || prove(&recording, &claims, &options)).aim_s(1.0),
    ];
    let title =
        format!("proof in {} runs on all cores, {}", options.runs, size(recording.columns()));
    bench.measure(Table { title, unit: "proof", rows, ratios: Vec::new() })
}

/// What the search for a server costs, by what happened to its slices.
fn fits(bench: &mut Bench, healthy: &Trace) -> Result<()> {
    bench.doing(&format!("simulating {MINUTES} minutes of each trouble"));
    let troubles = TROUBLES.map(|trouble| -> Result<Trace> {
        let options =
            recorded::with_trouble(trouble, Family::Acestep, MINUTES, LOOP_S, PARAMS_HZ[0])?;
        Ok(recorded::for_sweeps(options)?.trace)
    });
    let mut rows = vec![Row::cpu("healthy", MINUTES as usize, || Fit::of(healthy).is_ok())];
    for (trouble, trace) in TROUBLES.into_iter().zip(troubles) {
        let trace = trace?;
        rows.push(Row::cpu(trouble, MINUTES as usize, move || Fit::of(&trace).is_ok()));
    }
    let title = format!("fitting the model to {MINUTES} minutes");
    bench.measure(Table { title, unit: "minute", rows, ratios: Vec::new() })
}

/// Scenarios for a sweep, all different.
fn scenarios(count: usize) -> Result<Vec<Point>> {
    let axis = Axis::parse("skew-ppm", &format!("1..{count}:1"))?;
    Ok(points(&Scenario::default(), &[axis])?)
}

fn whole_sweeps(bench: &mut Bench, session: &ForSweeps) -> Result<()> {
    let count = if bench.effort.quick { SCENARIOS / 10 } else { SCENARIOS };
    let points = scenarios(count)?;
    let args = ReportArgs::default();
    let columns = std::slice::from_ref(&session.columns);
    let (trace, fit) = (&session.trace, &Fit::of(&session.trace)?);
    let one = |_: &(), point: &Point, (): &mut ()| {
        let change = Change::of(&point.scenario, trace).ok()?;
        let (members, seed) = (1, 0);
        Some(answer(&Question { trace, fit, change: &change, args, members, seed }))
    };
    let rows = vec![
        Row::wall("open loop", count, || open_loop(columns, &points, &args, 0)).aim_s(0.5e-3),
        Row::wall("model, one member", count, || cross(&[()], &points, 0, || (), one)).aim_s(3e-3),
    ];
    let title = format!("sweeps of {count} on all cores, {}", size(&session.columns));
    bench.measure(Table { title, unit: "scenario", rows, ratios: Vec::new() })
}

fn scaling(bench: &mut Bench, columns: &Columns) -> Result<()> {
    let points = scenarios(SCENARIOS)?;
    let (columns, args) = (std::slice::from_ref(columns), ReportArgs::default());
    let work = |threads| open_loop(columns, &points, &args, threads);
    bench.threads("open loop", "scenario", SCENARIOS, Aim::AtLeast(1.8), work)
}
