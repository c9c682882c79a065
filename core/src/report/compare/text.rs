//! A comparison as text for people: what was compared and which is worse, then figures, then where.
//!
//! At most 80 columns where possible.

use std::fmt::{self, Write as _};

use super::{
    Bearing, Comparison, FigureComparison, FigureUnit, Judgement, SideReport, SpanDifference,
    SpanKind, Which,
};
use crate::lag::stats::round;
use crate::parse::shell;
use crate::report::format::{Bytes, Figure, OneLine, Tenths};

/// Spans, settings and events printed before the rest is only counted.
const MAX_LINES: usize = 12;

/// Prints a comparison.
#[must_use]
pub fn text(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(comparison, &mut out);
    out
}

fn write(comparison: &Comparison, out: &mut String) -> fmt::Result {
    for (which, side) in [(Which::A, &comparison.a), (Which::B, &comparison.b)] {
        writeln!(out, "{}  {}", which.name(), title(side))?;
    }
    writeln!(out, "\n{}\n", sentence(&comparison.judgement))?;
    writeln!(out, "  {:<16}{:>13}{:>13}{:>13}", "", "a", "b", "b − a")?;
    for figure in comparison.judgement.figures.iter().filter(|figure| is_worth_a_line(figure)) {
        figure_line(figure, out)?;
    }
    list(out, "where", &comparison.spans, span_line)?;
    list(out, "setting", &comparison.setting, |fact| {
        format!("{}: {} in a, {} in b", OneLine(&fact.name), short(&fact.a), short(&fact.b))
    })?;
    list(out, "events", &comparison.events, |event| {
        let first = |first_s: Option<f64>| {
            first_s.map_or(String::new(), |s| format!(" (first at {} s)", Tenths(s)))
        };
        let (a, b) = (first(event.a_first_s), first(event.b_first_s));
        format!("{}: {}{a} in a, {}{b} in b", OneLine(&event.kind), event.a, event.b)
    })?;
    writeln!(out, "\n{}", content(comparison))?;
    let tolerance = comparison.tolerance;
    let is_whole = comparison.a.from_s == 0.0 && comparison.b.from_s == 0.0;
    writeln!(
        out,
        "compared: {} s from {}; the same is within {} ms or {} %",
        Figure(comparison.compared_s),
        if is_whole { "the initial buffers" } else { "where each begins" },
        round(tolerance.time_s * 1e3, 3),
        round(tolerance.share * 100.0, 3)
    )?;
    next(comparison, out)
}

fn title(side: &SideReport) -> String {
    let verdict = match &side.verdict {
        verdict if verdict.is_lag() => {
            format!("LAG {}", crate::report::text::lag(verdict, side.length_s))
        }
        verdict if !verdict.known => "no verdict".to_owned(),
        _ if side.ending.abnormal => "nothing stale was heard".to_owned(),
        _ => "healthy".to_owned(),
    };
    let ended = side.ending.headline().map_or(String::new(), |headline| format!(" · {headline}"));
    let state = match (&side.damage, side.complete) {
        (Some(damage), _) => format!(" · damaged at byte {}", damage.offset),
        (None, true) => String::new(),
        (None, false) => " · incomplete".to_owned(),
    };
    let from = match side.from_s {
        0.0 => String::new(),
        from_s => format!(" from {} s", Figure(from_s)),
    };
    format!(
        "{} · {} s{from} · {verdict}{ended}{state}",
        OneLine(&side.capture),
        Figure(side.length_s)
    )
}

/// Which is worse, and why.
#[must_use]
pub fn sentence(judgement: &Judgement) -> String {
    let Some(which) = judgement.worse.filter(|_| !judgement.same) else {
        let differ = if judgement.same { "the same" } else { "they differ, and neither is worse" };
        return differ.to_owned();
    };
    let named = |figure: &&FigureComparison| Some(figure.name) == judgement.because;
    let because = match judgement.figures.iter().find(named) {
        Some(figure) => {
            let value = |value| value_in_unit(value, figure.unit);
            format!("{} {} in a, {} in b", label(figure.name), value(figure.a), value(figure.b))
        }
        None => format!("{}, see where", judgement.because.unwrap_or_default()),
    };
    format!("{} is WORSE: {because}", which.name())
}

/// What has no value on either side, or only informs and is the same, says nothing.
fn is_worth_a_line(figure: &FigureComparison) -> bool {
    let is_there = figure.a.is_some() || figure.b.is_some();
    is_there
        && (figure.bearing != Bearing::Informs || !figure.same)
        && !(figure.unit == FigureUnit::Count && figure.same)
}

