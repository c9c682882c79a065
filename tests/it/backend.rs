//! The simulated server over real sockets: handshake, slices, HTTP, control, and every way to end.

mod ends;
pub mod side_bus;

use std::net::SocketAddr;
use std::sync::mpsc as blocking;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use lagtape::edge::backend::BackendChange as Happening;
use lagtape::edge::backend::BackendNotice as Notice;
use lagtape::edge::backend::{self, BackendOptions, FRAGMENT_LEN, Links};
use lagtape::edge::clock::MonotonicClock;
use lagtape::peer::link::LinkOptions;
use lagtape::peer::server::{Pcm, ServerOptions, ServerSource, fixture_names, knob_manifest};
use lagtape::wire::names;
use lagtape::wire::slice::SliceHeader;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::FrameSocket;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::{WebSocketStream, client_async};

/// For whatever must not take for ever; far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of the initial buffer of [`options`]: two seconds in mono.
pub const BUFFER_LEN: usize = 192_000;
const CONFIG: &str = r#"{"use_server_fixture": true, "fixture_name": "built-in"}"#;

/// A backend with a short loop.
pub fn options() -> BackendOptions {
    let source = ServerSource::BuiltIn { seconds: 2.0, channels: 1 };
    let server = ServerOptions { seed: 7, source, ..ServerOptions::default() };
    BackendOptions { server, ..BackendOptions::default() }
}

/// A backend that runs in a runtime of its own until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    bus: SocketAddr,
    notices: blocking::Receiver<Notice>,
    stop: Option<oneshot::Sender<()>>,
    ended: blocking::Receiver<Result<(), String>>,
    runtime: Runtime,
}

impl Running {
    pub fn start(mut options: BackendOptions) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let side_bus = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let bus = side_bus.local_addr().unwrap();
        options.side_bus = Some(side_bus);
        let (tell, notices) = blocking::channel();
        options.watch = Box::new(move |notice| drop(tell.send(notice.clone())));
        let (stop, stopped) = oneshot::channel::<()>();
        let (end, ended) = blocking::channel();
        runtime.spawn(async move {
            let result = backend::serve(listener, options, async { drop(stopped.await) }).await;
            drop(end.send(result.map_err(|error| error.to_string())));
        });
        Self { address, bus, notices, stop: Some(stop), ended, runtime }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }

    /// Lets a client act, but not for ever.
    fn act<T>(&self, client: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { tokio::time::timeout(PATIENCE, client).await.unwrap() })
    }

    fn connect(&self) -> Client {
        self.act(async {
            let stream = TcpStream::connect(self.address).await.unwrap();
            client_async(self.url(), stream).await.unwrap().0
        })
    }

    /// A client that has sent its config.
    fn session(&self) -> Client {
        let mut client = self.connect();
        self.send(&mut client, CONFIG);
        client
    }

    fn send(&self, client: &mut Client, text: &str) {
        self.act(client.send(Message::text(text))).unwrap();
    }

    fn next(&self, client: &mut Client) -> Message {
        self.act(client.next()).unwrap().unwrap()
    }

    fn next_json(&self, client: &mut Client) -> Value {
        serde_json::from_str(self.next(client).to_text().unwrap()).unwrap()
    }

    /// Reads on to the first message of that type.
    fn next_of(&self, client: &mut Client, kind: &str) -> Value {
        loop {
            if let Message::Text(text) = self.next(client)
                && let Ok(message) = serde_json::from_str::<Value>(&text)
                && message["type"] == kind
            {
                return message;
            }
        }
    }

    /// Reads on to the close, and answers it; its code and reason.
    fn next_close(&self, client: &mut Client) -> (u16, String) {
        loop {
            if let Message::Close(close) = self.next(client) {
                let close = close.unwrap();
                // Sends the answer, unless nobody waits for it any more.
                drop(self.act(client.next()));
                return (close.code.into(), close.reason.to_string());
            }
        }
    }

    /// Waits until that happens to the connection of that number.
    fn await_notice(&self, connection: u64, happening: &Happening) -> Notice {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).unwrap();
            if notice.connection == connection && notice.change == *happening {
                return notice;
            }
        }
    }

    /// Waits until the connection of that number is closed; the code.
    fn await_end(&self, number: u64) -> u16 {
        loop {
            let notice = self.notices.recv_timeout(PATIENCE).unwrap();
            if let Notice { connection, change: Happening::Closed { code, .. }, .. } = notice
                && connection == number
            {
                return code;
            }
        }
    }

    /// One HTTP request over a connection of its own: status, head, body.
    fn http(&self, request: &str) -> (u16, String, Vec<u8>) {
        self.http_at(self.address, request.as_bytes())
    }

    /// The answer of the side bus.
    pub fn on_bus(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let (status, _, body) = self.http_at(self.bus, &[head.as_bytes(), body].concat());
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn http_at(&self, address: SocketAddr, request: &[u8]) -> (u16, String, Vec<u8>) {
        let answer = self.act(async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        });
        parse_http(&answer)
    }

    fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        self.http(&format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"))
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (status, _, body) = self.http(&format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        ));
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn stop(&mut self) {
        drop(self.stop.take());
        self.ended.recv_timeout(PATIENCE).unwrap().unwrap();
    }
}

