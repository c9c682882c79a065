//! A proxy between a client and a server that say what a test says, over sockets of this machine.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::upstream::tcp_of;
use super::*;

mod relay;

/// Until a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

/// A proxy, the server behind it, and what the proxy says.
struct Stage {
    address: std::net::SocketAddr,
    server: TcpListener,
    notices: Arc<Mutex<Vec<ProxyNotice>>>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<()>>,
}

impl Stage {
    /// One that looks at no session.
    async fn new(head_timeout: Duration) -> Stage {
        let options = ProxyOptions { observe: false, head_timeout, ..Default::default() };
        Stage::with(options).await
    }

    async fn with(options: ProxyOptions) -> Stage {
        let (server, listener) = (bound().await, bound().await);
        let url = format!("ws://{}", server.local_addr().unwrap());
        let upstream = Upstream::parse(&url, &ServerTrust::System).unwrap();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&notices);
        let watch = Arc::new(move |notice| heard.lock().unwrap().push(notice));
        let options = ProxyOptions { watch, ..options };
        let (stop, stopped) = oneshot::channel();
        let address = listener.local_addr().unwrap();
        let served = tokio::spawn(serve(listener, upstream, options, async {
            let _ = stopped.await;
        }));
        Stage { address, server, notices, stop, served }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client that has asked, and the server's connection, which has the whole question.
    async fn asked(&self, request: &str) -> (TcpStream, TcpStream) {
        let mut client = self.client().await;
        say(&mut client, request).await;
        let mut server = self.server.accept().await.unwrap().0;
        hear(&mut server, request).await;
        (client, server)
    }

    /// What the proxy has said, when it has stopped.
    async fn notices(self) -> Vec<ProxyNotice> {
        self.stop.send(()).unwrap();
        self.served.await.unwrap().unwrap();
        std::mem::take(&mut *self.notices.lock().unwrap())
    }

    /// What it complained of.
    async fn troubles(self) -> Vec<String> {
        let sentence = |notice| match notice {
            ProxyNotice::Trouble { sentence, .. } => sentence,
            other => panic!("{other:?}"),
        };
        self.notices().await.into_iter().map(sentence).collect()
    }
}

async fn bound() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing came")
}

/// Expects exactly that next.
async fn hear(stream: &mut TcpStream, expected: &str) {
    let mut heard = vec![0; expected.len()];
    let read = in_time(stream.read_exact(&mut heard)).await;
    assert!(read.is_ok(), "instead of {expected:?}: {:?}", String::from_utf8_lossy(&heard));
    assert_eq!(String::from_utf8_lossy(&heard), expected);
}

/// All that still comes, to the end.
async fn rest(stream: &mut TcpStream) -> String {
    let mut rest = String::new();
    in_time(stream.read_to_string(&mut rest)).await.unwrap();
    rest
}

const GET: &str = "GET /a HTTP/1.1\r\nA: b\r\n\r\n";
const POST: &str = "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_server_that_says_something_unasked_is_about_to_close() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut server, OK).await;
    hear(&mut client, OK).await;
    say(&mut server, "HTTP/1.1 408 You are slow\r\n").await;
    say(&mut server, "Connection: close\r\n\r\n").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "HTTP/1.1 408 You are slow\r\nConnection: close\r\n\r\n");
    assert_eq!(stage.troubles().await, [""; 0]);
}

#[tokio::test]
async fn a_client_that_has_finished_hears_the_rest() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut server, OK).await;
    hear(&mut client, OK).await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await, "");
    say(&mut server, "more").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "more");
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_told_of() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    client.shutdown().await.unwrap();
    assert_eq!(rest(&mut server).await, "");
    // It may still read.
    say(&mut server, OK).await;
    hear(&mut client, OK).await;
}

