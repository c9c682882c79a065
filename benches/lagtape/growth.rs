//! Whether longer captures and more scenarios cost more each.
//!
//! A long capture is a minute of one again and again with later times, so that a hundred minutes
//! need no gigabytes.

use anyhow::Result;
use lagtape::capture::{Body, Record, Records};
use lagtape::engine::{Engine, Options};
use lagtape::lag::ReportArgs;
use lagtape::scenario::Scenario;
use lagtape::sweep::axis::{Axis, points};
use lagtape::sweep::open_loop;
use lagtape::time::Nanos;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::recorded;

const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;
const MINUTE_NS: u64 = 60_000_000_000;
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
    for (what, bound) in [("a bound of 1,000 records", Some(BOUND)), ("no bound", None)] {
        let megabytes = [1, 10, 100].map(|minutes| {
            let before = resident_mb()?;
            let engine = repeated(&capture, minutes, bound);
            let during = resident_mb()?;
            drop(engine);
            Some(format!("{:.1}", during - before))
        });
        if let [Some(one), Some(ten), Some(hundred)] = megabytes {
            bench.note(format!(
                "with {what}, engines of 1, 10 and 100 minutes add {one}, {ten} and {hundred} MB \
                 to what is resident"
            ));
        }
    }
    Ok(())
}

/// Replays `minutes` minutes.
fn repeated(capture: &[u8], minutes: u64, bound: Option<usize>) -> Engine {
    let options = Options { headers_only: true, tracker_bound: bound, ..Options::default() };
    let mut engine = Engine::new(options);
    let mut seq = 0;
    for minute in 0..minutes {
        let mut records = Records::new(capture);
        while let Some(record) = records.next_record().expect("a sound capture") {
            // The handshake and the initial buffer come once.
            let is_repeated = engine.origin().is_some_and(|origin| record.t > origin);
            if (minute > 0 && !is_repeated) || matches!(record.body, Body::End(_)) {
                continue;
            }
            engine.handle(&Record { seq, t: Nanos(record.t.0 + minute * MINUTE_NS), ..record });
            seq += 1;
        }
    }
    engine
}

/// Memory of this process that is resident, in megabytes.
fn resident_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
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
            Ok(Row::wall(name, count, sweep))
        })
        .collect::<Result<_>>()?;
    let ratios = vec![Ratio::new("10000 scenarios", "100 scenarios", Aim::AtMost(1.2))];
    let title = "sweeps of a minute, one thread".to_owned();
    bench.measure(Table { title, unit: "scenario", rows, ratios })
}
