//! What can be typed.

mod what_if;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;

use super::keeping::KeepingArgs;
use super::proxy::ProxyArgs;
use super::replay::{DiffArgs, ReplayArgs};
use crate::app::{
    AnalyzeOptions, BackendVerb, CatFilter, CutOptions, RecordVerb, RedactOptions, SimulateVerb,
    Source,
};
use crate::capture::Direction;
use crate::engine::PlayheadSource;
use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::peer::client::{DEFAULT_PARAMS_HZ, Dialect, MAX_PARAMS_HZ};
use crate::peer::incident::Trouble;
use crate::peer::script::ScriptedOp;
use crate::time::{Offset, Span, SpanError};

pub use what_if::{SweepArgs, WhatIfArgs};

/// Record a realtime audio stream once, replay and question it for ever.
#[derive(Debug, Parser)]
#[command(name = "lagtape", version, max_term_width = 80, after_help = EXIT_CODES)]
pub struct Args {
    #[command(subcommand)]
    pub verb: Verb,
    /// Colour messages on stderr
    #[arg(long, global = true, value_enum, default_value_t, env = "LAGTAPE_COLOR")]
    pub color: ColorChoice,
}

const EXIT_CODES: &str = "\
Exit codes: 0 healthy, 1 lagtape failed, 2 wrong usage, 3 a capture is damaged
(used as far as it is intact), 4 the verdict is lag, or what was compared
differs; of several, the first in the order 2, 1, 3, 4. Times count from the
arrival of the initial buffer; a bare number is seconds; 500ms, 30s and 10min
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
    /// Record a live session as a headless client
    Record(RecordArgs),
    /// Stand between any client and its server, record and watch every session
    Proxy(Box<ProxyArgs>),
    /// Turn a session log into a capture
    Import(ImportArgs),
    /// Make one capture of the parts of a recording
    Join(JoinArgs),
    /// Replay captures and say whether, when and how badly they lagged
    Analyze(AnalyzeArgs),
    /// Write what the listener heard as a WAV file
    Audio(AudioArgs),
    /// Say what a capture is
    Info(InfoArgs),
    /// Check every record of captures, and list all damage
    Verify(VerifyArgs),
    /// Write a sound capture of what a damaged one still holds
    Recover(RecoverArgs),
    /// Write a part of a capture that can be asked like the whole
    Cut(CutArgs),
    /// Write a capture without its audio, or without certain texts
    Redact(RedactArgs),
    /// Print the messages of a capture, a line each
    Cat(CatArgs),
    /// Draw a capture: lead, staleness, loop and cadence over time
    Plot(PlotArgs),
    /// Simulate a session on a virtual clock, without sockets
    Simulate(SimulateArgs),
    /// Ask what would have been: another clock, no seek, a better link, more lead
    WhatIf(Box<WhatIfArgs>),
    /// Ask many of them at once, or search for the smallest change that would have helped
    Sweep(Box<SweepArgs>),
    /// Play a recording again: as the server to any client, or with --to as the client
    Replay(Box<ReplayArgs>),
    /// Compare two captures: which is worse, by how much, and where
    Diff(DiffArgs),
    /// Serve simulated sessions on a real port, for any client
    Backend(BackendArgs),
    /// Record a simulated server with troubles, replay the capture, and prove that both agree
    Demo(DemoArgs),
    /// Serve agents: an MCP server on stdio or HTTP
    #[cfg(feature = "mcp")]
    Mcp(super::mcp::McpArgs),
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape record ws://127.0.0.1:1318 --fixture lofi.wav --for 60s
  lagtape record ws://127.0.0.1:1318 --audio song.flac --prompt 'lo-fi, mellow' -o live.lagtape
  lagtape record ws://127.0.0.1:1318 --rate 1.002 --op 6s:seek=30s --op 10s:pause --op 12s:resume
  lagtape record ws://127.0.0.1:1318 --fixture lofi.wav --split 10min -o day.lagtape
  lagtape record ws://127.0.0.1:1318 --fixture lofi.wav --ring 60s -o captures/incident.lagtape

