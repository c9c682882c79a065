//! The simulated server on a real port.
//!
//! Answers HTTP requests, also on the side bus, and drives one [`Server`](crate::peer::server::Server) in real time for
//! every WebSocket connection. One clock stamps everything.

mod connection;
pub(in crate::edge) mod http;
mod notice;
mod sessions;
mod side_bus;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Result;
use tokio::net::TcpListener;

use super::clock::MonotonicClock;
use super::socket::capacity::Demand;
use super::socket::listener::{StopSignal, serve_connections};
use crate::peer::link::LinkOptions;
use crate::peer::server::ServerOptions;

pub use super::socket::sender::FRAGMENT_LEN;
pub use super::socket::{CLOSE_TIMEOUT, MAX_CONNECTIONS};
pub use crate::peer::keepalive::KeepaliveOptions;
pub use notice::{BackendChange, BackendNotice};

/// What a backend is like.
pub struct BackendOptions {
    /// Every connection gets a server like this.
    pub server: ServerOptions,
    /// What is added to the network between each client and its server.
    pub links: Links,
    /// When silent clients are given up.
    pub keepalive: KeepaliveOptions,
    /// Where the side bus listens, if there is one.
    pub side_bus: Option<TcpListener>,
    /// Called with what becomes of each connection.
    pub watch: Box<dyn Fn(&BackendNotice) + Send + Sync>,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self {
            server: ServerOptions::default(),
            links: Links::default(),
            keepalive: KeepaliveOptions::default(),
            side_bus: None,
            watch: Box::new(|_| ()),
        }
    }
}

/// Both directions between client and server. The default adds nothing to the real network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Links {
    pub up: LinkOptions,
    pub down: LinkOptions,
}

/// Serves until `shutdown` resolves; live sessions are then closed with 1001.
pub async fn serve(
    listener: TcpListener,
    mut options: BackendOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let side_bus = options.side_bus.take();
    let backend = Arc::new(Backend {
        options,
        clock: MonotonicClock::start(),
        sessions: sessions::Sessions::default(),
        connections: AtomicU64::new(0),
    });
    let (stop, mut stopping) = StopSignal::new();
    let shutdown = async move {
        shutdown.await;
        drop(stop);
    };
    let notify = |news| {
        let change = BackendChange::Shortage(news);
        let at = backend.clock.now();
        (backend.options.watch)(&BackendNotice { at, connection: 0, change });
    };
    let demand = Demand { connections: MAX_CONNECTIONS, descriptors: 1 };
    let sessions = serve_connections(listener, demand, shutdown, notify, |accepted, stop| {
        http::serve(accepted, Arc::clone(&backend), stop)
    });
    let bus = async {
        let Some(listener) = side_bus else { return Ok(()) };
        let demand = Demand { connections: side_bus::MAX_CONNECTIONS, descriptors: 1 };
        serve_connections(listener, demand, stopping.stopped(), notify, |accepted, stop| {
            side_bus::serve(accepted, Arc::clone(&backend), stop)
        })
        .await
    };
    tokio::try_join!(sessions, bus).map(|_| ())
}

/// What all connections share.
struct Backend {
    options: BackendOptions,
    clock: MonotonicClock,
    sessions: sessions::Sessions,
    connections: AtomicU64,
}
