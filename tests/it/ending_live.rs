//! How sessions ended, as the program tells it: over real sockets and from session logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use futures_util::{SinkExt, StreamExt};
use lagtape::app::{self, AnalyzeOptions};
use lagtape::capture::{Party, UnderWay};
use lagtape::engine::EndKind;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, accept_async, connect_async};

use crate::program::{check, lagtape};
use crate::proxy_cli::{only_file, start as start_proxy};
use crate::record::{READY, Socket, buffer, drain, reports, slice, start_recording};

/// A ping, and the first 100 bytes of a binary message of 8,192.
fn ping_and_beginning() -> Vec<u8> {
    [&[0x89, 1, b'p', 0x82, 126, 0x20, 0x00][..], &[7; 100]].concat()
}

/// Begins a message, and waits until the other side has read that: it has answered the ping that came
/// with it.
async fn begin_message(socket: &mut Socket) {
    socket.get_mut().write_all(&ping_and_beginning()).await.unwrap();
    loop {
        if let Message::Pong(payload) = socket.next().await.unwrap().unwrap()
            && payload[..] == *b"p"
        {
            return;
        }
    }
}

const UNDER_WAY: UnderWay =
    UnderWay { from: Party::Server, opcode: 2, announced: 8_192, received: 100 };

/// The message that was begun is told. The WebSocket library of the server here may have answered a
/// ping amid it, with 10 bytes that belong to it then.
#[track_caller]
fn check_under_way(found: &[UnderWay]) {
    let [UnderWay { received, .. }] = *found else { panic!("{found:?}") };
    assert_eq!(found, [UnderWay { received, ..UNDER_WAY }]);
    assert!(received >= 100 && received % 10 == 0, "{received}");
}

async fn finished(child: Child) -> Output {
    tokio::task::spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap()
}

fn ending_of(capture: &Path) -> lagtape::report::EndingReport {
    app::analyze(capture, &AnalyzeOptions::default()).unwrap().ending
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test]
async fn record_tells_the_message_under_way_when_its_connection_dies() {
    for is_reset in [true, false] {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("x.lagtape");
        let (child, mut socket) = start_recording(&[], &[], &out).await;
        begin_message(&mut socket).await;
        if is_reset {
            socket.get_ref().set_zero_linger().unwrap();
            drop(socket);
        } else {
            socket.get_mut().shutdown().await.unwrap();
            drain(socket).await;
        }
        let output = finished(child).await;
        let ending = ending_of(&out);
        assert_eq!((ending.kind, ending.code), (EndKind::Cut, Some(1006)), "{output:?}");
        check_under_way(&ending.under_way);
        let page = printed(&output);
        assert!(page.contains("\nunder way: a binary message of the server"), "{page}");
        assert!(page.lines().nth(2).is_some_and(|line| line.starts_with("ENDED")), "{page}");
        check(&["analyze", out.to_str().unwrap()], 5);
    }
}

/// A whole message is none under way.
#[tokio::test]
async fn record_tells_no_message_under_way_where_all_are_whole() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &[], &out).await;
    reports(&mut socket, 3).await;
    socket.get_mut().shutdown().await.unwrap();
    drain(socket).await;
    finished(child).await;
    let ending = ending_of(&out);
    assert_eq!((ending.kind, ending.under_way.len()), (EndKind::Cut, 0));
}

/// A recording that is stopped amid a message of a server that does not answer the goodbye.
#[cfg(unix)]
#[tokio::test]
async fn record_tells_the_message_under_way_when_it_is_stopped() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let (child, mut socket) = start_recording(&[], &[], &out).await;
    begin_message(&mut socket).await;
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let output = finished(child).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let ending = ending_of(&out);
    assert_eq!((ending.kind, ending.abnormal), (EndKind::ClientClosed, false));
    check_under_way(&ending.under_way);
}

