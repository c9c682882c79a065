//! The thread of a live session: it starts the built-in server if one was asked for, records, and
//! publishes a state after every record.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, watch};

use super::state::{LiveEnd, LiveState};
use crate::app::backend::BuiltIn;
use crate::app::record::{
    LIVE_TRACKER_BOUND, SessionSource, live_analysis, session_of, waits_for_audio,
};
use crate::app::runtime::runtime;
use crate::edge::record::{RecordOptions, RecordOrder, Recorded, record_and_obey};
use crate::edge::recorder::ManualTrigger;
use crate::edge::recorder::RecorderOptions;
use crate::engine::Options;
use crate::family::Family;
use crate::peer::client::{Client, ClientOptions};
use crate::peer::client_model::ClientModel;
use crate::peer::incident::Trouble;
use crate::peer::server::BUILT_IN;
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos, Span};

/// Seconds of heard audio that a session keeps, as the reference client does.
pub const HEARD_S: u64 = 120;
/// The server of a session.
#[derive(Debug, Clone)]
pub enum LiveServer {
    /// At that address.
    Url(String),
    /// The built-in backend with this incident.
    BuiltIn { trouble: Trouble, seed: u64 },
}

/// What to record, and how the client behaves.
#[derive(Debug, Clone)]
pub struct LiveVerb {
    pub server: LiveServer,
    /// What is played; `None`: what the family is usually given, or the built-in backend's own.
    pub source: Option<SessionSource>,
    pub prompt: Option<String>,
    /// The family of models that is to play; `None`: the server's.
    pub family: Option<Family>,
    /// Further fields of the configuration, which win over all others.
    pub set: Map<String, Value>,
    /// How the client reports.
    pub client: ClientModel,
    /// Reports a second; `None`: the incident's, or the client's.
    pub params_hz: Option<f64>,
    /// How long to go on after the initial buffer.
    pub run_for: Span,
    /// How long the server may take until the initial buffer.
    pub ready_timeout: Span,
    pub out: PathBuf,
}

/// The whole life of a session, on its own thread.
pub(super) fn run(
    verb: LiveVerb,
    orders: mpsc::Receiver<RecordOrder>,
    stopped: watch::Receiver<bool>,
    publish: &watch::Sender<LiveState>,
) -> LiveEnd {
    match record_session(verb, orders, stopped, publish) {
        Ok(recorded) => LiveEnd {
            analysis: Some(live_analysis(&recorded)),
            events: recorded.client.engine().facts().events.clone(),
            reason: recorded.reason,
            failure: recorded.failure,
        },
        Err(error) => LiveEnd {
            reason: "there was no session".to_owned(),
            failure: Some(format!("{error:#}")),
            analysis: None,
            events: VecDeque::new(),
        },
    }
}

fn record_session(
    verb: LiveVerb,
    orders: mpsc::Receiver<RecordOrder>,
    mut stopped: watch::Receiver<bool>,
    publish: &watch::Sender<LiveState>,
) -> Result<Recorded> {
    let backend = match &verb.server {
        LiveServer::BuiltIn { trouble, seed } => Some(BuiltIn::start(trouble.clone(), *seed)?),
        LiveServer::Url(_) => None,
    };
    let url = match (&verb.server, &backend) {
        (LiveServer::Url(url), _) => url.clone(),
        (LiveServer::BuiltIn { .. }, Some(backend)) => backend.url.clone(),
        (LiveServer::BuiltIn { .. }, None) => bail!("the built-in backend did not start"),
    };
    let options = record_options(verb, url)?;
    runtime()?.block_on(record_and_obey(
        options,
        orders,
        async {
            // Dropping the session stops it as well.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        },
        |client: &Client, now: Nanos| {
            publish.send_replace(LiveState::of(client, now));
        },
    ))
}

/// The options of the recording client: those of the verb take precedence over those of the
/// incident.
fn record_options(verb: LiveVerb, url: String) -> Result<RecordOptions> {
    let (setup, mut metadata) = match &verb.server {
        LiveServer::BuiltIn { trouble, .. } => {
            let facts = [("backend".to_owned(), format!("built-in, {trouble}"))];
            (trouble.setup().client, BTreeMap::from(facts))
        }
        LiveServer::Url(_) => Default::default(),
    };
    let traits = verb.client.traits();
    metadata.insert("held_by".to_owned(), "mcp".to_owned());
    let source = verb.source.unwrap_or(match &verb.server {
        LiveServer::BuiltIn { .. } => SessionSource::Fixture(BUILT_IN.to_owned()),
        LiveServer::Url(_) => SessionSource::usual(verb.family),
    });
    let (mut config, upload) = session_of(&source, verb.prompt.as_deref(), &setup.config)?;
    config.extend(verb.family.map(|family| ("backend".to_owned(), family.name().into())));
    config.extend(verb.set);
    let waits_for_audio = waits_for_audio(&config);
    let heard_frames = HEARD_S * u64::from(DEFAULT_SAMPLE_RATE);
    Ok(RecordOptions {
        url,
        headers: Vec::new(),
        recorder: RecorderOptions::new(verb.out),
        strict: false,
        trigger: ManualTrigger::default(),
        notices: None,
        client: ClientOptions {
            config,
            upload,
            params_hz: verb.params_hz.or(setup.params_hz).unwrap_or(traits.params_hz),
            rate: setup.rate,
            script: setup.script,
            commands: setup.commands,
            dialect: traits.dialect,
            position_step: setup.position_step.unwrap_or(traits.position_step),
            wraps_to_s: traits.wraps_to_s,
            reports_while_paused: traits.reports_while_paused,
            run_for: Some(verb.run_for),
            ready_timeout: verb.ready_timeout,
            waits_for_audio,
            engine: Options {
                heard: Some(Some(heard_frames)),
                tracker_bound: Some(LIVE_TRACKER_BOUND),
                ..Options::default()
            },
            ..ClientOptions::default()
        },
        metadata,
    })
}
