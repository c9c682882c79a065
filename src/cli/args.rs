//! What can be typed: a file for each kind of verb.

mod reading;
mod recording;
mod rewriting;
mod scenario;
mod simulating;
mod values;
mod what_if;

use clap::{Parser, Subcommand, ValueEnum};

use super::proxy::ProxyArgs;
use super::replay::{DiffArgs, ReplayArgs};

pub use reading::{AnalyzeArgs, AudioArgs, CatArgs, InfoArgs, PlotArgs};
pub use recording::{ImportArgs, JoinArgs, RecordArgs};
pub use rewriting::{CutArgs, RecoverArgs, RedactArgs, VerifyArgs};
pub use simulating::{BackendArgs, DemoArgs, SimulateArgs};
pub use values::{PlayheadArg, Seconds, parse_header, parse_listen, parse_seconds};
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
    /// Turn a browser's HAR file or a session log into a capture
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
