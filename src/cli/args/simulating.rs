//! `simulate`, `backend`, `demo`: sessions without a GPU.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::values::{dialect, parse_hz, parse_listen, parse_loop, parse_rate};
use crate::app::{BackendVerb, SimulateVerb};
use crate::peer::incident::Trouble;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

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
    /// Where to listen, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", value_parser = parse_listen)]
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

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Where to leave capture, report and audio
    #[arg(long, default_value = "captures/out")]
    pub out: PathBuf,
}
