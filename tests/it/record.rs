//! Recording over real sockets: what misbehaving servers get, and that nothing is lost by them.

#[cfg(unix)]
mod signals;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, AnalyzeOptions, RecordVerb, RecordedSession, SessionSource};
use lagtape::capture::{Body, Direction, Opcode, Records};
use lagtape::time::Span;
use lagtape::wire::slice::SliceHeader;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::program::command_behind;

pub type Socket = WebSocketStream<TcpStream>;

pub const READY: &str = r#"{"type":"ready","sample_rate":48000,"channels":1}"#;

/// A loop of one second.
pub fn buffer() -> Message {
    Message::binary(vec![0; 48_000 * 2])
}

/// A raw slice of 0.36 s.
pub fn slice(start: u32) -> Message {
    let header = SliceHeader {
        flags: 0,
        start,
        frames: 17_280,
        channels: 1,
        tick_ms: 40.0,
        dec_ms: 7.0,
        generations: 1,
    };
    let mut message = header.to_bytes().to_vec();
    message.resize(message.len() + 17_280 * 2, 0);
    Message::binary(message)
}

struct Recording {
    session: RecordedSession,
    capture: PathBuf,
    _folder: TempDir,
}

fn verb(url: String, out: PathBuf) -> RecordVerb {
    RecordVerb {
        headers: vec![("Authorization".to_owned(), "Bearer SECRET-TOKEN".to_owned())],
        out: Some(out),
        source: SessionSource::Fixture("x.wav".to_owned()),
        prompt: Some("mellow".to_owned()),
        run_for: Some(Span(300_000_000)),
        ready_timeout: Span(2_000_000_000),
        ..RecordVerb::new(url)
    }
}

/// Records what a server does that follows `script` once it has the config.
async fn record_from<F>(script: impl FnOnce(Socket) -> F) -> anyhow::Result<Recording>
where
    F: Future<Output = ()> + Send + 'static,
    Socket: Send,
{
    record_with(script, |verb| verb).await
}

async fn record_with<F>(
    script: impl FnOnce(Socket) -> F,
    change: impl FnOnce(RecordVerb) -> RecordVerb,
) -> anyhow::Result<Recording>
where
    F: Future<Output = ()> + Send + 'static,
{
    let folder = TempDir::new()?;
    let capture = folder.path().join("x.lagtape");
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://user:SECRET-USER@{}/x?apiKey=SECRET-KEY", listener.local_addr()?);
    let verb = change(verb(url, capture.clone()));
    let client = tokio::spawn(app::record(verb, std::future::pending(), ()));
    let (stream, _) = listener.accept().await?;
    let mut socket = tokio_tungstenite::accept_async(stream).await?;
    let config = socket.next().await.unwrap()?;
    assert!(config.to_text()?.contains("\"use_server_fixture\":true"));
    let server = tokio::spawn(script(socket));
    let session = client.await??;
    server.abort();
    Ok(Recording { session, capture, _folder: folder })
}

/// Messages of the server in the capture, as opcode and length.
fn from_server(recording: &Recording) -> Vec<(Opcode, usize)> {
    messages(recording, Direction::ServerToClient)
}

fn messages(recording: &Recording, direction: Direction) -> Vec<(Opcode, usize)> {
    let mut found = Vec::new();
    let mut records = Records::new(std::fs::File::open(&recording.capture).unwrap());
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = &record.body
            && message.direction == direction
        {
            found.push((message.opcode, message.payload.len()));
        }
    }
    found
}

/// The live report and the capture's are the same bytes.
fn check_live_equals_offline(recording: &Recording) {
    let offline = app::analyze(&recording.capture, &AnalyzeOptions::default()).unwrap();
    assert_eq!(
        serde_json::to_string(&recording.session.analysis).unwrap(),
        serde_json::to_string(&offline).unwrap()
    );
}

pub async fn drain(mut socket: Socket) {
    while let Some(Ok(_)) = socket.next().await {}
}

#[tokio::test]
async fn a_session_of_its_time() {
    let recording = record_from(|mut socket| async move {
        for message in [Message::text(READY), buffer(), slice(9_600), slice(12_000)] {
            socket.send(message).await.unwrap();
        }
        drain(socket).await;
    })
    .await
    .unwrap();
    assert_eq!(recording.session.failure, None);
    assert_eq!(recording.session.analysis.slices, 2);
    assert!(recording.session.analysis.ticks >= 5, "{}", recording.session.analysis.ticks);
    assert!(recording.session.analysis.complete);
    check_live_equals_offline(&recording);
}

