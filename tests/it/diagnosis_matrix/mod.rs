//! Diagnoses of labelled sessions, one a class. `cargo run --release --example diagnosis_matrix` prints the
//! tables of docs/DIAGNOSIS.md from many.

mod score;
mod set;

use lagtape::sweep;

use score::Scored;
use set::{Evidence, HEALTHY, KINDS, Labelled, of_kind};

/// Of the half of the seeds by which no threshold was chosen.
const SEED: u64 = 1;

#[test]
fn what_is_heard_is_named_right() {
    let cases: Vec<Labelled> = KINDS.iter().map(|kind| of_kind(kind, SEED)).collect();
    let scored = sweep::map_in_order(&cases, 0, |case| Scored::of(case, Evidence::Full)).unwrap();
    let heard: Vec<&Scored> = scored.iter().filter(|one| one.is_audible).collect();
    assert!(heard.len() >= 8, "hardly anything is heard");
    let wrong = heard.iter().filter(|one| !one.is_right);
    let wrong: Vec<_> = wrong.map(|one| (&one.class, &one.all, &one.command)).collect();
    assert!(wrong.len() * 10 <= heard.len(), "{wrong:#?}");
}

#[test]
fn what_only_looks_like_trouble_has_no_finding() {
    let cases: Vec<Labelled> = (0..5).map(|i| of_kind(&HEALTHY, 2 * i + SEED)).collect();
    for one in sweep::map_in_order(&cases, 0, |case| Scored::of(case, Evidence::Full)).unwrap() {
        assert!(one.is_right, "{:?} in {}", one.all, one.command);
    }
}
