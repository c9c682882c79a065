//! Prints the tables of docs/DIAGNOSIS.md: how often diagnoses of labelled sessions are right.
//! `cargo run --release --example diagnosis_matrix` takes 40 sessions a class, and ` -- 8` eight.
//!
//! Thresholds may be chosen by the sessions of even seeds. Those of odd seeds are scored.

#[path = "../tests/it/diagnosis_matrix/score.rs"]
mod score;
#[path = "../tests/it/diagnosis_matrix/set.rs"]
mod set;

use lagtape::sweep;

use score::{Scored, confusion, summary};
use set::{Evidence, HEALTHY, KINDS, Labelled, of_kind, of_two_causes};

/// Sessions a class unless told otherwise; 20 of them are scored.
const SEEDS: u64 = 40;

fn main() {
    let seeds = std::env::args().nth(1).map_or(SEEDS, |text| text.parse().expect("a number"));
    let kinds = KINDS.iter().flat_map(|kind| (0..seeds).map(|seed| of_kind(kind, seed)));
    // 400 and 112 with the default.
    let healthy = (0..seeds * 10).map(|seed| of_kind(&HEALTHY, seed));
    let two = (0..seeds * 14 / 5).map(of_two_causes);
    let cases: Vec<Labelled> = kinds.chain(healthy).chain(two).collect();
    let full = scored(&cases, Evidence::Full);
    for (half, odd) in [("Chosen by (even seeds)", 0), ("Scored (odd seeds)", 1)] {
        let those: Vec<&Scored> = full.iter().filter(|one| one.seed % 2 == odd).collect();
        println!("## {half}\n\n{}\n{}", summary(&those), confusion(&those));
    }
    let odd: Vec<Labelled> = cases.into_iter().filter(|case| case.seed % 2 == 1).collect();
    let half = scored(&odd, Evidence::Half);
    let half: Vec<&Scored> = half.iter().collect();
    println!(
        "## With half of the evidence (odd seeds)\n\n{}\n{}",
        summary(&half),
        confusion(&half)
    );
    println!("## Otherwise named\n");
    for one in full.iter().filter(|one| !one.is_right) {
        println!("{}: {:?}, from {}", one.class, one.all, one.command);
    }
}

fn scored(cases: &[Labelled], evidence: Evidence) -> Vec<Scored> {
    sweep::map_in_order(cases, 0, |case| Scored::of(case, evidence)).expect("threads")
}