A recording takes the server over from whoever is listening on it. Ctrl-C ends it cleanly.")]
pub struct RecordArgs {
    /// The server, ws:// or wss://; its query string is used and never written down
    pub url: String,
    /// The capture to write; captures/<UTC>.lagtape by default, captures/incident.lagtape with --ring
    #[arg(short, long)]
    pub out: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// What the music should be
    #[arg(long)]
    pub prompt: Option<String>,
    /// Play a fixture that the server loads; without this and --audio a built-in tune is uploaded
    #[arg(long, value_name = "NAME", conflicts_with = "audio")]
    pub fixture: Option<String>,
    /// Play an audio file, decoded and resampled to 48 kHz
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Any other field of the configuration; the value is JSON, or else text
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, Value)>,
    /// Reports of the playhead a second
    #[arg(long, default_value_t = DEFAULT_PARAMS_HZ, value_parser = parse_hz)]
    pub params_hz: f64,
    /// Report knobs and position only, as clients did before June 2026
    #[arg(long)]
    pub legacy: bool,
    /// A further header of the handshake, such as 'Authorization: Bearer …'; never written down
    #[arg(long, value_name = "NAME: VALUE", value_parser = parse_header)]
    pub header: Vec<(String, String)>,
    /// How long to record after the initial buffer; until Ctrl-C by default
    #[arg(long = "for", value_name = "TIME")]
    pub run_for: Option<Span>,
    /// How long the server may take until its initial buffer
    #[arg(long, value_name = "TIME", default_value = "10min")]
    pub timeout: Span,
    #[command(flatten)]
    pub playback: PlaybackArgs,
    /// Print the report as JSON, as analyze --json does, with what became of the recording
    #[arg(long)]
    pub json: bool,
    /// Print where the recording stands on stderr this often, as a line of JSON
    #[arg(long, value_name = "TIME")]
    pub status_every: Option<Span>,
    /// Stop, with exit code 1, as soon as the disk fails or a record is lost; otherwise that is
    /// told, in the capture too, and measuring goes on
    #[arg(long, help_heading = "Files")]
    pub strict: bool,
    #[command(flatten)]
    pub keeping: KeepingArgs,
}

/// What the listener does.
#[derive(Debug, clap::Args)]
pub struct PlaybackArgs {
    /// Rate of the playhead; 1.002 is 0.2 % fast
    #[arg(long, default_value_t = 1.0, value_parser = parse_rate)]
    pub rate: f64,
    /// What the listener does and when: 6s:seek=30s, 10s:pause, 12s:resume, 15s:rate=0.98
    #[arg(long, value_name = "TIME:OP")]
    pub op: Vec<ScriptedOp>,
}

