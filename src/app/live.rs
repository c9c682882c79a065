//! Live sessions that others hold: started, looked at, told what to do, and stopped.
//!
//! Enters: what to record, then orders and looks while it runs. Leaves: states, reports of the live
//! engine, and at the end the sealed capture with its analysis. A session has a thread of its own,
//! so that whoever asks can neither delay its stamps nor be delayed by its disk; the built-in
//! backend has another. Dropping a session stops it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};

use super::record::session_of;
use super::serve::{BuiltIn, runtime};
use super::{AnalyzeOptions, LIVE_TRACKER_BOUND, Source, analyze, live_analysis};
use crate::capture::Marker;
use crate::edge::audio_file::load;
use crate::edge::record::{Bell, Order, RecordOptions, Recorded, record_and_obey};
use crate::edge::recorder::RecorderOptions;
use crate::engine::{Options, ServerEvent};
use crate::heard::HeardEpisode;
use crate::lag::ReportArgs;
use crate::peer::client::{Client, ClientCommand, ClientOptions};
use crate::peer::incident::Trouble;
use crate::peer::server::BUILT_IN;
use crate::report::{Analysis, CaptureDescription};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos, Span};

/// Audio heard that a session keeps, as the reference client does, in seconds.
pub const HEARD_S: u64 = 120;
/// Orders that may wait for a session.
const MAX_ORDERS: usize = 64;

/// Where a session is had.
#[derive(Debug, Clone)]
pub enum LiveServer {
    /// At that address.
    Url(String),
    /// Of the built-in backend, in this trouble.
    BuiltIn {
        /// The trouble.
        trouble: Trouble,
        /// Decides everything random.
        seed: u64,
    },
}

/// What to do in a session.
#[derive(Debug, Clone)]
pub struct LiveVerb {
    /// Where.
    pub server: LiveServer,
    /// What is played; `None`: a built-in tune, or the built-in backend's own.
    pub source: Option<Source>,
    /// The prompt.
    pub prompt: Option<String>,
    /// Further fields of the configuration, which win over all others.
    pub set: Map<String, Value>,
    /// Reports a second; `None`: the incident's, or the usual.
    pub params_hz: Option<f64>,
    /// How long to go on after the initial buffer.
    pub run_for: Span,
    /// How long the server may take until the initial buffer.
    pub ready_timeout: Span,
    /// The capture.
    pub out: PathBuf,
}

/// How far a session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Audio is decoded, and the server called.
    Connecting,
    /// Connected; the server has not sent its initial buffer.
    Waiting,
    /// Slices are expected.
    Streaming,
    /// Over; the capture is sealed.
    Ended,
}

/// A session at a moment.
#[derive(Debug, Clone)]
pub struct LiveState {
    /// How far it has come.
    pub phase: Phase,
    /// The moment, on the session's clock.
    pub at: Nanos,
    /// Since the initial buffer, in seconds.
    pub stream_s: Option<f64>,
    /// Slices applied.
    pub slices: u64,
    /// Positions reported.
    pub ticks: u64,
    /// Lead of the newest slice.
    pub lead_s: Option<f64>,
    /// Age of the audio at the newest tick.
    pub staleness_s: Option<f64>,
    /// The position of the playhead.
    pub playhead_s: Option<f64>,
    /// The spell of lag that goes on.
    pub lag: Option<HeardEpisode>,
    /// How it ended.
    pub end: Option<Arc<LiveEnd>>,
}

/// How a session ended.
#[derive(Debug)]
pub struct LiveEnd {
    /// Why, in a sentence.
    pub reason: String,
    /// The session could not be had or broke, in a sentence.
    pub failure: Option<String>,
    /// The live engine's analysis; `None` when there was no session.
    pub analysis: Option<Analysis>,
}

/// A session that runs, or has run.
#[derive(Debug)]
pub struct LiveSession {
    capture: PathBuf,
    orders: mpsc::Sender<Order>,
    stop: watch::Sender<bool>,
    state: watch::Receiver<LiveState>,
}

/// An audio file as the binary message that uploads it.
pub fn upload(path: &Path) -> Result<Vec<u8>> {
    Ok(load(path, DEFAULT_SAMPLE_RATE)?.to_message())
}

/// Audio of a session.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveAudio {
    /// Interleaved samples.
    pub samples: Vec<f32>,
    /// Channels.
    pub channels: u16,
    /// Frames per second.
    pub sample_rate: u32,
}

