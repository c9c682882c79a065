//! The proxy between a client and its server, which neither of them notices.
//!
//! It forwards byte for byte, and records a capture of each WebSocket session. Forwarding is one task
//! a connection, which waits for nothing but its two ends. Everything else happens on one observing
//! thread, which gets copies through the tap.

mod body;
mod conversation;
mod direction_pump;
mod forwarders;
mod head;
mod headers;
mod impair;
mod notice;
mod observed_session;
mod observer;
mod relay;
mod relay_end;
mod tap;
#[cfg(test)]
mod tests;
mod tunnel;
mod upstream;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpListener;

use super::clock::MonotonicClock;
use super::recorder::{FileLayout, ManualTrigger, SyncPolicy};
use super::socket::capacity::{Demand, HEAD_TIMEOUT};
use super::socket::listener::serve_connections;
use super::socket::shedding::ShortageNotice;

pub use impair::{DEFAULT_BUFFER, Impairment, MAX_LINK_BYTES, PACKET_LEN};
pub use notice::{PresentFinding, ProxyNotice, STATUS_PERIOD, SessionStatus, WINDOW_S};
pub use tap::MAX_WAITING;
pub use upstream::{ServerTrust, Upstream};

/// Reads bytes as heads of both sorts, for fuzzers.
#[doc(hidden)]
pub fn read_heads(bytes: &[u8], upstream: &Upstream) {
    head::read_twice(bytes, upstream);
}

/// Connections at a time; further clients are turned away.
pub const MAX_CONNECTIONS: usize = 1024;

/// Where captures go, one for each WebSocket session.
#[derive(Clone, Debug)]
pub struct SessionCaptures {
    pub folder: PathBuf,
    /// Which files each session becomes.
    pub layout: FileLayout,
    /// When captures are safe from a power failure.
    pub sync: SyncPolicy,
}

impl SessionCaptures {
    /// Whole captures in this folder.
    #[must_use]
    pub fn into(folder: PathBuf) -> Self {
        SessionCaptures { folder, layout: FileLayout::default(), sync: SyncPolicy::default() }
    }
}

/// What a proxy does beside forwarding.
pub struct ProxyOptions {
    pub captures: Option<SessionCaptures>,
    /// Makes every session write out what its ring holds.
    pub trigger: ManualTrigger,
    /// Whether sessions are observed; without that there are no captures and no notices of sessions.
    pub observe: bool,
    /// Bytes that may wait for the observer; beyond that messages are left out of the captures.
    pub max_waiting: usize,
    pub impairment: Impairment,
    /// How long the head of a request may take, from the connection or from its first byte on.
    pub head_timeout: Duration,
    /// Called with notices: by the observing thread, and by a forwarding task when the server cannot
    /// be reached.
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
            head_timeout: HEAD_TIMEOUT,
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
    // To the client, to the server, and of the capture.
    let descriptors = 2 + usize::from(proxy.options.captures.is_some());
    let demand = Demand { connections: MAX_CONNECTIONS, descriptors };
    let notify = |news: ShortageNotice| proxy.report_trouble(news.to_string());
    let serving = serve_connections(listener, demand, shutdown, notify, |accepted, stop| {
        let proxy = Arc::clone(&proxy);
        async move { conversation::serve(accepted, &proxy, stop).await }
    });
    tokio::pin!(serving);
    let served = loop {
        tokio::select! {
            served = &mut serving => break served,
            () = trigger.fired() => {
                if let Some(tap) = &proxy.tap {
                    tap.request_incidents();
                }
            }
        }
    };
    if let Some(observer) = observer {
        // Finishing the captures waits for the disk.
        tokio::task::spawn_blocking(|| observer.finish()).await?;
    }
    served
}

/// What all connections share.
struct Proxy {
    options: ProxyOptions,
    upstream: Upstream,
    clock: MonotonicClock,
    tap: Option<Arc<tap::Tap>>,
    sessions: AtomicU64,
}

impl Proxy {
    async fn connect(&self, is_handshake: bool) -> Result<upstream::ServerStream> {
        let down = self.options.impairment.down.as_ref();
        let is_slow = is_handshake && down.is_some_and(|down| down.bytes_per_s.is_some());
        self.upstream.connect(is_slow).await
    }

    fn report_trouble(&self, sentence: String) {
        (self.options.watch)(ProxyNotice::Trouble { session: None, sentence });
    }
}