type Client = WebSocketStream<TcpStream>;

fn parse_http(answer: &[u8]) -> (u16, String, Vec<u8>) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, answer[end + 4..].to_vec())
}

#[test]
fn from_the_handshake_to_slices() {
    let backend = Running::start(options());
    let mut client = backend.session();
    let ready = backend.next_json(&mut client);
    assert_eq!((&ready["type"], &ready["duration"]), (&json!("ready"), &json!(2.0)));
    assert_eq!(backend.next(&mut client).into_data().len(), BUFFER_LEN);
    for i in 0..10 {
        let slice = backend.next(&mut client);
        assert!(slice.is_binary(), "{slice:?}");
        let header = SliceHeader::parse(&slice.into_data()).unwrap();
        assert_eq!((header.channels, header.tick_ms > 0.0), (1, i > 0));
        let update = backend.next_json(&mut client);
        assert_eq!(update["type"], "params_update");
        assert_eq!(update["params"]["num_gens"], header.generations);
        let report = format!(r#"{{"type": "params", "raw": {{}}, "playback_pos": 0.0{i}}}"#);
        backend.send(&mut client, &report);
    }
    backend.await_notice(1, &Happening::Ready);
    backend.act(client.close(None)).unwrap();
    assert_eq!(backend.await_end(1), 1005, "a close without a code");
}

#[test]
fn an_upload_in_place_of_a_fixture() {
    let backend = Running::start(options());
    let mut client = backend.connect();
    backend.send(&mut client, "{}");
    let mut upload = [2_u32.to_le_bytes(), 48_000_u32.to_le_bytes()].concat();
    upload.extend(std::iter::repeat_n(0.25_f32.to_le_bytes(), 96_000).flatten());
    backend.act(client.send(Message::binary(upload))).unwrap();
    assert_eq!(backend.next_json(&mut client)["channels"], 2);
    let buffer = backend.next(&mut client).into_data();
    assert_eq!((buffer.len(), &buffer[..2]), (192_000, &[0x00, 0x34][..]));
}

#[test]
fn long_payloads_come_in_fragments() {
    let mut options = options();
    let audio = vec![0.0; FRAGMENT_LEN];
    options.server.source = ServerSource::Pcm(Pcm { channels: 1, audio });
    let backend = Running::start(options);
    let client = backend.session();
    let frames = backend.act(async {
        let stream = client.into_inner().into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut socket = FrameSocket::new(stream);
        let read = move || {
            let frame = socket.read(None).unwrap().unwrap();
            (frame.header().opcode, frame.header().is_final, frame.payload().len())
        };
        let four = || std::iter::repeat_with(read).take(4).collect::<Vec<_>>();
        tokio::task::spawn_blocking(four).await.unwrap()
    });
    let [text, binary, further] = [Data::Text, Data::Binary, Data::Continue].map(OpCode::Data);
    assert_eq!((frames[0].0, frames[0].1), (text, true));
    assert_eq!(frames[1..3], [(binary, false, FRAGMENT_LEN), (further, true, FRAGMENT_LEN)]);
    assert_eq!((frames[3].0, frames[3].1), (binary, true));
}

#[test]
fn documents_over_http() {
    let backend = Running::start(options());
    let names: Value = fixture_names().collect();
    let rows = [
        ("/api/protocol", names::protocol().clone()),
        ("/api/knobs?x=1", knob_manifest().clone()),
        ("/api/fixtures", names.clone()),
        ("/api/user_uploads", json!([])),
        ("/api/videos", json!([])),
        ("/api/enhance?prompt=dub+techno", json!({"enhanced": "dub techno", "ok": false})),
    ];
    for (path, expected) in rows {
        let (status, head, body) = backend.get(path);
        assert_eq!((status, serde_json::from_slice(&body).ok()), (200, Some(expected)), "{path}");
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
    }
    let info: Value = serde_json::from_slice(&backend.get("/api/server-info").2).unwrap();
    assert_eq!((&info["no_backend"], &info["server_side_fixtures"]), (&json!(false), &names));
    let loras: Value = serde_json::from_slice(&backend.get("/api/loras").2).unwrap();
    assert_eq!(loras["loras"][0]["id"], "lo-fi");
    assert_eq!(loras["loras"][0]["metadata"]["primary_trigger_word"], "lofi-tape");
    assert_eq!(backend.get("/fixtures/lofi.wav").0, 200, "an alias");

    let (status, head, body) = backend.get("/fixtures/built-in");
    assert!(status == 200 && head.contains("content-type: audio/wav"), "{head}");
    let wav = hound::WavReader::new(&body[..]).unwrap();
    assert_eq!((wav.spec().channels, wav.duration()), (1, 96_000));

    for path in ["/", "/api/", "/fixtures/", "/fixtures/../etc/passwd", "/control/params_echo"] {
        let (status, head, body) = backend.get(path);
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, body), (404, json!({"error": format!("nothing is at {path}")})));
        assert!(head.contains("access-control-allow-origin: *"), "{head}");
    }
}

