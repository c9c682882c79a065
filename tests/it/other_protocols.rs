//! Sessions that are none of a DEMON server: recorded, imported, played again and told for what they are.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, AnalyzeOptions, Outcome};
use lagtape::capture::Direction;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

use crate::har::{entry, frames, har, stall};
use crate::program::{Ended, check, check_complaint};
use crate::proxy_cli::start;
use crate::replay::{at_once, connect, messages, play, read_all};

/// A chat in JSON, with a burst of pictures and a silence of 5 s.
fn chat() -> Vec<Value> {
    let mut frames = vec![
        json!({"type": "send", "time": 1.0e9, "opcode": 1, "data": r#"{"type":"join","room":"x"}"#}),
        json!({"type": "receive", "time": 1.0e9 + 0.5, "opcode": 1, "data": "[1,2]"}),
        json!({"type": "send", "time": 1.0e9 + 1.0, "opcode": 1, "data": "hello"}),
    ];
    for n in 0..6 {
        let picture = STANDARD.encode([7; 100]);
        frames.push(json!({"type": "receive", "time": 1.0e9 + 1.5 + f64::from(n) * 0.001,
                           "opcode": 2, "data": picture}));
    }
    frames.push(json!({"type": "receive", "time": 1.0e9 + 6.505, "opcode": 1, "data": "bye"}));
    frames
}

/// Nothing but bytes, of which the server sends the first.
fn raw() -> Vec<Value> {
    let frame = |n: u32| {
        let way = if n % 3 == 2 { "send" } else { "receive" };
        let data = STANDARD.encode(n.to_be_bytes());
        json!({"type": way, "time": 1.0e9 + f64::from(n) * 0.02, "opcode": 2, "data": data})
    };
    (0..60).map(frame).collect()
}

fn imported(folder: &TempDir, frames: &[Value]) -> String {
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (from, out) = (path("x.har"), path("x.lagtape"));
    fs::write(&from, har(&[entry(frames)])).unwrap();
    let (_, said) = check(&["import", &from, "-o", &out, "--force"], 0);
    assert!(said.contains("no DEMON server speaks in it"), "{said}");
    out
}

/// What is said of such a capture, at every door.
#[track_caller]
fn check_told(capture: &str) -> Value {
    for words in [&["analyze", capture][..], &["analyze", "--quick", capture]] {
        let (text, _) = check(words, 0);
        assert!(text.contains("no verdict: there is no DEMON session in it"), "{text}");
        assert!(text.contains("server to client: ") && !text.contains("healthy"), "{text}");
    }
    let (json, _) = check(&["analyze", "--json", capture], 0);
    let analysis: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&analysis["verdict"]["lag"], &analysis["verdict"]["known"]),
        (&Value::Null, &json!(false))
    );
    let (quick, _) = check(&["analyze", "--json", "--quick", capture], 0);
    let quick: Value = serde_json::from_str(&quick).unwrap();
    assert_eq!(quick["arrivals"], analysis["arrivals"]);
    check(&["info", capture], 0);
    check(&["verify", "--replay", capture], 0);
    check_complaint(&["what-if", capture, "--rate", "2"], 1, "initial buffer never came");
    analysis["arrivals"].clone()
}

#[test]
fn a_chat_is_told_by_what_came_and_when() {
    let folder = TempDir::new().unwrap();
    let capture = imported(&folder, &chat());
    let arrivals = check_told(&capture);
    let (up, down) = (&arrivals["client_to_server"], &arrivals["server_to_client"]);
    assert_eq!(up["text"], json!({"messages": 2, "bytes": 31}));
    assert_eq!(up["binary"], json!({"messages": 0, "bytes": 0}));
    assert_eq!(down["text"], json!({"messages": 2, "bytes": 8}));
    assert_eq!(down["binary"], json!({"messages": 6, "bytes": 600}));
    assert_eq!(down["bursts"], 1);
    assert_eq!(down["largest_burst"], json!({"from_s": 1.5, "messages": 6, "bytes": 600}));
    assert_eq!(down["gaps"], 2);
    assert_eq!(arrivals["longest_silence"], json!({"from_s": 1.505, "to_s": 6.505}));
    let (lines, _) = check(&["cat", &capture], 0);
    assert!(lines.contains("hello") && lines.lines().count() >= 10, "{lines}");
    let (text, _) = check(&["analyze", &capture], 0);
    assert!(
        text.contains("2 text (31 B)") && text.contains("the longest 5.00 s at 1.5 s"),
        "{text}"
    );
}

