//! `simulate`: a session on a virtual clock.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::app::{self, FleetMix, FleetVerb, Outcome, SimulateVerb};
use crate::cli::charset::drawn;
use crate::cli::progress::progress_bar;
use crate::cli::server_args::{ServerArgs, list_incidents};
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{keep_apart, print_analyses, unless_closed};
use crate::cli::values::{parse_hz, parse_rate};
use crate::edge::output::is_dash;
use crate::parse::Misuse;
use crate::peer::client::Dialect;
use crate::peer::client_model::ClientModel;
use crate::peer::script::ScriptedOp;
use crate::report::text;
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape simulate --incident stall --seed 7 --for 90s -o x.lagtape
  lagtape simulate --client web --incident stall --incident jitter -o x.lagtape
  lagtape simulate --incident healthy --op 6s:seek=16s --for 20s -o seek.lagtape
  lagtape simulate --fleet 1000 --headers-only -o captures
  lagtape simulate --list")]
pub struct SimulateArgs {
    /// The capture to write; - is stdout
    #[arg(short, long, value_name = "FILE", required_unless_present = "list")]
    pub out: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    /// How long to go on after the initial buffer
    #[arg(long = "for", value_name = "TIME", default_value = "30s")]
    pub run_for: Span,
    /// Whose client it is, with its cadence and its fields: lagtape, headless, web, sdk, touchdesigner
    /// or throttled; of all but the first two the capture is what a proxy sees. lagtape by default
    #[arg(long, value_name = "NAME")]
    pub client: Option<ClientModel>,
    /// Reports of the playhead a second; the incident's or the client's by default
    #[arg(long, value_name = "HZ", value_parser = parse_hz)]
    pub params_hz: Option<f64>,
    /// Report knobs and position only, as clients did before June 2026
    #[arg(long)]
    pub legacy: bool,
    /// Rate of the playhead; 1.002 is 0.2 % fast
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<f64>,
    /// What the listener does and when: 6s:seek=30s, 10s:pause, 12s:resume, 15s:rate=0.98
    #[arg(long, value_name = "TIME:OP")]
    pub op: Vec<ScriptedOp>,
    /// Print the report as JSON, as analyze --json does
    #[arg(long)]
    pub json: bool,
    /// So many sessions into the folder of --out: a mix of clients and troubles over a week, each
    /// labelled in its header (docs/FLEET.md)
    #[arg(long, value_name = "N", conflicts_with_all = ["incident", "client", "family", "params_hz",
        "legacy", "rate", "op", "json", "list", "loop_length", "run_for"])]
    pub fleet: Option<u64>,
    /// What the fleet is made of, instead of the usual mix
    #[arg(long, value_name = "FILE", requires = "fleet")]
    pub mix: Option<PathBuf>,
    /// Keep of slices and buffers only the headers: a hundredth of the bytes, and nothing to hear
    #[arg(long, requires = "fleet")]
    pub headers_only: bool,
    /// Sessions simulated at once; 0 is one for each core
    #[arg(long, value_name = "N", default_value_t = 0, requires = "fleet")]
    pub threads: usize,
    /// List the incidents with what can be set
    #[arg(long)]
    pub list: bool,
}

impl SimulateArgs {
    /// The simulation, unless only the list is wanted.
    fn verb(&self) -> Option<SimulateVerb> {
        let out = self.out.clone().filter(|_| !self.list)?;
        Some(SimulateVerb {
            trouble: self.server.trouble(),
            seed: self.server.seed,
            run_for: self.run_for,
            loop_s: self.server.loop_s(),
            channels: self.server.channels,
            family: self.server.family,
            client: self.client.unwrap_or_default(),
            params_hz: self.params_hz,
            dialect: self.legacy.then_some(Dialect::Legacy),
            rate: self.rate,
            script: self.op.clone(),
            out,
            force: self.force,
        })
    }
}

pub fn run(args: &SimulateArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    if let (Some(sessions), Some(out)) = (args.fleet, &args.out) {
        return fleet(args, sessions, out, stderr);
    }
    let Some(verb) = args.verb() else { return list_incidents(out) };
    if let Err(error) = verb.trouble.check_family(verb.family) {
        bail!(Misuse(format!("{error}; lagtape simulate --list has them all")));
    }
    for warning in verb.warnings() {
        stderr.say(&warning);
    }
    keep_apart(&verb.out, args.json)?;
    let analysis = app::simulate(&verb)?;
    let outcome = Outcome::of_analysis(&analysis);
    if is_dash(&verb.out) {
        let report = text::analysis(&analysis, &[]);
        stderr.say_lines(&drawn(&report));
        return Ok(outcome);
    }
    unless_closed(print_analyses(&[analysis], args.json, out), outcome)
}

fn fleet(args: &SimulateArgs, sessions: u64, out: &Path, stderr: Stderr) -> Result<Outcome> {
    let verb = FleetVerb {
        sessions,
        mix: FleetMix::read(args.mix.as_deref())?,
        seed: args.server.seed,
        headers_only: args.headers_only,
        out: out.to_owned(),
        force: args.force,
        threads: args.threads,
    };
    let bar = progress_bar("{pos} of {len} sessions, {per_sec}, {eta} left");
    let done = app::simulate_fleet(&verb, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    done?;
    stderr.wrote(out, &format!("{sessions} captures"), Some("analyze"));
    Ok(Outcome::Healthy)
}
