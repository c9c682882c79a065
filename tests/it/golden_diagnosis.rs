//! Sessions of the real server with injected faults, against the truth about what was heard: see
//! `tests/golden/diagnosis/README.md`.

use std::path::Path;

use lagtape::app::{self, AnalyzeOptions};
use lagtape::report::Analysis;
use serde_json::Value;
use tempfile::TempDir;

/// Seconds and onsets of the labels are on a grid of 10 ms, and lie so far off at most; of the
/// seconds also a tenth.
const TOLERANCE_S: f64 = 0.3;

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
    (analysis, session["label"].clone())
}

#[track_caller]
fn check(name: &str) {
    let (analysis, label) = analysed(name);
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
