//! What is forwarded after HTTP, and how that ends.

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::super::relay::Relay;
use super::super::relay_end::RelayEnd;
use super::super::upstream::ServerStream;
use super::{Impairment, MonotonicClock, bound, hear, in_time, rest, say};
use crate::capture::Direction;
use crate::peer::link::LinkOptions;

/// Both ends of a connection.
async fn pair() -> (TcpStream, TcpStream) {
    let listener = bound().await;
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// A relay with a client and a server at its ends, told to stop or not.
async fn relayed<T>(
    impairment: Option<Impairment>,
    stop: impl Future<Output = ()>,
    play: impl AsyncFnOnce(TcpStream, TcpStream, oneshot::Sender<()>) -> T,
) -> (RelayEnd, T) {
    let ((client, near), (far, server)) = tokio::join!(pair(), pair());
    let (tell, buffered) = oneshot::channel();
    let relay = Relay {
        clock: MonotonicClock::start(),
        client: near,
        server: ServerStream::Plain(far),
        unread: (Bytes::from_static(b"asked"), Bytes::from_static(b"answered")),
        tap: None,
        impairment,
        buffered: Some(buffered),
    };
    let ((end, _), played) =
        in_time(async { tokio::join!(relay.run(stop), play(client, server, tell)) }).await;
    (end, played)
}

#[tokio::test]
async fn a_relay_says_who_ended_it() {
    let never = std::future::pending;
    let (end, ()) = relayed(None, never(), async |mut client, mut server, _| {
        hear(&mut server, "asked").await;
        hear(&mut client, "answered").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, "");
        say(&mut server, "bye").await;
        drop(server);
        assert_eq!(rest(&mut client).await, "bye");
    })
    .await;
    assert_eq!(end, RelayEnd::By(Direction::ClientToServer));
    let (end, ()) = relayed(None, never(), async |mut client, mut server, _| {
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, "answered");
        say(&mut client, "bye").await;
        drop(client);
        assert_eq!(rest(&mut server).await, "askedbye");
    })
    .await;
    assert_eq!(end, RelayEnd::By(Direction::ServerToClient));
    let (end, ()) = relayed(None, async {}, async |mut client, mut server, _| {
        // What had come before was forwarded, and neither end sees a reset.
        assert_eq!(rest(&mut client).await, "answered");
        assert_eq!(rest(&mut server).await, "asked");
    })
    .await;
    assert_eq!(end, RelayEnd::Stopped);
}

#[tokio::test]
async fn a_reset_becomes_a_reset() {
    for of_client in [true, false] {
        let play = async |client: TcpStream, server: TcpStream, _| {
            let (mut leaving, mut left) =
                if of_client { (client, server) } else { (server, client) };
            let said = if of_client { ["answered", "asked"] } else { ["asked", "answered"] };
            hear(&mut leaving, said[0]).await;
            hear(&mut left, said[1]).await;
            leaving.set_zero_linger().unwrap();
            drop(leaving);
            in_time(left.read_u8()).await.unwrap_err().kind()
        };
        let (end, seen) = relayed(None, std::future::pending(), play).await;
        let who = if of_client { Direction::ClientToServer } else { Direction::ServerToClient };
        assert_eq!((end, seen), (RelayEnd::Reset(who), std::io::ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn a_receiver_that_is_gone_ends_it() {
    let play = async |mut client: TcpStream, mut server: TcpStream, _| {
        client.shutdown().await.unwrap();
        assert_eq!(rest(&mut server).await, "asked");
        // Nobody reads the other half any more, which shows when it is written to.
        drop(client);
        let lots = vec![0; 1 << 16];
        while in_time(server.write_all(&lots)).await.is_ok() {}
    };
    let (end, ()) = relayed(None, std::future::pending(), play).await;
    assert_eq!(end, RelayEnd::Reset(Direction::ClientToServer));
}

#[tokio::test]
async fn a_link_passes_what_comes_and_its_end() {
    let link = Some(LinkOptions::default());
    let impairment = Impairment { down: link.clone(), up: link, ..Impairment::default() };
    let play = async |mut client: TcpStream, mut server: TcpStream, _| {
        let text = "x".repeat(10_000);
        say(&mut client, &text).await;
        hear(&mut server, &format!("asked{text}")).await;
        say(&mut server, &text).await;
        hear(&mut client, &format!("answered{text}")).await;
        server.shutdown().await.unwrap();
        assert_eq!(rest(&mut client).await, "");
        say(&mut client, "bye").await;
        drop(client);
        assert_eq!(rest(&mut server).await, "bye");
    };
    let (end, ()) = relayed(Some(impairment), std::future::pending(), play).await;
    assert_eq!(end, RelayEnd::By(Direction::ServerToClient));
}

#[tokio::test]
async fn an_impairment_begins_when_it_should() {
    // Nothing passes the link up, and the connection is cut as soon as the impairment begins.
    let stuck = LinkOptions { latency_s: 1e6, ..LinkOptions::default() };
    let cut = |after_ready, drop_after_s| {
        Some(Impairment {
            after_ready,
            up: Some(stuck.clone()),
            drop_after_s,
            ..Impairment::default()
        })
    };
    let never = std::future::pending;
    let (end, seen) = relayed(cut(false, Some(0.0)), never(), async |mut client, _server, _| {
        in_time(client.read_to_end(&mut Vec::new())).await.unwrap_err().kind()
    })
    .await;
    assert_eq!((end, seen), (RelayEnd::Cut, std::io::ErrorKind::ConnectionReset));
    let play = async |mut client: TcpStream, mut server: TcpStream, tell: oneshot::Sender<()>| {
        hear(&mut server, "asked").await;
        hear(&mut client, "answered").await;
        tell.send(()).unwrap();
        in_time(client.read_u8()).await.unwrap_err().kind()
    };
    let (end, seen) = relayed(cut(true, Some(0.0)), never(), play).await;
    assert_eq!((end, seen), (RelayEnd::Cut, std::io::ErrorKind::ConnectionReset));
    // Without a cut it ends when the client does, and what is on its way never comes.
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let (end, ()) = relayed(cut(true, None), stopped, async |mut client, mut server, tell| {
        hear(&mut server, "asked").await;
        hear(&mut client, "answered").await;
        tell.send(()).unwrap();
        // Down nothing is impaired.
        say(&mut server, "down").await;
        hear(&mut client, "down").await;
        say(&mut client, "up").await;
        stop.send(()).unwrap();
        assert_eq!(rest(&mut server).await, "");
    })
    .await;
    assert_eq!(end, RelayEnd::Stopped);
}
