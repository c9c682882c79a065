//! Captures that hold a part of their session: findings are of what they hold, and nobody is blamed for
//! what was lost.

use std::fs;
use std::path::{Path, PathBuf};

use lagtape::app::{self, AnalyzeOptions, CutOptions, SimulateVerb};
use lagtape::family::Family;
use lagtape::peer::client_model::ClientModel;
use lagtape::time::Span;
use tempfile::TempDir;

/// The generator stands still from 6 to 10 s.
fn stalled(folder: &TempDir, family: Family) -> PathBuf {
    let out = folder.path().join("whole.lagtape");
    let verb = SimulateVerb {
        trouble: "stall".parse().unwrap(),
        seed: 3,
        run_for: Span(24_000_000_000),
        loop_s: if family == Family::Acestep { 16.0 } else { 60.0 },
        channels: if family == Family::Acestep { 1 } else { 2 },
        family,
        client: ClientModel::Lagtape,
        params_hz: None,
        dialect: None,
        rate: None,
        script: Vec::new(),
        out: out.clone(),
        force: false,
    };
    app::simulate(&verb).unwrap();
    out
}

/// The findings of a capture, whole or not, as classes.
#[track_caller]
fn check(capture: &Path, expected: &[&str]) {
    let analysis = app::analyze(capture, &AnalyzeOptions::default()).unwrap();
    let findings = &analysis.diagnosis.findings;
    let classes: Vec<&str> = findings.iter().map(|finding| finding.class.id()).collect();
    assert_eq!(classes, expected, "{}: {findings:#?}", capture.display());
}

#[test]
fn findings_are_of_what_a_capture_holds() {
    let folder = TempDir::new().unwrap();
    let whole = stalled(&folder, Family::Acestep);
    let bytes = fs::read(&whole).unwrap();
    let without = |name: &str, change: fn(&mut Vec<u8>)| {
        let capture = folder.path().join(name);
        let mut changed = bytes.clone();
        change(&mut changed);
        fs::write(&capture, changed).unwrap();
        capture
    };
    let part = folder.path().join("part.lagtape");
    let moment = |text: &str| Some(text.parse().unwrap());
    let options = CutOptions { from: moment("8s"), to: moment("16s"), force: false };
    app::cut(&whole, &part, &options).unwrap();

    check(&whole, &["generation-stall"]);
    check(&part, &["generation-stall"]);
    check(&without("short", |bytes| bytes.truncate(bytes.len() - 100_000)), &["generation-stall"]);
    // Seconds of records after the stall, in which neither slices nor reports are known.
    let lost = |bytes: &mut Vec<u8>| {
        let len = bytes.len();
        bytes[len - 200_000..len - 100_000].fill(0);
    };
    check(&without("lost", lost), &["generation-stall"]);
    check(&without("header", |bytes| bytes.truncate(200)), &[]);
    check(&without("no-buffer", |bytes| bytes.truncate(100_000)), &[]);
}

#[test]
fn a_tape_that_stands_still_is_no_server_that_rests() {
    let folder = TempDir::new().unwrap();
    check(&stalled(&folder, Family::Mrt2), &["generation-stall"]);
}
