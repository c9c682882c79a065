//! Captures added up, as text for people.

use std::fmt::Write as _;

use super::captures::Standing;
use super::groups::{CaptureGroup, GroupedCaptures, WorstCapture};
use crate::report::text::{Figure, OneLine};

/// Groups that are printed; the rest is counted.
const MAX_LINES: usize = 100;

/// The worst captures, and a line for each group.
#[must_use]
pub fn grouped_text(all: &GroupedCaptures) -> String {
    let mut out = format!("{} captures: {}\n", all.captures(), counts_in_words(all.all()));
    let worst = all.worst_captures();
    if !worst.is_empty() {
        out += "\n  verdict       bad s   from s  cause                  capture\n";
        worst.iter().for_each(|worst| out += &worst_line(worst));
    }
    if all.keys().is_empty() {
        return out;
    }
    let named = |key: &[String]| key.iter().map(|word| OneLine(word).to_string()).collect();
    let keys: Vec<Vec<String>> = all.groups().map(|(key, _)| named(key)).collect();
    let widths: Vec<usize> = (0..all.keys().len())
        .map(|place| {
            let names = keys.iter().map(|key| key[place].chars().count());
            names.fold(all.keys()[place].chars().count(), usize::max)
        })
        .collect();
    let name = |key: &[String]| {
        let words = key.iter().zip(&widths).map(|(word, width)| format!("{word:<width$}"));
        words.collect::<Vec<_>>().join("  ")
    };
    let groups: Vec<_> = keys.iter().map(|key| name(key)).zip(all.groups()).collect();
    let head = name(all.keys());
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "\n  {head}  captures   LAG ENDED   bad s  lead p5  stale p95  commonest cause"
    );
    for (name, (_, group)) in groups.iter().take(MAX_LINES) {
        let figure = |value: Option<f64>| value.map_or("–".to_owned(), |s| Figure(s).to_string());
        let _ = writeln!(
            out,
            "  {name}  {:>8} {:>5} {:>5} {:>7} {:>8} {:>10}  {}",
            group.captures,
            group.standing(Standing::Lag),
            group.standing(Standing::Ended),
            figure(Some(group.bad_s)),
            figure(group.lead_s(0.05)),
            figure(group.staleness_s(0.95)),
            group.commonest_cause().unwrap_or("–"),
        );
    }
    if let Some(more) = groups.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        let _ = writeln!(out, "  … and {more} more groups");
    }
    out
}

fn worst_line(worst: &WorstCapture) -> String {
    let WorstCapture { capture, standing, bad_s, onset_s, cause, .. } = worst;
    format!(
        "  {standing:<10} {:>8} {:>8}  {:<21}  {}\n",
        Figure(*bad_s).to_string(),
        onset_s.map_or("–".to_owned(), |s| Figure(s).to_string()),
        cause.as_deref().unwrap_or("–"),
        OneLine(capture)
    )
}

/// How many have which standing, such as `3 with LAG, 9 healthy`.
#[must_use]
pub fn counts_in_words(of: &CaptureGroup) -> String {
    let standings = Standing::ALL.map(|standing| (of.standing(standing), standing.in_words()));
    let others = [(of.unreadable, "unreadable"), (of.damaged, "of them damaged")];
    let counts = standings.into_iter().chain(others).filter(|(count, _)| *count > 0);
    counts.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
}
