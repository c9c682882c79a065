//! HTTP through the proxy: every byte but the few that have to change, as soon as it is there.

mod heads;
mod refused;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lagtape::edge::proxy::ProxyOptions;
use lagtape::edge::proxy::ServerTrust as Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use self::refused::check_refusal;
use crate::proxy_between::{Between, PATIENCE};

/// A client and a server, with the proxy between them.
struct Line {
    client: TcpStream,
    server: TcpStream,
    origin: SocketAddr,
    between: Between,
}

impl Line {
    /// A connection on which the client has sent `first`, of which the server gets `seen`; `HOST`
    /// stands for what each calls the server.
    async fn begin(first: &str, seen: &str) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = listener.local_addr().unwrap();
        let between = Between::start(&format!("http://{origin}"), ProxyOptions::default());
        let mut client = TcpStream::connect(between.address).await.unwrap();
        client
            .write_all(first.replace("HOST", &between.address.to_string()).as_bytes())
            .await
            .unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let mut line = Line { client, server, origin, between };
        line.server_sees(&seen.replace("HOST", &origin.to_string())).await;
        line
    }

    async fn server_sees(&mut self, expected: &str) {
        sees(&mut self.server, expected, "the server").await;
    }

    async fn client_sees(&mut self, expected: &str) {
        sees(&mut self.client, expected, "the client").await;
    }

    async fn client_says(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    async fn server_says(&mut self, text: &str) {
        self.server.write_all(text.as_bytes()).await.unwrap();
    }

    /// The server says it and the client sees just that.
    async fn answers(&mut self, text: &str) {
        self.server_says(text).await;
        self.client_sees(text).await;
    }
}

async fn sees(stream: &mut TcpStream, expected: &str, who: &str) {
    let mut seen = vec![0; expected.len()];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut seen)).await;
    read.unwrap_or_else(|_| panic!("{who} waits for {expected:?}")).unwrap();
    assert_eq!(String::from_utf8_lossy(&seen), expected, "{who}");
}