#[tokio::test]
async fn a_request_may_come_while_another_is_answered() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut client, "GET /second").await;
    say(&mut client, " HTTP/1.1\r\n\r\n").await;
    say(&mut server, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Nearly\r\n\r\n").await;
    say(&mut server, OK).await;
    hear(&mut client, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 199 Nearly\r\n\r\n").await;
    hear(&mut client, OK).await;
    hear(&mut server, "GET /second HTTP/1.1\r\n\r\n").await;
}

#[tokio::test]
async fn an_answer_without_an_end_ends_with_the_connection() {
    for (head, body) in [
        ("HTTP/1.1 200 OK\r\n\r\n", "as long as I like"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 3\r\n\r\n", "abc"),
        // Cut off.
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Le", ""),
    ] {
        let stage = Stage::new(PATIENCE).await;
        let (mut client, mut server) = stage.asked(GET).await;
        say(&mut server, head).await;
        say(&mut server, body).await;
        drop(server);
        assert_eq!(rest(&mut client).await, format!("{head}{body}"));
        assert_eq!(stage.troubles().await, [""; 0], "{head}");
    }
}

#[tokio::test]
async fn a_body_that_is_none_is_refused_until_there_is_an_answer() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, _server) = stage.asked(POST).await;
    say(&mut client, "zz\r\n").await;
    let refused = rest(&mut client).await;
    assert!(refused.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{refused}");
    let (head, sentence) = refused.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", sentence.len())), "{refused}");

    let (mut client, mut server) = stage.asked(POST).await;
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";
    say(&mut server, begun).await;
    hear(&mut client, begun).await;
    say(&mut client, "zz\r\n").await;
    // Two answers would be one too many.
    assert_eq!(rest(&mut client).await, "");

    let (mut client, mut server) = stage.asked(POST).await;
    // What is only to be continued is no answer yet.
    say(&mut server, "HTTP/1.1 100 Continue\r\n\r\n").await;
    hear(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    say(&mut client, "zz\r\n").await;
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    assert_eq!(stage.troubles().await.len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_none_passes_as_it_is() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut server, "220 mail.example ready\r\n").await;
    hear(&mut client, "220 mail.example ready\r\n").await;
    say(&mut client, "HELO\r\n").await;
    hear(&mut server, "HELO\r\n").await;
    drop(client);
    assert_eq!(rest(&mut server).await, "");
    // Also where the request is not whole yet.
    let (mut client, mut server) = stage.asked(POST).await;
    say(&mut server, "220 mail.example ready\r\n").await;
    hear(&mut client, "220 mail.example ready\r\n").await;
    say(&mut client, "0\r\n\r\n").await;
    hear(&mut server, "0\r\n\r\n").await;
    say(&mut server, "221 bye\r\n").await;
    drop(server);
    assert_eq!(rest(&mut client).await, "221 bye\r\n");
    assert_eq!(stage.troubles().await.len(), 2);
}

#[tokio::test]
async fn a_head_has_its_time_and_who_rests_between_two_has_all() {
    let stage = Stage::new(Duration::from_secs(1)).await;
    let (mut resting, mut server) = stage.asked(GET).await;
    say(&mut server, OK).await;
    hear(&mut resting, OK).await;
    let mut half = stage.client().await;
    say(&mut half, "GET / HT").await;
    let refused = rest(&mut half).await;
    assert!(refused.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{refused}");
    assert!(refused.contains("within 1 s"), "{refused}");
    // Who has said nothing is told nothing.
    assert_eq!(rest(&mut stage.client().await).await, "");
    // The other one has been idle for longer than either.
    say(&mut resting, GET).await;
    hear(&mut server, GET).await;
    say(&mut server, OK).await;
    hear(&mut resting, OK).await;
    say(&mut resting, "GET /").await;
    assert!(rest(&mut resting).await.starts_with("HTTP/1.1 408 Request Timeout\r\n"));
    assert_eq!(stage.troubles().await.len(), 2);
}

#[tokio::test]
async fn who_waits_is_let_go_when_the_proxy_stops() {
    let stage = Stage::new(PATIENCE).await;
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut server, OK).await;
    hear(&mut client, OK).await;
    assert_eq!(stage.troubles().await, [""; 0]);
    assert_eq!(rest(&mut client).await, "");
    assert_eq!(rest(&mut server).await, "");
}

#[tokio::test]
async fn a_server_that_is_gone_is_said_with_502() {
    let mut stage = Stage::new(PATIENCE).await;
    let gone = format!("cannot connect to ws://{}", stage.server.local_addr().unwrap());
    // Another server is no help.
    stage.server = bound().await;
    let mut client = stage.client().await;
    say(&mut client, GET).await;
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains(&gone), "{answer}");
    assert!(stage.troubles().await[0].contains(&gone));
}

#[tokio::test]
async fn a_switch_becomes_a_session_and_its_end_is_told() {
    let stage = Stage::with(ProxyOptions::default()).await;
    let shake = "GET /ws?token=SECRET HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    let switch = "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n";
    for by_client in [true, false] {
        let (mut client, mut server) = stage.asked(shake).await;
        // What follows a head at once is forwarded too, and a message is no HTTP.
        say(&mut server, &format!("{switch}\u{1}\u{2}hi")).await;
        hear(&mut client, &format!("{switch}\u{1}\u{2}hi")).await;
        say(&mut client, "\u{1}\u{2}ho").await;
        hear(&mut server, "\u{1}\u{2}ho").await;
        let (mut first, mut last) = if by_client { (client, server) } else { (server, client) };
        first.shutdown().await.unwrap();
        assert_eq!(rest(&mut last).await, "");
        drop(last);
        assert_eq!(rest(&mut first).await, "");
    }
    // A switch that nobody asked for is none.
    let (mut client, mut server) = stage.asked(GET).await;
    say(&mut server, switch).await;
    hear(&mut client, switch).await;
    drop((client, server));
    let notices = stage.notices().await;
    let url_of = |notice: &ProxyNotice| match notice {
        ProxyNotice::Opened { session, url, .. } => Some((*session, url.ends_with("/ws"))),
        _ => None,
    };
    let opened: Vec<_> = notices.iter().filter_map(url_of).collect();
    assert_eq!(opened, [(1, true), (2, true)], "without its secret");
    let closed: Vec<_> = notices
        .iter()
        .filter_map(|notice| match notice {
            ProxyNotice::Closed { session, reason, .. } => Some((*session, reason.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(closed, [(1, "the client ended it"), (2, "the server ended it")]);
    assert!(!format!("{notices:?}").contains("SECRET"));
}

#[tokio::test]
async fn a_server_is_found_where_it_listens() {
    let server = bound().await;
    let address = server.local_addr().unwrap();
    let url = format!("ws://{address}");
    let upstream = Upstream::parse(&url, &ServerTrust::System).unwrap();
    let at = |ip: [u8; 4], port| std::net::SocketAddr::from((ip, port));
    assert!(upstream.is_at(address).await);
    assert!(upstream.is_at(at([0; 4], address.port())).await, "on every address of the machine");
    assert!(!upstream.is_at(at([127, 0, 0, 2], address.port())).await);
    assert!(!upstream.is_at(at([127, 0, 0, 1], address.port() ^ 1)).await);
    for is_slow in [false, true] {
        let stream = upstream.connect(is_slow).await.unwrap();
        assert!(tcp_of(&stream).unwrap().nodelay().unwrap());
    }
    assert_eq!((upstream.authority(), upstream.shown("/x")), (&url[5..], format!("{url}/x")));
}
