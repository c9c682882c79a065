//! Simulated servers of all families, as the program runs them.

use lagtape::family::{FAMILIES, FamilyKind};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::check;

/// Simulates a session of a family and returns its report, which an analysis of the capture repeats.
#[track_caller]
fn simulate(family: &str, further: &[&str], exit_code: i32) -> Value {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("x.lagtape");
    let capture = capture.to_str().unwrap();
    let words = [
        "simulate",
        "--family",
        family,
        "--seed",
        "7",
        "--params-hz",
        "10",
        "--json",
        "-o",
        capture,
    ];
    let (live, _) = check(&[&words[..], further].concat(), exit_code);
    let (offline, _) = check(&["analyze", capture, "--json"], exit_code);
    assert_eq!(live, offline, "{family} {further:?}");
    let (quick, _) = check(&["analyze", capture, "--json", "--quick"], exit_code);
    let [live, quick] = [live, quick].map(|text| serde_json::from_str::<Value>(&text).unwrap());
    assert_eq!(live["verdict"], quick["verdict"], "{family} {further:?}");
    assert_eq!(live["family"]["name"], json!(family));
    live
}

#[test]
fn simulated_families_are_healthy() {
    for family in FAMILIES {
        let report = simulate(family.name(), &["--for", "36s", "--loop", "24s"], 0);
        assert_eq!(report["verdict"]["lag"], json!(false), "{report}");
        let appends = family.traits().kind == FamilyKind::AppendOnlyTape;
        assert_eq!(report["family"]["frontier"].is_object(), appends);
        assert_eq!(report["family"]["ended"], json!(false));
        assert!(report["slices"].as_u64().unwrap() > 20, "{}", report["slices"]);
    }
}

#[test]
fn simulated_tapes_below_real_time_and_over_slow_links() {
    for (family, incident) in [
        // 0.93 of real time, of 1.7 and of 1.29.
        ("mrt2", "slow-generation:at=5,factor=1.83"),
        ("minimax", "slow-generation:at=5,factor=1.39"),
        ("mrt2", "thin-link:down=60KB/s,buffer=256KB"),
        ("minimax", "thin-link:down=60KB/s,buffer=256KB"),
    ] {
        let report =
            simulate(family, &["--for", "36s", "--loop", "30s", "--incident", incident], 4);
        let reasons = &report["verdict"]["reasons"];
        assert_eq!(*reasons, json!(["past_frontier"]), "{family} {incident}");
        // Nothing is shed; the bus loses the oldest of many slices.
        if !(family == "mrt2" && incident.starts_with("thin-link")) {
            assert_eq!(report["family"]["frontier"]["holes"], json!(0), "{family} {incident}");
        }
        assert!(report["family"]["frontier"]["lowest_frontier_s"].as_f64() < Some(0.0));
    }
}

#[test]
fn a_family_that_does_not_exist_is_a_usage_error() {
    for verb in
        [&["simulate", "-o", "x.lagtape"][..], &["backend"], &["record", "ws://127.0.0.1:1"]]
    {
        let (_, complaint) = check(&[verb, &["--family", "minmax"]].concat(), 2);
        assert!(complaint.contains("acestep, sa3, yue2, mrt2, minimax"), "{complaint}");
    }
}
