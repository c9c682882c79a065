//! Several scenarios of one capture as a person reads them: the recording first, then a row for each.

use std::fmt::{self, Write as _};

use super::{Alternative, WhatIf, WhatIfSide, in_brief, would_be};
use crate::report::format::{Figure, OneLine, wrapped};
use crate::scenario::Tier;

/// Cells of a row, beside its name.
const COLUMNS: usize = 7;
/// What stands above them.
const HEADINGS: [[&str; COLUMNS]; 2] = [
    ["", "bad", "stale", "slices", "lead", "lead", ""],
    ["heard", "audio", "ticks", "behind", "p5", "p50", "tier"],
];

/// Prints the answers in one table; `next` is the command to try after it.
#[must_use]
pub fn text(alternatives: &[Alternative], next: &str) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(alternatives, next, &mut out);
    out
}

fn write(alternatives: &[Alternative], next: &str, out: &mut String) -> fmt::Result {
    let answered = || alternatives.iter().filter_map(Alternative::answered);
    if let Some(first) = answered().next() {
        table(&first.factual, alternatives, out)?;
    }
    if let Some(model) = answered().find_map(|answer| answer.model.as_ref()) {
        writeln!(out, "\n{}", wrapped(&format!("model: {}", model.sentence())))?;
    }
    for Alternative { name, .. } in alternatives.iter().filter(|it| it.answered().is_none()) {
        let of_name = |it: &&Alternative| it.name == *name;
        let why = alternatives.iter().find(of_name).and_then(Alternative::refusal);
        writeln!(out, "\n{}", wrapped(&format!("{name}: {}", why.unwrap_or_default())))?;
    }
    if answered().any(|answer| answer.tier != Tier::Exact) {
        writeln!(out, "\nnot modelled: content, GPU load")?;
    }
    if next.is_empty() { Ok(()) } else { writeln!(out, "\nnext: {next}") }
}

fn table(recorded: &WhatIfSide, alternatives: &[Alternative], out: &mut String) -> fmt::Result {
    let heard = in_brief(recorded.verdict.as_ref());
    let mut rows = vec![("recorded".to_owned(), cells(recorded, heard, "exact"))];
    for alternative in alternatives {
        let cells = match alternative.answered() {
            Some(answer) => of_answer(answer),
            None => ["refused", "", "", "", "", "", ""].map(str::to_owned),
        };
        rows.push((OneLine(&alternative.name).to_string(), cells));
    }
    let headings = HEADINGS.map(|cells| (String::new(), cells.map(str::to_owned)));
    let lines: Vec<_> = headings.into_iter().chain(rows).collect();
    let count = |text: &str| text.chars().count();
    let name_width = lines.iter().map(|(name, _)| count(name)).max().unwrap_or(0);
    let width = |column: usize| lines.iter().map(|(_, cells)| count(&cells[column])).max();
    for (name, cells) in &lines {
        let mut line = format!("{name:<name_width$}");
        for (column, cell) in cells.iter().enumerate() {
            let width = width(column).unwrap_or(0);
            // Words begin under each other, and numbers end so.
            let is_word = column == 0 || column + 1 == COLUMNS;
            line.push_str(&match is_word {
                true => format!("  {cell:<width$}"),
                false => format!("  {cell:>width$}"),
            });
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn of_answer(answer: &WhatIf) -> [String; COLUMNS] {
    let tier = match answer.tier {
        Tier::Exact => "exact",
        Tier::Horizon => "horizon",
        Tier::Model => "model",
        Tier::Refused => "refused",
    };
    cells(&answer.counterfactual, would_be(answer), tier)
}

fn cells(side: &WhatIfSide, heard: String, tier: &str) -> [String; COLUMNS] {
    let known = side.verdict.as_ref().filter(|verdict| verdict.known);
    let seconds =
        |value: Option<f64>| value.map_or("–".to_owned(), |s| format!("{} s", Figure(s)));
    let lead = side.lag.slices.lead_s;
    [
        heard,
        seconds(known.map(|verdict| verdict.bad_s)),
        side.lag.ticks.stale_ticks.to_string(),
        side.lag.slices.behind_playhead.to_string(),
        seconds(lead.map(|lead| lead.p5)),
        seconds(lead.map(|lead| lead.p50)),
        tier.to_owned(),
    ]
}
