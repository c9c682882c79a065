//! `diff`: two captures side by side.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, DiffVerb, Outcome};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::values::{PlayheadArg, Seconds, parse_seconds};
use crate::lag::DEFAULT_STALE_THRESHOLD_S;
use crate::report::compare::{self, Tolerance};
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape diff before.lagtape after.lagtape
  lagtape diff a.lagtape b.lagtape --tolerance 5ms --json | jq .worse

Both are aligned at their initial buffers, a capture that begins in the middle of its session where \
it begins, and compared over the time that both cover. Times that \
lie within --tolerance, and all figures within --share of the larger one, are the same. Exit code \
0: the same; 4: they differ. Traffic, start-up time and configuration only inform.")]
pub struct DiffArgs {
    /// The first capture, a; - is stdin
    pub a: PathBuf,
    /// The second capture, b
    pub b: PathBuf,
    /// How far times may lie apart and still be the same
    #[arg(long, value_name = "TIME", default_value = "50ms")]
    pub tolerance: Span,
    /// Part of the larger of two figures by which they may lie apart
    #[arg(long, value_name = "PART", default_value_t = Tolerance::default().share, value_parser = parse_share)]
    pub share: f64,
    /// Audio older than this is stale
    #[arg(long, value_name = "TIME", default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S),
        value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Read slice headers only: faster, but corrupt payloads go unnoticed
    #[arg(long)]
    pub headers_only: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("write a part of one, such as 0.05".to_owned()),
    }
}

impl DiffArgs {
    fn verb(&self) -> DiffVerb {
        DiffVerb {
            tolerance: Tolerance { time_s: self.tolerance.seconds(), share: self.share },
            stale_threshold_s: self.stale_threshold.0,
            playhead: self.playhead.map(Into::into),
            headers_only: self.headers_only,
        }
    }
}

pub fn run(args: &DiffArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let comparison = app::diff(&args.a, &args.b, &args.verb())?;
    for side in [&comparison.a, &comparison.b] {
        if let Some(damage) = &side.damage {
            stderr.complain(&format!("{}: {}", side.capture, damage.reason));
        }
    }
    let printed = match args.json {
        true => json_line(out, &comparison),
        false => write!(out, "{}", compare::text(&comparison)).map_err(Into::into),
    };
    unless_closed(printed, Outcome::of_comparison(&comparison))
}
