//! The sessions that have the server, the oldest first.
//!
//! A model serves so many sessions at a time (`families.py`@1036c38); one more takes over from the
//! oldest of that model, whose channel then ends. Whatever reaches a session from elsewhere than its
//! socket goes through that channel.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use crate::peer::server::{ServedModel, UserTrack};

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
pub(super) struct Sessions {
    live: Mutex<Vec<LiveSession>>,
}

struct LiveSession {
    id: String,
    model: ServedModel,
    orders: mpsc::Sender<SessionOrder>,
}

impl Sessions {
    /// Gives the model to a session, which takes over from the oldest where there is no room.
    pub fn take_over(&self, id: &str, model: ServedModel) -> mpsc::Receiver<SessionOrder> {
        let (orders, receiver) = mpsc::channel(MAX_WAITING);
        let mut live = self.live();
        let of_model = |session: &LiveSession| session.model == model;
        while live.iter().filter(|session| of_model(session)).count() >= model.sessions()
            && let Some(oldest) = live.iter().position(of_model)
        {
            live.remove(oldest);
        }
        live.push(LiveSession { id: id.to_owned(), model, orders });
        receiver
    }

    /// Hands knobs to the newest session; `false` if there is none or it is not live.
    pub async fn turn_knobs(&self, raw: Map<String, Value>) -> bool {
        let Some(newest) = self.newest() else { return false };
        ask(newest, |answer| SessionOrder::TurnKnobs(raw, answer)).await.unwrap_or(false)
    }

    /// Hands a command to the session that it is for; `false` if that is not live.
    pub async fn inject(&self, command: InjectedCommand) -> bool {
        let is_this = |session: &&LiveSession| session.id == command.session_id;
        let orders = self.live().iter().find(is_this).map(|session| session.orders.clone());
        let Some(orders) = orders else { return false };
        ask(orders, |answer| SessionOrder::Inject(command, answer)).await.unwrap_or(false)
    }

    /// What there is to tell of each session that is live.
    pub async fn snapshots(&self) -> Vec<Map<String, Value>> {
        let all: Vec<_> = self.live().iter().map(|session| session.orders.clone()).collect();
        let mut snapshots = Vec::new();
        for orders in all {
            snapshots.extend(ask(orders, SessionOrder::Snapshot).await.flatten());
        }
        snapshots
    }

    /// Tells the newest session of a track. A session that is busy finds it at its next swap.
    pub fn tell_uploaded(&self, track: UserTrack) {
        if let Some(orders) = self.newest() {
            let _ = orders.try_send(SessionOrder::Uploaded(track));
        }
    }

    fn newest(&self) -> Option<mpsc::Sender<SessionOrder>> {
        self.live().last().map(|session| session.orders.clone())
    }

    /// Those that have not ended.
    fn live(&self) -> MutexGuard<'_, Vec<LiveSession>> {
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.retain(|session| !session.orders.is_closed());
        live
    }
}

async fn ask<T>(
    orders: mpsc::Sender<SessionOrder>,
    order: impl FnOnce(oneshot::Sender<T>) -> SessionOrder,
) -> Option<T> {
    let (answer, answered) = oneshot::channel();
    orders.send(order(answer)).await.ok()?;
    answered.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;

    /// Which of five sessions of a checkpoint still have the server.
    #[track_caller]
    fn check(checkpoint: &str, expected: [bool; 5]) {
        let sessions = Sessions::default();
        let of = |checkpoint: &str| ServedModel {
            family: Family::Sa3,
            checkpoint: checkpoint.to_owned(),
        };
        let mut other = sessions.take_over("other", of("sa3-medium"));
        let mut receivers: Vec<_> =
            (0..5).map(|number| sessions.take_over(&number.to_string(), of(checkpoint))).collect();
        let has = |orders: &mut mpsc::Receiver<SessionOrder>| {
            !matches!(orders.try_recv(), Err(mpsc::error::TryRecvError::Disconnected))
        };
        let found: Vec<_> = receivers.iter_mut().map(has).collect();
        assert_eq!(found, expected, "{checkpoint}");
        assert_eq!(has(&mut other), checkpoint != "sa3-medium");
        drop(receivers.pop());
        let left = expected.iter().filter(|has| **has).count() - 1;
        assert_eq!(sessions.live().iter().filter(|s| s.id != "other").count(), left);
    }

    #[test]
    fn one_more_takes_over_from_the_oldest_of_its_model() {
        check("sa3-small", [false, true, true, true, true]);
        check("sa3-sfx", [false, true, true, true, true]);
        check("sa3-medium", [false, false, false, false, true]);
    }
}
