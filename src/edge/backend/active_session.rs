//! The one session that has the server.
//!
//! A new session takes over from the previous one, whose channel then ends. Knobs turned at the
//! control endpoint go through that channel.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

/// Turns of knobs that may wait for the session.
const MAX_WAITING: usize = 16;

/// Knobs turned at the control endpoint.
pub(super) struct KnobTurn {
    pub raw: Map<String, Value>,
    /// Answered with whether the session was live and got them.
    pub applied: oneshot::Sender<bool>,
}

#[derive(Default)]
pub(super) struct ActiveSession {
    knobs: Mutex<Option<mpsc::Sender<KnobTurn>>>,
}

impl ActiveSession {
    /// Makes the caller the active session, in place of whichever was.
    pub fn take_over(&self) -> mpsc::Receiver<KnobTurn> {
        let (sender, knobs) = mpsc::channel(MAX_WAITING);
        *self.knobs.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        knobs
    }

    /// Hands knobs to the active session; `false` if there is none or it is not live.
    pub async fn turn_knobs(&self, raw: Map<String, Value>) -> bool {
        let session = self.knobs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(session) = session else { return false };
        let (applied, answer) = oneshot::channel();
        session.send(KnobTurn { raw, applied }).await.is_ok() && answer.await.unwrap_or(false)
    }
}