#[test]
fn http_keeps_the_connection_and_answers_head() {
    let backend = Running::start(options());
    let (status, head, rest) = backend.http(
        "HEAD /api/user_uploads HTTP/1.1\r\nhost: x\r\n\r\n\
         GET /api/user_uploads HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: close\r\n\r\n",
    );
    assert!(status == 200 && head.contains("content-length: 2"), "{head}");
    let (status, _, body) = parse_http(&rest);
    assert_eq!((status, &body[..]), (200, &b"[]"[..]), "the answer to HEAD has no body");

    let close = "host: x\r\nconnection: close";
    assert_eq!(backend.http(&format!("DELETE / HTTP/1.1\r\n{close}\r\n\r\n")).0, 405);
    let no_key = "connection: close, upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13";
    let (status, _, body) = backend.http(&format!("GET / HTTP/1.1\r\nhost: x\r\n{no_key}\r\n\r\n"));
    assert!(status == 400 && body.starts_with(br#"{"error":"#), "{status}");
}

#[test]
fn extensions_are_not_agreed_to() {
    let backend = Running::start(options());
    let head = backend.act(async {
        let mut stream = TcpStream::connect(backend.address).await.unwrap();
        let request = "GET /any/path?apiKey=x HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\n\
             upgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap().to_lowercase()
    });
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(!head.contains("extensions"), "{head}");
}

#[test]
fn a_fixture_that_there_is_not_is_logged() {
    let backend = Running::start(options());
    let mut client = backend.connect();
    backend.send(&mut client, r#"{"use_server_fixture": true, "fixture_name": "nosuch"}"#);
    backend.await_notice(1, &Happening::UnknownFixture { name: "nosuch".to_owned() });
}

#[test]
fn a_thin_link_takes_its_time() {
    let mut options = options();
    let down = LinkOptions { bytes_per_s: Some(400_000.0), ..LinkOptions::default() };
    let up = LinkOptions { latency_s: 0.2, ..LinkOptions::default() };
    options.links = Links { up, down };
    let backend = Running::start(options);
    let clock = MonotonicClock::start();
    let mut client = backend.session();
    backend.next_of(&mut client, "ready");
    assert_eq!(backend.next(&mut client).into_data().len(), BUFFER_LEN);
    let taken_s = clock.now().seconds();
    assert!(taken_s > 0.83, "config 0.2 s, loading 0.15 s, buffer 0.48 s: {taken_s}");
    backend.next_of(&mut client, "params_update");
}
