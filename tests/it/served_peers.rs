//! What every served peer does on a real socket: one table for the backend and for a replay.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, Listening};
use lagtape::edge::backend::{self, BackendOptions, KeepaliveOptions};
use lagtape::edge::replay::ServeOptions;
use lagtape::time::Span;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::replay::bundled;

/// For whatever must not take for ever; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Backend,
    Replay,
}

/// What a client does. After the last act it reads to the end.
#[derive(Clone, Debug)]
enum Act {
    /// Sends its config and reads up to `ready`.
    Begin,
    Ping(&'static [u8]),
    /// Sends bytes below the WebSocket.
    Raw(Vec<u8>),
    /// Reads up to a pong.
    UntilPong,
    /// Reads up to a binary message.
    UntilBinary,
    /// Reads below the WebSocket, answering nothing, up to these bytes.
    UntilRaw(&'static [u8]),
    Close(u16, &'static str),
    /// Stops the server.
    Stop,
}

/// Plays the acts to both peers, and checks what a client gets and the close that it gets last.
#[track_caller]
fn check(acts: &[Act], close: Option<(u16, &str)>, is_expected: impl Fn(&[Message]) -> bool) {
    for peer in [Peer::Backend, Peer::Replay] {
        let runtime = Runtime::new().unwrap();
        let served = async { tokio::time::timeout(PATIENCE, serve(peer, acts)).await };
        let got = runtime.block_on(served).unwrap_or_else(|_| panic!("{peer:?}: {acts:?}"));
        let last = got.iter().find_map(|message| match message {
            Message::Close(close) => close.as_ref(),
            _ => None,
        });
        let last = last.map(|close| (u16::from(close.code), close.reason.as_str()));
        let shown = || got.iter().map(brief).collect::<Vec<_>>();
        match close {
            // Errors of the WebSocket library have reasons of its own.
            Some((code, "")) => assert_eq!(last.map(|last| last.0), Some(code), "{peer:?}"),
            close => assert_eq!(last, close, "{peer:?}: {:?}", shown()),
        }
        assert!(is_expected(&got), "{peer:?}: {:?}", shown());
    }
}

fn brief(message: &Message) -> String {
    match message {
        Message::Binary(bytes) => format!("{} bytes", bytes.len()),
        other => format!("{other:?}"),
    }
}

/// Serves the peer to one client, and returns all that the client got.
async fn serve(peer: Peer, acts: &[Act]) -> Vec<Message> {
    let keepalive = match acts {
        [Act::UntilRaw(_)] => {
            let (ping_every, pong_within) = (Span(50_000_000), Span(50_000_000));
            KeepaliveOptions { ping_every, pong_within, ..KeepaliveOptions::default() }
        }
        _ => KeepaliveOptions::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let (tell, address) = oneshot::channel();
    let serving = async {
        match peer {
            Peer::Backend => {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let options = BackendOptions { keepalive, ..crate::backend::options() };
                backend::serve(listener, options, shutdown).await.unwrap();
            }
            Peer::Replay => {
                let options = ServeOptions { keepalive, ..ServeOptions::new(bundled("healthy")) };
                let listen = "127.0.0.1:0".parse().unwrap();
                let listening = |listening: Listening| tell.send(listening.address).unwrap();
                app::replay(options, listen, shutdown, listening, |_| ()).await.unwrap();
            }
        }
    };
    tokio::join!(serving, async { act(address.await.unwrap(), acts, stop).await }).1
}

async fn act(address: SocketAddr, acts: &[Act], stop: oneshot::Sender<()>) -> Vec<Message> {
    const CONFIG: &str = r#"{"use_server_fixture": true, "fixture_name": "built-in"}"#;
    let mut stop = Some(stop);
    let mut got = Vec::new();
    let stream = TcpStream::connect(address).await.unwrap();
    let mut client = client_async(format!("ws://{address}/"), stream).await.unwrap().0;
    for act in acts.iter().cloned() {
        match act {
            Act::Begin => {
                client.send(Message::text(CONFIG)).await.unwrap();
                read_until(&mut client, &mut got, is_ready).await;
            }
            Act::Ping(payload) => client.send(Message::Ping(payload.into())).await.unwrap(),
            Act::Raw(bytes) => client.get_mut().write_all(&bytes).await.unwrap(),
            Act::UntilPong => read_until(&mut client, &mut got, Message::is_pong).await,
            Act::UntilBinary => read_until(&mut client, &mut got, Message::is_binary).await,
            Act::UntilRaw(end) => {
                let mut bytes = Vec::new();
                while !bytes.ends_with(end) {
                    bytes.push(client.get_mut().read_u8().await.unwrap());
                }
            }
            Act::Close(code, reason) => {
                let close = CloseFrame { code: code.into(), reason: reason.into() };
                client.close(Some(close)).await.unwrap();
            }
            Act::Stop => drop(stop.take()),
        }
    }
    while let Some(Ok(message)) = client.next().await {
        got.push(message);
    }
    got
}

async fn read_until(
    client: &mut WebSocketStream<TcpStream>,
    got: &mut Vec<Message>,
    is_last: impl Fn(&Message) -> bool,
) {
    loop {
        let message = client.next().await.unwrap().unwrap();
        got.push(message.clone());
        if is_last(&message) {
            return;
        }
    }
}

fn is_ready(message: &Message) -> bool {
    message.is_text() && message.to_text().unwrap().contains(r#""ready""#)
}

#[test]
fn served_peer_says_nothing_before_the_client_does() {
    let acts = [Act::Ping(b"early"), Act::UntilPong, Act::Close(1000, "bye")];
    check(&acts, Some((1000, "bye")), |got| got[0] == Message::Pong(b"early"[..].into()));
}

#[test]
fn served_peer_sends_ready_and_then_the_buffer() {
    let acts = [Act::Begin, Act::UntilBinary, Act::Close(1000, "bye")];
    check(&acts, Some((1000, "bye")), |got| {
        let ready = got.iter().position(is_ready);
        let binary = got.iter().position(Message::is_binary);
        ready.is_some() && ready < binary && got[..binary.unwrap()].iter().all(Message::is_text)
    });
}

#[test]
fn served_peer_answers_pings() {
    let acts = [Act::Begin, Act::Ping(b"there?"), Act::UntilPong, Act::Close(1000, "bye")];
    let pong = Message::Pong(b"there?"[..].into());
    check(&acts, Some((1000, "bye")), |got| got.contains(&pong));
    // A pong for which nobody asked changes nothing.
    let unsolicited = Act::Raw(vec![0x8a, 0x80, 1, 2, 3, 4]);
    let acts = [&[Act::Begin, unsolicited], &acts[1..]].concat();
    check(&acts, Some((1000, "bye")), |got| got.contains(&pong));
}

#[test]
fn served_peer_answers_a_close_with_the_same() {
    check(&[Act::Close(1000, "at once")], Some((1000, "at once")), |got| got.len() == 1);
    check(&[Act::Begin, Act::Close(4000, "enough")], Some((4000, "enough")), |_| true);
}

#[test]
fn served_peer_ends_the_connection_at_messages_that_cannot_be_taken() {
    // 101 MiB announced, and some of them there.
    let mut too_long = vec![0x82, 0xff, 0, 0, 0, 0, 0x06, 0x50, 0, 0, 1, 2, 3, 4];
    too_long.resize(100_000, 7);
    check(&[Act::Raw(too_long.clone())], Some((1009, "")), |_| true);
    check(&[Act::Begin, Act::Raw(too_long)], Some((1009, "")), |_| true);
    // Not masked; an opcode that there is not; text that is not UTF-8.
    check(&[Act::Raw(vec![0x81, 0x01, b'x'])], Some((1002, "")), |_| true);
    check(&[Act::Raw(vec![0x83, 0x80, 1, 2, 3, 4])], Some((1002, "")), |_| true);
    check(&[Act::Raw(vec![0x81, 0x81, 0, 0, 0, 0, 0xff])], Some((1007, "")), |_| true);
}

#[test]
fn served_peer_closes_with_1001_when_the_server_stops() {
    check(&[Act::Begin, Act::Stop], Some((1001, "")), |got| got.iter().any(is_ready));
    check(&[Act::Ping(b""), Act::UntilPong, Act::Stop], Some((1001, "")), |_| true);
}

#[test]
fn served_peer_gives_up_a_client_that_answers_no_ping() {
    // The ping before it, and the code 1011.
    check(&[Act::UntilRaw(b"\x03\xf3keepalive ping timeout")], None, |got| got.is_empty());
}
