//! `query`: a question about the slices, ticks or messages of a capture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::app::{self, Outcome, QueryVerb};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::values::PlayheadArg;
use crate::report::SCHEMA;
use crate::report::query::{QueryAnswer, QueryWords};
use crate::report::table::Cell;
use crate::report::text::OneLine;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape query stall.lagtape slices --where 'lead_s < 0' --limit 5
  lagtape query stall.lagtape ticks --order 'staleness_s desc' --limit 10
  lagtape query stall.lagtape slices -a count -a 'p95(lead_s)' --group-by t_s/1
  lagtape query stall.lagtape messages -a count -a 'sum(bytes)' --group-by kind
  lagtape query stall.lagtape messages --where 'from = client'

Columns: slices have t_s, seq, start, frames, lead_s, interval_s, tick_ms, \
dec_ms, generations, bytes; ticks have t_s, seq, playhead_s, staleness_s, \
interval_s, in_flight; messages have t_s, seq, from, kind, bytes, text. \
docs/QUERY.md says what they mean.")]
pub struct QueryArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// slices, ticks or messages
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Only rows for which this holds: COLUMN OPERATOR VALUE, with = != < <= > >= or ~, which is
    /// "contains"; several with and, or with several --where
    #[arg(short = 'w', long = "where", value_name = "CONDITION", allow_hyphen_values = true)]
    pub conditions: Vec<String>,
    /// These columns; all unless given
    #[arg(short, long, value_name = "COLUMNS", value_delimiter = ',')]
    pub select: Vec<String>,
    /// What the rows come to: count, or min, max, mean, sum, first, last or a percentile such as p95 of a
    /// column
    #[arg(short, long, value_name = "AGGREGATE", value_delimiter = ',', conflicts_with = "select")]
    pub aggregate: Vec<String>,
    /// A row for each value of a column, or for each step of it: t_s/10 is ten seconds
    #[arg(short, long, value_name = "COLUMN[/STEP]", conflicts_with = "select")]
    pub group_by: Option<String>,
    /// Order by a column of the answer; desc puts the largest first
    #[arg(long, value_name = "COLUMN [desc]", allow_hyphen_values = true)]
    pub order: Option<String>,
    /// Rows at most
    #[arg(short, long, value_name = "N")]
    pub limit: Option<usize>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    #[command(flatten)]
    pub part: PartArgs,
}

#[derive(Serialize)]
struct JsonAnswer<'a> {
    schema: u32,
    #[serde(flatten)]
    answer: &'a QueryAnswer,
}

pub fn run(args: &QueryArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let verb = QueryVerb {
        words: QueryWords {
            table: args.table.clone(),
            conditions: args.conditions.clone(),
            select: args.select.clone(),
            aggregates: args.aggregate.clone(),
            group_by: args.group_by.clone(),
            order: args.order.clone(),
        },
        part: args.part.part(),
        playhead: args.playhead.map(Into::into),
        skip: 0,
        limit: args.limit.unwrap_or(usize::MAX),
    };
    let (answer, damage) = app::query(&args.file, &verb)?;
    let outcome = stderr.damaged(&args.file, damage.as_ref());
    let printed = match (args.json, args.csv) {
        (true, _) => json_line(out, &JsonAnswer { schema: SCHEMA, answer: &answer }),
        (_, true) => csv(&answer, out),
        _ => table(&answer, out),
    };
    let left = answer.total.saturating_sub(answer.rows.len() as u64);
    if left > 0 {
        stderr.say(&format!("{} of {} rows; --limit gives more", answer.rows.len(), answer.total));
    }
    unless_closed(printed, outcome)
}

/// Numbers to the right, words to the left.
fn table(answer: &QueryAnswer, out: &mut dyn Write) -> Result<()> {
    let shown = |cell: &Cell| match cell {
        Cell::Unknown => "–".to_owned(),
        cell => OneLine(&cell.to_string()).to_string(),
    };
    let rows: Vec<Vec<String>> =
        answer.rows.iter().map(|row| row.iter().map(shown).collect()).collect();
    let is_word =
        |column: usize| answer.rows.iter().any(|row| matches!(row[column], Cell::Word(_)));
    let width = |column: usize| {
        let head = answer.columns[column].chars().count();
        rows.iter().map(|row| row[column].chars().count()).fold(head, usize::max)
    };
    let places: Vec<_> =
        (0..answer.columns.len()).map(|column| (width(column), is_word(column))).collect();
    for row in [&answer.columns].into_iter().chain(&rows) {
        let cells = row.iter().zip(&places).map(|(cell, (width, is_word))| match is_word {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn csv(answer: &QueryAnswer, out: &mut dyn Write) -> Result<()> {
    let quoted = |text: String| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    };
    let head = answer.columns.iter().map(|name| quoted(name.clone()));
    writeln!(out, "{}", head.collect::<Vec<_>>().join(","))?;
    for row in &answer.rows {
        let cells = row.iter().map(|cell| quoted(cell.to_string()));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join(","))?;
    }
    Ok(())
}
