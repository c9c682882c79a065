//! The onlooker: one thread that makes messages, captures and notices of what is forwarded.
//!
//! Enters: items of the tap. Leaves: a capture file for each session, written behind the recorder's
//! own buffer, and notices. The engine of a session sees exactly the records that its capture gets.
//! Whatever fails here fails for the onlooker alone: no byte on its way waits for this thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::oneshot;

use super::notice::{Notice, Opening};
use super::tap::{Item, Tap};
use super::watched::Watched;
use super::{Captures, ProxyOptions};
use crate::edge::clock::MonotonicClock;

/// Time between two notices of how a session is.
pub const STATUS_PERIOD: Duration = Duration::from_millis(250);

/// The thread, from outside.
pub(super) struct Onlooker {
    pub tap: Arc<Tap>,
    thread: JoinHandle<()>,
}

impl Onlooker {
    /// Waits until everything is looked at and every capture is written.
    pub fn finish(self) {
        self.tap.close();
        // A panic of the thread has been printed; the captures are as far as they came.
        let _ = self.thread.join();
    }
}

/// Starts the thread.
pub(super) fn start(options: &ProxyOptions, clock: MonotonicClock) -> Result<Onlooker> {
    let tap = Tap::new(options.max_waiting);
    let observer = Observer {
        tap: Arc::clone(&tap),
        clock,
        captures: options.captures.clone(),
        watch: Arc::clone(&options.watch),
        sessions: BTreeMap::new(),
    };
    let thread = std::thread::Builder::new()
        .name("lagtape-onlooker".to_owned())
        .spawn(move || observer.run())
        .context("cannot start the onlooking thread")?;
    Ok(Onlooker { tap, thread })
}

struct Observer {
    tap: Arc<Tap>,
    clock: MonotonicClock,
    captures: Option<Captures>,
    watch: Arc<dyn Fn(Notice) + Send + Sync>,
    sessions: BTreeMap<u64, Watched>,
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
                session.look(now, &*self.watch);
            }
        }
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Open(opening, buffered) => self.open(*opening, buffered),
            Item::Bytes { session, direction, at, bytes } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.bytes(direction, at, &bytes, &*self.watch);
                }
                self.tap.reuse(bytes);
            }
            Item::Lost { session, direction, at, loss } => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.lose(direction, at, loss, &*self.watch);
                }
            }
            Item::Ask => self.sessions.values().for_each(Watched::ask),
            Item::Shut { session, at, reason } => {
                if let Some(session) = self.sessions.remove(&session) {
                    session.shut(at, reason, &*self.watch);
                }
            }
        }
    }

    fn open(&mut self, opening: Opening, buffered: oneshot::Sender<()>) {
        let Opening { session, client, ref url, .. } = opening;
        (self.watch)(Notice::Opened { session, client, url: url.clone() });
        let captures = self.captures.clone();
        self.sessions.insert(session, Watched::new(opening, buffered, captures));
    }
}
