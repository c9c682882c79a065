//! The one session that has the server.
//!
//! A new session takes over from the previous one, whose channel then ends. Whatever reaches a
//! session from elsewhere than its socket goes through that channel.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::peer::server::UserTrack;

/// Orders that may wait for the session.
const MAX_WAITING: usize = 16;

/// What a session is asked from elsewhere.
pub(super) enum SessionOrder {
    /// Knobs turned at the control endpoint; answered with whether the session was live.
    TurnKnobs(Map<String, Value>, oneshot::Sender<bool>),
    /// A command of the side bus; answered with whether that session is live.
    Inject(InjectedCommand, oneshot::Sender<bool>),
    /// What there is to tell of the session, if it is live.
    Snapshot(oneshot::Sender<Option<Map<String, Value>>>),
    /// Somebody has uploaded a track.
    Uploaded(UserTrack),
}

/// A command for one session, with the binary that it announces.
pub(super) struct InjectedCommand {
    pub session_id: String,
    pub command: Map<String, Value>,
    pub binary: Vec<u8>,
}

#[derive(Default)]
pub(super) struct ActiveSession {
    orders: Mutex<Option<mpsc::Sender<SessionOrder>>>,
}

impl ActiveSession {
    /// Makes the caller the active session, in place of whichever was.
    pub fn take_over(&self) -> mpsc::Receiver<SessionOrder> {
        let (sender, orders) = mpsc::channel(MAX_WAITING);
        *self.orders.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        orders
    }

    /// Hands knobs to the active session; `false` if there is none or it is not live.
    pub async fn turn_knobs(&self, raw: Map<String, Value>) -> bool {
        self.ask(|answer| SessionOrder::TurnKnobs(raw, answer)).await.unwrap_or(false)
    }

    /// Hands a command to the session that it is for; `false` if that is not live.
    pub async fn inject(&self, command: InjectedCommand) -> bool {
        self.ask(|answer| SessionOrder::Inject(command, answer)).await.unwrap_or(false)
    }

    /// What there is to tell of the active session, if it is live.
    pub async fn snapshot(&self) -> Option<Map<String, Value>> {
        self.ask(SessionOrder::Snapshot).await.flatten()
    }

    /// Tells the active session of a track. A session that is busy finds it at its next swap.
    pub fn tell_uploaded(&self, track: UserTrack) {
        if let Some(orders) = self.sender() {
            let _ = orders.try_send(SessionOrder::Uploaded(track));
        }
    }

    async fn ask<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> SessionOrder) -> Option<T> {
        let orders = self.sender()?;
        let (answer, answered) = oneshot::channel();
        orders.send(order(answer)).await.ok()?;
        answered.await.ok()
    }

    fn sender(&self) -> Option<mpsc::Sender<SessionOrder>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
