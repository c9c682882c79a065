//! `replay`: a recorded session played again, to a real client or against a real server.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::outcome::Outcome;
use super::record::{LIVE_TRACKER_BOUND, RecordedSession, finished};
use super::runtime::armed;
use crate::capture::Body;
use crate::edge;
use crate::edge::files;
use crate::edge::output;
use crate::edge::record::RecordingWatch;
use crate::edge::recorder::{FileLayout, ManualTrigger, RecorderOptions, default_path};
use crate::edge::replay::{Replay, ReplayNotice, ServeOptions};
use crate::engine::{Engine, Options};
use crate::peer::client::ClientOptions;
use crate::peer::replay::{Divergence, Performance, PerformanceOptions, Script};
use crate::report::{DamageReport, SCHEMA};
use crate::time::Span;

/// A session that was replayed to a client.
#[derive(Debug, Clone, Serialize)]
pub struct Replayed {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// How far client and clock strayed; `null` when no client began a session.
    pub divergence: Option<Divergence>,
    /// Why it ended.
    pub reason: String,
    /// The capture that was written of it.
    pub out: Option<PathBuf>,
    /// Where the replayed capture is damaged.
    pub damage: Option<DamageReport>,
    /// Why it could not go on.
    pub failure: Option<String>,
}

impl Replayed {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let is_same = self.divergence.as_ref().is_some_and(|found| found.same && !found.strayed);
        match (&self.failure, &self.damage, &self.divergence) {
            (Some(_), ..) | (None, _, None) => Outcome::Failed,
            (None, Some(_), Some(_)) => Outcome::Damaged,
            (None, None, Some(_)) if is_same => Outcome::Healthy,
            (None, None, Some(_)) => Outcome::Differs,
        }
    }
}

/// What is known of a replay before its first client.
#[derive(Debug, Clone, Copy)]
pub struct Listening {
    pub address: SocketAddr,
    /// When a capture begins in the middle of its session, in seconds from its initial buffer.
    pub begins_at_s: Option<f64>,
    /// Where the recorded listener was at the beginning, if that is not where a client starts.
    pub start_position_s: Option<f64>,
}

/// Plays a capture to the first client that begins a session at `listen`, port 0 being any free one.
pub async fn replay(
    options: ServeOptions,
    listen: SocketAddr,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(Listening),
    notice: impl Fn(&ReplayNotice) + Send + Sync + 'static,
) -> Result<Replayed> {
    let capture = options.capture.display().to_string();
    let replay = Replay::prepare(ServeOptions { watch: Box::new(notice), ..options })?;
    let listener = edge::listen(listen).await?;
    let shutdown = armed(shutdown).await;
    listening(Listening {
        address: listener.local_addr()?,
        begins_at_s: replay.begins_at_s(),
        start_position_s: replay.start_position_s(),
    });
    let played = replay.serve(listener, shutdown).await?;
    Ok(Replayed {
        schema: SCHEMA,
        capture,
        divergence: played.divergence,
        reason: played.reason,
        out: played.out,
        damage: played.damage,
        failure: played.failure,
    })
}

/// What to perform against which server.
#[derive(Debug, Clone)]
pub struct PerformVerb {
    /// The capture whose client is performed.
    pub capture: PathBuf,
    pub url: String,
    /// Further headers of the handshake.
    pub headers: Vec<(String, String)>,
    /// The folder of a capture that `out` does not name.
    pub captures: PathBuf,
    /// The new capture; `None`: `<UTC>.lagtape` in the folder of captures.
    pub out: Option<PathBuf>,
    pub force: bool,
    /// How the client of the capture is performed.
    pub performance: PerformanceOptions,
    /// How long the server may take until the initial buffer.
    pub ready_timeout: Span,
}

/// Performs the client of a capture against a live server, and records that. Calls `begin`
/// with the script.
pub async fn perform(
    verb: PerformVerb,
    stop: impl Future<Output = ()>,
    begin: impl FnOnce(&Script),
    watch: impl RecordingWatch,
) -> Result<RecordedSession> {
    let script = script(&verb.capture, verb.performance)
        .with_context(|| format!("cannot replay {}", verb.capture.display()))?;
    begin(&script);
    let name = verb.capture.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut metadata = BTreeMap::from([("replay_of".to_owned(), name)]);
    if script.stands_in {
        let source = "the buffer at the beginning of what is replayed";
        metadata.insert("source".to_owned(), source.to_owned());
    }
    let keeping = FileLayout::default();
    let out = verb.out.map_or_else(|| default_path(&verb.captures, &keeping), Ok)?;
    output::refuse_input(&verb.capture, &out)?;
    let options = edge::record::RecordOptions {
        url: verb.url,
        headers: verb.headers,
        recorder: RecorderOptions { force: verb.force, ..RecorderOptions::new(out) },
        strict: false,
        trigger: ManualTrigger::default(),
        notices: None,
        client: ClientOptions {
            config: script.config,
            upload: script.upload,
            params_hz: 0.0,
            dialect: script.dialect,
            kind: script.kind,
            rate: script.rate,
            script: script.ops,
            commands: script.commands,
            run_for: Some(script.run_for),
            ready_timeout: verb.ready_timeout,
            engine: Options { tracker_bound: Some(LIVE_TRACKER_BOUND), ..Options::default() },
            ..ClientOptions::default()
        },
        metadata,
    };
    finished(edge::record::record(options, stop, watch).await?, false, keeping)
}

/// What the client of a capture did.
fn script(path: &Path, options: PerformanceOptions) -> Result<Script> {
    let mut performance = Performance::new(options, session_of(path)?);
    let mut records = files::open_capture(path)?;
    while let Some(record) = records.next_record()? {
        performance.read(&record)?;
    }
    Ok(performance.finish()?)
}

/// The connection of the session that a capture holds.
fn session_of(path: &Path) -> Result<u32> {
    let mut records = files::open_capture(path)?;
    let mut engine = Engine::new(Options { headers_only: true, ..Options::default() });
    while let Some(record) = records.next_record()? {
        engine.handle(&record);
        match &record.body {
            Body::Message(_) if engine.origin().is_some() => return Ok(record.conn),
            Body::Context(context) if engine.origin().is_some() => {
                return Ok(context.state.connection.unwrap_or_default());
            }
            _ => {}
        }
    }
    bail!(
        "it has no initial buffer, so there is no session to perform; look at it with: lagtape cat"
    )
}
