//! What the report of a capture costs, when nobody asks for the audio.

use std::fs;

use anyhow::{Context, Result, ensure};
use lagtape::capture::Records;
use lagtape::engine::{Engine, Options};
use lagtape::lag::{LagReport, ReportArgs};
use serde_json::json;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::{self, Peer};
use crate::recorded;

const MINUTES: u64 = 1;
const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;

/// The table of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {MINUTES} minute"));
    let capture = recorded::capture(recorded::healthy(MINUTES, LOOP_S, PARAMS_HZ)?);
    let headers_only = Options { headers_only: true, ..Options::default() };
    let ours = report(&recorded::replay(&capture, headers_only.clone())?)?;

    let path = bench.folder.path().join("lag.lagtape");
    fs::write(&path, &capture)?;
    bench.doing("asking Python for the same report");
    let peer = Peer::start("lag.py", &[path.as_os_str()]);
    if let Some(theirs) = peer.ready() {
        let theirs = &theirs["report"];
        ensure!(python::agree(&ours, theirs), "Python finds {theirs}, and we {}", json!(ours));
    }

    let events = ours.slices.count + ours.ticks.count;
    let walk = |options: &Options| recorded::replay(&capture, options.clone()).map(|e| report(&e));
    let with_audio = Options::default();
    let rows = vec![
        Row::cpu("verified scan", events, || scan(&capture)),
        Row::cpu("walking the capture", events, || walk(&headers_only)),
        Row::cpu("walking it with audio", events, || walk(&with_audio)),
        peer.row("Python", events, "report"),
    ];
    let ratios = vec![
        Ratio::new("walking the capture", "verified scan", Aim::Shown),
        Ratio::new("Python", "walking the capture", Aim::AtLeast(6.0)),
    ];
    let title = format!("{} slices and {} ticks", ours.slices.count, ours.ticks.count);
    bench.measure(Table { title, unit: "event", rows, ratios })
}

fn report(engine: &Engine) -> Result<LagReport> {
    let (_, last) = engine.facts().span.context("the capture is empty")?;
    engine.report(last, &ReportArgs::default()).context("the capture has no buffer")
}

/// Reads and verifies every record and looks at none.
pub fn scan(capture: &[u8]) -> Result<u64> {
    let mut records = Records::new(capture);
    let mut count = 0;
    while records.next_record()?.is_some() {
        count += 1;
    }
    Ok(count)
}
