//! The thread that turns what is forwarded into messages, captures and notices.
//!
//! The engine of a session sees exactly the records that its capture gets. Whatever fails here fails
//! for the observer alone: forwarding never waits for this thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::notice::{ProxyNotice, STATUS_PERIOD, SessionOpening};
use super::observed_session::ObservedSession;
use super::relay_end::RelayEnd;
use super::tap::{Tap, TapItem};
use super::{ProxyOptions, SessionCaptures};
use crate::edge::clock::MonotonicClock;

/// The observing thread, from outside.
pub(super) struct ObserverHandle {
    pub tap: Arc<Tap>,
    thread: JoinHandle<()>,
}

impl ObserverHandle {
    /// Waits until everything is observed and every capture is written.
    pub fn finish(self) {
        self.tap.close();
        // A panic of the thread has been printed; the captures end where it stopped.
        let _ = self.thread.join();
    }
}

/// Starts the thread.
pub(super) fn start(options: &ProxyOptions, clock: MonotonicClock) -> Result<ObserverHandle> {
    let tap = Tap::new(options.max_waiting);
    let observer = Observer {
        tap: Arc::clone(&tap),
        clock,
        captures: options.captures.clone(),
        watch: Arc::clone(&options.watch),
        sessions: BTreeMap::new(),
    };
    let thread = std::thread::Builder::new()
        .name("lagtape-observer".to_owned())
        .spawn(move || observer.run())
        .context("cannot start the observing thread")?;
    Ok(ObserverHandle { tap, thread })
}

struct Observer {
    tap: Arc<Tap>,
    clock: MonotonicClock,
    captures: Option<SessionCaptures>,
    watch: Arc<dyn Fn(ProxyNotice) + Send + Sync>,
    sessions: BTreeMap<u64, ObservedSession>,
}

impl Observer {
    fn run(mut self) {
        let mut items = Vec::new();
        while self.tap.visit(&mut items, STATUS_PERIOD) {
            for item in items.drain(..) {
                let cost = Tap::cost(&item);
                self.take(item);
                self.tap.release(cost);
            }
            let now = self.clock.now();
            for session in self.sessions.values_mut() {
                session.update(now, &*self.watch);
            }
        }
        // A forwarding task that did not come to its end has not shut its session.
        let now = self.clock.now();
        for session in std::mem::take(&mut self.sessions).into_values() {
            session.shut(now, RelayEnd::Stopped, &*self.watch);
        }
    }

    fn take(&mut self, item: TapItem) {
        match item {
            TapItem::Open(opening, buffered) => self.open(*opening, buffered),
            TapItem::Bytes { session, direction, at, bytes } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.bytes(direction, at, &bytes, &*self.watch);
                }
                self.tap.reuse(bytes);
            }
            TapItem::Lost { session, direction, at, loss } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.lose(direction, at, loss, &*self.watch);
                }
            }
            TapItem::RequestIncident => {
                self.sessions.values().for_each(ObservedSession::request_incident);
            }
            TapItem::Shut { session, at, end } => {
                if let Some(session) = self.sessions.remove(&session) {
                    session.shut(at, end, &*self.watch);
                }
            }
        }
    }

    fn open(&mut self, opening: SessionOpening, buffered: oneshot::Sender<()>) {
        let SessionOpening { session, client, ref url, .. } = opening;
        (self.watch)(ProxyNotice::Opened { session, client, url: url.clone() });
        let captures = self.captures.clone();
        self.sessions.insert(session, ObservedSession::new(opening, buffered, captures));
    }
}
