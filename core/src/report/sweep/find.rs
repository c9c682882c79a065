//! A search as a person reads it: the value or that there is none, what was tried, what to try next.

use std::fmt::{self, Write as _};

use super::table::{refusals, table};
use super::{Find, SweptAxis};
use crate::report::text::{Figure, OneLine, wrapped};
use crate::sweep::rows::SweepRow;

/// Prints a search: the value or that there is none, what was tried, what to try next.
#[must_use]
pub fn text(find: &Find) -> String {
    let mut out = String::new();
    let _ = write_find(find, &mut out);
    out
}

fn write_find(find: &Find, out: &mut String) -> fmt::Result {
    let condition = &find.condition;
    let Some(axis) = find.sweep.axes.first() else {
        match find.holds_already {
            true => writeln!(out, "nothing has to change: {condition} holds already")?,
            false => writeln!(out, "no capture could be used")?,
        }
        return failures(find, out);
    };
    let key = axis.key;
    match find.value {
        Some(value) => {
            let value = axis.value(value);
            writeln!(out, "{key} {value} would have done it: {condition}{}", in_runs(find))?;
        }
        None => writeln!(out, "no {key} that was tried does it: {condition}")?,
    }
    if let (Some(first), Some(last)) = (axis.values.first(), axis.values.last()) {
        let count = axis.values.len();
        let (first, last) = (axis.value(*first), axis.value(*last));
        writeln!(out, "tried: {count} values from {first} to {last}")?;
    }
    closest(find, axis, out)?;
    for (number, capture) in find.sweep.captures.iter().enumerate() {
        if capture.failure.is_none() {
            writeln!(out, "\n{}", OneLine(&capture.capture))?;
            let rows = telling_rows(find, number);
            table(&find.sweep, capture, &rows, out)?;
            refusals(&rows, out)?;
        }
    }
    failures(find, out)?;
    match &find.command {
        Some(command) => writeln!(out, "\nnext: {command}"),
        None => Ok(()),
    }
}

/// What comes closest where nothing does it.
fn closest(find: &Find, axis: &SweptAxis, out: &mut String) -> fmt::Result {
    let row = closest_row(find, &find.sweep.rows.iter().collect::<Vec<_>>())
        .filter(|_| find.value.is_none())
        .map(|row| &find.sweep.rows[row]);
    let Some((row, (_, judged))) = row.and_then(|row| Some((row, row.judged().next()?))) else {
        return Ok(());
    };
    let figure = find.figure.value(judged).map_or("unknown".to_owned(), |value| value.to_string());
    let (value, name) = (axis.value(row.values[0]), find.figure.figure());
    writeln!(out, "closest: {} {value}, with {name} {figure}", axis.key)
}

fn closest_row(find: &Find, rows: &[&SweepRow]) -> Option<usize> {
    let miss = |row: &SweepRow| {
        row.judged().next().map_or(f64::INFINITY, |(_, judged)| find.figure.miss(judged))
    };
    (0..rows.len()).min_by(|a, b| miss(rows[*a]).total_cmp(&miss(rows[*b])))
}

/// In how many runs of the model it holds, where it was asked.
fn in_runs(find: &Find) -> String {
    let least = find.shares.iter().copied().fold(1.0, f64::min);
    match find.runs {
        0 | 1 => String::new(),
        runs => format!(", in {} % of {runs} runs", Figure(least * 100.0)),
    }
}

fn failures(find: &Find, out: &mut String) -> fmt::Result {
    for capture in &find.sweep.captures {
        if let Some(failure) = &capture.failure {
            let sentence = wrapped(&format!("not used: {failure}"));
            writeln!(out, "\n{}\n{sentence}", OneLine(&capture.capture))?;
        }
    }
    Ok(())
}

/// Of a capture the row that was found and its neighbours; or else the one that comes closest.
fn telling_rows(find: &Find, capture: usize) -> Vec<&SweepRow> {
    let rows: Vec<_> = find.sweep.rows.iter().filter(|row| row.capture == capture).collect();
    let place = match find.value {
        Some(value) => rows.iter().position(|row| row.values[0] == value),
        None => closest_row(find, &rows),
    };
    let Some(place) = place else { return Vec::new() };
    rows[place.saturating_sub(2)..rows.len().min(place + 3)].to_vec()
}
