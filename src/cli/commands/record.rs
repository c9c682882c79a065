//! `record`: a live session becomes a capture.

use std::io::Write;
use std::path::PathBuf;
use std::sync::mpsc;

use anyhow::Result;
use serde_json::Value;

use crate::app::{self, Outcome, RecordVerb, SessionSource, runtime};
use crate::cli::keeping::KeepingArgs;
use crate::cli::recorded::print_recorded;
use crate::cli::recording_display::RecordingDisplay;
use crate::cli::signals::{stop_signal, take_signals};
use crate::cli::stderr::Stderr;
use crate::cli::values::{HeaderParser, parse_hz, parse_live_client, parse_rate, parse_setting};
use crate::edge::recorder::FileLayout;
use crate::family::Family;
use crate::peer::client::Dialect;
use crate::peer::client_model::ClientModel;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

#[derive(Debug, clap::Args)]
#[command(before_long_help = "Examples:
  lagtape record ws://127.0.0.1:1318 --fixture lofi.wav --for 60s
  lagtape record ws://127.0.0.1:1318 --audio song.flac --prompt 'lo-fi, mellow'
  lagtape record ws://127.0.0.1:1318 --rate 1.002 --op 6s:seek=30s -o x.lagtape
  lagtape record ws://127.0.0.1:1318 --op 10s:pause --op 12s:resume
  lagtape record ws://127.0.0.1:1318 --family minimax --prompt 'warm piano'
  lagtape record ws://127.0.0.1:1318 --split 10min -o day.lagtape
  lagtape record ws://127.0.0.1:1318 --ring 60s -o captures/incident.lagtape

A recording takes the server over from whoever is listening on it. Ctrl-C ends it cleanly.")]
pub struct RecordArgs {
    /// The server, ws:// or wss://; its query string is used and never written down
    #[arg(value_name = "URL")]
    pub url: String,
    /// The capture to write; <UTC>.lagtape by default, incident.lagtape with --ring
    #[arg(short, long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The folder of a capture that --out does not name
    #[arg(long, value_name = "DIR", default_value = "captures")]
    pub captures: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub client: ClientArgs,
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

/// What is played, and how the client behaves.
#[derive(Debug, clap::Args)]
pub struct ClientArgs {
    /// What the music should be
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// Play a fixture that the server loads; without this and --audio a built-in tune is uploaded
    #[arg(long, value_name = "NAME", conflicts_with = "audio")]
    pub fixture: Option<String>,
    /// Play an audio file, decoded and resampled to 48 kHz
    #[arg(long, value_name = "FILE")]
    pub audio: Option<PathBuf>,
    /// Bring no audio where the server can do without, and the built-in tune where it cannot; so it
    /// is anyway with families that ignore what a client brings
    #[arg(long, conflicts_with_all = ["fixture", "audio"])]
    pub text_only: bool,
    /// The family of models that is to play: acestep, sa3, yue2, mrt2 or minimax; the server's own by
    /// default
    #[arg(long, value_name = "NAME")]
    pub family: Option<Family>,
    /// Any other field of the configuration; the value is JSON, or else text
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    pub set: Vec<(String, Value)>,
    /// Report as that client does, with its cadence and its fields: lagtape, headless, web, sdk or
    /// touchdesigner; lagtape by default
    #[arg(long, value_name = "NAME", value_parser = parse_live_client)]
    pub client: Option<ClientModel>,
    /// Reports of the playhead a second; the client's by default, 30 of lagtape's own
    #[arg(long, value_name = "HZ", value_parser = parse_hz)]
    pub params_hz: Option<f64>,
    /// Report knobs and position only, as clients did before June 2026
    #[arg(long)]
    pub legacy: bool,
    /// A further header of the handshake, such as 'Authorization: Bearer …'; never written down
    #[arg(long, value_name = "NAME: VALUE", value_parser = HeaderParser)]
    pub header: Vec<(String, String)>,
    /// How long to record after the initial buffer; until Ctrl-C by default
    #[arg(long = "for", value_name = "TIME")]
    pub run_for: Option<Span>,
    /// How long the server may take until its initial buffer
    #[arg(long, value_name = "TIME", default_value = "10min")]
    pub timeout: Span,
    #[command(flatten)]
    pub playback: PlaybackArgs,
}

/// What the listener does.
#[derive(Debug, clap::Args)]
pub struct PlaybackArgs {
    /// Rate of the playhead; 1.002 is 0.2 % fast
    #[arg(long, value_name = "RATE", default_value_t = 1.0, value_parser = parse_rate)]
    pub rate: f64,
    /// What the listener does and when: 6s:seek=30s, 10s:pause, 12s:resume, 15s:rate=0.98
    #[arg(long, value_name = "TIME:OP")]
    pub op: Vec<ScriptedOp>,
}

impl RecordArgs {
    fn verb(&self) -> RecordVerb {
        RecordVerb {
            captures: self.captures.clone(),
            out: self.out.clone(),
            force: self.force,
            keeping: self.keeping.keeping(),
            sync: self.keeping.sync(),
            strict: self.strict,
            ..self.client.verb(self.url.clone())
        }
    }
}

impl ClientArgs {
    /// Whether anything was said of the client at all.
    pub fn asks_for_anything(&self) -> bool {
        let says = |text: &Option<String>| text.is_some();
        let of_audio = says(&self.prompt) || says(&self.fixture) || self.audio.is_some();
        let of_session = self.text_only || self.family.is_some() || !self.set.is_empty();
        let of_client = self.client.is_some() || self.params_hz.is_some() || self.legacy;
        let of_run = self.run_for.is_some() || !self.playback.op.is_empty();
        of_audio || of_session || of_client || of_run || !self.header.is_empty()
    }

    /// A plain recording of that server with this client.
    pub fn verb(&self, url: String) -> RecordVerb {
        let client = self.client.unwrap_or_default();
        let traits = client.traits();
        RecordVerb {
            headers: self.header.clone(),
            source: match (&self.fixture, &self.audio) {
                (Some(name), _) => SessionSource::Fixture(name.clone()),
                (None, Some(path)) => SessionSource::File(path.clone()),
                (None, None) if self.text_only => SessionSource::Text,
                (None, None) => SessionSource::usual(self.family),
            },
            prompt: self.prompt.clone(),
            family: self.family,
            set: self.set.iter().cloned().collect(),
            client,
            params_hz: self.params_hz.unwrap_or(traits.params_hz),
            dialect: if self.legacy { Dialect::Legacy } else { traits.dialect },
            rate: self.playback.rate,
            script: self.playback.op.clone(),
            run_for: self.run_for,
            ready_timeout: self.timeout,
            ..RecordVerb::new(url)
        }
    }
}

pub fn run(args: &RecordArgs, stderr: Stderr, out: &mut dyn Write) -> Result<Outcome> {
    let (notices, received) = mpsc::channel();
    let verb = RecordVerb { notices: Some(notices), ..args.verb() };
    for warning in verb.warnings() {
        stderr.say(&warning);
    }
    let trigger = matches!(verb.keeping, FileLayout::Ring(_)).then(|| verb.trigger.clone());
    let mut display =
        RecordingDisplay::new(stderr, verb.run_for).with_notices(received, args.status_every);
    let session = runtime()?.block_on(async {
        take_signals(trigger);
        app::record(verb, stop_signal(), &mut display).await
    });
    display.end();
    print_recorded(&session?, args.json, stderr, out)
}
