//! Prints the table of docs/DIAGNOSIS.md: how far the share of the lag that a proof explains is from that
//! of the same session simulated again without the fault. `cargo run --release --example proof_oracle`
//! prints it over 20 seeds, the same with ` -- 5` over five. The tests in tests/it/proof hold it to that.

#[path = "../tests/it/proof/sessions.rs"]
mod sessions;

use sessions::{FAULTS, Fault, PAIRS, Row, fault, rows};

fn main() {
    let seeds =
        std::env::args().nth(1).map_or(20, |seeds| seeds.parse().expect("a number of seeds"));
    println!(
        "| fault | proofs | within 10 points | off by, median and most | true share, least and most |"
    );
    println!("|---|---|---|---|---|");
    let mut all = Vec::new();
    for fault in &FAULTS {
        all.extend(print(fault.name, &[fault], seeds));
    }
    for pair in PAIRS {
        all.extend(print(&pair.join(" and "), &pair.map(fault), seeds));
    }
    let agree = all.iter().filter(|row| row.agrees()).count();
    println!("\n{agree} of {} proofs agree; the others:", all.len());
    all.iter().filter(|row| !row.agrees()).for_each(|row| println!("{row}"));
}

fn print(name: &str, faults: &[&Fault], seeds: u64) -> Vec<Row> {
    let rows: Vec<Row> = (0..seeds).flat_map(|seed| rows(seed, faults)).collect();
    let agree = rows.iter().filter(|row| row.agrees()).count();
    let mut off: Vec<f64> = rows.iter().filter_map(Row::off).collect();
    off.sort_by(f64::total_cmp);
    let points =
        |off: Option<&f64>| off.map_or("–".to_owned(), |off| format!("{:.1}", 100.0 * off));
    let shares = || rows.iter().map(|row| 100.0 * row.true_share());
    let (least, most) = (shares().fold(f64::NAN, f64::min), shares().fold(f64::NAN, f64::max));
    let (middle, worst) = (points(off.get(off.len() / 2)), points(off.last()));
    let count = rows.len();
    println!(
        "| {name} | {count} | {agree} | {middle}, {worst} points | {least:.0} to {most:.0} % |"
    );
    rows
}