impl LiveSession {
    /// Starts a session; whether it can be had shows in its states.
    pub fn start(verb: LiveVerb) -> Result<LiveSession> {
        if let LiveServer::BuiltIn { trouble, .. } = &verb.server {
            ensure!(
                trouble.setup().client.handles_every_s == 0.0,
                "{name} needs a client that handles messages in turns, which a live one does not; \
                 simulate it: lagtape simulate --incident {name} -o {name}.lagtape",
                name = trouble.incident.name
            );
        }
        let capture = verb.out.clone();
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let (stop, stopped) = watch::channel(false);
        let (publish, state) = watch::channel(LiveState::first());
        thread::Builder::new()
            .name("lagtape-session".to_owned())
            .spawn(move || {
                let end = run(verb, taken, stopped, &publish);
                publish.send_modify(|state| {
                    state.phase = Phase::Ended;
                    state.end = Some(Arc::new(end));
                });
            })
            .context("cannot start a thread for the session")?;
        Ok(LiveSession { capture, orders, stop, state })
    }

    /// The capture.
    #[must_use]
    pub fn capture(&self) -> &Path {
        &self.capture
    }

    /// The newest state.
    #[must_use]
    pub fn state(&self) -> LiveState {
        self.state.borrow().clone()
    }

    /// The state at this moment, after everything that was ordered before.
    pub async fn fresh_state(&self) -> LiveState {
        match self.look(LiveState::of).await {
            Some(state) => state,
            None => self.state(),
        }
    }

    /// The states as they come.
    #[must_use]
    pub fn states(&self) -> watch::Receiver<LiveState> {
        self.state.clone()
    }

    /// Asks the session to end; [`LiveSession::ended`] tells when it has.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Resolves when the capture is sealed.
    pub async fn ended(&self) -> Result<Arc<LiveEnd>> {
        let mut state = self.state.clone();
        let state = state.wait_for(|state| state.end.is_some()).await;
        let end = state.map_err(|_| anyhow!("the session's thread broke; this is a bug"))?;
        end.end.clone().context("an ended session has an end")
    }

    /// The listener does something now.
    pub async fn operate(&self, op: Marker) -> Result<()> {
        self.order(Order::Operate(op)).await
    }

    /// The client does something to the server now.
    pub async fn command(&self, command: ClientCommand) -> Result<()> {
        self.order(Order::Command(command)).await
    }

    /// Looks at the client, which changes nothing; `None` when the session is over.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Client, Nanos) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, seen) = oneshot::channel();
        let order = Order::Look(Box::new(move |client, now| {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(look(client, now));
        }));
        self.orders.send(order).await.ok()?;
        seen.await.ok()
    }

    /// The analysis of this moment; of an ended session, that of its capture.
    pub async fn analysis(&self, args: ReportArgs) -> Result<Analysis> {
        self.analysis_since(None, args).await
    }

    /// The same, with a lag report that reaches back to `since` and no further.
    pub async fn analysis_since(&self, since: Option<Nanos>, args: ReportArgs) -> Result<Analysis> {
        args.check(0.0)?;
        let from = move |now: Nanos| ReportArgs {
            window_s: since.map(|since| now.seconds_since(since).max(0.0)).or(args.window_s),
            ..args
        };
        let capture = self.capture.display().to_string();
        let live = self.look(move |client, now| {
            Analysis::of(client.engine(), CaptureDescription::live(capture, now), &from(now))
        });
        if let Some(analysis) = live.await {
            return Ok(analysis);
        }
        let end = self.ended().await?;
        let Some(whole) = &end.analysis else {
            bail!("{}", end.failure.as_deref().unwrap_or("there was no session"));
        };
        let args = from(Nanos(whole.report_ns));
        let capture = self.capture.clone();
        let options = AnalyzeOptions { report: args, ..AnalyzeOptions::default() };
        tokio::task::spawn_blocking(move || analyze(&capture, &options)).await?
    }

    /// The newest events of the server that came after `since`, and how many there were.
    pub async fn events(&self, since: Nanos, most: usize) -> (Vec<ServerEvent>, usize) {
        let seen = self.look(move |client, _| {
            let events = &client.engine().facts().events;
            let first = events.partition_point(|event| event.t < since);
            let skipped = events.len().saturating_sub(most).max(first);
            (events.iter().skip(skipped).cloned().collect(), events.len() - first)
        });
        seen.await.unwrap_or_default()
    }

    /// What was heard last, or the buffer as it stands; `None` when the session is over or has no
    /// audio yet.
    pub async fn audio(&self, buffer: bool, last: Option<Span>) -> Option<LiveAudio> {
        self.look(move |client, _| audio_of(client, buffer, last)).await?
    }

    async fn order(&self, order: Order) -> Result<()> {
        self.orders.send(order).await.map_err(|_| anyhow!("the session is over"))
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.stop();
    }
}