/// What the client sends first through a proxy that runs, and what the server answers; both ends.
async fn streaming(listener: &TcpListener, address: &str) -> (Client, Socket) {
    let accepted = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (connected, mut server) = tokio::join!(connect_async(address), accepted);
    let (mut client, _) = connected.unwrap();
    client.send(Message::text("{}")).await.unwrap();
    server.next().await.unwrap().unwrap();
    for message in [Message::text(READY), buffer(), slice(9_600)] {
        server.send(message).await.unwrap();
        client.next().await.unwrap().unwrap();
    }
    (client, server)
}

type Client =
    tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn the_proxy_tells_the_message_under_way_whoever_sends_it() {
    for is_client in [false, true] {
        let folder = TempDir::new().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let out = folder.path().to_str().unwrap();
        let (proxy, address) =
            start_proxy(&["--upstream", &url, "--listen", "127.0.0.1:0", "-o", out]);
        // The proxy tries the server when it starts.
        drop(listener.accept().await.unwrap());
        let (mut client, mut server) = streaming(&listener, &address).await;
        if is_client {
            let MaybeTlsStream::Plain(tcp) = client.get_mut() else { panic!("it is plain") };
            // The beginning of a masked text, after a ping that shows that it has come.
            let begun =
                [&[0x89, 0x81, 0, 0, 0, 0, b'p', 0x81, 0x80 | 90, 1, 2, 3, 4][..], &[7; 40]];
            tcp.write_all(&begun.concat()).await.unwrap();
            tcp.set_zero_linger().unwrap();
            assert!(matches!(server.next().await, Some(Ok(Message::Ping(_)))));
            drop(client);
            drain(server).await;
        } else {
            let begun = begin_message(&mut server);
            tokio::select! {
                () = begun => {}
                _ = (&mut client).for_each(async |_| ()) => {}
            }
            server.get_ref().set_zero_linger().unwrap();
            drop(server);
            // The proxy has seen it when its client does.
            while let Some(Ok(_)) = client.next().await {}
        }
        let ended = tokio::task::spawn_blocking(|| proxy.terminate()).await.unwrap();
        let ending = ending_of(&only_file(folder.path()));
        let (by, under_way) = match is_client {
            true => (
                Party::Client,
                UnderWay { from: Party::Client, opcode: 1, announced: 90, received: 40 },
            ),
            false => (Party::Server, UNDER_WAY),
        };
        assert_eq!((ending.kind, ending.by), (EndKind::Cut, Some(by)), "{ended:?}");
        assert_eq!(ending.under_way, [under_way]);
    }
}

