//! What the proxy refuses.

use std::time::Duration;

use futures_util::future::join_all;
use lagtape::edge::proxy::ProxyNotice as Notice;
use lagtape::edge::proxy::ProxyOptions;
use lagtape::edge::proxy::ServerTrust as Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{GET, Line, ends, sees};
use crate::proxy_between::{Between, PATIENCE};

/// What a client gets that says this to a proxy of `upstream`, and what the proxy says.
async fn refusal(upstream: &str, trust: &Trust, request: &[u8]) -> (String, String) {
    let between = Between::trusting(upstream, trust, ProxyOptions::default());
    let mut client = TcpStream::connect(between.address).await.unwrap();
    client.write_all(request).await.unwrap();
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    let said = tokio::task::spawn_blocking(move || between.finish()).await.unwrap();
    match &said[..] {
        [Notice::Trouble { session: None, sentence }] => (answer, sentence.clone()),
        other => panic!("{other:?}"),
    }
}

pub async fn check_refusal(
    upstream: &str,
    trust: &Trust,
    request: &[u8],
    status: &str,
    sentence: &str,
) {
    let (answer, said) = refusal(upstream, trust, request).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(sentence), "{answer}");
    assert!(said.contains(sentence) && !said.contains("SECRET"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    // Nobody listens on a port that was just given back.
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("ws://{nobody}/x?apiKey=SECRET");
    let any = "ws://127.0.0.1:1";
    let many: String = (0..300).map(|i| format!("X-{i}: {i}\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\n{many}\r\n");
    let two = "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let other = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n";
    let refused = [
        (url.as_str(), GET, "502", "is the server running"),
        (any, "\x16\x03\x01\x02\0", "400", "with ws:// or http://"),
        (any, "hello\r\n\r\n", "400", "does not speak HTTP"),
        (any, two, "400", "both a length and chunks"),
        (
            any,
            "CONNECT there:1 HTTP/1.1\r\nHost: there:1\r\n\r\n",
            "400",
            "CONNECT asks for a tunnel",
        ),
        (any, "GET http://there/x HTTP/1.1\r\nHost: there\r\n\r\n", "400", "a whole address"),
        (any, "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "400", "two Hosts"),
        (any, "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400", "a header of it is malformed"),
        (any, "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "400", "a header of it is malformed"),
        (any, "GET / HTTP/1.1\nHost: x\n\n", "400", "ends without CR"),
        (any, &many, "400", "more than 256 headers"),
        (any, other, "400", "where its body ends"),
    ];
    // Each waits for a client that reads on.
    join_all(refused.map(|(upstream, request, status, sentence)| {
        check_refusal(upstream, &Trust::System, request.as_bytes(), status, sentence)
    }))
    .await;
}

/// A head that never becomes whole is given up, and so is a connection without any; one that has
/// asked may be idle.
#[tokio::test(flavor = "multi_thread")]
async fn a_head_has_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let head_timeout = Duration::from_millis(1);
    let options = ProxyOptions { head_timeout, ..ProxyOptions::default() };
    let between = Between::start(&url, options);
    for (sent, expected) in [("GET / HT", "HTTP/1.1 408 "), ("", "")] {
        let mut client = TcpStream::connect(between.address).await.unwrap();
        client.write_all(sent.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = client.read_to_string(&mut answer);
        // The connection may have been given up, or reset, before anything came.
        let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
        assert!(answer.starts_with(expected) || answer.is_empty(), "{answer}");
    }
    drop(between);

    let head_timeout = Duration::from_millis(300);
    let options = ProxyOptions { head_timeout, ..ProxyOptions::default() };
    let between = Between::start(&url, options);
    let mut client = TcpStream::connect(between.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    sees(&mut server, "GET / HTTP/1.1\r\n\r\n", "the server").await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    server.write_all(answer.as_bytes()).await.unwrap();
    sees(&mut client, answer, "the client").await;
    // The first byte of the next request starts the time, however long the connection was idle.
    client.write_all(b"G").await.unwrap();
    let mut answer = String::new();
    let read = client.read_to_string(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("within 0.3 s"), "{answer}");
    ends(&mut server).await;
}

/// A body that goes wrong on its way: the client hears of it, and the server gets nothing of what
/// could be another request.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_go_wrong_are_refused() {
    let head = "POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (body, sentence) in [
        ("zz\r\n", "is no number"),
        ("0x2\r\nab\r\n", "is no number"),
        ("+2\r\nab\r\n", "is no number"),
        ("2\nab\r\n", "ends without CR"),
        ("2\r\nabGET / HTTP/1.1\r\n\r\n", "longer than it says"),
    ] {
        let mut line = Line::begin(head, head).await;
        line.client_says("1\r\nx\r\n").await;
        line.server_sees("1\r\nx\r\n").await;
        line.client_says(body).await;
        let mut answer = String::new();
        let read = line.client.read_to_string(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(sentence), "{answer}");
        ends(&mut line.server).await;
    }
}