impl LiveState {
    fn first() -> LiveState {
        LiveState {
            phase: Phase::Connecting,
            at: Nanos(0),
            stream_s: None,
            slices: 0,
            ticks: 0,
            lead_s: None,
            staleness_s: None,
            playhead_s: None,
            lag: None,
            end: None,
        }
    }

    fn of(client: &Client, at: Nanos) -> LiveState {
        let engine = client.engine();
        let facts = engine.facts();
        let tracker = engine.epochs().last().map(|epoch| &epoch.tracker);
        let (slice, tick) = match tracker {
            Some(tracker) => (tracker.slices().next_back(), tracker.ticks().next_back()),
            None => (None, None),
        };
        LiveState {
            phase: if engine.origin().is_some() { Phase::Streaming } else { Phase::Waiting },
            at,
            stream_s: engine.origin().map(|origin| at.seconds_since(origin)),
            slices: facts.slices,
            ticks: facts.ticks,
            lead_s: slice.map(|slice| slice.lead_s),
            staleness_s: tick.map(|tick| tick.staleness_s),
            playhead_s: engine.playhead_s(at),
            lag: engine.current_episode(),
            end: None,
        }
    }
}

/// The whole life of a session, on its own thread.
fn run(
    verb: LiveVerb,
    orders: mpsc::Receiver<Order>,
    stopped: watch::Receiver<bool>,
    publish: &watch::Sender<LiveState>,
) -> LiveEnd {
    match record_session(verb, orders, stopped, publish) {
        Ok(recorded) => LiveEnd {
            analysis: Some(live_analysis(&recorded)),
            reason: recorded.reason,
            failure: recorded.failure,
        },
        Err(error) => LiveEnd {
            reason: "there was no session".to_owned(),
            failure: Some(format!("{error:#}")),
            analysis: None,
        },
    }
}

fn record_session(
    verb: LiveVerb,
    orders: mpsc::Receiver<Order>,
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
            // That nobody holds the session any more is a stop too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        },
        |client, now| {
            publish.send_replace(LiveState::of(client, now));
        },
    ))
}

/// What the recording client does: what was asked for, over what the incident makes of a client.
fn record_options(verb: LiveVerb, url: String) -> Result<RecordOptions> {
    let (setup, mut metadata) = match &verb.server {
        LiveServer::BuiltIn { trouble, .. } => {
            let told = [("backend".to_owned(), format!("built-in, {trouble}"))];
            (trouble.setup().client, BTreeMap::from(told))
        }
        LiveServer::Url(_) => Default::default(),
    };
    metadata.insert("held_by".to_owned(), "mcp".to_owned());
    let source = verb.source.unwrap_or(match &verb.server {
        LiveServer::BuiltIn { .. } => Source::Fixture(BUILT_IN.to_owned()),
        LiveServer::Url(_) => Source::Tune,
    });
    let (mut config, upload) = session_of(&source, verb.prompt.as_deref(), &setup.config)?;
    config.extend(verb.set);
    let heard_frames = HEARD_S * u64::from(DEFAULT_SAMPLE_RATE);
    Ok(RecordOptions {
        url,
        headers: Vec::new(),
        recorder: RecorderOptions::new(verb.out),
        strict: false,
        bell: Bell::default(),
        notices: None,
        client: ClientOptions {
            config,
            upload,
            params_hz: verb.params_hz.unwrap_or(setup.params_hz),
            rate: setup.rate,
            script: setup.script,
            commands: setup.commands,
            run_for: Some(verb.run_for),
            ready_timeout: verb.ready_timeout,
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

fn audio_of(client: &Client, buffer: bool, last: Option<Span>) -> Option<LiveAudio> {
    let engine = client.engine();
    let mirror = engine.mirror()?;
    let sample_rate = engine.sample_rate();
    let channels = mirror.channels();
    let frames = last.map(|last| (last.seconds() * f64::from(sample_rate)).round() as u64);
    let samples = if buffer {
        let kept = frames.map_or(mirror.frames(), |frames| mirror.frames().min(frames as usize));
        mirror.samples()[(mirror.frames() - kept) * usize::from(channels)..].to_vec()
    } else {
        engine.heard()?.samples(frames)
    };
    Some(LiveAudio { samples, channels, sample_rate })
}
