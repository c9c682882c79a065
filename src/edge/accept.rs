//! Connections of clients, also when the machine is short of something for a while.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// Pause after a connection could not be accepted, in most cases for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Failures in a row after which no more connections are to be expected.
const ACCEPT_TRIES: u32 = 50;

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