#[tokio::test]
async fn no_secret_reaches_the_disk() {
    let recording = record_from(|mut socket| async move {
        socket.send(Message::text(READY)).await.unwrap();
        socket.send(buffer()).await.unwrap();
        drain(socket).await;
    })
    .await
    .unwrap();
    let bytes = std::fs::read(&recording.capture).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("SECRET"));
    let url = recording.session.analysis.session.url.unwrap();
    assert!(url.starts_with("ws://127.0.0.1:") && url.ends_with("/x"), "{url}");
}

/// What a server does, and the sentence that its client ends with.
async fn check_failure<F>(script: impl FnOnce(Socket) -> F, sentence: &str) -> Recording
where
    F: Future<Output = ()> + Send + 'static,
{
    let recording = record_from(script).await.unwrap();
    let failure = recording.session.failure.clone().expect("a failure");
    assert!(failure.contains(sentence), "{failure}");
    assert!(recording.session.analysis.complete, "the capture was closed in order");
    check_live_equals_offline(&recording);
    recording
}

#[tokio::test]
async fn a_server_that_refuses() {
    check_failure(
        |mut socket| async move {
            let error = r#"{"type":"error","code":"engine_not_built","message":"make it"}"#;
            socket.send(Message::text(error)).await.unwrap();
            drain(socket).await;
        },
        "refused the session: engine_not_built: make it",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let recording =
        record_with(drain, |verb| RecordVerb { ready_timeout: Span(50_000_000), ..verb })
            .await
            .unwrap();
    let failure = recording.session.failure.unwrap();
    assert!(failure.contains("no initial buffer within 0.05s"), "{failure}");
}

#[tokio::test]
async fn a_server_that_sends_text_instead_of_audio() {
    let recording = record_with(
        |mut socket| async move {
            socket.send(Message::text(READY)).await.unwrap();
            socket.send(Message::text("{\"type\":\"lora_catalog\"}")).await.unwrap();
            socket.send(Message::text("buffer? what buffer")).await.unwrap();
            drain(socket).await;
        },
        |verb| RecordVerb { ready_timeout: Span(50_000_000), ..verb },
    )
    .await
    .unwrap();
    assert!(recording.session.failure.unwrap().contains("no initial buffer"));
    assert_eq!(recording.session.analysis.decode_errors, 1);
}

#[tokio::test]
async fn a_buffer_of_odd_length() {
    check_failure(
        |mut socket| async move {
            socket.send(Message::text(READY)).await.unwrap();
            socket.send(Message::binary(vec![0; 4801])).await.unwrap();
            drain(socket).await;
        },
        "buffer of 4801 bytes is not a whole number",
    )
    .await;
}

#[tokio::test]
async fn a_server_that_is_taken_over() {
    let recording = check_failure(
        |mut socket| async move {
            socket.send(Message::text(READY)).await.unwrap();
            socket.send(buffer()).await.unwrap();
            let frame = CloseFrame { code: 4001.into(), reason: "preempted".into() };
            socket.close(Some(frame)).await.unwrap();
            drain(socket).await;
        },
        "another session took the server over",
    )
    .await;
    assert_eq!(recording.session.analysis.closes[0].code, Some(4001));
}

#[tokio::test]
async fn a_server_that_dies_within_a_slice() {
    let recording = check_failure(
        |mut socket| async move {
            for message in [Message::text(READY), buffer(), slice(9_600)] {
                socket.send(message).await.unwrap();
            }
            // The head of a frame of 60000 bytes, and a few of them.
            let mut stream = socket.into_inner();
            let torn = [&[0x82, 126, 0xea, 0x60][..], &[1; 100]].concat();
            tokio::io::AsyncWriteExt::write_all(&mut stream, &torn).await.unwrap();
        },
        "without a close (1006)",
    )
    .await;
    assert_eq!(recording.session.analysis.slices, 1);
}

#[tokio::test]
async fn corrupt_slices_are_survived() {
    let recording = record_from(|mut socket| async move {
        let corrupt = Message::binary(vec![1; 40]);
        for message in [Message::text(READY), buffer(), corrupt, slice(9_600)] {
            socket.send(message).await.unwrap();
        }
        drain(socket).await;
    })
    .await
    .unwrap();
    assert_eq!(recording.session.failure, None);
    assert_eq!(recording.session.analysis.decode_errors, 1);
    assert_eq!(recording.session.analysis.slices, 1);
    check_live_equals_offline(&recording);
}

#[tokio::test]
async fn the_largest_message_that_the_protocol_allows() {
    let recording = record_with(
        |mut socket| async move {
            socket.send(Message::text(READY)).await.unwrap();
            socket.send(Message::binary(vec![0; 100 << 20])).await.unwrap();
            drain(socket).await;
        },
        |verb| RecordVerb { ready_timeout: Span(60_000_000_000), ..verb },
    )
    .await
    .unwrap();
    assert_eq!(recording.session.failure, None);
    assert!(from_server(&recording).contains(&(Opcode::Binary, 100 << 20)));
}

#[tokio::test]
async fn pings_are_answered_and_both_are_recorded() {
    let recording = record_from(|mut socket| async move {
        socket.send(Message::Ping(vec![7].into())).await.unwrap();
        socket.send(Message::text(READY)).await.unwrap();
        loop {
            if let Some(Ok(Message::Pong(payload))) = socket.next().await {
                assert_eq!(payload[..], [7]);
                break;
            }
        }
        socket.send(buffer()).await.unwrap();
        drain(socket).await;
    })
    .await
    .unwrap();
    assert!(from_server(&recording).contains(&(Opcode::Ping, 1)));
    let ours = messages(&recording, Direction::ClientToServer);
    let count = |wanted: (Opcode, usize)| ours.iter().filter(|message| **message == wanted).count();
    assert_eq!(count((Opcode::Pong, 1)), 1);
    assert!(count((Opcode::Ping, 8)) > 0, "the client pings by itself: {ours:?}");
}

#[tokio::test]
async fn headers_of_one_name_are_all_sent() {
    let folder = TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let headers = [("Cookie", "a=1"), ("X-Who", "me"), ("cookie", "b=2"), ("X-Who", "and you")];
    let verb = RecordVerb {
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..verb(url, folder.path().join("x.lagtape"))
    };
    let client = tokio::spawn(app::record(verb, std::future::pending(), ()));
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = vec![0; 4096];
    let mut len = 0;
    while !request[..len].ends_with(b"\r\n\r\n") {
        len += tokio::io::AsyncReadExt::read(&mut stream, &mut request[len..]).await.unwrap();
    }
    drop(stream);
    assert!(client.await.unwrap().is_err(), "nobody answered");
    let request = String::from_utf8_lossy(&request[..len]).to_lowercase();
    let sent = |name: &str| -> Vec<_> {
        request.lines().filter_map(|line| line.strip_prefix(name)).map(str::to_owned).collect()
    };
    assert_eq!(sent("cookie: "), ["a=1; b=2"]);
    assert_eq!(sent("x-who: "), ["me", "and you"]);
    assert_eq!(sent("host: ").len(), 1);
}

#[tokio::test]
async fn echoed_knobs_are_carried_back() {
    let recording = record_from(|mut socket| async move {
        socket.send(Message::text(READY)).await.unwrap();
        socket.send(buffer()).await.unwrap();
        let echo = r#"{"type":"params_echo","raw":{"denoise":0.7}}"#;
        socket.send(Message::text(echo)).await.unwrap();
        drain(socket).await;
    })
    .await
    .unwrap();
    let mut records = Records::new(std::fs::File::open(&recording.capture).unwrap());
    let mut carried = 0;
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Message(message) = &record.body
            && message
                .text()
                .is_some_and(|text| text.contains(r#""raw":{"denoise":0.7},"playback_pos"#))
        {
            carried += 1;
        }
    }
    assert!(carried >= 3, "{carried}");
}

#[tokio::test]
async fn nobody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/?apiKey=SECRET", listener.local_addr().unwrap());
    drop(listener);
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let error = app::record(verb(url, out.clone()), std::future::pending(), ()).await.unwrap_err();
    let sentence = format!("{error:#}");
    assert!(sentence.contains("connection refused; is the server running"), "{sentence}");
    assert!(!sentence.contains("SECRET") && !out.exists());
}

/// A process that records, started by the words of `before`, and the server's side of its socket
/// after the buffer and a slice.
pub async fn start_recording(before: &[&str], extra: &[&str], out: &Path) -> (Child, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let words = ["record", &url, "--fixture", "x.wav", "-o", out.to_str().unwrap()];
    let mut command = command_behind(before, &[&words[..], extra].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    socket.next().await.unwrap().unwrap();
    for message in [Message::text(READY), buffer(), slice(9_600)] {
        socket.send(message).await.unwrap();
    }
    (child, socket)
}

/// Waits until the client has reported `count` times.
pub async fn reports(socket: &mut Socket, count: usize) {
    let mut seen = 0;
    while seen < count {
        let message = socket.next().await.unwrap().unwrap();
        seen += usize::from(message.is_text());
    }
}
