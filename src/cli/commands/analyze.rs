//! `analyze`: whether, when and how badly captures lagged.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, AnalyzeOptions, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{print_analyses, unless_closed};
use crate::cli::values::{
    PlayheadArg, ReportWindow, Seconds, parse_seconds, parse_step, parse_window,
};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape analyze stall.lagtape
  lagtape analyze captures/*.lagtape --json | jq .verdict
  lagtape analyze stall.lagtape --timeline --window 30s --at 40s")]
pub struct AnalyzeArgs {
    /// Captures to replay
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
    /// How far the figures reach back from the report's time: all, or a length of time
    #[arg(long, default_value = "all", value_parser = parse_window)]
    pub window: ReportWindow,
    /// Audio older than this is stale
    #[arg(long, default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S), value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// Add a table over time
    #[arg(long)]
    pub timeline: bool,
    /// Length of a row of that table
    #[arg(long, default_value = "1", value_parser = parse_step)]
    pub timeline_step: Seconds,
    /// Report as of this moment instead of the capture's end
    #[arg(long)]
    pub at: Option<Span>,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Read slice headers only: faster, but corrupt payloads go unnoticed
    #[arg(long)]
    pub headers_only: bool,
    /// Take lag and verdict from the capture's checkpoints, at once; events and knobs are left out
    #[arg(long, conflicts_with = "at")]
    pub quick: bool,
    /// Keep only the newest N slices and ticks of each source buffer; the reference keeps 100000
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,
    /// Captures replayed at once; 0 is one for each core
    #[arg(long, default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
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
            tracker_bound: self.keep,
            quick: self.quick,
        }
    }
}

pub fn run(args: &AnalyzeArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let analyses = app::analyze_all(&args.files, &args.options(), args.threads)?;
    let mut worst = Outcome::Healthy;
    let mut reports = Vec::new();
    for analysis in analyses {
        match analysis {
            Ok(analysis) => {
                worst = worst.min(analysis.outcome());
                reports.push(analysis);
            }
            Err(error) => {
                stderr.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(print_analyses(&reports, args.json, out), worst)
}
