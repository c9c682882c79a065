//! Prints the tables of docs/WHATIF.md: how well the closed-loop model predicts sessions whose constants
//! it is not told. `cargo run --release --example what_if_oracle` prints that of changes, the same with
//! ` -- incidents` that of incidents. The tests in tests/it/what_if_oracle hold it to them.

#[expect(dead_code, reason = "other links are asked about by another example")]
#[path = "../tests/it/what_if_oracle/sessions.rs"]
mod sessions;

use lagtape::peer::client::Dialect;

use sessions::{
    Case, FASTER, FASTER_WHILE_THIN, MORE_LEAD, PAUSE, PAUSE_WHILE_THIN, Row, SEEDS, SEEK_BACK,
    SEEK_BACK_WHILE_THIN, SEEK_FORWARD, SEEK_FORWARD_WHILE_THIN, SLOWER, THIN_WITH_ACKS,
    THIN_WITHOUT, THREE_SEEKS, rows, rows_in,
};

const CASES: [Case; 13] = [
    SEEK_FORWARD,
    SEEK_BACK,
    THREE_SEEKS,
    SLOWER,
    FASTER,
    PAUSE,
    THIN_WITH_ACKS,
    THIN_WITHOUT,
    SEEK_FORWARD_WHILE_THIN,
    SEEK_BACK_WHILE_THIN,
    FASTER_WHILE_THIN,
    PAUSE_WHILE_THIN,
    MORE_LEAD,
];

/// Incidents in which the server or the client behaves otherwise.
const TROUBLES: [&str; 10] = [
    "stall",
    "stall without a reserve",
    "behind",
    "stale-playhead",
    "client-backlog",
    "slow-generation",
    "clock-skew",
    "rebuild-stall",
    "refit-storm",
    "burst-production",
];

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("incidents") => print_incidents(),
        _ => print_changes(),
    }
}

fn print_changes() {
    println!(
        "| change | client | good | lead off by, median and most | lead p50 | stale ticks | slices behind | open loop off by |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for case in CASES {
        for &dialect in case.dialects {
            let mut rows = rows(&case, dialect, SEEDS);
            rows.sort_by(|a, b| a.lead_error_s.total_cmp(&b.lead_error_s));
            let good = rows.iter().filter(|row| row.is_good()).count();
            let [middle, worst] = [rows.len() / 2, rows.len() - 1].map(|i| &rows[i]);
            let open_loop = rows.iter().filter_map(|row| row.open_loop_error_s).reduce(f64::min);
            println!(
                "| {} | {dialect:?} | {good} of {} | {:.1}, {:.1} ms | {:.3} for {:.3} s | {} | {} | {} |",
                case.name,
                rows.len(),
                middle.lead_error_s * 1e3,
                worst.lead_error_s * 1e3,
                middle.lead_p50_s.0,
                middle.lead_p50_s.1,
                middle.stale,
                middle.behind,
                open_loop.map_or("–".to_owned(), |off_s| format!("{off_s:.2} s or more")),
            );
        }
    }
}

/// Of four sessions each, how many were predicted well; the others stand below the table.
fn print_incidents() {
    println!("| incident | client | seek forward | seek back | rate 1.03 | pause |");
    println!("|---|---|---|---|---|---|");
    let mut misses = Vec::new();
    for trouble in TROUBLES {
        for dialect in [Dialect::Modern, Dialect::Legacy] {
            let cells = [&SEEK_FORWARD, &SEEK_BACK, &FASTER, &PAUSE].map(|case| {
                let (good, missed): (Vec<_>, Vec<_>) = rows_in(trouble, case, dialect)
                    .into_iter()
                    .partition(|row| row.as_ref().is_ok_and(Row::is_good));
                misses.extend(missed.into_iter().map(|row| match row {
                    Ok(row) => row.to_string(),
                    Err(refused) => format!("{}, {trouble}: {refused}", case.name),
                }));
                good.len().to_string()
            });
            println!("| {trouble} | {dialect:?} | {} |", cells.join(" | "));
        }
    }
    println!("{}", misses.join("\n"));
}