/// How a server ends a session.
#[derive(Clone, Copy)]
enum Last {
    Close(u16, &'static str),
    ErrorAndClose(&'static str, u16),
}

impl Last {
    async fn act(self, mut socket: Socket) {
        let (error, code, reason) = match self {
            Last::Close(code, reason) => (None, code, reason),
            Last::ErrorAndClose(error, code) => (Some(error), code, ""),
        };
        if let Some(error) = error {
            let error = json!({"type": "error", "code": error, "message": "it is over"});
            socket.send(Message::text(error.to_string())).await.unwrap();
        }
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        socket.close(Some(frame)).await.unwrap();
        drain(socket).await;
    }
}

/// Records a session that ends so; what was printed, and the capture.
async fn recorded(folder: &TempDir, name: &str, last: Last) -> (Output, PathBuf) {
    let out = folder.path().join(name);
    let (child, mut socket) = start_recording(&[], &[], &out).await;
    reports(&mut socket, 3).await;
    last.act(socket).await;
    (finished(child).await, out)
}

/// The first lines of a page tell the end, nothing calls the session healthy, and every verb agrees.
#[track_caller]
fn check_told(output: &Output, capture: &Path, kind: &str, said: &str) {
    let page = printed(output);
    let first = page.lines().nth(2).unwrap_or_default();
    assert!(first.starts_with("ENDED by the server") && first.contains(said), "{page}");
    assert!(!page.contains("healthy"), "{page}");
    assert!(!page.contains("closed by the"), "{page}");
    let capture = capture.to_str().unwrap();
    let (page, _) = check(&["analyze", capture], 5);
    assert!(page.contains(said) && !page.contains("healthy"), "{page}");
    for verb in [&["analyze", "--json"][..], &["analyze", "--quick", "--json"], &["info", "--json"]]
    {
        let (text, _) = check(&[verb, &[capture]].concat(), 5);
        let told: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(told["ending"]["kind"], kind, "{verb:?}: {}", told["ending"]);
        assert_eq!(told["ending"]["by"], "server");
    }
    let (page, _) = check(&["info", capture], 5);
    assert!(page.contains(said), "{page}");
}

#[tokio::test]
async fn ends_by_the_server_are_told_by_every_verb() {
    let folder = TempDir::new().unwrap();
    let (output, preempted) = recorded(&folder, "a", Last::Close(4001, "another session")).await;
    check_told(&output, &preempted, "preempted", "4001");
    let (output, dead) = recorded(&folder, "b", Last::ErrorAndClose("pipeline_error", 1000)).await;
    check_told(&output, &dead, "pipeline_error", "pipeline_error");
    let (output, kept) = recorded(&folder, "c", Last::Close(1011, "keepalive ping timeout")).await;
    check_told(&output, &kept, "keepalive", "1011");
    let (output, _) = recorded(&folder, "d", Last::Close(1000, "")).await;
    let page = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{page}");
    assert!(page.contains("healthy") && page.contains("the server closed with 1000"), "{page}");

    let (a, b) = (preempted.to_str().unwrap(), dead.to_str().unwrap());
    let (text, _) = check(&["diff", a, b, "--json"], 4);
    let told: Value = serde_json::from_str(&text).unwrap();
    let is_ending = |fact: &&Value| fact["name"] == "ending";
    let fact = told["setting"].as_array().unwrap().iter().find(is_ending).unwrap();
    assert_eq!((&fact["a"], &fact["b"]), (&json!("preempted"), &json!("pipeline_error")));
    assert_eq!(fact["counts"], true);
    let (page, _) = check(&["diff", a, b], 4);
    assert!(page.contains("4001") && page.contains("pipeline_error"), "{page}");
}

/// Writes a session log of 20 s of a client of this name, reporting ten times a second, whose server
/// says something as often; each side speaks until its time, in seconds.
fn session_log(folder: &TempDir, client: &str, until_s: [f64; 2]) -> String {
    let path = folder.path().join("log");
    fs::create_dir_all(&path).unwrap();
    let session = json!({"connect_ns": 0, "report_ns": 20_000_000_000_u64, "client": client});
    fs::write(path.join("session.json"), session.to_string()).unwrap();
    let mut lines = vec![
        json!({"t_ns": 1, "dir": "c2s", "text": "{}"}),
        json!({"t_ns": 2, "dir": "s2c", "text": r#"{"type":"ready","channels":1}"#}),
        json!({"t_ns": 3, "dir": "s2c", "length": 5_760_000, "payload_omitted": true}),
    ];
    for tick in 1..=200_u64 {
        let (t_ns, t_s) = (tick * 100_000_000, tick as f64 / 10.0);
        let params = json!({"type": "params", "playback_pos": t_s}).to_string();
        let update = json!({"type": "params_update", "params": {}}).to_string();
        if t_s <= until_s[0] {
            lines.push(json!({"t_ns": t_ns, "dir": "c2s", "text": params}));
        }
        if t_s <= until_s[1] {
            lines.push(json!({"t_ns": t_ns + 1, "dir": "s2c", "text": update}));
        }
    }
    let lines: Vec<_> = lines.iter().map(Value::to_string).collect();
    fs::write(path.join("frames.jsonl"), lines.join("\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Imports a log and analyses it: how it ended, by the report, by that from checkpoints, by `info`.
#[track_caller]
fn check_log(log: &str, kind: &str, is_abnormal: bool) -> Value {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("x.lagtape");
    let out = out.to_str().unwrap();
    check(&["import", log, "-o", out], 0);
    let mut endings = Vec::new();
    for verb in [&["analyze", "--json"][..], &["analyze", "--quick", "--json"], &["info", "--json"]]
    {
        let output = lagtape(&[verb, &[out]].concat());
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["ending"]["kind"], kind, "{verb:?}: {}", told["ending"]);
        assert_eq!(told["ending"]["abnormal"], is_abnormal);
        let code = output.status.code().unwrap();
        let lags = told["verdict"]["lag"] == true;
        assert_eq!(
            code,
            if lags {
                4
            } else if is_abnormal {
                5
            } else {
                0
            },
            "{verb:?}"
        );
        endings.push(told["ending"].clone());
    }
    for key in ["t_s", "sentence", "gaps_total"] {
        assert!(endings.iter().all(|ending| ending[key] == endings[0][key]), "{endings:?}");
    }
    endings.remove(0)
}

fn golden(name: &str) -> String {
    format!("{}/tests/golden/diagnosis/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn silences_are_told_by_every_verb() {
    let folder = TempDir::new().unwrap();
    let ending = check_log(&session_log(&folder, "demontd", [20.0, 9.0]), "server_silent", true);
    assert_eq!(ending["by"], "server");
    assert!(ending["sentence"].as_str().unwrap().contains("nothing for 11.0 s"), "{ending}");
    let ending = check_log(&session_log(&folder, "demontd", [9.0, 20.0]), "half_open", true);
    assert_eq!(ending["by"], "client");
    check_log(&session_log(&folder, "demontd", [16.0, 20.0]), "recorder_stopped", false);
    // A page may be paused: it says nothing then, and its pongs are in no log.
    check_log(&session_log(&folder, "web", [9.0, 20.0]), "client_silent", false);
    check_log(&golden("half_open_web"), "half_open", true);
}

#[test]
fn ends_of_the_real_server_are_told_by_every_verb() {
    check_log(&golden("keepalive_kill_sdk"), "keepalive", true);
    check_log(&golden("preempted_headless"), "preempted", true);
    check_log(&golden("pipeline_death_demontd"), "pipeline_error", true);
    check_log(&golden("tunnel_reset_headless"), "cut", true);
}

#[test]
fn gaps_in_the_reports_are_told_by_every_verb() {
    let ending = check_log(&golden("send_hitch_2s_demontd"), "recorder_stopped", false);
    let gaps = ending["gaps"].as_array().unwrap();
    assert_eq!((gaps.len(), &ending["gaps_total"]), (5, &json!(5)));
    let lasted_s = |gap: &Value| gap["to_s"].as_f64().unwrap() - gap["from_s"].as_f64().unwrap();
    assert!(gaps.iter().all(|gap| (1.9..2.2).contains(&lasted_s(gap))), "{ending}");
}

/// A page that is paused says nothing, and a browser's log has no pongs; but the browser was there.
#[test]
fn a_page_that_its_browser_recorded_is_not_gone() {
    let stall = crate::har::frames(&crate::har::stall());
    let began_s = stall[0]["time"].as_f64().unwrap();
    let is_kept = |frame: &Value| {
        frame["type"] == "receive" || frame["time"].as_f64().unwrap() < began_s + 2.0
    };
    let paused: Vec<_> = stall.into_iter().filter(is_kept).collect();
    let folder = TempDir::new().unwrap();
    let (file, out) = (folder.path().join("x.har"), folder.path().join("x.lagtape"));
    fs::write(&file, crate::har::har(&[crate::har::entry(&paused)])).unwrap();
    check(&["import", file.to_str().unwrap(), "-o", out.to_str().unwrap()], 0);
    let analysis = app::analyze(&out, &AnalyzeOptions::default()).unwrap();
    assert_eq!(analysis.ending.kind, EndKind::ClientSilent, "{}", analysis.ending.sentence);
    let metadata = &analysis.session.metadata;
    assert_eq!(metadata.get("recorded_by").map(String::as_str), Some("browser"));
    assert_eq!(metadata.get("browser").map(String::as_str), Some("Firefox"));
    let page = lagtape::report::text::analysis(&analysis, &[]);
    assert!(page.contains("the client reported nothing for"), "{page}");
}
