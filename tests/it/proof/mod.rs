//! Proofs against the truth: the share of the lag that a cause explains, beside that of the same session
//! simulated again without it. The table of docs/DIAGNOSIS.md is printed by
//! `cargo run --release --example proof_oracle`.

mod sessions;

use std::path::Path;

use lagtape::capture::Records;
use lagtape::diagnosis::Class;
use lagtape::diagnosis::proof::{Claim, ProofOptions, Unproven, prove, ranked};
use lagtape::scenario::answer::{Recording, RecordingBuilder};

use crate::program::check as check_program;
use sessions::{PAIRS, fault, rows};

/// The proofs of one seed agree with the truth, and there are as many as faults that can be told.
#[track_caller]
fn check(names: &[&str], seed: u64, proofs: usize) {
    let faults: Vec<_> = names.iter().map(|name| fault(name)).collect();
    let rows = rows(seed, &faults);
    assert_eq!(rows.len(), proofs, "{names:?}");
    for row in &rows {
        assert!(row.agrees(), "{row}");
    }
}

#[test]
fn slow_and_missing_turns() {
    check(&["stall"], 0, 1);
    check(&["slow-generation"], 1, 1);
    check(&["burst-production"], 2, 1);
    check(&["rebuild-stall"], 3, 1);
    check(&["refit-storm"], 0, 1);
}

#[test]
fn links_and_clients_that_are_behind() {
    check(&["thin-link"], 0, 1);
    check(&["client-backlog"], 1, 1);
}

#[test]
fn a_recording_that_no_server_repeats_is_answered_by_its_declared_work() {
    check(&["thin-link"], 3, 1);
}

#[test]
fn servers_that_act_on_the_wrong_reports() {
    check(&["stale-playhead"], 1, 1);
    check(&["seek-lead-runaway"], 0, 1);
}

#[test]
fn two_causes_each_explain_their_part() {
    check(&PAIRS[0], 1, 3);
    check(&PAIRS[1], 2, 3);
}

#[test]
fn what_nobody_heard_needs_no_proof() {
    check(&["clock-skew"], 0, 0);
}

fn recording(name: &str) -> Recording {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    let capture = std::fs::read(path).unwrap();
    let mut recording = RecordingBuilder::default();
    let mut records = Records::new(&capture[..]);
    while let Some(record) = records.next_record().unwrap() {
        recording.handle(&record);
    }
    recording.finish().unwrap()
}

fn claim(class: Class) -> Claim {
    Claim { class, from_s: 0.0, to_s: 60.0 }
}

#[test]
fn the_cause_whose_removal_mends_it_comes_first_whatever_the_threads() {
    let recording = recording("stall.lagtape");
    let claims =
        [Class::Preempted, Class::StalePlayhead, Class::BandwidthDeficit, Class::GenerationStall]
            .map(claim);
    let proved = |threads| {
        let options = ProofOptions { runs: 6, threads, ..ProofOptions::default() };
        prove(&recording, &claims, &options)
    };
    let proofs = proved(1);
    assert_eq!(proved(3), proofs);
    assert_eq!(ranked(&claims, &proofs)[0].0.class, Class::GenerationStall, "{proofs:#?}");
    let stall = proofs.alone[3].as_ref().unwrap();
    assert!(stall.share > 0.9 && stall.runs == 6, "{stall:#?}");
    assert!(stall.range.0.s <= stall.left.s && stall.left.s <= stall.range.1.s, "{stall:#?}");
    // The server of this recording takes reports as they come, and nobody can take an end away.
    assert!(matches!(proofs.alone[1], Err(Unproven::NothingToMend(Class::StalePlayhead))));
    assert!(matches!(proofs.alone[0], Err(Unproven::NoRemoval(_))), "{proofs:#?}");
}

#[test]
fn nothing_is_proved_where_nothing_was_heard() {
    let proofs = prove(
        &recording("healthy.lagtape"),
        &[claim(Class::GenerationStall)],
        &ProofOptions::default(),
    );
    assert_eq!(proofs.alone, [Err(Unproven::NothingHeard)]);
}

#[test]
fn only_what_was_heard_in_a_window_counts() {
    let recording = recording("stall.lagtape");
    let proved = |window| {
        let options = ProofOptions { runs: 1, window, ..ProofOptions::default() };
        prove(&recording, &[claim(Class::GenerationStall)], &options).alone.remove(0)
    };
    assert_eq!(proved(Some((0.0, 1.0))), Err(Unproven::NothingHeard));
    assert!(proved(None).is_ok_and(|proof| proof.share > 0.9));
}

#[test]
fn diagnose_proves_what_it_names_unless_it_is_told_not_to() {
    const STALL: &str = "captures/stall.lagtape";
    let worst = |words: &[&str]| {
        let (out, _) = check_program(words, 4);
        serde_json::from_str::<serde_json::Value>(&out).unwrap()["findings"][0].clone()
    };
    let proved = worst(&["diagnose", STALL, "--json", "--threads", "1"]);
    assert_eq!(proved["class"], "generation-stall");
    assert!(proved["proof"]["share"].as_f64().unwrap() > 0.9, "{proved:#}");
    assert_eq!(proved["proof"]["runs"], 64);
    assert_eq!(worst(&["diagnose", STALL, "--json", "--threads", "2"]), proved);
    for signatures_alone in
        [&["diagnose", STALL, "--json", "--no-proof"][..], &["analyze", STALL, "--json"]]
    {
        let finding = worst(signatures_alone);
        assert!(finding["proof"].is_null() && finding["unproven"].is_null(), "{finding:#}");
    }
    let (text, _) = check_program(&["diagnose", STALL], 4);
    assert!(text.contains("proof: without it (the generator going on) 0 of"), "{text}");
}
