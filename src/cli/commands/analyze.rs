//! `analyze`: whether, when and how badly captures lagged.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, AnalyzeOptions, Outcome};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{print_analyses, unless_closed};
use crate::cli::tables::{self, TableArgs};
use crate::cli::values::{
    PlayheadArg, ReportWindow, Seconds, parse_seconds, parse_step, parse_window,
};
use crate::edge::output::is_dash;
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::parse::shell;
use crate::report::Analysis;
use crate::report::ranking::Ranking;
use crate::report::text::OneLine;
use crate::sweep::measure::Measure;
use crate::sweep::rows::Predicate;
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape analyze stall.lagtape
  lagtape analyze captures/*.lagtape --top 5
  lagtape analyze captures --sort lead_p5 --csv > leads.csv
  lagtape analyze captures --fail-if 'lag_s > 0.5'
  lagtape analyze captures/*.lagtape --json | jq .verdict
  lagtape analyze stall.lagtape --timeline --window 30s --at 40s
  lagtape analyze stall.lagtape --episode 1
  zstd -dc live.lagtape.zst | lagtape analyze -
  lagtape analyze captures --arrow tables --by client,day

Of several captures it prints a table of the worst, and of each its report with --each.")]
pub struct AnalyzeArgs {
    /// Captures, packed ones too; a folder stands for all in it, and - for stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
    /// How far the figures reach back from the report's time: all, or a length of time
    #[arg(long, value_name = "TIME|all", default_value = "all", value_parser = parse_window)]
    pub window: ReportWindow,
    /// Audio older than this is stale
    #[arg(long, value_name = "TIME", default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S),
        value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// Add a table over time
    #[arg(long)]
    pub timeline: bool,
    /// Length of a row of that table
    #[arg(long, value_name = "TIME", default_value = "1", value_parser = parse_step)]
    pub timeline_step: Seconds,
    /// Report as of this moment instead of the capture's end
    #[arg(long, value_name = "TIME", conflicts_with = "to")]
    pub at: Option<Span>,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Read slice headers only: faster, but corrupt payloads go unnoticed
    #[arg(long)]
    pub headers_only: bool,
    /// Take lag and verdict from the capture's checkpoints, at once; events and knobs are left out
    #[arg(long, conflicts_with_all = ["at", "from", "to", "episode"])]
    pub quick: bool,
    /// Keep only the newest N slices and ticks of each source buffer; the reference keeps 100000
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Captures replayed at once; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
    #[command(flatten)]
    pub part: PartArgs,
    #[command(flatten)]
    pub many: ManyArgs,
    #[command(flatten)]
    pub tables: TableArgs,
}

/// What is said of many captures.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Many captures")]
pub struct ManyArgs {
    /// Rank the table by this figure, the worst first, instead of by what was heard: bad_s, lag_s,
    /// episodes, lead_p5, staleness_max, slices_behind, …
    #[arg(long, value_name = "FIGURE")]
    pub sort: Option<Measure>,
    /// Lines of the table
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub top: usize,
    /// The table as comma-separated values, with all captures; with OUT, tables into files of that form
    #[arg(long, value_name = "OUT", num_args = 0..=1, default_missing_value = "-",
        conflicts_with_all = ["json", "each"])]
    pub csv: Option<PathBuf>,
    /// Exit code 4 for captures for which this holds, and for no others: lag_s > 0, lead_p5 < 0.1, …
    #[arg(long, value_name = "CONDITION")]
    pub fail_if: Option<Predicate>,
    /// The report of each capture before the table
    #[arg(long)]
    pub each: bool,
}

impl AnalyzeArgs {
    fn options(&self) -> AnalyzeOptions {
        AnalyzeOptions {
            playhead: self.playhead.map(Into::into),
            headers_only: self.headers_only,
            report: ReportArgs {
                window_s: self.window.0,
                stale_threshold_s: self.stale_threshold.0,
                timeline_step_s: self.timeline.then_some(self.timeline_step.0),
            },
            at: self.at,
            part: self.part.part(),
            tracker_bound: self.keep,
            quick: self.quick,
            ..AnalyzeOptions::default()
        }
    }
}

pub fn run(args: &AnalyzeArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let files = app::with_folders(&args.files)?;
    let csv = args.many.csv.as_deref().filter(|out| !is_dash(out));
    if let Some(verb) = args.tables.verb(csv, args.options(), args.threads, args.many.fail_if)? {
        return tables::run(&files, &verb, stderr, out);
    }
    let analyses = app::analyze_all(&files, &args.options(), args.threads)?;
    let mut outcomes = Vec::new();
    let mut reports = Vec::new();
    for analysis in analyses {
        match analysis {
            Ok(analysis) => reports.push(analysis),
            Err(error) => {
                stderr.complain(&format!("{error:#}"));
                outcomes.push(Outcome::of_error(&error));
            }
        }
    }
    match &args.many.fail_if {
        None => outcomes.extend(reports.iter().map(Outcome::of_analysis)),
        Some(condition) => outcomes.extend(judge(&reports, condition, stderr)),
    }
    let damaged = reports.iter().filter(|report| report.damage.is_some());
    outcomes.extend(damaged.map(|_| Outcome::Damaged));
    let worst = outcomes.into_iter().fold(Outcome::Healthy, Outcome::min);
    unless_closed(print(args, files.len() > 1, &reports, out), worst)
}

/// What each report comes to by the condition alone; where it cannot be judged, that is a failure.
fn judge(reports: &[Analysis], condition: &Predicate, stderr: Stderr) -> Vec<Outcome> {
    let mut failing = 0;
    let mut outcome = |report: &Analysis| {
        let judged = report.judged().filter(|judged| condition.value(*judged).is_some());
        let Some(judged) = judged else {
            stderr.complain(&format!("{} has no {}", report.capture, condition.figure()));
            return Outcome::Failed;
        };
        match condition.holds(judged) {
            true => failing += 1,
            false => return Outcome::Healthy,
        }
        Outcome::Lag
    };
    let outcomes = reports.iter().map(&mut outcome).collect();
    stderr.say(&format!("{failing} of {} captures have {condition}", reports.len()));
    outcomes
}

fn print(
    args: &AnalyzeArgs,
    are_many: bool,
    reports: &[Analysis],
    out: &mut dyn Write,
) -> Result<()> {
    let ranking = Ranking::of(reports, args.many.sort);
    if args.many.csv.is_some() {
        return Ok(write!(out, "{}", ranking.csv())?);
    }
    if args.json || args.many.each || !are_many {
        print_analyses(reports, args.json, out)?;
    }
    let (Some(worst), true, false) = (ranking.worst(), are_many, args.json) else {
        return Ok(());
    };
    if args.many.each {
        writeln!(out)?;
    }
    write!(out, "{}", ranking.text(args.many.top))?;
    Ok(writeln!(out, "next: lagtape analyze {}", OneLine(&shell::file(&worst.capture)))?)
}
