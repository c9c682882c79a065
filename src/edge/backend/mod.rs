//! The simulated server on real sockets.
//!
//! Enters: a bound listener, what the server is like, a future that resolves when it has to stop.
//! Leaves: answers to HTTP requests, and for every WebSocket connection one
//! [`Server`](crate::peer::server::Server) driven in real time. One clock stamps everything.
//! A connection is one task, and a second one that sends: a client that does not read keeps nobody
//! from hearing it. Never holds more than [`MAX_CONNECTIONS`], and nothing of a closed one.

mod connection;
pub(in crate::edge) mod http;
pub(in crate::edge) mod keepalive;
mod notice;
pub(in crate::edge) mod parting;
pub(in crate::edge) mod sender;
mod stage;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::accept::accept;
use super::clock::MonotonicClock;
use crate::peer::link::LinkOptions;
use crate::peer::server::ServerOptions;

pub use keepalive::KeepaliveOptions;
pub use notice::{Happening, Notice};
pub use sender::FRAGMENT_LEN;

/// Connections at a time; further clients wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
/// How long a client may take to hear that its connection ends.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// What a backend is like.
pub struct BackendOptions {
    /// Every connection gets a server like this.
    pub server: ServerOptions,
    /// What each connection's way to the server and back is like, beside the real one.
    pub links: Links,
    /// When silent clients are given up.
    pub keepalive: KeepaliveOptions,
    /// Hears what becomes of each connection.
    pub watch: Box<dyn Fn(&Notice) + Send + Sync>,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self {
            server: ServerOptions::default(),
            links: Links::default(),
            keepalive: KeepaliveOptions::default(),
            watch: Box::new(|_| ()),
        }
    }
}

/// Both directions between client and server, made when a connection is. The default adds nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Links {
    /// Client to server.
    pub up: LinkOptions,
    /// Server to client.
    pub down: LinkOptions,
}

/// Serves until `shutdown` resolves; live sessions are then closed with 1001.
pub async fn serve(
    listener: TcpListener,
    options: BackendOptions,
    shutdown: impl Future<Output = ()>,
) -> Result<()> {
    let clock = MonotonicClock::start();
    let stage = stage::Stage::default();
    let backend = Arc::new(Backend { options, clock, stage, connections: AtomicU64::new(0) });
    let (stopping, stop) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener), if connections.len() < MAX_CONNECTIONS => {
                let (stream, client) = accepted.context("cannot accept connections any more")?;
                connections.spawn(http::serve(stream, client, Arc::clone(&backend), stop.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stopping.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// What all connections share.
struct Backend {
    options: BackendOptions,
    clock: MonotonicClock,
    stage: stage::Stage,
    /// WebSocket connections so far.
    connections: AtomicU64,
}

/// Resolves once the backend is to stop.
pub(in crate::edge) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the backend is gone, which is a stop too.
    let _ = stop.wait_for(|&stopping| stopping).await;
}
