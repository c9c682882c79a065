//! `plot`: a capture as a picture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;

use crate::app::{self, Outcome, PlotVerb};
use crate::cli::part_args::PartArgs;
use crate::cli::stderr::Stderr;
use crate::cli::values::{PlayheadArg, Seconds, parse_seconds};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::report::plot::{PlotStyle, WIDTHS};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape plot stall.lagtape -o stall.png
  lagtape plot stall.lagtape -o stall.svg --stale-threshold 1
  lagtape plot stall.lagtape --episode 1 -o worst.png
  lagtape plot night.lagtape --width 2400 --dark -o night.png

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
    /// Width of the picture
    #[arg(long, value_name = "PIXELS", default_value_t = PlotStyle::default().width,
        value_parser = parse_width)]
    pub width: u32,
    /// Light on dark
    #[arg(long)]
    pub dark: bool,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub part: PartArgs,
}

fn parse_width(text: &str) -> Result<u32, String> {
    let width = text.parse().ok().filter(|width| WIDTHS.contains(width));
    width.ok_or_else(|| format!("a width has {} to {} pixels", WIDTHS.start(), WIDTHS.end()))
}

pub fn run(args: &PlotArgs, stderr: Stderr, _: &mut dyn Write) -> Result<Outcome> {
    let report = ReportArgs { stale_threshold_s: args.stale_threshold.0, ..ReportArgs::default() };
    let verb = PlotVerb {
        style: PlotStyle { width: args.width, dark: args.dark },
        part: args.part.part(),
        playhead: args.playhead.map(Into::into),
        report,
    };
    let analysis = app::plot(&args.file, &args.out, args.force, &verb)?;
    stderr.wrote(&args.out, "the picture", None);
    Ok(stderr.damaged(&args.file, analysis.damage.as_ref()))
}
