//! What came of a sweep or a search: as data, as a table, as comma-separated values.
//!
//! Enters: rows in the order of captures and scenarios. Leaves: the JSON of `lagtape sweep --json`
//! (the structs themselves), [`text`], [`find_text`] and [`csv`]. Times are seconds. Nothing here
//! replays anything.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::text::Figure;
use super::what_if::ModelUse;
use crate::lag::LagReport;
use crate::peer::incident::Unit;
use crate::scenario::{Scenario, Tier};
use crate::sweep::axis::Axis;
use crate::sweep::rows::{Predicate, Row, Summary};

/// Rows of one capture that are printed before the rest is only counted.
const MAX_ROWS: usize = 24;
/// Columns of a terminal.
const WIDTH: usize = 80;
/// Columns before what is mentioned.
const MARGIN: usize = 17;

/// A sweep.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep {
    /// Version of this JSON.
    pub schema: u32,
    /// What is different in all scenarios.
    pub scenario: Scenario,
    /// What was varied; the last runs fastest.
    pub axes: Vec<SweptAxis>,
    /// Recorded slices stayed, whatever the server would have done.
    pub open_loop: bool,
    /// Runs of the model for each scenario.
    pub members: usize,
    /// The captures in the order of their naming.
    pub captures: Vec<SweptCapture>,
    /// Rows worth a look, by their numbers; `null` when none has an answer.
    pub summary: Option<Summary>,
    /// All scenarios of the first usable capture, then those of the next.
    pub rows: Vec<Row>,
}

/// A key and its values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweptAxis {
    /// The key, as a flag calls it.
    pub key: &'static str,
    /// Its values in the unit's base: seconds, bytes, bytes per second.
    pub values: Vec<f64>,
    #[serde(skip)]
    unit: Unit,
}

/// A capture of a sweep.
#[derive(Debug, Clone, Serialize)]
pub struct SweptCapture {
    /// The capture as it was named.
    pub capture: String,
    /// Why it could not be used; `null` when it could.
    pub failure: Option<String>,
    /// What was recorded.
    pub factual: Option<LagReport>,
    /// The model that was fitted to it, where one was needed and is good enough.
    pub model: Option<ModelUse>,
}

/// The smallest change after which a condition holds.
#[derive(Debug, Clone, Serialize)]
pub struct Find {
    /// What was looked for.
    pub condition: String,
    #[serde(skip)]
    pub(crate) figure: Predicate,
    /// The value of the key in the first capture, from which changes are measured.
    pub recorded_value: f64,
    /// The condition holds without a change of the key.
    pub holds_already: bool,
    /// Each capture without a change of the key.
    pub unvaried: Vec<Row>,
    /// The value found; `null`: none that was tried does it.
    pub value: Option<f64>,
    /// Runs of the model with that value, …
    pub runs: usize,
    /// … and for each usable capture the share of them in which the condition holds.
    pub shares: Vec<f64>,
    /// The command that shows the value at work.
    pub command: Option<String>,
    /// Everything that was tried, by capture and value.
    #[serde(flatten)]
    pub sweep: Sweep,
}

impl SweptAxis {
    /// What was varied.
    #[must_use]
    pub fn of(axis: &Axis) -> SweptAxis {
        SweptAxis { key: axis.key.name, values: axis.values.clone(), unit: axis.key.unit }
    }

    /// A value as a person reads it.
    fn value(&self, value: f64) -> String {
        let text = self.unit.write(value).replace('-', "−");
        if self.unit == Unit::Time { format!("{text} s") } else { text }
    }
}

impl SweptCapture {
    /// A capture of which nothing else is known yet.
    #[must_use]
    pub fn new(capture: String) -> SweptCapture {
        SweptCapture { capture, failure: None, factual: None, model: None }
    }
}

/// Prints a sweep: what is best, worst and the first that lags, then the rows.
#[must_use]
pub fn text(sweep: &Sweep) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = Page { sweep }.write(&mut out);
    out
}

/// Prints a search: the value or that there is none, what was tried, what to try next.
#[must_use]
pub fn find_text(find: &Find) -> String {
    let mut out = String::new();
    let _ = write_find(find, &mut out);
    out
}

/// The rows as comma-separated values with a header line (RFC 4180, with plain line feeds).
#[must_use]
pub fn csv(sweep: &Sweep) -> String {
    let keys = sweep.axes.iter().map(|axis| axis.key.to_owned());
    let names = CSV_FIGURES.iter().map(|(name, _)| (*name).to_owned());
    let mut out = csv_line(
        ["capture".to_owned()]
            .into_iter()
            .chain(keys)
            .chain(["tier", "lags"].map(str::to_owned))
            .chain(names)
            .chain(["valid_until_s", "beyond_share", "refusal"].map(str::to_owned)),
    );
    for row in &sweep.rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let values = row.values.iter().map(|value| value.to_string());
        let figures = CSV_FIGURES.iter().map(|(_, of)| number(row.lag.as_ref().and_then(of)));
        out.push_str(&csv_line(
            [sweep.captures[row.capture].capture.clone()]
                .into_iter()
                .chain(values)
                .chain([tier(row.tier).to_owned()])
                .chain([row.lags.map_or(String::new(), |lags| lags.to_string())])
                .chain(figures)
                .chain([number(row.valid_until_s), row.beyond_share.to_string()])
                .chain([row.refusal.clone().unwrap_or_default()]),
        ));
    }
    out
}

