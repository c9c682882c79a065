//! `info`, `analyze`, `cat`, `audio`, `plot`: what a capture says.

use std::path::PathBuf;

use super::values::{
    DirectionArg, PlayheadArg, Seconds, Window, parse_seconds, parse_step, parse_window,
};
use crate::app::{AnalyzeOptions, CatFilter};
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::time::{Offset, Span};

#[derive(Debug, clap::Args)]
pub struct InfoArgs {
    /// Captures to look at
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
}

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
    pub window: Window,
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
    pub fn options(&self) -> AnalyzeOptions {
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

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cat stall.lagtape --type slice --from 5s --to 6s
  lagtape cat stall.lagtape --json --dir c2s --type params | jq .text")]
pub struct CatArgs {
    /// The capture to print
    pub file: PathBuf,
    /// One JSON object per record, holding only what the record holds
    #[arg(long)]
    pub json: bool,
    /// Records that are no messages, too: header, context, clock, gap, marker, checkpoint, end
    #[arg(long)]
    pub records: bool,
    /// Only these: a JSON type (params, ready, …), an opcode (text, binary, ping, …), or what the
    /// message is (config, upload, buffer, slice, swap_buffer, aside)
    #[arg(long = "type", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// None of these
    #[arg(long = "not-type", value_delimiter = ',')]
    pub not_kinds: Vec<String>,
    /// Only what went this way
    #[arg(long)]
    pub dir: Option<DirectionArg>,
    /// Only from this moment on
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<Offset>,
    /// Only up to this moment
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<Offset>,
    /// At most so many lines
    #[arg(long)]
    pub limit: Option<u64>,
}

impl CatArgs {
    pub fn filter(&self) -> CatFilter {
        CatFilter {
            json: self.json,
            records: self.records,
            kinds: self.kinds.clone(),
            not_kinds: self.not_kinds.clone(),
            direction: self.dir.map(Into::into),
            from: self.from,
            to: self.to,
            limit: self.limit,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape audio stall.lagtape -o heard.wav
  lagtape audio stall.lagtape --buffer -o buffer.wav
  lagtape audio stall.lagtape --at 9.5s --last 5s -o worst.wav")]
pub struct AudioArgs {
    /// The capture to replay
    pub file: PathBuf,
    /// The WAV file to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// The buffer as it stands at the end, instead of what was heard
    #[arg(long)]
    pub buffer: bool,
    /// Only the last part
    #[arg(long)]
    pub last: Option<Span>,
    /// Up to this moment instead of the capture's end
    #[arg(long)]
    pub at: Option<Span>,
    /// The playhead to follow: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape plot stall.lagtape -o stall.png
  lagtape plot stall.lagtape -o stall.svg --stale-threshold 1

The name says the form: .png or .svg.")]
pub struct PlotArgs {
    /// The capture to draw
    pub file: PathBuf,
    /// The image to write, .png or .svg
    #[arg(short, long)]
    pub out: PathBuf,
    /// Audio older than this is stale
    #[arg(long, default_value_t = Seconds(DEFAULT_STALE_THRESHOLD_S), value_parser = parse_seconds)]
    pub stale_threshold: Seconds,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}
