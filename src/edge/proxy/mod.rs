//! The proxy: in between a client and its server, unnoticed.
//!
//! Enters: a bound listener, where the server is, a future that resolves when it has to stop. Leaves:
//! whatever the server serves, byte for byte; a capture for each WebSocket session, and notices of
//! how the sessions are. Forwarding is one task for each connection, which never waits for anything
//! but the two ends. Everything else is one thread that looks on (`tap` and `observer`).

mod body;
mod conversation;
mod direction_pump;
mod head;
mod headers;
mod impair;
mod notice;
mod observed_session;
mod observer;
mod relay;
mod tap;
mod tunnel;
mod upstream;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;
use tokio::net::TcpListener;

use super::clock::MonotonicClock;
use super::recorder::{FileLayout, ManualTrigger, SyncPolicy};
use super::socket::listener::serve_connections;

pub use impair::{DEFAULT_BUFFER, Impairment, MAX_LINK_BYTES, PACKET_LEN};
pub use notice::{CLEAR_AFTER_S, ProxyNotice, STATUS_PERIOD, SessionStatus, WINDOW_S};
pub use tap::MAX_WAITING;
pub use upstream::{ServerTrust, Upstream};

/// Connections at a time; further clients wait to be accepted.
pub const MAX_CONNECTIONS: usize = 1024;

/// Where captures go, one for each WebSocket session.
#[derive(Clone, Debug)]
pub struct SessionCaptures {
    /// Their folder.
    pub folder: PathBuf,
    /// Which files each becomes.
    pub layout: FileLayout,
    /// When they are safe from a power failure.
    pub sync: SyncPolicy,
}

impl SessionCaptures {
    /// Whole captures in that folder.
    #[must_use]
    pub fn into(folder: PathBuf) -> Self {
        SessionCaptures { folder, layout: FileLayout::default(), sync: SyncPolicy::default() }
    }
}

/// What a proxy is to do beside forwarding.
pub struct ProxyOptions {
    /// Where the captures go.
    pub captures: Option<SessionCaptures>,
    /// Has the rings of all sessions written.
    pub trigger: ManualTrigger,
    /// Whether anybody looks on; without that there are no captures and no notices of sessions.
    pub observe: bool,
    /// Bytes that may wait to be looked at; beyond that messages are left out of the captures.
    pub max_waiting: usize,
    /// What is wrong with the way between client and server.
    pub impairment: Impairment,
    /// Hears how the sessions are. Called by the onlooking thread, and by the forwarding one when
    /// the server cannot be reached.
    pub watch: Arc<dyn Fn(ProxyNotice) + Send + Sync>,
}

impl Default for ProxyOptions {
    fn default() -> Self {
        Self {
            captures: None,
            trigger: ManualTrigger::default(),
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
    let observer = options.observe.then(|| observer::start(&options, clock)).transpose()?;
    let trigger = options.trigger.clone();
    let tap = observer.as_ref().map(|observer| Arc::clone(&observer.tap));
    let proxy = Arc::new(Proxy { options, upstream, clock, tap, sessions: AtomicU64::new(0) });
    let serving = serve_connections(listener, MAX_CONNECTIONS, shutdown, |client, peer, stop| {
        let proxy = Arc::clone(&proxy);
        async move { conversation::serve(client, peer, &proxy, stop).await }
    });
    tokio::pin!(serving);
    loop {
        tokio::select! {
            served = &mut serving => break served?,
            () = trigger.fired() => {
                if let Some(tap) = &proxy.tap {
                    tap.request_incidents();
                }
            }
        }
    }
    if let Some(observer) = observer {
        // The captures are finished off the threads of the runtime.
        tokio::task::spawn_blocking(|| observer.finish()).await?;
    }
    Ok(())
}

/// What all connections share.
struct Proxy {
    options: ProxyOptions,
    upstream: Upstream,
    clock: MonotonicClock,
    tap: Option<Arc<tap::Tap>>,
    /// WebSocket sessions so far.
    sessions: AtomicU64,
}

impl Proxy {
    async fn connect(&self, is_handshake: bool) -> Result<upstream::ServerStream> {
        let down = self.options.impairment.down.as_ref();
        let is_slow = is_handshake && down.is_some_and(|down| down.bytes_per_s.is_some());
        self.upstream.connect(is_slow).await
    }

    fn complain(&self, sentence: String) {
        (self.options.watch)(ProxyNotice::Trouble { session: None, sentence });
    }
}
