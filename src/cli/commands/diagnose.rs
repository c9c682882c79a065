//! `diagnose`: which part of the system was at fault.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use serde::Serialize;

use crate::app::{self, AnalyzeOptions, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::values::PlayheadArg;
use crate::diagnosis::Diagnosis;
use crate::report::{Analysis, text};
use crate::time::Span;
use crate::verdict::Verdict;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape diagnose stall.lagtape
  lagtape diagnose captures/*.lagtape --json | jq '.findings[0].class'")]
pub struct DiagnoseArgs {
    /// Captures to diagnose
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
    /// Diagnose as of this moment instead of the capture's end
    #[arg(long)]
    pub at: Option<Span>,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Read the capture's checkpoints only, at once; findings then name no records
    #[arg(long, conflicts_with = "at")]
    pub quick: bool,
    /// Leave out the proof, in which the model takes each cause away; findings then rest on their
    /// signatures, as with --quick, --at and --playhead
    #[arg(long)]
    pub no_proof: bool,
    /// Captures read at once; 0 is one for each core
    #[arg(long, default_value_t = 0, env = "LAGTAPE_THREADS")]
    pub threads: usize,
}

/// What `--json` prints of a capture.
#[derive(Debug, Serialize)]
struct Diagnosed<'a> {
    schema: u32,
    capture: &'a str,
    verdict: &'a Verdict,
    #[serde(flatten)]
    diagnosis: &'a Diagnosis,
}

pub fn run(args: &DiagnoseArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let options = AnalyzeOptions {
        playhead: args.playhead.map(Into::into),
        at: args.at,
        quick: args.quick,
        ..AnalyzeOptions::default()
    };
    let mut worst = Outcome::Healthy;
    let mut printed = Ok(());
    let is_proved = !(args.no_proof || args.quick) && args.at.is_none() && args.playhead.is_none();
    let analyses = app::analyze_all(&args.files, &options, args.threads)?;
    for (number, (file, analysis)) in args.files.iter().zip(analyses).enumerate() {
        match analysis {
            Ok(mut analysis) => {
                if is_proved {
                    app::prove(file, &mut analysis, args.threads);
                } else if !args.quick {
                    app::suggest(file, &mut analysis);
                }
                worst = worst.min(Outcome::of_analysis(&analysis));
                printed = printed.and_then(|()| print(&analysis, args.json, number > 0, out));
            }
            Err(error) => {
                stderr.complain(&format!("{error:#}"));
                worst = worst.min(Outcome::Failed);
            }
        }
    }
    unless_closed(printed, worst)
}

fn print(analysis: &Analysis, json: bool, follows: bool, out: &mut dyn Write) -> Result<()> {
    if json {
        let Analysis { schema, capture, verdict, diagnosis, .. } = analysis;
        return json_line(out, &Diagnosed { schema: *schema, capture, verdict, diagnosis });
    }
    if follows {
        writeln!(out)?;
    }
    Ok(write!(out, "{}", text::diagnosis(analysis))?)
}
