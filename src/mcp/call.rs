//! One call of a tool while it goes on: its cancellation, its progress, and the work it may do.
//!
//! Enters: the request. Leaves: progress notifications, if the client asked for them, and work that
//! runs off the asynchronous workers, a few at a time, and ends early when the call is cancelled.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
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

    /// Jobs at work now.
    pub fn running(&self) -> usize {
        self.running.load(Ordering::Acquire)
    }
}

/// A call that goes on.
#[derive(Clone)]
pub struct Call {
    cancelled: CancellationToken,
    leaving: CancellationToken,
    jobs: Jobs,
    listener: Option<(Peer<RoleServer>, ProgressToken)>,
}

impl Call {
    /// Of a request; `leaving` is cancelled when the client's input has ended.
    pub fn of(
        context: &RequestContext<RoleServer>,
        jobs: Jobs,
        leaving: CancellationToken,
    ) -> Call {
        let token = context.meta.get_progress_token();
        Call {
            cancelled: context.ct.clone(),
            leaving,
            jobs,
            listener: token.map(|token| (context.peer.clone(), token)),
        }
    }

    /// Resolves when it is no use to wait for something to happen: the call was cancelled, or the
    /// input has ended. Work that was begun before that end is still answered.
    pub async fn over(&self) {
        tokio::select! {
            () = self.cancelled.cancelled() => {}
            () = self.leaving.cancelled() => {}
        }
    }

    /// Tells how far the call has come.
    pub async fn progress(&self, done: f64, total: f64, message: &str) {
        let Some((peer, token)) = &self.listener else { return };
        let told = ProgressNotificationParam::new(token.clone(), done)
            .with_total(total)
            .with_message(message);
        // A client that has gone is noticed elsewhere.
        let _ = peer.notify_progress(told).await;
    }

    /// Does work that blocks or computes. Captures that it reads are its progress.
    pub async fn work<T: Send + 'static>(
        &self,
        message: &str,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = tokio::select! {
            permit = Arc::clone(&self.jobs.permits).acquire_owned() => permit?,
            () = self.cancelled.cancelled() => bail!(CANCELLED),
        };
        let read = Arc::new(Read::default());
        let (told, call) = (Arc::clone(&read), self.clone());
        let running = Running::begin(&self.jobs);
        let mut job = tokio::task::spawn_blocking(move || {
            let _running = (permit, running);
            let watch = move |done: u64, total: u64| {
                told.done.store(done, Ordering::Relaxed);
                told.total.store(total, Ordering::Relaxed);
                if call.cancelled.is_cancelled() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            files::watched(watch, work)
        });
        let mut seen = 0.0;
        loop {
            tokio::select! {
                done = &mut job => return done.map_err(broken)?,
                () = self.cancelled.cancelled() => bail!(CANCELLED),
                () = tokio::time::sleep(PROGRESS_EVERY) => {
                    let (done, total) = read.megabytes();
                    if done > seen {
                        seen = done;
                        self.progress(done, total, message).await;
                    }
                }
            }
        }
    }
}

const CANCELLED: &str = "the call was cancelled";

/// A job that panicked: its message is on stderr.
fn broken(error: tokio::task::JoinError) -> anyhow::Error {
    anyhow!("lagtape broke while it worked on this ({error}); this is a bug, other calls go on")
}

/// Bytes read of a capture.
#[derive(Default)]
struct Read {
    done: AtomicU64,
    total: AtomicU64,
}

impl Read {
    fn megabytes(&self) -> (f64, f64) {
        let of = |bytes: &AtomicU64| bytes.load(Ordering::Relaxed) as f64 / 1e6;
        (of(&self.done), of(&self.total))
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
