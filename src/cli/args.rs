//! What can be typed.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::app::{AnalyzeOptions, CatFilter};
use crate::capture::Direction;
use crate::engine::PlayheadSource;
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::time::{Offset, Span};

/// Record a realtime audio stream once, replay and question it for ever.
#[derive(Debug, Parser)]
#[command(name = "lagtape", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    /// Colour messages on stderr
    #[arg(long, global = true, value_enum, default_value_t, env = "LAGTAPE_COLOR")]
    pub color: ColorChoice,
}

const EXIT_CODES: &str = "\
Exit codes: 0 healthy, 1 lagtape failed, 2 wrong usage, 3 a capture is damaged (used as far as it
is intact), 4 the verdict is lag; of several, the first in the order 2, 1, 3, 4.
Times count from the arrival of the initial buffer; a bare number is seconds; 500ms, 30s and 10min
are understood.";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Turn a session log into a capture
    Import(ImportArgs),
    /// Replay captures and say whether, when and how badly they lagged
    Analyze(AnalyzeArgs),
    /// Write what the listener heard as a WAV file
    Audio(AudioArgs),
    /// Say what a capture is, and verify that it is intact
    Info(InfoArgs),
    /// Print the messages of a capture, a line each
    Cat(CatArgs),
    /// Replay two bundled recordings of a real server, one healthy and one with a stall
    Demo(DemoArgs),
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Example:
  lagtape import golden/sessions/stall_mono -o stall.lagtape")]
pub struct ImportArgs {
    /// Folder with session.json, frames.jsonl[.zst] and, with payloads, frames.bin[.zst]
    pub dir: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
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
    #[arg(long, default_value = "1", value_parser = parse_seconds)]
    pub timeline_step: Seconds,
    /// Report as of this moment instead of the capture's end
    #[arg(long, allow_hyphen_values = true)]
    pub at: Option<Offset>,
    /// The playhead to measure against: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Read slice headers only: faster, but corrupt payloads go unnoticed
    #[arg(long)]
    pub headers_only: bool,
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
    #[arg(long, allow_hyphen_values = true)]
    pub at: Option<Offset>,
    /// The playhead to follow: simulated by default for headless clients, else reported
    #[arg(long, value_enum)]
    pub playhead: Option<PlayheadArg>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
}

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
  lagtape cat stall.lagtape --type slice --from 5s --to 6s
  lagtape cat stall.lagtape --json --dir c2s --type params | jq .text")]
pub struct CatArgs {
    /// The capture to print
    pub file: PathBuf,
    /// One JSON object per record, holding only what the record holds
    #[arg(long)]
    pub json: bool,
    /// Records that are no messages, too: header, clock, gap, marker, end
    #[arg(long)]
    pub records: bool,
    /// Only these: a JSON type (params, ready, …), an opcode (text, binary, ping, …), or what the
    /// message is (config, upload, buffer, slice, swap_buffer, aside)
    #[arg(long = "type", value_delimiter = ',')]
    pub kinds: Vec<String>,
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
            direction: self.dir.map(Into::into),
            from: self.from,
            to: self.to,
            limit: self.limit,
        }
    }
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to leave captures, reports and audio
    #[arg(long, default_value = "captures/out")]
    pub out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PlayheadArg {
    /// The reference's simulated playhead, with the capture's own seeks, pauses and rates
    Simulated,
    /// What the client reported, extrapolated at 1×
    Reported,
}

impl From<PlayheadArg> for PlayheadSource {
    fn from(arg: PlayheadArg) -> Self {
        match arg {
            PlayheadArg::Simulated => PlayheadSource::Simulated,
            PlayheadArg::Reported => PlayheadSource::Reported,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DirectionArg {
    /// Client to server
    C2s,
    /// Server to client
    S2c,
}

impl From<DirectionArg> for Direction {
    fn from(arg: DirectionArg) -> Self {
        match arg {
            DirectionArg::C2s => Direction::ClientToServer,
            DirectionArg::S2c => Direction::ServerToClient,
        }
    }
}

/// Seconds of the reference's arguments, which are `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seconds(pub f64);

impl std::fmt::Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}

fn parse_seconds(text: &str) -> Result<Seconds, String> {
    text.parse::<Span>().map(|span| Seconds(span.seconds())).map_err(|error| error.to_string())
}

/// `None` is all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window(pub Option<f64>);

fn parse_window(text: &str) -> Result<Window, String> {
    match text {
        "all" => Ok(Window(None)),
        _ => parse_seconds(text).map(|seconds| Window(Some(seconds.0))),
    }
}
