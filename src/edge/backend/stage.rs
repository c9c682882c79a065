//! Who has the server: one session at a time.
//!
//! Enters: sessions that begin, and knobs turned at the control endpoint. Leaves: a channel for each
//! session on which it hears of both; the channel ends when another session takes the stage.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

/// Knobs that may wait for the session to hear of them.
const MAX_WAITING: usize = 16;

/// Knobs turned elsewhere.
pub(super) struct Knobs {
    pub raw: Map<String, Value>,
    /// Whether there was a live session to hear of them.
    pub heard: oneshot::Sender<bool>,
}

#[derive(Default)]
pub(super) struct Stage {
    session: Mutex<Option<mpsc::Sender<Knobs>>>,
}

impl Stage {
    /// A session takes the stage from whoever had it.
    pub fn take(&self) -> mpsc::Receiver<Knobs> {
        let (knobs, heard) = mpsc::channel(MAX_WAITING);
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = Some(knobs);
        heard
    }

    /// Hands knobs to the session; whether one that is live heard of them.
    pub async fn turn(&self, raw: Map<String, Value>) -> bool {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(session) = session else { return false };
        let (heard, answer) = oneshot::channel();
        session.send(Knobs { raw, heard }).await.is_ok() && answer.await.unwrap_or(false)
    }
}
