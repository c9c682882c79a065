//! `replay`: a recording is played again, as the server or with `--to` as the client.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use serde_json::json;

use crate::app::{self, Listening, Outcome, PerformVerb, Replayed, run_server, runtime};
use crate::cli::recorded::print_recorded;
use crate::cli::recording_display::RecordingDisplay;
use crate::cli::signals::stop_signal;
use crate::cli::stderr::Stderr;
use crate::cli::stdout::{json_line, unless_closed};
use crate::cli::values::{HeaderParser, parse_listen};
use crate::edge::replay::ServeOptions;
use crate::parse::{Misuse, shell};
use crate::peer::replay::{PerformanceOptions, Script, Timing};
use crate::report::divergence;
use crate::report::text::{Figure, OneLine};
use crate::time::{Offset, Span};

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape replay incident.lagtape --listen 127.0.0.1:1318
  lagtape replay incident.lagtape --causal --rate 0.5 -o replayed.lagtape
  lagtape replay incident.lagtape --start-at 20s --until 40s --loop
  lagtape replay incident.lagtape --to ws://127.0.0.1:1318 -o fixed.lagtape
  lagtape diff incident.lagtape fixed.lagtape

As a server, the address stands on the first line of stdout; the first client that begins a \
session gets the recorded one, and its end ends the program. POST /control/replay pauses, slows \
and jumps: {\"pause\": true}, {\"rate\": 0.5}, {\"jump_s\": 12}. Exit code 0: the client did what \
the recorded one did; 4: it did otherwise, and the report says what first.

A capture that begins in the middle of its session, as an incident or a part does, is played from \
there: the client gets the buffer of that moment.

As a client (--to), config, audio, commands, knobs and positions are the recorded ones; time, \
bytes and leads in the reports are those of the live connection. Exit codes are those of record.")]
pub struct ReplayArgs {
    /// The capture, packed or not; - is stdin
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where to listen, an address and a port or a port alone; port 0 is any free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0", conflicts_with = "to",
        value_parser = parse_listen)]
    pub listen: SocketAddr,
    /// Be the client of this server, ws:// or wss://; its query string is never written down
    #[arg(long, value_name = "URL", conflicts_with_all = ["timing", "max", "causal", "unasked", "start_at", "looped"])]
    pub to: Option<String>,
    /// When messages are sent: as recorded, or as fast as the client reads
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub timing: TimingArg,
    /// The same as --timing max
    #[arg(long)]
    pub max: bool,
    /// Seconds of the recording in a second; 0.5 is half as fast, 1 the default
    #[arg(long, value_name = "RATE", value_parser = parse_pace, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// A recorded reply waits for the client message that caused it: config, upload, swap, prompt, …
    #[arg(long)]
    pub causal: bool,
    /// Send recorded swaps also to a client that does not ask for them; a page drops what follows
    #[arg(long, conflicts_with = "causal")]
    pub unasked: bool,
    /// Send everything before this moment at once
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub start_at: Option<Offset>,
    /// Send nothing after this moment
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<Offset>,
    /// Begin again at the end, announced to the client as a swap to the initial buffer, which a page
    /// that did not ask for it does not follow
    #[arg(long = "loop")]
    pub looped: bool,
    /// The capture to write of this session; as a client <UTC>.lagtape by default, as a
    /// server none
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    /// As a client: the folder of a capture that --out does not name
    #[arg(long, value_name = "DIR", default_value = "captures", requires = "to")]
    pub captures: PathBuf,
    /// As a client: send reports to the letter, also what they say about another connection
    #[arg(long, requires = "to")]
    pub verbatim: bool,
    /// As a client: a further header of the handshake; never written down
    #[arg(long, value_name = "NAME: VALUE", value_parser = HeaderParser, requires = "to")]
    pub header: Vec<(String, String)>,
    /// As a client: how long the server may take until its initial buffer
    #[arg(long, value_name = "TIME", default_value = "10min", requires = "to")]
    pub timeout: Span,
    /// Results as JSON, an object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum TimingArg {
    #[default]
    Recorded,
    Max,
}

fn parse_pace(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number above 0, such as 0.5".to_owned()),
    }
}

impl ReplayArgs {
    fn is_max(&self) -> bool {
        self.max || self.timing == TimingArg::Max
    }

