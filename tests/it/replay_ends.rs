//! What a replay is at its edges: how it ends, what it agrees to in the handshake, which tracks it offers.

use std::path::PathBuf;
use std::{fs, io};

use futures_util::StreamExt;
use lagtape::capture::{
    Body, ClientKind, ConnectionBreak, Direction, End, Header, Message, Opcode, Party, Record,
    SyncMarker, Writer,
};
use lagtape::edge::replay::ServeOptions;
use lagtape::time::Nanos;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message as WsMessage};

use crate::replay::{at_once, begin, play};

const DOWN: Direction = Direction::ServerToClient;

/// A capture of a session with a swap to another track, and `ends` at its end.
fn capture(folder: &TempDir, ends: &[Body<'_>]) -> PathBuf {
    let said = |direction, text: &'static str| {
        let opcode = if text.starts_with('{') { Opcode::Text } else { Opcode::Binary };
        Body::Message(Message::new(direction, opcode, text.as_bytes()))
    };
    let header = Header { client: ClientKind::Foreign, ..Header::new("a test", Nanos(0)) };
    let begins = [
        Body::Header(header),
        said(Direction::ClientToServer, r#"{"use_server_fixture":true,"fixture_name":"one.wav"}"#),
        said(DOWN, r#"{"type":"ready","channels":1,"sample_rate":48000}"#),
        said(DOWN, "the buffer"),
        said(DOWN, r#"{"type":"swap_ready","channels":1,"fixture_name":"two.wav"}"#),
        said(DOWN, "another one!"),
    ];
    let (mut writer, mut bytes) = (Writer::new(SyncMarker::derive(b"ends")), Vec::new());
    writer.begin(&mut bytes);
    for body in begins.into_iter().chain(ends.iter().cloned()) {
        let seq = writer.next_seq();
        let record = Record { seq, t: Nanos(1_000_000 * seq), conn: 0, body };
        writer.write(&record, &mut bytes);
    }
    let path = folder.path().join("x.lagtape");
    fs::write(&path, bytes).unwrap();
    path
}

/// How a client sees the end.
#[derive(Debug, PartialEq)]
enum Seen {
    Close(Option<(u16, String)>),
    /// The connection ended without a close, …
    Ended,
    /// … or was reset.
    Reset,
}

async fn end_of(ends: &[Body<'_>]) -> Seen {
    let folder = TempDir::new().unwrap();
    let (_, seen) = play(at_once(capture(&folder, ends)), |address| async move {
        let mut client = begin(address).await;
        let mut messages = 0;
        let seen = loop {
            match client.next().await {
                Some(Ok(WsMessage::Close(close))) => {
                    let told = |close: tokio_tungstenite::tungstenite::protocol::CloseFrame| {
                        (close.code.into(), close.reason.to_string())
                    };
                    break Seen::Close(close.map(told));
                }
                Some(Ok(_)) => messages += 1,
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    break Seen::Ended;
                }
                Some(Err(Error::Io(error))) if error.kind() == io::ErrorKind::ConnectionReset => {
                    break Seen::Reset;
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(messages, 4, "all that was recorded comes before");
        while let Some(Ok(_)) = client.next().await {}
        seen
    })
    .await;
    seen
}

fn close(payload: &'static [u8]) -> Body<'static> {
    Body::Message(Message::new(DOWN, Opcode::Close, payload))
}

fn broken(by: Option<Party>, reason: &str) -> Body<'static> {
    let reason = reason.to_owned();
    Body::Break(ConnectionBreak { by, reason, ..ConnectionBreak::default() })
}

#[tokio::test]
async fn a_replay_ends_as_the_recording_does() {
    let preempted = Seen::Close(Some((4001, "preempted".to_owned())));
    assert_eq!(end_of(&[close(b"\x0f\xa1preempted")]).await, preempted);
    assert_eq!(end_of(&[close(b"")]).await, Seen::Close(None));
    let server = Some(Party::Server);
    assert_eq!(end_of(&[broken(server, "the server ended it")]).await, Seen::Ended);
    assert_eq!(end_of(&[broken(server, "the server broke it off")]).await, Seen::Reset);
    let reset = "IO error: Connection reset by peer (os error 104)";
    assert_eq!(end_of(&[broken(None, reset)]).await, Seen::Reset);
    let ended = "WebSocket protocol error: Connection reset without closing handshake";
    assert_eq!(end_of(&[broken(None, ended)]).await, Seen::Ended);
    // Where the client went, the server of the recording has no end of its own.
    let ours = Seen::Close(Some((1000, "the replay ends here".to_owned())));
    let client = broken(Some(Party::Client), "the client broke it off");
    assert_eq!(end_of(&[client, Body::End(End::default())]).await, ours);
    assert_eq!(end_of(&[]).await, ours);
}

#[tokio::test]
async fn a_replay_agrees_to_a_subprotocol_and_gives_no_token_back() {
    let folder = TempDir::new().unwrap();
    let path = capture(&folder, &[]);
    let agreed = |offered: &'static str| {
        let options = at_once(path.clone());
        async move {
            let (_, agreed) = play(options, |address| async move {
                let mut request = format!("ws://{address}/").into_client_request().unwrap();
                request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
                let stream = TcpStream::connect(address).await.unwrap();
                let (mut client, response) = client_async(request, stream).await.unwrap();
                let agreed = response.headers().get("sec-websocket-protocol").cloned();
                let config = WsMessage::text("{}");
                futures_util::SinkExt::send(&mut client, config).await.unwrap();
                while let Some(Ok(_)) = client.next().await {}
                agreed.map(|agreed| agreed.to_str().unwrap().to_owned())
            })
            .await;
            agreed
        }
    };
    assert_eq!(agreed("demon").await.as_deref(), Some("demon"));
    let with_token = "0A1b2C3d4E5f6G7h8I9j, demon";
    assert_eq!(agreed(with_token).await.as_deref(), Some("demon"));
}

/// The body of an answer.
async fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

#[tokio::test]
async fn a_replay_offers_the_tracks_that_were_swapped_to() {
    let folder = TempDir::new().unwrap();
    let options: ServeOptions = at_once(capture(&folder, &[]));
    let (_, (names, track)) = play(options, |address| async move {
        let answers =
            (get(address, "/api/fixtures").await, get(address, "/fixtures/two.wav").await);
        let mut client = begin(address).await;
        while let Some(Ok(_)) = client.next().await {}
        answers
    })
    .await;
    let names: Vec<String> = serde_json::from_str(&names).unwrap();
    assert_eq!(names, ["one.wav", "two.wav"]);
    assert!(track.starts_with("RIFF"), "{track}");
}
