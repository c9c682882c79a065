//! Prints the tables of docs/DIAGNOSIS.md: how often diagnoses of labelled sessions are right.
//! `cargo run --release --example diagnosis_matrix` takes 40 sessions a class, and ` -- 8` eight. A word
//! after the number takes one half only: ` -- 40 chosen` or ` -- 40 scored`. A class after that takes only
//! sessions of it: ` -- 40 chosen healthy`.
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

/// The halves of the seeds: what each is called, and what is left of its seeds when halved.
const HALVES: [(&str, &str, u64); 2] =
    [("chosen", "Chosen by (even seeds)", 0), ("scored", "Scored (odd seeds)", 1)];

fn main() {
    let seeds = std::env::args().nth(1).map_or(SEEDS, |text| text.parse().expect("a number"));
    let half = std::env::args().nth(2);
    let class = std::env::args().nth(3);
    let is_wanted = |case: &Labelled| class.as_ref().is_none_or(|class| *class == case.class);
    let mut wrong = Vec::new();
    for (name, title, odd) in HALVES {
        if half.as_ref().is_some_and(|half| half != name) {
            continue;
        }
        let cases: Vec<Labelled> =
            cases(seeds).filter(|case| case.seed % 2 == odd && is_wanted(case)).collect();
        let full = scored(&cases, Evidence::Full);
        print(title, &full);
        let half: Vec<Labelled> =
            cases.into_iter().filter(|case| case.happens(Evidence::Half)).collect();
        let half = scored(&half, Evidence::Half);
        print(&format!("{title}, with half of the evidence"), &half);
        wrong.extend(full.into_iter().filter(|one| !one.is_right || !one.has_all));
    }
    println!("## Otherwise named\n");
    for one in wrong {
        println!("{} of seed {}: {:?}, from {}", one.class, one.seed, one.all, one.command);
    }
}

/// So many sessions a class, ten times as many healthy ones and some more, a few of which turn out not to be, and 112 with two causes for 40.
fn cases(seeds: u64) -> impl Iterator<Item = Labelled> {
    let kinds = KINDS.iter().flat_map(move |kind| (0..seeds).map(|seed| of_kind(kind, seed)));
    let healthy = (0..seeds * 21 / 2).map(|seed| of_kind(&HEALTHY, seed));
    kinds.chain(healthy).chain((0..seeds * 14 / 5).map(of_two_causes))
}

fn print(title: &str, scored: &[Scored]) {
    let those: Vec<&Scored> = scored.iter().collect();
    println!("## {title}\n\n{}\n{}", summary(&those), confusion(&those));
}

fn scored(cases: &[Labelled], evidence: Evidence) -> Vec<Scored> {
    sweep::map_in_order(cases, 0, |case| Scored::of(case, evidence)).expect("threads")
}
