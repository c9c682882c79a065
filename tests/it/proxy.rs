//! The proxy changes no byte, whatever happens beside the way of the bytes.

mod recorded;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use lagtape::capture::{Body, Direction};
use lagtape::edge::proxy::{Impairment, ProxyOptions};
use lagtape::peer::interval::Interval;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::rng::{Rng, Stream};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

use crate::promises::measured;
use crate::proxy_between::{Between, Maker, PATIENCE, Traffic, into, messages_of, read};

const UP: Direction = Direction::ClientToServer;
const DOWN: Direction = Direction::ServerToClient;

/// The head of a handshake, as a client of the proxy or of the server sends it.
fn handshake(host: &str) -> String {
    format!(
        "GET /any/path?apiKey=SECRET HTTP/1.1\r\nhost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nOrigin: http://{host}\r\n\
         User-Agent: a-test/1.0 (of its own/2) token=SECRET/3 Bearer Chrome/120.0.0.0\r\n\r\n"
    )
}

fn answer(extensions: &str) -> String {
    format!(
        "HTTP/1.1 101 Whatever\r\nupgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: HSmrc0sMlYUkAGmm5OPpG2HaGWk=\r\nsec-websocket-EXTENSIONS: {extensions}\r\n\r\n"
    )
}

/// Reads a head, byte by byte so that nothing after it is taken.
async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A connection with its handshake done; of it the client's end and the server's.
async fn shake_hands(
    listener: &TcpListener,
    address: SocketAddr,
    extensions: &str,
) -> (TcpStream, TcpStream) {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(handshake(&address.to_string()).as_bytes()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    let seen = read_head(&mut server).await;
    assert_eq!(seen, handshake(&listener.local_addr().unwrap().to_string()));
    server.write_all(answer(extensions).as_bytes()).await.unwrap();
    assert_eq!(read_head(&mut client).await, answer(extensions));
    (client, server)
}

/// Sends in pieces of random sizes, and ends its side: at once, or when the other has.
async fn speak(
    mut to: OwnedWriteHalf,
    wire: Vec<u8>,
    seed: u64,
    after: Option<tokio::sync::oneshot::Receiver<()>>,
) {
    let mut rng = Rng::new(seed, Stream::Client);
    let mut rest = &wire[..];
    while !rest.is_empty() {
        let size =
            1 + (rng.next_u64() % [3, 200, 9_000, 300_000][rng.next_u64() as usize % 4]) as usize;
        let (piece, after) = rest.split_at(size.min(rest.len()));
        to.write_all(piece).await.unwrap();
        rest = after;
    }
    if let Some(after) = after {
        after.await.unwrap();
    }
    to.shutdown().await.unwrap();
}

async fn hear(mut from: OwnedReadHalf, ended: tokio::sync::oneshot::Sender<()>) -> Vec<u8> {
    let mut heard = Vec::new();
    from.read_to_end(&mut heard).await.unwrap();
    // Whoever does not wait does not listen.
    let _ = ended.send(());
    heard
}

/// Lets both ends speak at once over a connection to `address`; `first` ends it. Gives back what the
/// server and what the client heard.
async fn exchange(
    listener: &TcpListener,
    address: SocketAddr,
    (up, down): (&Traffic, &Traffic),
    extensions: &str,
    first: Direction,
) -> (Vec<u8>, Vec<u8>) {
    let (client, server) = shake_hands(listener, address, extensions).await;
    let ((client_in, client_out), (server_in, server_out)) =
        (client.into_split(), server.into_split());
    let (client_heard, client_ended) = tokio::sync::oneshot::channel();
    let (server_heard, server_ended) = tokio::sync::oneshot::channel();
    let client_waits = (first == DOWN).then_some(client_ended);
    let server_waits = (first == UP).then_some(server_ended);
    let all = async {
        tokio::join!(
            tokio::spawn(speak(client_out, up.wire.clone(), 1, client_waits)),
            tokio::spawn(speak(server_out, down.wire.clone(), 2, server_waits)),
            tokio::spawn(hear(server_in, server_heard)),
            tokio::spawn(hear(client_in, client_heard)),
        )
    };
    let (spoken, also_spoken, server, client) = tokio::time::timeout(PATIENCE, all).await.unwrap();
    spoken.unwrap();
    also_spoken.unwrap();
    (server.unwrap(), client.unwrap())
}

#[track_caller]
fn assert_same(found: &[u8], expected: &[u8], what: &str) {
    let at = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
    assert!(
        found == expected,
        "{what}: {} bytes of {}, different from {at}",
        found.len(),
        expected.len()
    );
}

/// Sends traffic through the proxy and directly, and compares everything with everything.
async fn check(
    seed: u64,
    extensions: &str,
    deflate: (Option<bool>, Option<bool>),
    big: bool,
    first: Direction,
) {
    let folder = TempDir::new().unwrap();
    let mut up = Maker::new(seed, true, deflate.0).random(60);
    let mut down = Maker::new(seed + 1, false, deflate.1).random(60);
    if big {
        let payload = down.payload(20 << 20);
        down.message(2, &payload, 262_144);
        let payload = up.payload(20 << 20);
        up.message(2, &payload, 30 << 20);
    }
    up.message(8, &[0x03, 0xe8, b'b', b'y', b'e'], 125);
    down.message(8, &[], 125);
    let (up, down) = (up.traffic, down.traffic);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let between = Between::start(&format!("ws://{origin}"), into(folder.path()));
    for address in [origin, between.address] {
        let heard = exchange(&listener, address, (&up, &down), extensions, first).await;
        assert_same(&heard.0, &up.wire, "what the server heard");
        assert_same(&heard.1, &down.wire, "what the client heard");
    }
    measured(
        (up.wire.len() + down.wire.len()) as u64,
        "bytes through the proxy, each as it was sent",
    );
    let capture = tokio::task::spawn_blocking(move || between.closed()).await.unwrap();
    for (direction, sent) in [(UP, up), (DOWN, down)] {
        let found = messages_of(&capture, direction);
        assert_eq!(found.len(), sent.messages.len(), "{extensions} {direction:?}");
        for (i, (found, sent)) in found.iter().zip(&sent.messages).enumerate() {
            assert_eq!(found.0, sent.0, "{extensions} {direction:?}: opcode of message {i}");
            assert_same(&found.1, &sent.1, &format!("{extensions} {direction:?}: message {i}"));
        }
    }
    read(&capture, |record| {
        if let Body::Header(header) = &record.body {
            let shown = format!("ws://{origin}/any/path");
            assert_eq!(header.url.as_deref(), Some(shown.as_str()), "no secrets");
            assert_eq!(header.metadata["user_agent"], "a-test/1.0 Chrome/120.0.0.0");
            assert_eq!(header.metadata.get("impairment"), None);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_plain_traffic() {
    check(1, "x", (None, None), false, UP).await;
    check(3, "x", (None, None), false, DOWN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_large_messages() {
    check(5, "x", (None, None), true, UP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_compressed_traffic() {
    check(7, "permessage-deflate", (Some(true), Some(true)), true, DOWN).await;
    check(
        9,
        "permessage-deflate; client_no_context_takeover",
        (Some(false), Some(true)),
        false,
        UP,
    )
    .await;
    let none = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";
    check(11, none, (Some(false), Some(false)), false, UP).await;
}

/// A reset arrives as a reset, behind everything that came before it.
#[tokio::test(flavor = "multi_thread")]
async fn resets_are_passed_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let between = Between::start(&format!("ws://{origin}"), ProxyOptions::default());
    for address in [origin, between.address] {
        for is_client in [true, false] {
            let (client, server) = shake_hands(&listener, address, "x").await;
            let (breaking, mut staying) =
                if is_client { (client, server) } else { (server, client) };
            breaking.set_zero_linger().unwrap();
            drop(breaking);
            let error =
                tokio::time::timeout(PATIENCE, staying.read_u8()).await.unwrap().unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::ConnectionReset,
                "at {address}, by the client: {is_client}"
            );
        }
    }
}

/// Neither end reads: what waits for it waits with the sender and not in the proxy.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_stops_the_sender() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = Between::start(
        &format!("ws://{}", listener.local_addr().unwrap()),
        ProxyOptions::default(),
    );
    let (mut client, mut server) = shake_hands(&listener, between.address, "x").await;
    // Far more than the buffers of four sockets hold; a proxy that buffers takes it all.
    let len = 256 << 20;
    let piece = vec![0x5a; 1 << 20];
    let mut sent = 0;
    // A machine that is too slow to take more in this time only makes the test weaker.
    while let Ok(taken) =
        tokio::time::timeout(Duration::from_millis(500), server.write(&piece)).await
    {
        sent += taken.unwrap();
        assert!(sent < len, "all was taken although nobody reads");
    }
    let mut heard = 0;
    let mut buffer = vec![0; 1 << 20];
    while heard < sent {
        heard += tokio::time::timeout(PATIENCE, client.read(&mut buffer)).await.unwrap().unwrap();
    }
    assert_eq!(heard, sent);
}

/// A way on which nothing passes holds up nothing on the other.
#[tokio::test(flavor = "multi_thread")]
async fn impairments_are_of_one_way_and_in_the_header() {
    let folder = TempDir::new().unwrap();
    let outage = Interval { at_s: 0.0, for_s: 1e6 };
    let down = LinkOptions { outages: vec![outage], ..LinkOptions::default() };
    let up = LinkOptions { latency_s: 0.001, jitter_s: 0.001, ..LinkOptions::default() };
    let impairment = Impairment {
        seed: 3,
        down: Some(down),
        up: Some(up),
        drop_after_s: Some(0.5),
        after_ready: false,
    };
    let options = ProxyOptions { impairment, ..into(folder.path()) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let between = Between::start(&format!("ws://{}", listener.local_addr().unwrap()), options);
    let (mut client, mut server) = shake_hands(&listener, between.address, "x").await;
    let sent = Maker::new(1, true, None).random(20).traffic.wire;
    server.write_all(b"never arrives").await.unwrap();
    client.write_all(&sent).await.unwrap();
    let mut heard = vec![0; sent.len()];
    server.read_exact(&mut heard).await.unwrap();
    assert_same(&heard, &sent, "what the server heard");
    for end in [&mut client, &mut server] {
        let error = tokio::time::timeout(PATIENCE, end.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the cut is a reset");
    }
    let capture = tokio::task::spawn_blocking(move || between.closed()).await.unwrap();
    let mut told = None;
    read(&capture, |record| match &record.body {
        Body::Header(header) => told = header.metadata.get("impairment").cloned(),
        Body::End(end) => assert_eq!(end.reason.as_deref(), Some("cut, as --drop-after says")),
        _ => {}
    });
    let told: serde_json::Value = serde_json::from_str(&told.unwrap()).unwrap();
    assert_eq!((&told["seed"], &told["drop_after_s"]), (&3.into(), &0.5.into()));
    assert_eq!(told["down"]["outages"][0]["for_s"], 1e6);
    assert!(messages_of(&capture, DOWN).is_empty(), "what never arrived was never heard");
}

/// Both halves of a bad link pass every byte, in order and to the end.
#[tokio::test(flavor = "multi_thread")]
async fn every_byte_of_an_impaired_connection() {
    let link = LinkOptions {
        bytes_per_s: Some(20e6),
        latency_s: 0.002,
        jitter_s: 0.003,
        buffer_bytes: Some(10_000),
        outages: vec![Interval { at_s: 0.02, for_s: 0.03 }],
        ..LinkOptions::default()
    };
    let impairment =
        Impairment { up: Some(link.clone()), down: Some(link), ..Impairment::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = listener.local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let options = ProxyOptions { impairment, ..into(folder.path()) };
    let mut between = Between::start(&format!("ws://{origin}"), options);
    let up = Maker::new(31, true, None).random(40).traffic;
    let down = Maker::new(32, false, None).random(60).traffic;
    for first in [UP, DOWN] {
        let heard = exchange(&listener, between.address, (&up, &down), "x", first).await;
        assert_same(&heard.0, &up.wire, "what the server heard");
        assert_same(&heard.1, &down.wire, "what the client heard");
        let capture;
        (between, capture) = tokio::task::spawn_blocking(move || {
            let capture = between.closed();
            (between, capture)
        })
        .await
        .unwrap();
        // Once each, although bytes of the client are read long before they pass.
        assert!(messages_of(&capture, UP) == up.messages, "what the client sent");
        assert!(messages_of(&capture, DOWN) == down.messages, "what the server sent");
    }
}
