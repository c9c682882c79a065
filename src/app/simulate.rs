//! `simulate`: a session on a virtual clock, without sockets, into a capture.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::capture::{Body, ClientKind, Direction, Header, Opcode, Record, SyncMarker, Writer};
use crate::edge::output::OutputFile;
use crate::edge::rewrite::Woven;
use crate::family::Family;
use crate::lag::ReportArgs;
use crate::peer::client::{ClientOptions, DEFAULT_PING_EVERY, Dialect};
use crate::peer::client_model::ClientModel;
use crate::peer::hands::knob_turns;
use crate::peer::incident::{ClientSetup, Injection, Trouble};
use crate::peer::script::{ROOM_S, ScriptedOp};
use crate::peer::server::{BUILT_IN, ServerOptions, ServerSource, TooLong};
use crate::peer::simulation::{SimulationOptions, simulate as run};
use crate::report::{Analysis, CaptureDescription};
use crate::time::{Nanos, Span};
use crate::wire::slice::HEADER_LEN;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulateVerb {
    pub trouble: Trouble,
    pub seed: u64,
    /// How long to go on after the initial buffer.
    pub run_for: Span,
    /// Length of the loop in seconds.
    pub loop_s: f64,
    pub channels: u16,
    /// The family of models that the server serves.
    pub family: Family,
    pub client: ClientModel,
    /// Reports a second; `None`: the incident's, or else the client's.
    pub params_hz: Option<f64>,
    /// What it reports; `None`: what such a client does.
    pub dialect: Option<Dialect>,
    /// Rate of the playhead; `None`: the incident's.
    pub rate: Option<f64>,
    /// What the listener does beside the incident's ops.
    pub script: Vec<ScriptedOp>,
    pub out: PathBuf,
    pub force: bool,
}

impl SimulateVerb {
    /// What both peers and the link are like.
    pub fn options(&self) -> Result<SimulationOptions, TooLong> {
        let setup = self.trouble.setup();
        let traits = self.client.traits();
        Ok(SimulationOptions {
            client: self.client_options(setup.client.clone()),
            server: ServerOptions {
                seed: self.seed,
                source: ServerSource::built_in(self.loop_s, self.channels)?,
                policy: setup.policy,
                generator: setup.generator,
                faults: setup.faults,
                family: self.family,
                ..ServerOptions::default()
            },
            up: setup.up,
            down: setup.down,
            main_thread: setup.client.main_thread.unwrap_or(traits.main_thread),
            max_unsent: traits.max_unsent,
            is_seen_by_proxy: setup.client.is_seen_by_proxy || traits.kind == ClientKind::Foreign,
        })
    }

    fn client_options(&self, setup: ClientSetup) -> ClientOptions {
        let traits = self.client.traits();
        let is_own = self.client == ClientModel::Lagtape;
        let mut config = setup.config;
        if self.family != Family::Acestep {
            config.insert("backend".to_owned(), json!(self.family.name()));
        }
        let mut commands = setup.commands;
        if setup.turns_knobs {
            commands.extend(knob_turns(self.seed, self.run_for));
        }
        let mut knobs = Map::new();
        if self.family == Family::Minimax {
            // The page of minimax asks for a piece without an end (minimax.js@83827ba).
            knobs.insert("minimax_endless".to_owned(), json!(true));
        }
        ClientOptions {
            config: fixture_config(BUILT_IN, config),
            knobs,
            params_hz: self
                .params_hz
                .or(setup.params_hz.filter(|_| is_own))
                .unwrap_or(traits.params_hz),
            dialect: self.dialect.unwrap_or(traits.dialect),
            rate: self.rate.unwrap_or(setup.rate),
            script: [setup.script, self.script.clone()].concat(),
            commands,
            run_for: Some(self.run_for),
            // Pages cannot ping.
            ping_every: is_own.then_some(DEFAULT_PING_EVERY),
            waits_for_audio: self.family.traits().first_audio_s > 0.0,
            position_step: setup.position_step.unwrap_or(traits.position_step),
            wraps_to_s: traits.wraps_to_s,
            reports_while_paused: traits.reports_while_paused,
            ..ClientOptions::default()
        }
    }