    fn serve_options(&self) -> ServeOptions {
        let rate = self.rate.unwrap_or(1.0);
        ServeOptions {
            timing: if self.is_max() { Timing::Max } else { Timing::Recorded { rate } },
            causal: self.causal,
            unasked: self.unasked,
            start_at: self.start_at,
            until: self.until,
            looped: self.looped,
            out: self.out.clone(),
            force: self.force,
            ..ServeOptions::new(self.file.clone())
        }
    }

    fn perform_verb(&self, url: &str) -> PerformVerb {
        PerformVerb {
            capture: self.file.clone(),
            url: url.to_owned(),
            headers: self.header.clone(),
            captures: self.captures.clone(),
            out: self.out.clone(),
            force: self.force,
            performance: PerformanceOptions {
                rate: self.rate.unwrap_or(1.0),
                until: self.until.map(|until| Span(until.0.max(0).unsigned_abs())),
                verbatim: self.verbatim,
            },
            ready_timeout: self.timeout,
        }
    }
}

pub fn run(args: &ReplayArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    if let Some(url) = &args.to {
        return perform(args, url, stderr, out);
    }
    if args.is_max() && args.rate.is_some() {
        bail!(Misuse::new("--timing max has no rate; leave out --rate"));
    }
    if !args.listen.ip().is_loopback() {
        stderr.say(&format!(
            "listening on {}: whoever reaches this machine can connect",
            args.listen
        ));
    }
    let serving = app::replay(
        args.serve_options(),
        args.listen,
        stop_signal(),
        |listening| announce(args, &listening, stderr, out),
        move |notice| stderr.say(&notice.to_string()),
    );
    let replayed = run_server(serving)?;
    if let Some(failure) = &replayed.failure {
        stderr.complain(failure);
    }
    stderr.damaged(&args.file, replayed.damage.as_ref());
    let printed = match args.json {
        true => json_line(out, &replayed),
        false => print_replayed(&replayed, stderr, out),
    };
    unless_closed(printed, replayed.outcome())
}

fn announce(args: &ReplayArgs, listening: &Listening, stderr: Stderr, out: &mut dyn Write) {
    let address = format!("ws://{}", listening.address);
    let line = if args.json { json!({"listening": address}).to_string() } else { address.clone() };
    // Programs that start the replay read the address from the first line.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    let mut client = format!("lagtape record {address}");
    if let Some(begins_at_s) = listening.begins_at_s {
        stderr.say(&format!(
            "the capture begins {} s into its session; a client gets the buffer of that moment",
            Figure(begins_at_s)
        ));
    }
    if let Some(position_s) = listening.start_position_s {
        let position = Figure(position_s);
        stderr.say(&format!(
            "the recorded listener was at {position} s of the loop then; one that starts at 0 sees \
             leads shifted by that"
        ));
        client.push_str(&format!(" --op 0:seek={position_s:.3}"));
    }
    stderr.say(&format!("next: {client}"));
}

fn print_replayed(replayed: &Replayed, stderr: Stderr, out: &mut dyn Write) -> Result<()> {
    stderr.say(&format!("the replay is over: {}", replayed.reason));
    if let Some(divergence) = &replayed.divergence {
        write!(out, "{}", divergence::text(divergence))?;
    }
    if let Some(path) = &replayed.out {
        writeln!(out, "next: {}", OneLine(&diff(&replayed.capture, &path.to_string_lossy())))?;
    }
    Ok(())
}

/// The command that compares two captures.
fn diff(a: &str, b: &str) -> String {
    format!("lagtape diff {} {}", shell::file(a), shell::file(b))
}

fn perform(args: &ReplayArgs, url: &str, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let mut display = RecordingDisplay::new(stderr, None);
    let session = runtime()?.block_on(async {
        let begin = |script: &Script| {
            if script.stands_in {
                stderr.say("the audio that the client uploaded is not in the capture; the buffer at its beginning is uploaded instead");
            }
        };
        app::perform(args.perform_verb(url), stop_signal(), begin, &mut display).await
    });
    display.end();
    let session = session?;
    let performed = diff(&args.file.to_string_lossy(), &session.analysis.capture);
    stderr.say(&format!("next: {performed}"));
    print_recorded(&session, args.json, stderr, out)
}
