//! `simulate`: a session on a virtual clock, without sockets, into a capture.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use crate::capture::{ClientKind, Header, SyncMarker, Writer};
use crate::edge::output::OutputFile;
use crate::edge::rewrite::Woven;
use crate::family::Family;
use crate::lag::ReportArgs;
use crate::peer::client::{ClientOptions, Dialect};
use crate::peer::incident::Trouble;
use crate::peer::script::ScriptedOp;
use crate::peer::server::{BUILT_IN, ServerOptions, ServerSource, TooLong};
use crate::peer::simulation::{Simulated, SimulationOptions, simulate as run};
use crate::report::{Analysis, CaptureDescription};
use crate::time::{Nanos, Span};

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
    /// Reports a second; `None`: the incident's.
    pub params_hz: Option<f64>,
    pub dialect: Dialect,
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
        let mut config = setup.client.config;
        if self.family != Family::Acestep {
            config.insert("backend".to_owned(), json!(self.family.name()));
        }
        let script = [setup.client.script, self.script.clone()].concat();
        Ok(SimulationOptions {
            client: ClientOptions {
                config: fixture_config(BUILT_IN, config),
                params_hz: self.params_hz.unwrap_or(setup.client.params_hz),
                dialect: self.dialect,
                rate: self.rate.unwrap_or(setup.client.rate),
                script,
                commands: setup.client.commands,
                run_for: Some(self.run_for),
                waits_for_audio: self.family.traits().first_audio_s > 0.0,
                ..ClientOptions::default()
            },
            server: ServerOptions {
                seed: self.seed,
                source: ServerSource::built_in(self.loop_s, self.channels)?,
                policy: setup.policy,
                generator: setup.generator,
                faults: setup.faults,
                ..ServerOptions::default()
            },
            up: setup.up,
            down: setup.down,
            handles_every_s: setup.client.handles_every_s,
        })
    }
}

/// A configuration that has the server load `fixture`; `further` fields win.
pub(super) fn fixture_config(fixture: &str, further: Map<String, Value>) -> Map<String, Value> {
    let mut config = Map::new();
    config.insert("client_id".to_owned(), json!("lagtape"));
    config.insert("fixture_name".to_owned(), json!(fixture));
    config.insert("use_server_fixture".to_owned(), json!(true));
    config.extend(further);
    config
}

/// Simulates a session, writes its capture, and returns the report of its live engine.
pub fn simulate(verb: &SimulateVerb) -> Result<Analysis> {
    let options = verb.options()?;
    let mut output = OutputFile::create(&verb.out, verb.force)?;
    let writing = || format!("cannot write {}", verb.out.display());
    let mut header = Header::new(concat!("lagtape ", env!("CARGO_PKG_VERSION")), Nanos(0));
    header.client = ClientKind::Headless;
    header.config = Some(Value::Object(options.client.config.clone()).to_string());
    let facts = [
        ("simulated", verb.trouble.to_string()),
        ("seed", verb.seed.to_string()),
        ("params_hz", options.client.params_hz.to_string()),
    ];
    header.metadata = facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let marker = SyncMarker::derive(format!("{} seed {}", verb.trouble, verb.seed).as_bytes());

    let mut writer = Writer::new(marker);
    let mut bytes = Vec::new();
    writer.begin(&mut bytes);
    let mut failed = None;
    let mut woven = Woven::new(output.writer(), marker);
    let Simulated { client, ended, .. } = run(options, header, &mut |record| {
        writer.write(record, &mut bytes);
        if failed.is_none() {
            failed = woven.write_all(&bytes).err();
        }
        bytes.clear();
    });
    if let Some(error) = failed {
        return Err(error).with_context(writing);
    }
    output.finish()?;
    let about = CaptureDescription::live(verb.out.display().to_string(), ended);
    Ok(Analysis::of(client.engine(), about, &ReportArgs::default()))
}