fn figure_line(figure: &FigureComparison, out: &mut String) -> fmt::Result {
    let value = |value: Option<f64>| value_in_unit(value, figure.unit);
    let verdict = match (figure.same, figure.worse) {
        (true, _) => "same".to_owned(),
        (false, Some(which)) => format!("{} worse", which.name()),
        (false, None) => "differs".to_owned(),
    };
    writeln!(
        out,
        "  {:<16}{:>13}{:>13}{:>13}   {verdict}",
        label(figure.name),
        value(figure.a),
        value(figure.b),
        value(figure.difference)
    )
}

/// The name of a figure as people say it, without the unit that stands beside its values.
fn label(name: &str) -> String {
    match name {
        "lag_s" => "lag".to_owned(),
        "startup_s" => "start-up".to_owned(),
        "slices_per_s" => "slices".to_owned(),
        "ticks_per_s" => "ticks".to_owned(),
        "down_bytes_per_s" => "traffic down".to_owned(),
        "up_bytes_per_s" => "traffic up".to_owned(),
        _ => name.replace("tick_ms", "tick").replace('_', " "),
    }
}

fn value_in_unit(value: Option<f64>, unit: FigureUnit) -> String {
    value.map_or("none".to_owned(), |value| in_unit(value, unit))
}

fn in_unit(value: f64, unit: FigureUnit) -> String {
    match unit {
        FigureUnit::S => format!("{} s", Figure(value)),
        FigureUnit::Ms => format!("{} ms", Figure(value)),
        FigureUnit::Share => format!("{} %", Figure(value * 100.0)),
        FigureUnit::PerS => format!("{}/s", Figure(value)),
        FigureUnit::BytesPerS => {
            let sign = if value < 0.0 { "−" } else { "" };
            format!("{sign}{}/s", Bytes(value.abs() as u64))
        }
        FigureUnit::Count => format!("{value}"),
    }
}

fn span_line(span: &SpanDifference) -> String {
    let what = match span.kind {
        SpanKind::Staleness => "oldest audio heard",
        SpanKind::Lead => "lowest lead",
        SpanKind::Slices => "slices",
    };
    let value = |value: Option<f64>| match (value, span.kind) {
        (None, _) => "none".to_owned(),
        (Some(value), SpanKind::Slices) => format!("{value}"),
        (Some(value), _) => format!("{} s", Figure(value)),
    };
    let time = format!("{} – {} s", Tenths(span.from_s), Tenths(span.to_s));
    let (a, b) = (value(span.a), value(span.b));
    let worse = span.worse.map_or("differs", |which| match which {
        Which::A => "a worse",
        Which::B => "b worse",
    });
    format!("{time:>15}   {worse}: {what} {a} in a, {b} in b")
}

fn list<T>(
    out: &mut String,
    heading: &str,
    items: &[T],
    line: impl Fn(&T) -> String,
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n{heading}")?;
    for item in items.iter().take(MAX_LINES) {
        writeln!(out, "  {}", line(item))?;
    }
    match items.len().checked_sub(MAX_LINES) {
        Some(more) if more > 0 => writeln!(out, "  and {more} more; --json lists them all"),
        _ => Ok(()),
    }
}

fn short(value: &serde_json::Value) -> String {
    const MOST: usize = 24;
    let text = OneLine(&value.to_string()).to_string();
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn content(comparison: &Comparison) -> String {
    let content = comparison.content;
    if content.a == content.b && content.equal == content.a {
        return format!("audio: all {} binary messages are the same bytes", content.a);
    }
    format!(
        "audio: {} and {} binary messages, the first {} the same bytes",
        content.a, content.b, content.equal
    )
}

/// What to look at where they differ.
fn next(comparison: &Comparison, out: &mut String) -> fmt::Result {
    let longest = comparison
        .spans
        .iter()
        .max_by(|one, other| (one.to_s - one.from_s).total_cmp(&(other.to_s - other.from_s)));
    let Some(span) = longest else { return Ok(()) };
    let worse = match span.worse {
        Some(Which::A) => &comparison.a,
        Some(Which::B) | None => &comparison.b,
    };
    writeln!(
        out,
        "next: lagtape cat {} --from {:.1} --to {:.1}",
        OneLine(&shell::file(&worse.capture)),
        worse.from_s + span.from_s,
        worse.from_s + span.to_s
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_how_many_more_there_are_if_there_are_any() {
        let of = |len: usize| {
            let mut out = String::new();
            list(&mut out, "heading", &vec![7; len], |item| format!("item {item}")).unwrap();
            out
        };
        assert_eq!(of(0), "");
        assert_eq!(of(1), "\nheading\n  item 7\n");
        assert_eq!(of(MAX_LINES).lines().count(), 2 + MAX_LINES);
        let more = "  and 2 more; --json lists them all";
        assert_eq!(of(MAX_LINES + 2).lines().last(), Some(more));
    }
}
