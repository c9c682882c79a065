//! Sessions of the real server with injected faults, against the truth about what was heard and which part
//! was at fault: see `tests/golden/diagnosis/README.md`.

use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::diagnosis::Finding;
use lagtape::report::Analysis;
use serde_json::Value;
use tempfile::TempDir;

/// Seconds and onsets of the labels are on a grid of 10 ms, and lie so far off at most; of the
/// seconds also a tenth.
const TOLERANCE_S: f64 = 0.3;
/// A fault takes effect at the next tick, and is seen at the slice after.
const ONSET_TOLERANCE_S: f64 = 1.0;

/// Imports a session and analyses it with the default options.
fn analysed(name: &str) -> (Analysis, Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnosis").join(name);
    let session = std::fs::read(folder.join("session.json")).unwrap();
    let session: Value = serde_json::from_slice(&session).unwrap();
    let temporary = TempDir::new().unwrap();
    let capture = temporary.path().join("x.lagtape");
    app::import(&folder, &capture, false).unwrap();
    let analysis = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let quick = app::analyze(&capture, &quick).unwrap();
    assert_eq!(quick.heard, analysis.heard, "the checkpoints tell otherwise");
    assert_eq!(quick.verdict, analysis.verdict, "the checkpoints tell otherwise");
    let findings = [&quick, &analysis].map(|it| unnumbered(&it.diagnosis.findings));
    assert_eq!(findings[0], findings[1], "the checkpoints tell otherwise");
    (analysis, session["label"].clone())
}

/// Findings as checkpoints have them, which know no numbers of records.
fn unnumbered(findings: &[Finding]) -> Vec<Finding> {
    let mut findings = findings.to_vec();
    let links = findings.iter_mut().flat_map(|finding| &mut finding.chain);
    links.for_each(|link| link.records.clear());
    findings
}

/// The first finding names the class, and when it began; what is healthy has no audible one.
#[track_caller]
fn check_cause(analysis: &Analysis, label: &Value) {
    let findings = &analysis.diagnosis.findings;
    if label["class"] == "healthy" {
        assert!(findings.iter().all(|finding| !finding.audible), "{findings:#?}");
        return;
    }
    let also = label["also"].as_array().unwrap();
    let is_true = |finding: &&Finding| {
        let id = Value::from(finding.class.id());
        id == label["class"] || also.contains(&id)
    };
    let first = findings.first().filter(is_true);
    let first = first.unwrap_or_else(|| panic!("{} is not first: {findings:#?}", label["class"]));
    if label["marginal"] == false {
        assert_eq!(Value::from(first.audible), label["audible"], "{first:#?}");
    }
    let named = findings.iter().find(|finding| label["class"] == finding.class.id());
    let named = named.unwrap_or_else(|| panic!("no {}: {findings:#?}", label["class"]));
    // The capture does not show when a connection, or the code at the loop's end, became sick.
    if ["keepalive-kill", "loop-end-crash"].contains(&named.class.id()) {
        return;
    }
    let onset_s = label["onset_s"].as_f64().unwrap();
    assert!((named.from_s - onset_s).abs() <= ONSET_TOLERANCE_S, "since {onset_s}: {named:#?}");
    assert!(named.chain.iter().any(|link| !link.figures.is_empty()), "{named:#?}");
}

#[track_caller]
fn check(name: &str) {
    let (analysis, label) = analysed(name);
    check_cause(&analysis, &label);
    let (verdict, truth) = (&analysis.verdict, &label["truth"]);
    let bad_s = truth["bad_s"].as_f64().unwrap();
    let off_s = (verdict.bad_s - bad_s).abs();
    assert!(off_s <= TOLERANCE_S.max(bad_s * 0.1), "{bad_s} s are bad: {verdict:#?}");
    if label["marginal"] == true {
        return;
    }
    assert_eq!(verdict.lag, label["audible"].as_bool(), "{verdict:#?}");
    let onset_s = truth["audible_from_s"].as_f64();
    let onset_is_right = match (verdict.onset_s, onset_s) {
        (Some(ours), Some(theirs)) => (ours - theirs).abs() <= TOLERANCE_S,
        (ours, theirs) => ours == theirs,
    };
    assert!(onset_is_right, "it begins at {onset_s:?}: {verdict:#?}");
}

macro_rules! sessions {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_labelled_session_has_a_test() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diagnosis");
            let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
            let mut names: Vec<_> = entries
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

sessions! {
    bandwidth_75pct_demontd
    burst_0p25_headless
    client_backlog_1hz_sdk
    contention_hard_demontd
    gen_stall_0p6s_sdk
    gen_stall_1p8s_web_twice
    half_open_web
    healthy_idle_resume_demontd
    healthy_jitter20_sdk
    healthy_pause_resume_headless
    healthy_seek_back_web
    healthy_slow_but_enough_demontd
    healthy_swap_web
    keepalive_kill_sdk
    lead_oscillation_web
    loop_end_crash_headless
    old_track_bleed_headless
    oversize_6s_mono_headless
    paging_2p5_web
    pipeline_death_demontd
    preempted_headless
    raw_source_swap_web
    rebuild_steps_web
    refit_storm_demontd
    seek_runaway_fwd_web
    send_hitch_2s_demontd
    skew_1p03_headless
    slow_0p90_headless
    stair_4096_headless
    stale_playhead_23pct_demontd
    swap_hol_45s_headless
    tunnel_reset_headless
}
