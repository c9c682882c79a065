//! What a page costs: of ten minutes, the analysis included, and the wind tunnel apart.

use std::fs;

use anyhow::{Result, ensure};
use lagtape::app::{AnalyzeOptions, analyze, page_session};
use lagtape::report::page;
use lagtape::review::{PageRequest, TunnelRuns};

use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::recorded;

const MINUTES: u64 = 10;
const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;
/// Longest that a page of ten minutes may take, and what it may weigh.
const AIM_S: f64 = 0.5;
const AIM_BYTES: usize = 3_000_000;

/// The table of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {MINUTES} minutes"));
    let path = bench.folder.path().join("page.lagtape");
    fs::write(&path, recorded::capture(recorded::healthy(MINUTES, LOOP_S, PARAMS_HZ)?))?;
    let html = |tunnel| -> Result<usize> {
        let (session, _) = page_session(&path, &PageRequest { tunnel, ..PageRequest::default() })?;
        Ok(page::html(&[session]).len())
    };
    let bytes = html(TunnelRuns::Never)?;
    ensure!(bytes > 100_000, "the page has nothing on it");
    let rows = vec![
        Row::wall("analysis", 1, || analyze(&path, &AnalyzeOptions::default())),
        Row::wall("page", 1, || html(TunnelRuns::Never)).aim_s(AIM_S),
        Row::wall("page with its wind tunnel", 1, || html(TunnelRuns::Affordable)),
    ];
    let ratios = vec![
        Ratio::new("page", "analysis", Aim::Shown),
        Ratio::new("page with its wind tunnel", "page", Aim::Shown),
    ];
    let title = format!("a session of {MINUTES} minutes");
    bench.measure(Table { title, unit: "page", rows, ratios })?;
    let met = if bytes < AIM_BYTES { "met" } else { "missed" };
    let (size, aim) = (bytes as f64 / 1e6, AIM_BYTES as f64 / 1e6);
    bench.note(&format!("the page is {size:.2} MB, aim < {aim:.0} MB: {met}"));
    Ok(())
}
