//! Live sessions as handles: a caller starts one, inspects it, controls it and stops it.
//!
//! Enters: what to record, then orders while it runs. Leaves: states, reports of the live engine, and
//! at the end the sealed capture with its analysis. A session has a thread of its own, so that its
//! callers can neither delay its timestamps nor wait for its disk; the built-in backend has another.
//! Dropping a session stops it.

mod state;
mod thread;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use tokio::sync::{mpsc, oneshot, watch};

use self::state::audio_of;
use super::analyze::{AnalyzeOptions, analyze};
use crate::capture::Marker;
use crate::edge::audio_file::load;
use crate::edge::record::RecordOrder;
use crate::engine::ServerEvent;
use crate::lag::ReportArgs;
use crate::peer::client::{Client, ClientCommand};
use crate::report::{Analysis, CaptureDescription};
use crate::time::{DEFAULT_SAMPLE_RATE, Nanos, Span};

pub use state::{LiveAudio, LiveEnd, LivePhase, LiveState};
pub use thread::{HEARD_S, LiveServer, LiveVerb};

/// Orders that may wait for a session.
const MAX_ORDERS: usize = 64;

/// A session that runs, or has run.
#[derive(Debug)]
pub struct LiveSession {
    capture: PathBuf,
    orders: mpsc::Sender<RecordOrder>,
    stop: watch::Sender<bool>,
    state: watch::Receiver<LiveState>,
}

impl LiveSession {
    /// Starts a session; its states show whether the server accepts it.
    pub fn start(verb: LiveVerb) -> Result<LiveSession> {
        if let LiveServer::BuiltIn { trouble, .. } = &verb.server {
            ensure!(
                trouble.setup().client.main_thread.is_none(),
                "{name} needs a client whose main thread is busy, which a live one does not; \
                 simulate it: lagtape simulate --incident {name} -o {name}.lagtape",
                name = trouble.name()
            );
        }
        let capture = verb.out.clone();
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        let (stop, stopped) = watch::channel(false);
        let (publish, state) = watch::channel(LiveState::first());
        std::thread::Builder::new()
            .name("lagtape-session".to_owned())
            .spawn(move || {
                let end = thread::run(verb, taken, stopped, &publish);
                publish.send_modify(|state| {
                    state.phase = LivePhase::Ended;
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

    /// Asks the session to end; [`LiveSession::ended`] resolves when it has.
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
        self.order(RecordOrder::Operate(op)).await
    }

    /// The client does something to the server now.
    pub async fn command(&self, command: ClientCommand) -> Result<()> {
        self.order(RecordOrder::Command(command)).await
    }

    /// Reads something from the client without changing it; `None` when the session is over.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Client, Nanos) -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, seen) = oneshot::channel();
        let order = RecordOrder::Look(Box::new(move |client, now| {
            // The caller may have gone in the meantime.
            let _ = answer.send(look(client, now));
        }));
        self.orders.send(order).await.ok()?;
        seen.await.ok()
    }

    /// The analysis up to now; once the session has ended, the analysis of its capture.
    pub async fn analysis(&self, args: ReportArgs) -> Result<Analysis> {
        self.analysis_since(None, args).await
    }

    /// Like [`LiveSession::analysis`], with a lag report that reaches back to `since` and no further.
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

    /// The newest events of the server that came after `since`, and how many there were; once the session
    /// is over, those that it had until then.
    pub async fn events(&self, since: Nanos, most: usize) -> (Vec<ServerEvent>, usize) {
        let seen = self.look(move |client, _| newest(&client.engine().facts().events, since, most));
        if let Some(seen) = seen.await {
            return seen;
        }
        let end = self.ended().await;
        end.map_or_else(|_| Default::default(), |end| newest(&end.events, since, most))
    }

    /// The audio heard last, or the present buffer; `None` when the session is over or has no audio yet.
    pub async fn audio(&self, buffer: bool, last: Option<Span>) -> Option<LiveAudio> {
        self.look(move |client, _| audio_of(client, buffer, last)).await?
    }

    async fn order(&self, order: RecordOrder) -> Result<()> {
        self.orders.send(order).await.map_err(|_| anyhow!("the session is over"))
    }
}

impl Drop for LiveSession {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The newest of the events after `since`, and how many there are.
fn newest(events: &VecDeque<ServerEvent>, since: Nanos, most: usize) -> (Vec<ServerEvent>, usize) {
    let first = events.partition_point(|event| event.t < since);
    let skipped = events.len().saturating_sub(most).max(first);
    (events.iter().skip(skipped).cloned().collect(), events.len() - first)
}

/// An audio file as the binary message that uploads it.
pub fn upload(path: &Path) -> Result<Vec<u8>> {
    Ok(load(path, DEFAULT_SAMPLE_RATE)?.to_message())
}
