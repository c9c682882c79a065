//! A sweep as a person reads it: the rows worth a look first, then a table for each capture.
//! At most 80 columns where names allow.

use std::fmt::{self, Write as _};

use super::{Sweep, SweptCapture, tier};
use crate::lag::LagReport;
use crate::report::format::{Figure, OneLine, in_brief, wrapped};
use crate::scenario::Tier;
use crate::scenario::advice::{Advice, Wording};
use crate::sweep::rows::SweepRow;

/// Rows of one capture that are printed before the rest is only counted.
const MAX_ROWS: usize = 24;
/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns before what is mentioned.
const MARGIN: usize = 17;

/// Prints a sweep: what is best, worst and the first that lags, then the rows; `wording` says where
/// rows are that are left out.
#[must_use]
pub fn text(sweep: &Sweep, wording: Wording) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = Page { sweep, wording }.write(&mut out);
    out
}

struct Page<'a> {
    sweep: &'a Sweep,
    wording: Wording,
}

impl Page<'_> {
    fn write(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "{}", self.answer())?;
        if let Some(summary) = self.sweep.summary {
            writeln!(out)?;
            self.mention("best", summary.best, out)?;
            self.mention("worst", summary.worst, out)?;
            match summary.first_that_lags {
                Some(row) => self.mention("first that lags", row, out)?,
                None if !self.is_judged() => {}
                None => writeln!(out, "{:<MARGIN$}none", "first that lags")?,
            }
        }
        for number in 0..self.sweep.captures.len() {
            self.capture(number, out)?;
        }
        Ok(())
    }

    fn answer(&self) -> String {
        let Sweep { captures, rows, .. } = self.sweep;
        let usable = captures.iter().filter(|capture| capture.failure.is_none()).count();
        let lag = rows.iter().filter(|row| row.lags == Some(true)).count();
        let each = rows.len().checked_div(usable).unwrap_or(0);
        let scenarios = format!("{each} scenario{}", if each == 1 { "" } else { "s" });
        match usable {
            0 => "no capture could be used".to_owned(),
            _ if !self.is_judged() => format!("{scenarios}: no verdicts"),
            1 => format!("{scenarios}: {lag} lag"),
            _ => format!("{scenarios} with each of {usable} captures: {lag} of {} lag", rows.len()),
        }
    }

    /// Whether there are verdicts at all.
    fn is_judged(&self) -> bool {
        self.sweep.rows.iter().any(|row| row.lags.is_some())
    }

    /// One row in a sentence.
    fn mention(&self, what: &str, number: usize, out: &mut String) -> fmt::Result {
        let row = &self.sweep.rows[number];
        let Some(lag) = &row.lag else { return Ok(()) };
        let axes = self.sweep.axes.iter().zip(&row.values);
        let mut parts: Vec<_> =
            axes.map(|(axis, value)| format!("{} {}", axis.key, axis.value(*value))).collect();
        if self.sweep.captures.len() > 1 {
            parts.push(OneLine(&self.sweep.captures[row.capture].capture).to_string());
        }
        parts.extend(row.verdict.as_ref().map(|verdict| in_brief(Some(verdict))));
        let (stale, behind) = (lag.ticks.stale_ticks, lag.slices.behind_playhead);
        parts.extend([format!("{stale} stale ticks"), format!("{behind} slices behind")]);
        parts.extend(lag.slices.lead_s.map(|lead| format!("lead p5 {} s", Figure(lead.p5))));
        let mut line = format!("{what:<MARGIN$}");
        for (i, part) in parts.iter().enumerate() {
            let part = if i + 1 < parts.len() { format!("{part}, ") } else { part.clone() };
            let width = line.chars().count() + part.trim_end().chars().count();
            if width > WIDTH && line.chars().count() > MARGIN {
                writeln!(out, "{}", line.trim_end())?;
                line = " ".repeat(MARGIN);
            }
            line.push_str(&part);
        }
        writeln!(out, "{}", line.trim_end())
    }

    fn capture(&self, number: usize, out: &mut String) -> fmt::Result {
        let capture = &self.sweep.captures[number];
        writeln!(out, "\n{}", OneLine(&capture.capture))?;
        if let Some(failure) = &capture.failure {
            return writeln!(out, "{}", wrapped(&format!("not used: {failure}")));
        }
        let rows: Vec<_> = self.sweep.rows.iter().filter(|row| row.capture == number).collect();
        if let Some(model) = capture.model.as_ref().filter(|_| any(&rows, Tier::Model)) {
            writeln!(out, "{}", wrapped(&format!("model: {}", model.sentence())))?;
        }
        table(self.sweep, capture, &rows[..rows.len().min(MAX_ROWS)], out)?;
        if let Some(more) = rows.len().checked_sub(MAX_ROWS).filter(|&more| more > 0) {
            let more = format!("and {more} more of {}", rows.len());
            writeln!(out, "{}", Advice::AllRows.after(&more, self.wording))?;
        }
        refusals(&rows, out)
    }
}

fn any(rows: &[&SweepRow], tier: Tier) -> bool {
    rows.iter().any(|row| row.tier == tier)
}