#[test]
fn bytes_are_told_by_what_came_and_when() {
    let folder = TempDir::new().unwrap();
    let arrivals = check_told(&imported(&folder, &raw()));
    assert_eq!(arrivals["server_to_client"]["binary"], json!({"messages": 40, "bytes": 160}));
    assert_eq!(arrivals["server_to_client"]["gaps"], 0);
}

#[test]
fn of_a_session_of_a_demon_server_there_is_no_account_of_arrivals() {
    let analysis = app::analyze(&stall(), &AnalyzeOptions::default()).unwrap();
    assert!(analysis.arrivals.is_none());
    let (json, _) = check(&["analyze", "--json", stall().to_str().unwrap()], 4);
    assert!(!json.contains("\"arrivals\""));
}

#[test]
fn of_several_other_sockets_one_is_chosen() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (from, out) = (path("x.har"), path("x.lagtape"));
    fs::write(&from, har(&[entry(&chat()), entry(&raw())])).unwrap();
    check_complaint(&["import", &from, "-o", &out], 1, "2: ws://pod.example:1318/ws, 60 messages");
    let (_, said) = check(&["import", &from, "--session", "2", "-o", &out], 0);
    assert!(said.contains("60 messages"), "{said}");
    // Beside a session of a DEMON server others do not count.
    fs::write(&from, har(&[entry(&chat()), entry(&frames(&stall()))])).unwrap();
    let (_, said) = check(&["import", &from, "-o", &out, "--force"], 0);
    assert!(!said.contains("no DEMON server"), "{said}");
}

/// A client of a replay gets every message of the server.
async fn check_replayed(capture: &str, first: Option<Message>) {
    let path = Path::new(capture);
    let (replayed, (got, code)) = play(at_once(path.to_owned()), async |address: SocketAddr| {
        let mut client = connect(address).await;
        if let Some(first) = first {
            client.send(first).await.unwrap();
        }
        read_all(client).await
    })
    .await;
    assert!(got == messages(path, Direction::ServerToClient), "{} messages", got.len());
    assert_eq!((code, replayed.failure), (Some(1000), None));
}

#[tokio::test]
async fn other_protocols_are_played_again() {
    let folder = TempDir::new().unwrap();
    let capture = imported(&folder, &chat());
    check_replayed(&capture, Some(Message::text("anything"))).await;
    check_complaint(&["replay", &capture, "--loop"], 1, "only one of those can begin again");
    // Here the server speaks first.
    check_replayed(&imported(&folder, &raw()), None).await;
}

/// A server that answers each message with two of its own, and then closes.
async fn echo(listener: TcpListener) {
    // The proxy tries the server when it starts.
    let (mut socket, mut tries) = (None, 0);
    while socket.is_none() && tries < 8 {
        let (stream, _) = listener.accept().await.unwrap();
        socket = accept_async(stream).await.ok();
        tries += 1;
    }
    let mut socket = socket.expect("somebody shakes hands");
    while let Some(Ok(message)) = socket.next().await {
        if message.is_close() {
            break;
        }
        socket.send(message.clone()).await.unwrap();
        socket.send(Message::binary(vec![1; 64])).await.unwrap();
    }
}

#[cfg(unix)]
#[tokio::test]
async fn other_protocols_are_recorded_by_the_proxy() {
    let folder = TempDir::new().unwrap();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("ws://{}", server.local_addr().unwrap());
    let serving = tokio::spawn(echo(server));
    let out = folder.path().to_str().unwrap();
    let (proxy, address) = start(&["--upstream", &upstream, "--listen", "127.0.0.1:0", "-o", out]);
    let mut client = connect(address.trim_start_matches("ws://").parse().unwrap()).await;
    for n in 0..10 {
        client.send(Message::text(format!("{{\"n\": {n}}}"))).await.unwrap();
        for _ in 0..2 {
            client.next().await.unwrap().unwrap();
        }
    }
    client.close(None).await.unwrap();
    serving.await.unwrap();
    let Ended { code, said, .. } = proxy.terminate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("no stream") && !said.contains("healthy"), "{said}");
    let capture = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let analysis = app::analyze(&capture, &AnalyzeOptions::default()).unwrap();
    assert_eq!(
        (analysis.verdict.known, Outcome::of_analysis(&analysis)),
        (false, Outcome::Healthy)
    );
    let arrivals = serde_json::to_value(analysis.arrivals.unwrap()).unwrap();
    assert_eq!(arrivals["client_to_server"]["text"]["messages"], 10);
    assert_eq!(arrivals["server_to_client"]["binary"]["bytes"], 640);
}
