//! Two captures side by side: what is the same, what is worse, and where.

use std::fs;
use std::path::PathBuf;

use lagtape::app::{self, CutOptions, DiffVerb, SimulateVerb};
use lagtape::peer::client::Dialect;
use lagtape::report::compare::{self, Comparison, SpanKind, Tolerance, Which, text};
use serde_json::Value;
use tempfile::TempDir;

use crate::simulated;

/// Simulates `for_s` seconds of an incident into a file of its own.
fn capture(folder: &TempDir, name: &str, incident: &str, for_s: u64) -> PathBuf {
    let out = folder.path().join(name);
    let verb = SimulateVerb {
        dialect: Some(Dialect::Legacy),
        force: true,
        ..simulated::verb(incident, 3, for_s, out.clone())
    };
    app::simulate(&verb).unwrap();
    out
}

fn diff(a: &str, b: &str, verb: &DiffVerb) -> Comparison {
    let folder = TempDir::new().unwrap();
    app::diff(&capture(&folder, "a", a, 9), &capture(&folder, "b", b, 9), verb).unwrap()
}

#[track_caller]
fn check(a: &str, b: &str, expected: Option<Which>) -> Comparison {
    let comparison = diff(a, b, &DiffVerb::default());
    assert_eq!(comparison.judgement.worse, expected, "{a} and {b}:\n{}", text(&comparison));
    assert_eq!(
        comparison.judgement.same,
        expected.is_none(),
        "{a} and {b}:\n{}",
        text(&comparison)
    );
    comparison
}

#[test]
fn the_worse_of_two() {
    let same = check("healthy", "healthy", None);
    assert_eq!(same.content.equal, same.content.a);
    assert!(text(&same).contains("\nthe same\n"), "{}", text(&same));

    let stalled = check("healthy", "stall:at=2,for=4", Some(Which::B));
    assert_eq!(stalled.judgement.because, Some("lag_s"));
    let longest = stalled.spans.iter().find(|span| span.kind == SpanKind::Slices).unwrap();
    assert!((2.0..=3.0).contains(&longest.from_s), "{longest:?}");
    assert!((5.0..=7.0).contains(&longest.to_s), "{longest:?}");
    let turned = check("stall:at=2,for=4", "healthy", Some(Which::A));
    assert_eq!(turned.spans.len(), stalled.spans.len());

    let behind = check("behind:at=2,for=3", "healthy", Some(Which::A));
    assert!(behind.spans.iter().any(|span| span.kind == SpanKind::Lead), "{}", text(&behind));
    assert!(behind.content.equal < behind.content.a);
}

#[test]
fn the_tolerance_decides() {
    let strict =
        DiffVerb { tolerance: Tolerance { time_s: 0.0, share: 0.0 }, ..DiffVerb::default() };
    let same = diff("healthy", "healthy", &strict);
    assert!(same.judgement.same, "{}", text(&same));
    let lax = DiffVerb { tolerance: Tolerance { time_s: 60.0, share: 1.0 }, ..DiffVerb::default() };
    let stalled = diff("healthy", "stall:at=2,for=4", &lax);
    assert!(stalled.judgement.figures.iter().all(|figure| figure.same), "{}", text(&stalled));
    assert!(!stalled.judgement.same, "the verdicts differ, whatever the tolerance");
}

#[test]
fn the_longer_one_is_cut() {
    let folder = TempDir::new().unwrap();
    // The longer one stalls after the shorter one has ended.
    let (short, long) = (
        capture(&folder, "short", "healthy", 5),
        capture(&folder, "long", "stall:at=5.5,for=4", 12),
    );
    for (a, b) in [(&short, &long), (&long, &short)] {
        let comparison = app::diff(a, b, &DiffVerb::default()).unwrap();
        assert!(comparison.judgement.same, "{}", text(&comparison));
        assert!((comparison.compared_s - 5.0).abs() < 0.1, "{}", comparison.compared_s);
        let longest = comparison.a.length_s.max(comparison.b.length_s);
        assert!((longest - 12.0).abs() < 0.1, "{longest}");
    }
}

#[test]
fn a_part_is_aligned_where_it_begins() {
    let folder = TempDir::new().unwrap();
    let whole = capture(&folder, "whole", "stall:at=3,for=3", 12);
    let part = folder.path().join("part");
    let options = CutOptions { from: Some("4s".parse().unwrap()), ..CutOptions::default() };
    app::cut(&whole, &part, &options).unwrap();
    let comparison = app::diff(&part, &part, &DiffVerb::default()).unwrap();
    assert!(comparison.judgement.same, "{}", text(&comparison));
    assert!((comparison.compared_s - 8.0).abs() < 0.1, "{}", comparison.compared_s);
    assert!((comparison.a.from_s - 4.0).abs() < 0.1, "{}", comparison.a.from_s);

    // The stall lasts for two seconds of the part, and is over after six of the healthy one.
    let healthy = capture(&folder, "healthy", "healthy", 12);
    for (a, b, worse) in [(&part, &healthy, Which::A), (&healthy, &part, Which::B)] {
        let comparison = app::diff(a, b, &DiffVerb::default()).unwrap();
        assert!((comparison.compared_s - 8.0).abs() < 0.1, "{}", text(&comparison));
        let is_gap = |span: &&compare::SpanDifference| span.kind == SpanKind::Slices;
        let gap = comparison.spans.iter().find(is_gap).unwrap();
        assert_eq!((gap.from_s, gap.worse), (0.0, Some(worse)), "{}", text(&comparison));
        assert!((1.0..=4.0).contains(&gap.to_s), "{}", text(&comparison));
        assert!(text(&comparison).contains("from where each begins"), "{}", text(&comparison));
    }
}

/// Runs `lagtape diff` and checks its exit code; what it printed.
#[track_caller]
fn run(words: &[&str], code: i32) -> (String, String) {
    crate::program::check(&[&["diff"], words].concat(), code)
}

const HEALTHY: &str = "captures/healthy.lagtape";
const STALL: &str = "captures/stall.lagtape";

#[test]
fn exit_codes_and_bad_input() {
    let (out, _) = run(&[STALL, STALL], 0);
    assert!(out.contains("the same"), "{out}");
    let (out, _) = run(&[HEALTHY, STALL, "--json"], 4);
    let comparison: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(comparison["schema"], 1);
    assert_eq!(comparison["same"], false);
    assert_eq!(comparison["setting"][0]["name"], "loop_s");

    let folder = TempDir::new().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (_, err) = run(&[STALL, "nowhere.lagtape"], 1);
    assert!(err.contains("cannot compare nowhere.lagtape"), "{err}");
    let (_, err) = run(&[&file("notes", b"Dear all"), STALL], 1);
    assert!(err.contains("not a lagtape capture"), "{err}");
    let bytes = fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(STALL)).unwrap();
    let (_, err) = run(&[&file("cut", &bytes[..600]), STALL], 1);
    assert!(err.contains("no initial buffer to be aligned at"), "{err}");
    let mut damaged = bytes;
    let last = damaged.len() - 100_000;
    damaged[last] ^= 0xff;
    let (out, err) = run(&[&file("damaged", &damaged), STALL], 3);
    assert!(err.contains("damaged after") && out.contains("damaged at byte"), "{out}{err}");
    run(&[STALL], 2);
    run(&[STALL, STALL, "--share", "7"], 2);
}
