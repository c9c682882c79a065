//! `plot`: a capture as a picture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome, PlotVerb};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::values::{PlayheadArg, Seconds, parse_seconds};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape plot stall.lagtape -o stall.png
  lagtape plot stall.lagtape -o stall.svg --stale-threshold 1
  lagtape plot stall.lagtape --episode 1 -o worst.png

The name says the form: .png or .svg; stdout, which is -, gets a PNG.")]
pub struct PlotArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The picture to write, .png or .svg
    #[arg(short, long, value_name = "FILE")]
    pub out: PathBuf,
    /// Audio older than this is stale
    #[arg(long, value_name = "TIME", default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S),
        value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_name = "WHICH", value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

pub fn run(args: &PlotArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let report = ReportArgs { stale_threshold_s: args.stale_threshold.0, ..ReportArgs::default() };
    let verb = PlotVerb {
        part: args.part.part(),
        playhead: args.playhead.map(Into::into),
        report,
    };
    let analysis = app::plot(&args.file, &args.out, args.force, &verb)?;
    stderr.wrote(&args.out, "the picture", None);
    Ok(stderr.damaged(&args.file, analysis.damage.as_ref()))
}