impl RecordArgs {
    pub fn verb(&self) -> RecordVerb {
        RecordVerb {
            headers: self.header.clone(),
            out: self.out.clone(),
            force: self.force,
            source: match (&self.fixture, &self.audio) {
                (Some(name), _) => Source::Fixture(name.clone()),
                (None, Some(path)) => Source::File(path.clone()),
                (None, None) => Source::Tune,
            },
            prompt: self.prompt.clone(),
            set: self.set.iter().cloned().collect(),
            params_hz: self.params_hz,
            dialect: dialect(self.legacy),
            rate: self.playback.rate,
            script: self.playback.op.clone(),
            run_for: self.run_for,
            ready_timeout: self.timeout,
            keeping: self.keeping.keeping(),
            sync: self.keeping.sync(),
            strict: self.strict,
            ..RecordVerb::new(self.url.clone())
        }
    }
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
#[command(before_long_help = "Example:
  lagtape join day-*.lagtape -o day.lagtape

The parts may be named in any order. What comes out is what an undivided recording would have been.")]
pub struct JoinArgs {
    /// Parts that record --split made
    #[arg(required = true)]
    pub parts: Vec<PathBuf>,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was joined as JSON
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
  lagtape verify captures/*.lagtape
  lagtape verify live.lagtape --json | jq .damage
  lagtape verify live.lagtape --replay

Exit code 3 when anything is damaged; a recording that was cut short is sound.")]
pub struct VerifyArgs {
    /// Captures to check
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Replay them, too, and compare with the state that each checkpoint recorded
    #[arg(long)]
    pub replay: bool,
    /// One JSON object per capture and line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape cut live.lagtape --from 40s --to 55s -o incident.lagtape
  lagtape cut live.lagtape --from -1s --to 0 -o handshake.lagtape

Records keep their numbers, times and sync marker. A context record before them holds the session's
whole state, audio included, so that playhead, leads, staleness and audio of the part are those of
the whole; its reports cover the part. Exit code 3 when the capture is damaged up to there.")]
pub struct CutArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// From this moment on
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<Offset>,
    /// Up to this moment, and without it: a next part can begin there
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<Offset>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was written as JSON
    #[arg(long)]
    pub json: bool,
}

impl CutArgs {
    pub fn options(&self) -> CutOptions {
        CutOptions { from: self.from, to: self.to, force: self.force }
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape redact live.lagtape --drop-audio -o shareable.lagtape
  lagtape redact live.lagtape --text 'lo-fi, mellow' --text 'sk-*' -o shareable.lagtape

Without audio every lag report stays as it is: headers of slices, lengths and SHA-256 are kept. A
text becomes [redacted] in messages, header and markers. The header says how much was removed.")]
pub struct RedactArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Remove all audio
    #[arg(long)]
    pub drop_audio: bool,
    /// Remove this text; * stands for any characters but quotes, backslashes and white space
    #[arg(long, value_name = "PATTERN")]
    pub text: Vec<String>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// Say what was removed as JSON
    #[arg(long)]
    pub json: bool,
}

impl RedactArgs {
    pub fn options(&self) -> RedactOptions {
        RedactOptions {
            drop_audio: self.drop_audio,
            patterns: self.text.clone(),
            force: self.force,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Example:
  lagtape recover damaged.lagtape -o sound.lagtape

Records are copied byte for byte, with their numbers, times and sync marker; gap records stand for
what is lost. A record whose checksum fails is never written. Exit code 3 when anything was lost.")]
pub struct RecoverArgs {
    /// The capture to read
    pub file: PathBuf,
    /// The capture to write
    #[arg(short, long)]
    pub out: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// One JSON object per capture that was found
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

/// What the simulated server is like.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// The trouble, with values: stall, stall:at=3,for=5, thin-link:down=100KB/s, …
    #[arg(long, value_name = "NAME[:KEY=VALUE,…]", default_value = "healthy")]
    pub incident: Trouble,
    /// Decides everything random
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Length of the built-in loop
    #[arg(long = "loop", value_name = "TIME", default_value = "24s", value_parser = parse_loop)]
    pub loop_length: Span,
    /// Channels of the built-in loop
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub channels: u16,
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape simulate --incident stall --seed 7 --for 90s -o x.lagtape
  lagtape simulate --incident healthy --op 6s:seek=16s --for 20s -o seek.lagtape
  lagtape simulate --list")]
pub struct SimulateArgs {
    /// The capture to write
    #[arg(short, long, required_unless_present = "list")]
    pub out: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    /// How long to go on after the initial buffer
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub run_for: Span,
    /// Reports of the playhead a second; the incident's by default
    #[arg(long, value_parser = parse_hz)]
    pub params_hz: Option<f64>,
    /// Report knobs and position only, as clients did before June 2026
    #[arg(long)]
    pub legacy: bool,
    /// Rate of the playhead; 1.002 is 0.2 % fast
    #[arg(long, value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// What the listener does and when: 6s:seek=30s, 10s:pause, 12s:resume, 15s:rate=0.98
    #[arg(long, value_name = "TIME:OP")]
    pub op: Vec<ScriptedOp>,
    /// Print the report as JSON, as analyze --json does
    #[arg(long)]
    pub json: bool,
    /// List the incidents with what can be set
    #[arg(long)]
    pub list: bool,
}

impl SimulateArgs {
    /// The simulation, unless only the list is wanted.
    pub fn verb(&self) -> Option<SimulateVerb> {
        let out = self.out.clone().filter(|_| !self.list)?;
        Some(SimulateVerb {
            trouble: self.server.incident.clone(),
            seed: self.server.seed,
            run_for: self.run_for,
            loop_s: self.server.loop_length.seconds(),
            channels: self.server.channels,
            params_hz: self.params_hz,
            dialect: dialect(self.legacy),
            rate: self.rate,
            script: self.op.clone(),
            out,
            force: self.force,
        })
    }
}

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape backend
  lagtape backend --listen 127.0.0.1:1318 --incident stall:at=10
  lagtape backend --audio song.flac --incident thin-link:down=200KB/s

The address stands on the first line of stdout. Ctrl-C ends it.")]
pub struct BackendArgs {
    /// Where to listen; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Play an audio file in place of the built-in music
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// List the incidents with what can be set
    #[arg(long)]
    pub list: bool,
}

impl BackendArgs {
    pub fn verb(&self) -> BackendVerb {
        BackendVerb {
            listen: self.listen,
            trouble: self.server.incident.clone(),
            seed: self.server.seed,
            loop_s: self.server.loop_length.seconds(),
            channels: self.server.channels,
            audio: self.audio.clone(),
        }
    }
}

fn dialect(legacy: bool) -> Dialect {
    if legacy { Dialect::Legacy } else { Dialect::Modern }
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to leave capture, report and audio
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

pub(super) fn parse_seconds(text: &str) -> Result<Seconds, String> {
    text.parse::<Span>().map(|span| Seconds(span.seconds())).map_err(|error| error.to_string())
}

fn parse_step(text: &str) -> Result<Seconds, String> {
    parse_seconds(text).and_then(|step| match step.0 > 0.0 {
        true => Ok(step),
        false => Err("give more than 0 s".to_owned()),
    })
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

fn parse_setting(text: &str) -> Result<(String, Value), String> {
    let (key, value) =
        text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write KEY=VALUE")?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((key.to_owned(), value))
}

pub(super) fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parse_loop(text: &str) -> Result<Span, String> {
    match text.parse().map_err(|error: SpanError| error.to_string())? {
        Span(0) => Err("a loop lasts longer than that".to_owned()),
        length => Ok(length),
    }
}

fn parse_hz(text: &str) -> Result<f64, String> {
    let hz: f64 = text.parse().map_err(|_| "write a number of reports a second")?;
    match hz > 0.0 && hz <= MAX_PARAMS_HZ {
        true => Ok(hz),
        false => Err(format!("more than 0 and at most {MAX_PARAMS_HZ} reports a second")),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number such as 0.98")?;
    if rate.is_finite() { Ok(rate) } else { Err("a rate is a number such as 0.98".to_owned()) }
}
