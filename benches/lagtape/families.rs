//! What a minute of each family costs: a loop that is refined, and a tape that is appended to.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use lagtape::app::{AnalyzeOptions, analyze};
use lagtape::engine::Options;
use lagtape::family::FAMILIES;
use lagtape::lag::ReportArgs;
use serde_json::json;

use crate::decode::Floor;
use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::{self, Peer};
use crate::{lag, recorded};

const MINUTES: u64 = 1;
const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;

/// The tables of this group, one a family.
pub fn run(bench: &mut Bench) -> Result<()> {
    for family in FAMILIES {
        bench.doing(&format!("simulating a minute of {}", family.name()));
        let capture = recorded::capture(recorded::of_family(family, MINUTES, LOOP_S, PARAMS_HZ)?);
        let slices = recorded::binaries(&capture)?;
        let count = slices.len() - 1;
        let floor = Floor::new(slices)?;
        let path = bench.folder.path().join(format!("{}.lagtape", family.name()));
        fs::write(&path, &capture)?;
        let peer = peer(&capture, &path)?;
        let name = "Python, headers only";
        let python = match &peer {
            Some(peer) => peer.row(name, count, "report"),
            None => {
                Row::missing(name, "its tracker knows no pause, and the client waits for audio")
            }
        };
        let headers_only = AnalyzeOptions { headers_only: true, ..AnalyzeOptions::default() };
        let with_audio = AnalyzeOptions::default();
        let rows = vec![
            Row::cpu("verified scan", count, || lag::scan(&capture)),
            Row::cpu("decoding", count, || floor.decode()),
            Row::sum("limit", &["verified scan", "decoding"]),
            Row::cpu("analysis, headers only", count, || analyze(&path, &headers_only)),
            Row::cpu("analysis with audio", count, || analyze(&path, &with_audio)),
            python,
        ];
        let ratios = vec![
            Ratio::new("analysis with audio", "limit", Aim::AtMost(1.5)),
            Ratio::new("Python, headers only", "analysis, headers only", Aim::AtLeast(6.0)),
        ];
        let title = format!("{}, {count} slices of a minute", family.name());
        bench.measure(Table { title, unit: "slice", rows, ratios })?;
    }
    Ok(())
}

/// Python, once its report of the lag agrees with ours; `None` of a session with ops, which it does not know.
fn peer(capture: &[u8], path: &Path) -> Result<Option<Peer>> {
    let engine = recorded::replay(capture, Options::default())?;
    if engine.observed().is_some_and(|observed| !observed.ops.is_empty()) {
        return Ok(None);
    }
    let peer = Peer::start("lag.py", &[path.as_os_str()]);
    if let Some(theirs) = peer.ready() {
        let (_, last) = engine.facts().span.context("the capture is empty")?;
        let ours = engine.report(last, &ReportArgs::default()).context("no buffer")?;
        let theirs = &theirs["report"];
        ensure!(python::agree(&ours, theirs), "Python finds {theirs}, and we {}", json!(ours));
    }
    Ok(Some(peer))
}
