//! What a family's server says that is odd, or an error and no end.

use serde_json::json;

use super::{Log, RATE, ready};

#[test]
fn slices_that_contradict_the_family_are_odd() {
    let mut log = Log::appending("mrt2").mrt2(20_000, 1.5);
    log.slice(48_000 * 4, 48_000);
    let (report, _) = log.mrt2(30_000, 1.5).check(false, &[]);
    let kinds: Vec<_> = report["warnings"].as_array().unwrap().iter().map(|w| &w["kind"]).collect();
    assert!(kinds.contains(&&json!("behind_frontier")), "{kinds:?}");
    let log = Log::new("minimax", &ready(Some(true))).idle(1_000);
    let report = log.analysis(0).0;
    let kinds: Vec<_> = report["warnings"].as_array().unwrap().iter().map(|w| &w["kind"]).collect();
    assert!(kinds.contains(&&json!("other_family")), "{kinds:?}");
}

#[test]
fn a_bounce_that_never_comes_is_odd() {
    let mut log = Log::appending("mrt2").mrt2(10_000, 1.5);
    log.text("c2s", &json!({"type": "bounce", "request_id": "1"}));
    log.text("s2c", &json!({"type": "bounce_ready", "request_id": "1", "frames": 96_000}));
    log.binary(96_000 * 4, "");
    let log = log.mrt2(20_000, 1.5);
    let (report, _) = log.check(false, &[]);
    assert!(!report["warnings"].to_string().contains("never_came"), "{}", report["warnings"]);
    let mut log = log;
    log.text("s2c", &json!({"type": "bounce_ready", "request_id": "2", "frames": 96_000}));
    let (report, text) = log.check(false, &[]);
    assert!(text.contains("bounce_ready announced a buffer that never came"), "{text}");
    let slices = &report["slices"];
    let (report, text) = log.mrt2(30_000, 1.5).check(false, &[]);
    assert!(text.contains("never came: the slices count"), "{text}");
    assert!(report["slices"].as_u64() > slices.as_u64());
}

#[test]
fn an_error_that_is_not_fatal_ends_nothing() {
    let mut log = Log::new("yue2", &ready(Some(true)));
    log.text("s2c", &json!({"type": "error", "code": "compose_failed", "message": "again"}));
    let (report, _) = log
        .until(5_000, |log| {
            let at = (log.playhead_s * RATE) as u64;
            log.slice(at + 9_600, 19_200);
            log.plays = true;
        })
        .check(false, &[]);
    assert_eq!(report["family"]["name"], json!("yue2"));
}