/// A figure of a report by its name.
type NamedFigure = (&'static str, fn(&LagReport) -> Option<f64>);

const CSV_FIGURES: [NamedFigure; 12] = [
    ("stale_ticks", |lag| Some(lag.ticks.stale_ticks as f64)),
    ("slices_behind", |lag| Some(lag.slices.behind_playhead as f64)),
    ("ticks", |lag| Some(lag.ticks.count as f64)),
    ("slices", |lag| Some(lag.slices.count as f64)),
    ("lead_min_s", |lag| lag.slices.lead_s.map(|lead| lead.min)),
    ("lead_p5_s", |lag| lag.slices.lead_s.map(|lead| lead.p5)),
    ("lead_p50_s", |lag| lag.slices.lead_s.map(|lead| lead.p50)),
    ("lead_p95_s", |lag| lag.slices.lead_s.map(|lead| lead.p95)),
    ("lead_max_s", |lag| lag.slices.lead_s.map(|lead| lead.max)),
    ("staleness_p50_s", |lag| lag.ticks.staleness_s.map(|stale| stale.p50)),
    ("staleness_p95_s", |lag| lag.ticks.staleness_s.map(|stale| stale.p95)),
    ("staleness_max_s", |lag| lag.ticks.staleness_s.map(|stale| stale.max)),
];

fn csv_line(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    };
    fields.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Exact => "exact",
        Tier::Horizon => "horizon",
        Tier::Model => "model",
        Tier::Refused => "refused",
    }
}

struct Page<'a> {
    sweep: &'a Sweep,
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
            1 => format!("{scenarios}: {lag} lag"),
            _ => format!("{scenarios} with each of {usable} captures: {lag} of {} lag", rows.len()),
        }
    }

    /// One row in a sentence.
    fn mention(&self, what: &str, number: usize, out: &mut String) -> fmt::Result {
        let row = &self.sweep.rows[number];
        let Some(lag) = &row.lag else { return Ok(()) };
        let axes = self.sweep.axes.iter().zip(&row.values);
        let mut parts: Vec<_> =
            axes.map(|(axis, value)| format!("{} {}", axis.key, axis.value(*value))).collect();
        if self.sweep.captures.len() > 1 {
            parts.push(self.sweep.captures[row.capture].capture.clone());
        }
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
        writeln!(out, "\n{}", capture.capture)?;
        if let Some(failure) = &capture.failure {
            return writeln!(out, "  not used: {failure}");
        }
        let rows: Vec<_> = self.sweep.rows.iter().filter(|row| row.capture == number).collect();
        if let Some(model) = capture.model.as_ref().filter(|_| any(&rows, Tier::Model)) {
            writeln!(out, "model: {}", model.sentence())?;
        }
        table(self.sweep, capture, &rows[..rows.len().min(MAX_ROWS)], out)?;
        if let Some(more) = rows.len().checked_sub(MAX_ROWS).filter(|&more| more > 0) {
            writeln!(out, "and {more} more of {}; --csv or --json has them all", rows.len())?;
        }
        refusals(&rows, out)
    }
}

fn any(rows: &[&Row], tier: Tier) -> bool {
    rows.iter().any(|row| row.tier == tier)
}

/// Why some rows have no answer: the first reason stands for all.
fn refusals(rows: &[&Row], out: &mut String) -> fmt::Result {
    let mut refused = rows.iter().filter_map(|row| row.refusal.as_deref());
    let Some(first) = refused.next() else { return Ok(()) };
    writeln!(out, "{} of {} refused: {first}", refused.count() + 1, rows.len())
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
fn table(sweep: &Sweep, capture: &SweptCapture, rows: &[&Row], out: &mut String) -> fmt::Result {
    let mut columns = vec![lag_column(capture, rows)];
    for (number, axis) in sweep.axes.iter().enumerate() {
        let recorded = if number == 0 { "recorded" } else { "" }.to_owned();
        let values = rows.iter().map(|row| axis.value(row.values[number]));
        let (above, below) = axis.key.split_once('-').unwrap_or((axis.key, ""));
        let heading = [above.to_owned(), below.to_owned()];
        columns.push(Column { heading, cells: [recorded].into_iter().chain(values).collect() });
    }
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
fn lag_column(capture: &SweptCapture, rows: &[&Row]) -> Column {
    let word = |lags: Option<bool>| match lags {
        Some(true) => "lags",
        Some(false) => "",
        None => "–",
    };
    let recorded = capture.factual.as_ref().map(crate::sweep::rows::lags);
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
            writeln!(out, "\n{}", capture.capture)?;
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
    let Some((row, lag)) = row.and_then(|row| Some((row, row.lag.as_ref()?))) else {
        return Ok(());
    };
    let figure = find.figure.value(lag).map_or("unknown".to_owned(), |value| value.to_string());
    let (value, name) = (axis.value(row.values[0]), find.figure.figure());
    writeln!(out, "closest: {} {value}, with {name} {figure}", axis.key)
}

fn closest_row(find: &Find, rows: &[&Row]) -> Option<usize> {
    let miss = |row: &Row| row.lag.as_ref().map_or(f64::INFINITY, |lag| find.figure.miss(lag));
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
            writeln!(out, "\n{}\n  not used: {failure}", capture.capture)?;
        }
    }
    Ok(())
}

/// Of a capture the row that was found and its neighbours; or else the one that comes closest.
fn telling_rows(find: &Find, capture: usize) -> Vec<&Row> {
    let rows: Vec<_> = find.sweep.rows.iter().filter(|row| row.capture == capture).collect();
    let place = match find.value {
        Some(value) => rows.iter().position(|row| row.values[0] == value),
        None => closest_row(find, &rows),
    };
    let Some(place) = place else { return Vec::new() };
    rows[place.saturating_sub(2)..rows.len().min(place + 3)].to_vec()
}
