//! Whether longer captures and more scenarios cost more each.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use lagtape::engine::{Engine, Options};
use lagtape::lag::ReportArgs;
use lagtape::scenario::Scenario;
use lagtape::sweep::axis::{Axis, points};
use lagtape::sweep::open_loop;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::{clock, recorded};

const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;
/// Slices and ticks that a bounded tracker keeps.
const BOUND: usize = 1_000;

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    minutes(bench)?;
    scenarios(bench)
}

fn minutes(bench: &mut Bench) -> Result<()> {
    bench.doing("simulating a minute");
    let capture = recorded::capture(recorded::healthy(1, LOOP_S, PARAMS_HZ)?);
    let replay = |minutes| repeated(&capture, minutes, None);
    let rows = vec![
        Row::cpu("1 minute", 1, || replay(1)),
        Row::cpu("10 minutes", 10, || replay(10)),
        Row::cpu("100 minutes", 100, || replay(100)),
    ];
    let ratios = vec![Ratio::new("100 minutes", "1 minute", Aim::AtMost(1.2))];
    let title = "replays by their headers".to_owned();
    bench.measure(Table { title, unit: "minute", rows, ratios })?;
    let path = bench.folder.path().join("growth.lagtape");
    fs::write(&path, &capture)?;
    for bound in [Some(BOUND), None] {
        let megabytes = [1, 10, 100].map(|minutes| peak_of_child(&path, minutes, bound));
        if let [Some(one), Some(ten), Some(hundred)] = megabytes {
            let bound = bound.map_or("no bound".to_owned(), |bound| {
                format!("a bound of {bound} slices and as many ticks")
            });
            bench.note(&format!(
                "memory with {bound}: {one:.1}, {ten:.1} and {hundred:.1} MB at most for 1, 10 \
                 and 100 minutes"
            ));
        }
    }
    Ok(())
}

/// What a process of its own needs at most, in megabytes, to replay so many minutes.
fn peak_of_child(capture: &Path, minutes: u64, bound: Option<usize>) -> Option<f64> {
    let mut child = Command::new(std::env::current_exe().ok()?);
    child.arg("--replay").arg(capture).args(["--minutes", &minutes.to_string()]);
    if let Some(bound) = bound {
        child.args(["--bound", &bound.to_string()]);
    }
    String::from_utf8(child.output().ok()?.stdout).ok()?.trim().parse().ok()
}

/// The child's part: replays and prints the most memory that was resident.
pub fn replay_and_tell(capture: &Path, minutes: u64, bound: Option<usize>) -> Result<()> {
    let engine = repeated(&fs::read(capture)?, minutes, bound);
    let peak = clock::peak_megabytes().context("this system does not tell")?;
    drop(engine);
    println!("{peak}");
    Ok(())
}

/// Replays `minutes` minutes.
fn repeated(capture: &[u8], minutes: u64, bound: Option<usize>) -> Engine {
    let options = Options { headers_only: true, tracker_bound: bound, ..Options::default() };
    let mut engine = Engine::new(options);
    recorded::repeat(capture, minutes, &mut |record| engine.handle(record)).expect("sound");
    engine
}

fn scenarios(bench: &mut Bench) -> Result<()> {
    bench.doing("simulating a minute");
    let session = recorded::for_sweeps(recorded::healthy(1, LOOP_S, PARAMS_HZ)?)?;
    let columns = std::slice::from_ref(&session.columns);
    let args = ReportArgs::default();
    let sweeps = [1, 100, 10_000].map(|count| -> Result<_> {
        let axis = Axis::parse("skew-ppm", &format!("1..{count}:1"))?;
        Ok((count, points(&Scenario::default(), &[axis])?))
    });
    let rows = sweeps
        .into_iter()
        .map(|sweep| {
            let (count, points) = sweep?;
            let sweep = move || open_loop(columns, &points, &args, 1);
            let name = if count == 1 { "1 scenario" } else { &format!("{count} scenarios") };
            Ok(Row::all_cpu(name, count, sweep))
        })
        .collect::<Result<_>>()?;
    let ratios = vec![Ratio::new("10000 scenarios", "100 scenarios", Aim::AtMost(1.2))];
    let title = "sweeps of a minute, one thread".to_owned();
    bench.measure(Table { title, unit: "scenario", rows, ratios })
}
