//! A connection whose other end does not read.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A look at whether somebody reads.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// More than the buffers of both ends take.
const LEN: usize = 64 << 20;
/// Nothing here takes longer on any machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server with a long page, on which it was asked for.
async fn asked() -> (TcpStream, impl Future<Output = ()>, impl Drop) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = PageServer {
        hub: Arc::default(),
        html: "x".repeat(LEN),
        save: Arc::new(|_| Err(String::new())),
        turn: Arc::new(|_, _| Err(String::new())),
    };
    let mut client = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    client
        .write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let (running, stop) = StopSignal::new();
    let door = Arc::new(Door::new(address, server));
    (client, talk(stream, door, stop, LOOK_EVERY, || ()), running)
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let (mut client, served, _running) = asked().await;
    tokio::time::timeout(PATIENCE, served).await.expect("it is cut off");
    let mut read = Vec::new();
    // Whether what is left ends or breaks off is up to the kernel.
    let _ = client.read_to_end(&mut read).await;
    assert!(read.starts_with(b"HTTP/1.1 200") && read.len() < LEN, "{} bytes", read.len());
}
