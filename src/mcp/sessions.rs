//! The live sessions by their handles.
//!
//! An ended session keeps its handle until [`MAX_KEPT`] newer ones exist. When the server closes, every
//! running capture is sealed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::app::{LivePhase, LiveSession};
use crate::report::text::OneLine;

/// Sessions that may run at a time.
pub const MAX_RUNNING: usize = 8;
/// Sessions that are remembered, running ones included.
pub const MAX_KEPT: usize = 64;
/// How long a session may take to seal its capture when the server closes.
const SEAL_TIMEOUT: Duration = Duration::from_secs(10);

/// A session with its handle.
#[derive(Debug)]
pub struct Held {
    /// What the session is called.
    pub handle: String,
    /// The id of its capture.
    pub capture: String,
    pub path: PathBuf,
    /// The server, without secrets.
    pub server: String,
    /// How long it may run after the initial buffer, in seconds.
    pub run_for_s: f64,
    pub session: LiveSession,
}

impl Held {
    /// Whether it still runs.
    pub fn is_running(&self) -> bool {
        self.session.state().phase != LivePhase::Ended
    }

    /// The call that an agent makes next.
    pub fn next_step(&self) -> String {
        match self.is_running() {
            true => format!("headless_stop {{\"handle\": \"{}\"}} seals the capture", self.handle),
            false => format!("capture_open {{\"capture\": \"{}\"}}", self.capture),
        }
    }
}

/// All sessions of this server.
#[derive(Debug, Default)]
pub struct Sessions {
    held: Mutex<BTreeMap<u64, Arc<Held>>>,
    started: AtomicU64,
}

impl Sessions {
    /// Number of the next session.
    pub fn next_number(&self) -> u64 {
        self.started.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Starts a session with `start` and keeps it, unless too many run.
    pub fn hold(&self, number: u64, start: impl FnOnce() -> Result<Held>) -> Result<Arc<Held>> {
        let mut held = self.lock();
        let running = held.values().filter(|held| held.is_running()).count();
        ensure!(
            running < MAX_RUNNING,
            "{MAX_RUNNING} sessions run already; end one with headless_stop (headless_status lists them)"
        );
        let started = Arc::new(start()?);
        held.insert(number, Arc::clone(&started));
        while held.len() > MAX_KEPT {
            let oldest =
                held.iter().find(|(_, held)| !held.is_running()).map(|(number, _)| *number);
            let Some(oldest) = oldest else { break };
            held.remove(&oldest);
        }
        Ok(started)
    }

    /// The session of a handle.
    pub fn find(&self, handle: &str) -> Result<Arc<Held>> {
        let held = self.all();
        let found = held.iter().find(|held| held.handle == handle).cloned();
        found.with_context(|| {
            let handles: Vec<_> = held.iter().map(|held| held.handle.as_str()).collect();
            let known = match handles.as_slice() {
                [] => "no session was started; headless_start starts one".to_owned(),
                handles => format!("there are {}", handles.join(", ")),
            };
            format!(
                "there is no session \"{}\": {known}. Handles end with the server; captures stay: see capture_list",
                super::answer::clipped(handle)
            )
        })
    }

    /// Removes a session that never began.
    pub fn forget(&self, handle: &str) {
        self.lock().retain(|_, held| held.handle != handle);
    }

    /// All sessions, oldest first.
    pub fn all(&self) -> Vec<Arc<Held>> {
        self.lock().values().cloned().collect()
    }

    /// Ends every session and waits until its capture is sealed.
    pub async fn close(&self) {
        let held = self.all();
        held.iter().for_each(|held| held.session.stop());
        let sealed = async {
            for held in &held {
                // A session whose thread broke has nothing left to seal.
                let _ = held.session.ended().await;
            }
        };
        if tokio::time::timeout(SEAL_TIMEOUT, sealed).await.is_err() {
            let seconds = SEAL_TIMEOUT.as_secs();
            say(&format!("a capture could not be sealed within {seconds} s"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Held>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Prints a line on stderr; errors are ignored because a closed stderr has no reader.
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "lagtape mcp: {}", OneLine(line));
}
