//! The proxy: in between a client and its server, unnoticed.
//!
//! Enters: a bound listener, where the server is, a future that resolves when it has to stop. Leaves:
//! whatever the server serves, byte for byte; a capture for each WebSocket session, and notices of
//! how the sessions are. Forwarding is one task for each connection, which never waits for anything
//! but the two ends. Everything else is one thread that looks on (`tap` and `observer`).

mod body;
mod conversation;
mod head;
mod impair;
mod notice;
mod observer;
mod relay;
mod session;
mod tap;
mod upstream;
mod watched;
mod way;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accept::accept;
use super::clock::MonotonicClock;
use super::record::Bell;
use super::recorder::{Keeping, SyncPolicy};

pub use impair::{DEFAULT_BUFFER, Impairment, MAX_LINK_BYTES, PACKET_LEN};
pub use notice::{Notice, Status, WINDOW_S};
pub use observer::STATUS_PERIOD;
pub use tap::MAX_WAITING;
pub use upstream::{Trust, Upstream};

/// Connections at a time; further clients wait to be accepted.
pub const MAX_CONNECTIONS: usize = 1024;

/// Where captures go, one for each WebSocket session.
#[derive(Clone, Debug)]
pub struct Captures {
    /// Their folder.
    pub folder: PathBuf,
    /// Which files each becomes.
    pub keeping: Keeping,
    /// When they are safe from a power failure.
    pub sync: SyncPolicy,
}

impl Captures {
    /// Whole captures in that folder.
    #[must_use]
    pub fn into(folder: PathBuf) -> Self {
        Captures { folder, keeping: Keeping::default(), sync: SyncPolicy::default() }
    }
}

/// What a proxy is to do beside forwarding.
pub struct ProxyOptions {
    /// Where the captures go.
    pub captures: Option<Captures>,
    /// Has the rings of all sessions written.
    pub bell: Bell,
    /// Whether anybody looks on; without that there are no captures and no notices of sessions.
    pub observe: bool,
    /// Bytes that may wait to be looked at; beyond that messages are left out of the captures.
    pub max_waiting: usize,
    /// What is wrong with the way between client and server.
    pub impairment: Impairment,
    /// Hears how the sessions are. Called by the onlooking thread, and by the forwarding one when
    /// the server cannot be reached.
    pub watch: Arc<dyn Fn(Notice) + Send + Sync>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            captures: None,
            bell: Bell::default(),
            observe: true,
            max_waiting: MAX_WAITING,
            impairment: Impairment::default(),
            watch: Arc::new(|_| ()),
        }
    }
}

/// Serves until `shutdown` resolves; the captures are then complete.
pub async fn serve(
    listener: TcpListener,
    upstream: Upstream,
    options: ProxyOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let clock = MonotonicClock::start();
    let onlooker = options.observe.then(|| observer::start(&options, clock)).transpose()?;
    let (stopping, stop) = watch::channel(false);
    let bell = options.bell.clone();
    let tap = onlooker.as_ref().map(|onlooker| Arc::clone(&onlooker.tap));
    let proxy =
        Arc::new(Proxy { options, upstream, clock, tap, stop, sessions: AtomicU64::new(0) });
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener), if connections.len() < MAX_CONNECTIONS => {
                let (client, peer) = accepted.context("cannot accept connections any more")?;
                let proxy = Arc::clone(&proxy);
                connections.spawn(async move { conversation::serve(client, peer, &proxy).await });
            }
            Some(_) = connections.join_next() => {}
            () = bell.rung() => {
                if let Some(tap) = &proxy.tap {
                    tap.ask();
                }
            }
        }
    }
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {}
    if let Some(onlooker) = onlooker {
        // The captures are finished off the threads of the runtime.
        tokio::task::spawn_blocking(|| onlooker.finish()).await?;
    }
    Ok(())
}

/// What all connections share.
struct Proxy {
    options: ProxyOptions,
    upstream: Upstream,
    clock: MonotonicClock,
    tap: Option<Arc<tap::Tap>>,
    stop: watch::Receiver<bool>,
    /// WebSocket sessions so far.
    sessions: AtomicU64,
}

impl Proxy {
    async fn connect(&self, is_handshake: bool) -> Result<upstream::Leg> {
        let down = self.options.impairment.down.as_ref();
        let is_slow = is_handshake && down.is_some_and(|down| down.bytes_per_s.is_some());
        self.upstream.connect(is_slow).await
    }

    fn complain(&self, sentence: String) {
        (self.options.watch)(Notice::Trouble { session: None, sentence });
    }
}
