//! One call of a tool in progress: its cancellation, its progress, and its work.
//!
//! Progress goes out only if the client asked for it. Work runs off the asynchronous workers, a few jobs
//! at a time, and ends early when the call is cancelled.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use rmcp::RoleServer;
use rmcp::model::{
    ClientResult, ElicitRequest, ElicitRequestParams, ElicitationAction, ElicitationSchema,
    ProgressNotificationParam, ProgressToken, ServerRequest,
};
use rmcp::service::{Peer, RequestContext};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::edge::files;

/// Time between two progress notifications of one call.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// The work of all calls together.
#[derive(Debug, Clone)]
pub struct Jobs {
    permits: Arc<Semaphore>,
    running: Arc<AtomicUsize>,
}

impl Jobs {
    /// As many at a time as the machine has cores, and two at least.
    pub fn new() -> Jobs {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        Jobs { permits: Arc::new(Semaphore::new(cores)), running: Arc::default() }
    }

    /// How many jobs run now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }
}

/// A call in progress.
#[derive(Clone)]
pub struct Call {
    cancelled: CancellationToken,
    leaving: CancellationToken,
    jobs: Jobs,
    peer: Peer<RoleServer>,
    progress_token: Option<ProgressToken>,
}

/// What a person said who was asked whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    Given,
    Refused,
    /// The client has no way to ask.
    NotAsked,
}

impl Call {
    /// The call of a request; `leaving` is cancelled when the client's input has ended.
    pub fn of(
        context: &RequestContext<RoleServer>,
        jobs: Jobs,
        leaving: CancellationToken,
    ) -> Call {
        Call {
            cancelled: context.ct.clone(),
            leaving,
            jobs,
            peer: context.peer.clone(),
            progress_token: context.meta.get_progress_token(),
        }
    }

    /// Lets the client ask its person whether to go on, where it said that it can. Nothing but a yes is
    /// consent: an answer that fails is none.
    pub async fn consent(&self, question: &str) -> Result<Consent> {
        let info = self.peer.peer_info();
        let can = info.and_then(|info| info.capabilities.elicitation.clone());
        if can.is_none_or(|can| can.form.is_none() && can.url.is_some()) {
            return Ok(Consent::NotAsked);
        }
        let params = ElicitRequestParams::FormElicitationParams {
            meta: None,
            message: question.to_owned(),
            requested_schema: ElicitationSchema::new(BTreeMap::new()),
        };
        let request = ServerRequest::ElicitRequest(ElicitRequest::new(params));
        let answer = tokio::select! {
            answer = self.peer.send_request(request) => answer,
            () = self.over() => bail!(CANCELLED),
        };
        match answer {
            Ok(ClientResult::ElicitResult(said)) if said.action == ElicitationAction::Accept => {
                Ok(Consent::Given)
            }
            Ok(_) => Ok(Consent::Refused),
            Err(error) => Err(anyhow!("the client could not ask its person: {error}")),
        }
    }

    /// Resolves when waiting has become useless: the call was cancelled, or the input has ended. Work
    /// that began before the input ended is still answered.
    pub async fn over(&self) {
        tokio::select! {
            () = self.cancelled.cancelled() => {}
            () = self.leaving.cancelled() => {}
        }
    }

    /// Sends a progress notification.
    pub async fn progress(&self, done: f64, total: f64, message: &str) {
        let Some(token) = &self.progress_token else { return };
        let notification = ProgressNotificationParam::new(token.clone(), done)
            .with_total(total)
            .with_message(message);
        // That a client has left is noticed elsewhere.
        let _ = self.peer.notify_progress(notification).await;
    }

    /// Does work that blocks or computes. Captures that it reads are its progress, in megabytes.
    pub async fn work<T: Send + 'static>(
        &self,
        message: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(message, 1e-6, move |job| {
            files::watched(move |done, total| job.reached(done, total), work)
        })
        .await
    }

    /// Does work that counts its own steps, and asks after each whether to go on.
    pub async fn steps<T: Send + 'static>(
        &self,
        message: &str,
        work: impl FnOnce(&Job) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.run(message, 1.0, move |job| work(&job)).await
    }

    /// Runs a job off the workers; what it has done times `unit` is its progress.
    async fn run<T: Send + 'static>(
        &self,
        message: &str,
        unit: f64,
        work: impl FnOnce(Job) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = tokio::select! {
            permit = Arc::clone(&self.jobs.permits).acquire_owned() => permit?,
            () = self.cancelled.cancelled() => bail!(CANCELLED),
        };
        let done = Arc::new(Done::default());
        let job = Job { done: Arc::clone(&done), cancelled: self.cancelled.clone() };
        let running = Running::begin(&self.jobs);
        let mut task = tokio::task::spawn_blocking(move || {
            let _running = (permit, running);
            work(job)
        });
        let mut reported = 0.0;
        loop {
            tokio::select! {
                done = &mut task => return done.map_err(|error| broken(&error))?,
                () = self.cancelled.cancelled() => bail!(CANCELLED),
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    let [now, total] = done.read().map(|count| count as f64 * unit);
                    if now > reported {
                        reported = now;
                        self.progress(now, total, message).await;
                    }
                }
            }
        }
    }
}

/// A running job, which reports its progress.
pub struct Job {
    done: Arc<Done>,
    cancelled: CancellationToken,
}

impl Job {
    /// Reports progress; the job has to end when this breaks.
    pub fn reached(&self, done: u64, total: u64) -> ControlFlow<()> {
        self.done.now.store(done, Ordering::Relaxed);
        self.done.total.store(total, Ordering::Relaxed);
        match self.cancelled.is_cancelled() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}

const CANCELLED: &str = "the call was cancelled";

/// A job that panicked: its message is on stderr.
fn broken(error: &tokio::task::JoinError) -> anyhow::Error {
    anyhow!("lagtape broke while it worked on this ({error}); this is a bug, other calls go on")
}

/// How far a job has come, of how much.
#[derive(Default)]
struct Done {
    now: AtomicU64,
    total: AtomicU64,
}

impl Done {
    fn read(&self) -> [u64; 2] {
        [&self.now, &self.total].map(|count| count.load(Ordering::Relaxed))
    }
}

/// Counts a job until it ends, however it ends.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(jobs: &Jobs) -> Running {
        jobs.running.fetch_add(1, Ordering::AcqRel);
        Running(Arc::clone(&jobs.running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
