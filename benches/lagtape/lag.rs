//! What the report of a capture costs, when nobody asks for the audio.

use std::fs;

use anyhow::{Context, Result, ensure};
use lagtape::app::{AnalyzeOptions, analyze};
use lagtape::capture::{Body, Records};
use lagtape::engine::{Engine, Options};
use lagtape::lag::{LagReport, ReportArgs};
use serde_json::json;
use zstd::zstd_safe::DCtx;

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::{self, Peer};
use crate::recorded;

const MINUTES: u64 = 10;
const LOOP_S: f64 = 20.0;
const PARAMS_HZ: f64 = 30.0;
/// A report from what was loaded, for each slice and tick.
const LOADED_AIM_S: f64 = 4e-9;

/// Room for the columns of a second.
const LONGEST_COLUMNS: usize = 1 << 16;

/// The table of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating a minute, for {MINUTES}"));
    let minute = recorded::capture(recorded::healthy(1, LOOP_S, PARAMS_HZ)?);
    let path = bench.folder.path().join("lag.lagtape");
    recorded::write_long(&minute, MINUTES, &path)?;
    let capture = fs::read(&path)?;
    let headers_only = Options { headers_only: true, ..Options::default() };
    let walked = recorded::replay(&capture, headers_only.clone())?;
    let ours = report(&walked)?;
    let from_checkpoints = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let quick = analyze(&path, &from_checkpoints)?;
    let agree = quick.lag.as_ref() == Some(&ours);
    ensure!(agree, "the checkpoints tell {}, and the records {}", json!(quick.lag), json!(ours));

    bench.doing("asking Python for the same report");
    let peer = Peer::start("lag.py", &[path.as_os_str()]);
    if let Some(theirs) = peer.ready() {
        let theirs = &theirs["report"];
        ensure!(python::agree(&ours, theirs), "Python finds {theirs}, and we {}", json!(ours));
    }

    let events = ours.slices.count + ours.ticks.count;
    let walk = |options: &Options| recorded::replay(&capture, options.clone()).map(|e| report(&e));
    let with_audio = Options::default();
    let columns = columns(&capture)?;
    let (mut context, mut room) = (DCtx::default(), vec![0_u8; LONGEST_COLUMNS]);
    let rows = vec![
        Row::cpu("once loaded", events, || report(&walked)).aim_s(LOADED_AIM_S),
        Row::cpu("inflating the checkpoints", events, || {
            let inflate = |packed: &Vec<u8>| context.decompress(&mut room[..], packed);
            columns.iter().map(inflate).map(|len| len.expect("sound columns")).sum::<usize>()
        }),
        Row::cpu("from the checkpoints", events, || analyze(&path, &from_checkpoints)),
        Row::cpu("verified scan", events, || scan(&capture)),
        Row::cpu("walking the capture", events, || walk(&headers_only)),
        Row::cpu("walking it with audio", events, || walk(&with_audio)),
        peer.row("Python", events, "report"),
    ];
    let ratios = vec![
        Ratio::new("Python", "from the checkpoints", Aim::AtLeast(300.0)),
        Ratio::new("Python", "inflating the checkpoints", Aim::Shown),
        Ratio::new("walking the capture", "verified scan", Aim::Shown),
        Ratio::new("Python", "walking the capture", Aim::AtLeast(6.0)),
    ];
    let title = format!("{} slices and {} ticks", ours.slices.count, ours.ticks.count);
    bench.measure(Table { title, unit: "event", rows, ratios })
}

/// The packed columns of all checkpoints.
fn columns(capture: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut columns = Vec::new();
    let mut records = Records::new(capture);
    while let Some(record) = records.next_record()? {
        if let Body::Checkpoint(checkpoint) = record.body {
            columns.push(checkpoint.rows.as_bytes().to_vec());
        }
    }
    Ok(columns)
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
