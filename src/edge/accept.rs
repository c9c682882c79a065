//! Connections of clients, also when the machine is short of something for a while.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::net::{TcpListener, TcpStream};

/// Pause after a connection could not be accepted, in most cases for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures in a row after which no more connections are to be expected.
const ACCEPT_TRIES: u32 = 50;

/// A listener at an address; port 0 is any free one.
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

/// The next connection. An error is the last word.
pub(super) async fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    for _ in 1..ACCEPT_TRIES {
        match listener.accept().await {
            Ok(accepted) => return Ok(accepted),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    listener.accept().await
}
