//! Heads of requests and answers that are written oddly, and where they lead.

use std::net::SocketAddr;

use lagtape::capture::Direction;
use lagtape::edge::proxy::ProxyNotice as Notice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{GET, Line, ends, sees};
use crate::proxy_between::{Between, Maker, PATIENCE, into, messages_of};

/// Heads as some servers send them and browsers read them, with a body of five bytes.
fn odd_heads() -> Vec<String> {
    let many: String = (0..300).map(|i| format!("X-{i}: {i}\r\n")).collect();
    vec![
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nX: folded\r\n  value\r\nContent-Length: 5\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 5\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 5\n\n".to_owned(),
        "HTTP/1.1  200  OK\r\nno header at all\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n".to_owned(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_browsers_read_hold_nothing_up() {
    for head in odd_heads() {
        let mut line = Line::begin(GET, GET).await;
        line.answers(&format!("{head}12345")).await;
        line.client_says("GET /more HTTP/1.1\r\n\r\n").await;
        line.server_sees("GET /more HTTP/1.1\r\n\r\n").await;
        line.answers(&format!("{head}67890")).await;
        let said = tokio::task::spawn_blocking(move || line.between.finish()).await.unwrap();
        assert_eq!(said, [], "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_pass_both_ways() {
    for head in [
        "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\nzz\r\n",
        "\0\x01\x02",
    ] {
        let mut line = Line::begin(GET, GET).await;
        line.answers(head).await;
        line.client_says("whatever\0 follows").await;
        line.server_sees("whatever\0 follows").await;
        line.answers("likewise").await;
        line.client.shutdown().await.unwrap();
        ends(&mut line.server).await;
        line.answers("to the end").await;
        drop(line.server);
        ends(&mut line.client).await;
        let between = line.between;
        let said = tokio::task::spawn_blocking(move || between.finish()).await.unwrap();
        assert!(
            matches!(&said[..], [Notice::Trouble { session: None, sentence }]
                if sentence.contains("passed on as it is")),
            "{head}: {said:?}"
        );
    }
    // Also while the request is not whole.
    let post = "POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: 9\r\n\r\n1234";
    let mut line = Line::begin(post, post).await;
    line.answers("ICY 200 OK\r\n\r\n").await;
    line.answers("at once").await;
    line.client_says("56789").await;
    line.server_sees("56789").await;
    line.client_says("anything").await;
    line.server_sees("anything").await;
    line.answers("and on").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_done_whatever_its_head_looks_like() {
    let many: String = (0..300).map(|i| format!("X-{i}: {i}\r\n")).collect();
    for answer in [
        "HTTP/1.1 101 On\r\nUpgrade : websocket\r\n\r\n".to_owned(),
        "HTTP/1.1 101 On\r\nX: a\r\n\tb\r\nUpgrade: WebSocket\r\n\r\n".to_owned(),
        format!("HTTP/1.1 101 On\r\n{many}Upgrade: websocket\r\n\r\n"),
        "HTTP/1.1 101 On\nUpgrade: websocket\n\n".to_owned(),
        "HTTP/1.1 101 On\r\n\r\n".to_owned(),
        "HTTP/9.1 101 On\r\nUpgrade: websocket\r\n\r\n".to_owned(),
    ] {
        let folder = tempfile::TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let between = Between::start(&url, into(folder.path()));
        let mut client = TcpStream::connect(between.address).await.unwrap();
        let shake = "GET / HTTP/1.1\r\nUpgrade: foo, WebSocket\r\n\r\n";
        client.write_all(shake.as_bytes()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        sees(&mut server, shake, "the server").await;
        let mut down = Maker::new(2, false, None);
        down.message(1, b"with the head", 100);
        let wire = [answer.as_bytes(), &down.traffic.wire].concat();
        server.write_all(&wire).await.unwrap();
        let mut heard = vec![0; wire.len()];
        let read = tokio::time::timeout(PATIENCE, client.read_exact(&mut heard)).await;
        read.unwrap_or_else(|_| panic!("{answer}")).unwrap();
        assert_eq!(heard, wire, "{answer}");
        let up = Maker::new(1, true, None).random(5).traffic;
        client.write_all(&up.wire).await.unwrap();
        server.read_exact(&mut vec![0; up.wire.len()]).await.unwrap();
        drop((client, server));
        let capture = tokio::task::spawn_blocking(move || between.closed()).await.unwrap();
        assert_eq!(messages_of(&capture, Direction::ClientToServer), up.messages, "{answer}");
        assert_eq!(messages_of(&capture, Direction::ServerToClient), down.traffic.messages);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_to_the_server_lead_to_the_proxy() {
    let mut line = Line::begin(GET, GET).await;
    let answer = |to: SocketAddr| {
        format!("HTTP/1.1 307 There\r\nlocation: http://{to}/x/?y\r\nContent-Length: 0\r\n\r\n")
    };
    line.server_says(&answer(line.origin)).await;
    line.client_sees(&answer(line.between.address)).await;
}