    /// What of the trouble and of the script the session is not going to show.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let end_s = self.run_for.seconds();
        let idles_at_s = IDLE_AFTER_S + self.loop_s;
        let is_idle = !self.trouble.setup().client.turns_knobs;
        let warn = |injection: Injection| {
            let Injection { class, onset_s, .. } = injection;
            if onset_s >= end_s {
                Some(format!(
                    "{class} begins {onset_s} s after the initial buffer, and the session is over \
                     after {end_s} s; write --for {}s",
                    onset_s.ceil() + ROOM_S
                ))
            } else if is_idle && onset_s >= idles_at_s {
                Some(format!(
                    "{class} begins {onset_s} s after the initial buffer; the server is idle from \
                     {idles_at_s} s on, since nobody turns a knob, and nothing of it is to be heard"
                ))
            } else {
                None
            }
        };
        let late = self.script.iter().filter_map(|scripted| scripted.left_out(self.run_for));
        self.trouble.injections().into_iter().filter_map(warn).chain(late).collect()
    }

    /// Facts about the capture, for its header: how it was made, and what was injected.
    fn metadata(&self, params_hz: f64) -> BTreeMap<String, String> {
        let injected = json!(self.trouble.injections()).to_string();
        let facts = [
            ("simulated", self.trouble.to_string()),
            ("injected", injected),
            ("client", self.client.traits().name.to_owned()),
            ("seed", self.seed.to_string()),
            ("params_hz", params_hz.to_string()),
        ];
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The header of the capture.
    #[must_use]
    pub fn header(&self, options: &SimulationOptions) -> Header {
        let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), Nanos(0));
        header.client = ClientKind::Headless;
        header.config = Some(Value::Object(options.client.config.clone()).to_string());
        header.metadata = self.metadata(options.client.params_hz);
        header
    }
}

/// Without a knob being turned for so long, and one loop more, the server stops.
const IDLE_AFTER_S: f64 = 20.0;

/// A configuration that has the server load `fixture`; `further` fields win.
pub(super) fn fixture_config(fixture: &str, further: Map<String, Value>) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("client_id".to_owned(), json!("lagtape"));
    config.insert("fixture_name".to_owned(), json!(fixture));
    config.insert("use_server_fixture".to_owned(), json!(true));
    config.extend(further);
    config
}

/// What the header of a simulated capture says beside how it was made.
#[derive(Debug, Clone, Default)]
struct SessionLabels {
    /// When it is said to have connected.
    start_utc: Option<String>,
    /// What the labels of the simulation itself do not say.
    metadata: BTreeMap<String, String>,
    /// Of slices and buffers only the headers are kept.
    headers_only: bool,
}

/// Simulates a session, writes its capture, and returns the report of its live engine.
pub fn simulate(verb: &SimulateVerb) -> Result<Analysis> {
    labelled(verb, &SessionLabels::default())
}

fn labelled(verb: &SimulateVerb, labels: &SessionLabels) -> Result<Analysis> {
    let options = verb.options()?;
    let mut output = OutputFile::create(&verb.out, verb.force)?;
    let writing = || format!("cannot write {}", verb.out.display());
    let mut header = verb.header(&options);
    header.start_utc.clone_from(&labels.start_utc);
    let metadata = labels.metadata.iter().map(|(key, value)| (key.clone(), value.clone()));
    header.metadata.extend(metadata);
    let marker = SyncMarker::derive(format!("{} seed {}", verb.trouble, verb.seed).as_bytes());

    let mut writer = Writer::new(marker);
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let mut failed = None;
    let mut woven = Woven::new(output.writer(), marker);
    let simulated = run(options, header, &mut |record| {
        match labels.headers_only {
            true => writer.write(&without_audio(record), &mut bytes),
            false => writer.write(record, &mut bytes),
        }
        if failed.is_none() {
            failed = woven.write_all(&bytes).err();
        }
        bytes.clear();
    });
    if let Some(error) = failed {
        return Err(error).with_context(writing);
    }
    output.finish()?;
    let about = CaptureDescription::live(verb.out.display().to_string(), simulated.ended);
    Ok(Analysis::of(simulated.engine(), about, &ReportArgs::default()))
}

/// A record whose audio is left out: what stays says how long it was.
fn without_audio<'a>(record: &Record<'a>) -> Record<'a> {
    let mut record = record.clone();
    if let Body::Message(message) = &mut record.body
        && message.direction == Direction::ServerToClient
        && message.opcode == Opcode::Binary
        && message.payload.len() > HEADER_LEN
    {
        message.whole_len = Some(message.len());
        message.payload = &message.payload[..HEADER_LEN];
    }
    record
}

mod fleet;
#[cfg(test)]
mod tests;

pub use fleet::{FleetMix, FleetVerb, simulate_fleet};
