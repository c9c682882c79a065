//! What one more capture costs among many.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use lagtape::app::{AnalyzeOptions, analyze, analyze_all};
use lagtape::capture::Records;
use serde_json::json;

use crate::clock;
use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::recorded;

/// Captures, and how many of them differ; the others are further names of the same files.
const CAPTURES: usize = 200;
const DIFFERENT: u64 = 10;
const SECONDS: u64 = 10;
const LOOP_S: f64 = 24.0;
const PARAMS_HZ: f64 = 30.0;
/// Captures that have all threads for themselves. What comes before the first slice is one thread's, and the same
/// for both.
const LONG_MINUTES: [u64; 2] = [5, 30];

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {DIFFERENT} captures of {SECONDS} seconds"));
    let folder = bench.folder.path().join("fleet");
    fs::create_dir(&folder)?;
    let paths = captures(&folder, CAPTURES, DIFFERENT, SECONDS)?;
    let headers_only = AnalyzeOptions { headers_only: true, ..AnalyzeOptions::default() };
    let with_audio = AnalyzeOptions::default();
    let each = |options: &AnalyzeOptions| {
        paths.iter().filter_map(|path| analyze(path, options).ok()).count()
    };
    let rows = vec![
        Row::cpu("verified scan", CAPTURES, || paths.iter().map(|path| scan(path)).sum::<u64>()),
        Row::cpu("analysis, headers only", CAPTURES, || each(&headers_only)),
        Row::cpu("analysis with audio", CAPTURES, || each(&with_audio)),
    ];
    let ratios = vec![
        Ratio::new("analysis, headers only", "verified scan", Aim::AtMost(1.2)),
        Ratio::new("analysis with audio", "verified scan", Aim::Shown),
    ];
    let title = format!("{CAPTURES} captures of {SECONDS} s");
    bench.measure(Table { title, unit: "capture", rows, ratios })?;

    let work = |threads| analyze_all(&paths, &with_audio, threads);
    bench.threads("analysis with audio", "capture", CAPTURES, Aim::AtLeast(1.6), work)?;

    let minute = recorded::capture(recorded::healthy(1, LOOP_S, PARAMS_HZ)?);
    for minutes in LONG_MINUTES {
        bench.doing(&format!("writing a capture of {minutes} minutes"));
        let long = [bench.folder.path().join("long.lagtape")];
        recorded::write_long(&minute, minutes, &long[0])?;
        let work = |threads| analyze_all(&long, &with_audio, threads);
        let report = |threads| -> Result<_> { Ok(json!(work(threads)?.remove(0)?)) };
        ensure!(report(1)? == report(2)?, "what is inflated ahead makes another report");
        let title = format!("analysis with audio of one capture of {minutes} minutes");
        let before_s = clock::round_trip_s();
        bench.threads(&title, "minute", minutes as usize, Aim::AtLeast(1.7), work)?;
        let [before_ns, after_ns] = [before_s, clock::round_trip_s()].map(|s| s * 1e9);
        bench.note(&format!(
            "a cache line went to the other core and back in {before_ns:.0} ns before, and in \
             {after_ns:.0} ns after"
        ));
    }
    Ok(())
}

/// So many captures in a folder, of which so many differ.
pub fn captures(folder: &Path, count: usize, different: u64, seconds: u64) -> Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for seed in 0..different {
        let mut options = recorded::healthy(1, LOOP_S, PARAMS_HZ)?;
        options.server.seed = seed;
        options.client.run_for = Some(lagtape::time::Span(seconds * 1_000_000_000));
        let path = folder.join(format!("fleet-{seed:04}.lagtape"));
        fs::write(&path, recorded::capture(options))?;
        paths.push(path);
    }
    for number in paths.len()..count {
        let path = folder.join(format!("fleet-{number:04}.lagtape"));
        fs::hard_link(&paths[number % different as usize], &path)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Reads and verifies every record of a file.
pub fn scan(path: &Path) -> u64 {
    let mut records = Records::new(File::open(path).expect("a capture that was just written"));
    let mut count = 0;
    while records.next_record().expect("a sound capture").is_some() {
        count += 1;
    }
    count
}