/// Why some rows have no answer: the first reason stands for all.
pub(super) fn refusals(rows: &[&SweepRow], out: &mut String) -> fmt::Result {
    let mut refused = rows.iter().filter_map(|row| row.refusal.as_deref());
    let Some(first) = refused.next() else { return Ok(()) };
    let sentence = format!("{} of {} refused: {first}", refused.count() + 1, rows.len());
    writeln!(out, "{}", wrapped(&sentence))
}

/// A column: its heading in two lines and its cells.
struct Column {
    heading: [String; 2],
    cells: Vec<String>,
}

impl Column {
    fn width(&self) -> usize {
        let texts = self.heading.iter().chain(&self.cells);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    }
}

/// How many seconds were bad.
fn bad_column(capture: &SweptCapture, rows: &[&SweepRow]) -> Column {
    let recorded = [capture.verdict.as_ref()].into_iter();
    let verdicts = recorded.chain(rows.iter().map(|row| row.verdict.as_ref()));
    let known = verdicts.map(|verdict| verdict.filter(|verdict| verdict.known));
    let cells = known.map(|verdict| seconds(verdict.map(|verdict| verdict.bad_s))).collect();
    Column { heading: ["bad".to_owned(), "audio".to_owned()], cells }
}

/// A figure with both lines of its heading.
type PrintedFigure = (&'static str, &'static str, fn(&LagReport) -> String);

/// The figures of a table, the more telling first; where room is short the last are left out.
const TABLE_FIGURES: [PrintedFigure; 6] = [
    ("stale", "ticks", |lag| lag.ticks.stale_ticks.to_string()),
    ("slices", "behind", |lag| lag.slices.behind_playhead.to_string()),
    ("lead", "p5", |lag| seconds(lag.slices.lead_s.map(|lead| lead.p5))),
    ("lead", "p50", |lag| seconds(lag.slices.lead_s.map(|lead| lead.p50))),
    ("staleness", "p95", |lag| seconds(lag.ticks.staleness_s.map(|stale| stale.p95))),
    ("slices", "", |lag| lag.slices.count.to_string()),
];

fn seconds(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{} s", Figure(value)))
}

/// The recording and some rows of one capture.
pub(super) fn table(
    sweep: &Sweep,
    capture: &SweptCapture,
    rows: &[&SweepRow],
    out: &mut String,
) -> fmt::Result {
    let mut columns = vec![lag_column(capture, rows)];
    for (number, axis) in sweep.axes.iter().enumerate() {
        let recorded = if number == 0 { "recorded" } else { "" }.to_owned();
        let values = rows.iter().map(|row| axis.value(row.values[number]));
        let (above, below) = axis.key.split_once('-').unwrap_or((axis.key, ""));
        let heading = [above.to_owned(), below.to_owned()];
        columns.push(Column { heading, cells: [recorded].into_iter().chain(values).collect() });
    }
    columns.push(bad_column(capture, rows));
    let tiers = rows.iter().map(|row| tier(row.tier).to_owned());
    let tiers = ["exact".to_owned()].into_iter().chain(tiers).collect();
    let tiers = Column { heading: ["tier".to_owned(), String::new()], cells: tiers };
    let mut width: usize = columns.iter().chain([&tiers]).map(|column| column.width() + 2).sum();
    for (above, below, of) in TABLE_FIGURES {
        let reports = [capture.factual.as_ref()].into_iter();
        let reports = reports.chain(rows.iter().map(|row| row.lag.as_ref()));
        let cells = reports.map(|lag| lag.map_or("–".to_owned(), of)).collect();
        let column = Column { heading: [above.to_owned(), below.to_owned()], cells };
        width += column.width() + 2;
        if width > WIDTH {
            break;
        }
        columns.push(column);
    }
    columns.push(tiers);
    columns.retain(|column| column.width() > 0);
    write_columns(&columns, out)
}

/// Whether a row lags.
fn lag_column(capture: &SweptCapture, rows: &[&SweepRow]) -> Column {
    let word = |lags: Option<bool>| match lags {
        Some(true) => "lags",
        Some(false) => "",
        None => "–",
    };
    let recorded = capture.verdict.as_ref().and_then(|verdict| verdict.lag);
    let cells = [recorded].into_iter().chain(rows.iter().map(|row| row.lags));
    let cells = cells.map(|lags| word(lags).to_owned()).collect();
    Column { heading: [String::new(), String::new()], cells }
}

fn write_columns(columns: &[Column], out: &mut String) -> fmt::Result {
    let headings = (0..2).map(|line| columns.iter().map(|c| &c.heading[line]).collect::<Vec<_>>());
    let rows = columns.first().map_or(0, |column| column.cells.len());
    let cells = (0..rows).map(|row| columns.iter().map(|c| &c.cells[row]).collect::<Vec<_>>());
    for line in headings.chain(cells) {
        if line.iter().all(|text| text.is_empty()) {
            continue;
        }
        let cells: Vec<_> = columns
            .iter()
            .zip(line)
            .map(|(column, text)| format!("{text:>width$}", width = column.width()))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
