//! Accepting connections, also while the machine is short of something.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Pause after a connection could not be accepted, in most cases for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures in a row after which the listener is given up.
const ACCEPT_TRIES: u32 = 50;

/// Binds a listener; port 0 takes any free port.
pub async fn listen(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "the port is taken; give another port, or 0 for any free one".to_owned()
            }
            io::ErrorKind::AddrNotAvailable => {
                "this machine has no such address; give one of its own".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "this port needs more rights; give one from 1024 on".to_owned()
            }
            _ => error.to_string(),
        };
        anyhow!("cannot listen on {address}: {why}")
    })
}

/// Tells every connection of a server when the server stops.
#[derive(Clone, Debug)]
pub(in crate::edge) struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// A signal, and what sets it off; dropping the latter sets it off too.
    pub fn new() -> (watch::Sender<bool>, StopSignal) {
        let (stop, signal) = watch::channel(false);
        (stop, StopSignal(signal))
    }

    /// Resolves once the server is stopping.
    pub async fn stopped(&mut self) {
        // An error means that the server is gone, which is a stop too.
        let _ = self.0.wait_for(|&stopping| stopping).await;
    }
}

/// Gives every connection a task of its own, `limit` at most at a time, until `shutdown` resolves;
/// then waits until the tasks, which have been told to stop, have ended.
pub(in crate::edge) async fn serve_connections<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    limit: usize,
    shutdown: impl Future<Output = ()>,
    mut serve: impl FnMut(TcpStream, SocketAddr, StopSignal) -> F,
) -> Result<()> {
    let (stop, signal) = StopSignal::new();
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener), if connections.len() < limit => {
                let (stream, client) = accepted.context("cannot accept connections any more")?;
                connections.spawn(serve(stream, client, signal.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    stop.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// The next connection; an error is final.
async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    for _ in 1..ACCEPT_TRIES {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    listener.accept().await
}