async fn ends(stream: &mut TcpStream) {
    let read = tokio::time::timeout(PATIENCE, stream.read_u8()).await.unwrap();
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

/// A plain request, as both ends write it.
const GET: &str =
    "GET /a/b?c=%20&d HTTP/1.1\r\nHOst: HOST\r\nx-ODD:   spaced  \r\nX-Odd: twice\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_kept_for_further_requests() {
    let mut line = Line::begin(GET, GET).await;
    line.answers("HTTP/1.1 200 Fine\r\nX-a: 1\r\nx-A: 2\r\nContent-Length: 3\r\n\r\nabc").await;
    let origin = line.origin.to_string();
    for (method, body, answer) in [
        ("HEAD", "", "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"),
        ("PUT", "12345", "HTTP/1.1 204 None\r\n\r\n"),
        ("DELETE", "", "HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"),
        (
            "BREW",
            "x",
            "HTTP/1.1 418 Teapot\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nT: 1\r\n\r\n",
        ),
    ] {
        let request = |host: &str| {
            format!(
                "{method} /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        line.client_says(&request("whatever")).await;
        line.server_sees(&request(&origin)).await;
        line.answers(answer).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_may_come_all_at_once() {
    let two = format!("{GET}{GET}");
    let mut line = Line::begin(&two, GET).await;
    line.answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na").await;
    let second = GET.replace("HOST", &line.origin.to_string());
    line.server_sees(&second).await;
    line.answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways() {
    let head = "POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    let mut line = Line::begin(head, head).await;
    line.answers("HTTP/1.1 100 Continue\r\n\r\n").await;
    line.answers("HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n").await;
    line.answers("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    for _ in 0..3 {
        line.client_says("3\r\nup!\r\n").await;
        line.server_sees("3\r\nup!\r\n").await;
        // Half a chunk is passed on as well.
        line.answers("A\r\n01234").await;
        line.answers("56789\r\n").await;
    }
    line.client_says("0\r\n\r\n").await;
    line.server_sees("0\r\n\r\n").await;
    line.answers("0\r\n\r\n").await;
    line.client_says("GET / HTTP/1.1\r\n\r\n").await;
    line.server_sees("GET / HTTP/1.1\r\n\r\n").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_are_passed_on() {
    // A body without a length ends with the connection.
    let mut line = Line::begin(GET, GET).await;
    line.answers("HTTP/1.1 200 OK\r\n\r\nand so on").await;
    line.answers(" and on").await;
    drop(line.server);
    ends(&mut line.client).await;

    // A client that has asked its last hears the answer.
    let mut line = Line::begin("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n").await;
    line.client.shutdown().await.unwrap();
    ends(&mut line.server).await;
    line.answers("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi").await;
    line.server.shutdown().await.unwrap();
    ends(&mut line.client).await;

    // A client that leaves before the answer is gone for the server too.
    let line = Line::begin(GET, GET).await;
    let Line { client, mut server, .. } = line;
    drop(client);
    ends(&mut server).await;

    // A server that closes an idle connection, having said so or not.
    for farewell in ["", "HTTP/1.1 408 Too late\r\n\r\n"] {
        let mut line = Line::begin(GET, GET).await;
        line.answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        line.answers(farewell).await;
        drop(line.server);
        ends(&mut line.client).await;
    }

    // A server that ends without an answer.
    let mut line = Line::begin(GET, GET).await;
    drop(line.server);
    ends(&mut line.client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_handshake_is_an_answer_like_any_other() {
    let handshake = "GET / HTTP/1.1\r\nHost: HOST\r\nUpgrade: websocket\r\n\r\n";
    let mut line = Line::begin(handshake, handshake).await;
    line.answers("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno").await;
    let origin = line.origin.to_string();
    line.client_says(&handshake.replace("HOST", "x")).await;
    line.server_sees(&handshake.replace("HOST", &origin)).await;
    line.answers("HTTP/1.1 101 Something else\r\nUpgrade: lines\r\n\r\nat once").await;
    line.client_says("anything\0at all").await;
    line.server_sees("anything\0at all").await;
    line.answers("likewise").await;
    let said = tokio::task::spawn_blocking(move || line.between.finish()).await.unwrap();
    assert_eq!(said, [], "what is no WebSocket is no session");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_to_another_protocol_is_no_session() {
    let ask = "GET / HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    let mut line = Line::begin(ask, ask).await;
    line.answers("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0").await;
    line.client_says("\x16\x03").await;
    line.server_sees("\x16\x03").await;
    line.answers("and so on").await;
    let said = tokio::task::spawn_blocking(move || line.between.finish()).await.unwrap();
    assert_eq!(said, []);
}

/// Megabytes, from a server that is faster than its client and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_are_whole() {
    let len = 30 << 20;
    let body: Vec<u8> = (0..len).map(|i: usize| (i / 11) as u8).collect();
    let head = format!("POST / HTTP/1.1\r\nHost: HOST\r\nContent-Length: {len}\r\n\r\n");
    let line = Line::begin(&head, &head).await;
    let ((mut client_in, mut client_out), (mut server_in, mut server_out)) =
        (line.client.into_split(), line.server.into_split());
    let (up, down) = (body.clone(), body.clone());
    let say_up = tokio::spawn(async move { client_out.write_all(&up).await.map(|()| client_out) });
    let say_down = tokio::spawn(async move {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n");
        server_out.write_all(head.as_bytes()).await.unwrap();
        server_out.write_all(&down).await.map(|()| server_out)
    });
    let mut heard_up = vec![0; len];
    let hear_up = server_in.read_exact(&mut heard_up);
    let mut heard_down =
        vec![0; format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n").len() + len];
    let hear_down = client_in.read_exact(&mut heard_down);
    let (heard, also_heard) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(hear_up, hear_down) }).await.unwrap();
    heard.unwrap();
    also_heard.unwrap();
    assert!(heard_up == body && heard_down.ends_with(&body));
    let _ends = (say_up.await.unwrap().unwrap(), say_down.await.unwrap().unwrap());
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

/// A server with the test's certificate that answers each connection once, then echoes.
async fn serve_tls() -> SocketAddr {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_file_iter(tls_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(tls_file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let answer = format!("HTTP/1.1 101 {}\r\nUpgrade: websocket\r\n\r\n", head.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
            let (mut from, mut to) = tokio::io::split(stream);
            tokio::io::copy(&mut from, &mut to).await.unwrap();
            to.shutdown().await.unwrap();
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_believed_only_where_it_is_vouched_for() {
    let address = serve_tls().await;
    let named = format!("wss://localhost:{}", address.port());
    let other = format!("wss://127.0.0.1:{}", address.port());
    let ca = Trust::File(tls_file("ca.pem"));
    let get = GET.as_bytes();
    check_refusal(&named, &Trust::System, get, "502", "--ca FILE").await;
    check_refusal(&other, &ca, get, "502", "for another name").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = format!("wss://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 What\r\n\r\n").await;
        let _ =
            tokio::time::timeout(Duration::from_secs(9), stream.read_to_end(&mut Vec::new())).await;
    });
    check_refusal(&plain, &Trust::Anybody, get, "502", "does not answer with TLS").await;

    for (url, trust) in [(&named, ca), (&other, Trust::Anybody)] {
        let between = Between::trusting(url, &trust, ProxyOptions::default());
        let mut client = TcpStream::connect(between.address).await.unwrap();
        let origin = url.replace("wss", "https");
        let own = format!("http://{}", between.address);
        let handshake = |host: &str, origin: &str| {
            format!(
                "GET /? HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nOrigin: {origin}\r\n\r\n"
            )
        };
        let sent = handshake(&between.address.to_string(), &own);
        let seen = handshake(&url["wss://".len()..], &origin);
        client.write_all(sent.as_bytes()).await.unwrap();
        let answer = format!("HTTP/1.1 101 {}\r\nUpgrade: websocket\r\n\r\n", seen.len());
        sees(&mut client, &answer, "the client").await;
        let (mut from, mut to) = client.into_split();
        let sent: Vec<u8> = (0..3 << 20).map(|i| (i / 3) as u8).collect();
        let (expected, mut heard) = (sent.clone(), Vec::new());
        let say = tokio::spawn(async move {
            to.write_all(&sent).await.unwrap();
            to.shutdown().await.unwrap();
        });
        tokio::time::timeout(PATIENCE, from.read_to_end(&mut heard)).await.unwrap().unwrap();
        say.await.unwrap();
        assert!(heard == expected, "{} bytes came back of {}", heard.len(), expected.len());
    }
}
