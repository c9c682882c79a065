//! How sessions ended, as agents are told.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::{Client, folder};
use crate::record::{READY, Socket, buffer, drain, reports, slice};

/// How a server ends its session.
#[derive(Clone, Copy)]
enum Last {
    /// It closes with this code.
    Close(u16),
    /// Its pipeline dies, and it says goodbye.
    PipelineError,
    /// The connection ends within a message.
    Cut,
}

impl Last {
    async fn act(self, mut socket: Socket) {
        let code = match self {
            Last::Close(code) => code,
            Last::PipelineError => {
                let error = r#"{"type":"error","code":"pipeline_error","message":"it died"}"#;
                socket.send(Message::text(error)).await.unwrap();
                1000
            }
            Last::Cut => {
                socket.get_mut().write_all(&[0x82, 99, 1, 2]).await.unwrap();
                socket.get_mut().shutdown().await.unwrap();
                return drain(socket).await;
            }
        };
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        socket.close(Some(frame)).await.unwrap();
        drain(socket).await;
    }
}

/// A server of one session that ends after three reports; its address.
fn serve(last: Last) -> String {
    serve_until(last, false)
}

/// The same, which ends at the first command or after three reports.
fn serve_until(last: Last, commanded: bool) -> String {
    let (address, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(format!("ws://{}", listener.local_addr().unwrap())).unwrap();
            let mut socket = accept_async(listener.accept().await.unwrap().0).await.unwrap();
            socket.next().await.unwrap().unwrap();
            for message in [Message::text(READY), buffer(), slice(9_600)] {
                socket.send(message).await.unwrap();
            }
            match commanded {
                true => command(&mut socket).await,
                false => reports(&mut socket, 3).await,
            }
            last.act(socket).await;
        });
    });
    told.recv().unwrap()
}

/// Waits until the client says something that is no report.
async fn command(socket: &mut Socket) {
    loop {
        let message = socket.next().await.unwrap().unwrap();
        let Ok(text) = message.to_text() else { continue };
        if message.is_text() && text.contains("set_depth") {
            return;
        }
    }
}

/// The ending that a tool tells, of its answer or of the state in it.
fn told(client: &mut Client, tool: &str, args: &Value) -> Value {
    let answer = client.call(tool, args);
    match tool {
        "headless_status" => answer["sessions"][0]["state"]["ending"].clone(),
        _ => answer["ending"].clone(),
    }
}

#[test]
fn every_tool_tells_how_a_session_ended() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    for (last, kind, code) in [
        (Last::Close(4001), "preempted", 4001),
        (Last::PipelineError, "pipeline_error", 1000),
        (Last::Cut, "cut", 1006),
    ] {
        let args = json!({"url": serve(last), "fixture": "x.wav"});
        let started = client.call("headless_start", &args);
        let handle = json!({"handle": started["handle"]});
        let until = json!({"handle": started["handle"], "until": "ended", "for_s": 60});
        let observed = client.call("headless_observe", &until);
        assert_eq!(observed["state"]["phase"], "ended", "{observed}");
        let capture = json!({"capture": started["capture"]});
        for (tool, args) in [
            ("headless_observe", &until),
            ("headless_status", &handle),
            ("headless_lag_report", &handle),
            ("headless_stop", &handle),
            ("capture_open", &capture),
            ("capture_lag_report", &capture),
        ] {
            let ending = told(&mut client, tool, args);
            assert_eq!((&ending["kind"], &ending["code"]), (&json!(kind), &json!(code)), "{tool}");
            assert_eq!(ending["abnormal"], true);
            let under_way = match last {
                Last::Cut => {
                    json!([{"from": "server", "opcode": 2, "announced": 99, "received": 2}])
                }
                _ => Value::Null,
            };
            assert_eq!(ending["under_way"], under_way, "{tool}");
        }
        let opened = client.result("capture_open", &capture);
        let said = opened["content"].to_string();
        assert!(!said.contains("healthy: nothing"), "{said}");
    }
}

#[test]
fn a_session_that_goes_on_has_not_ended() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let started = client.call("headless_start", &json!({}));
    let handle = json!({"handle": started["handle"]});
    let streaming = json!({"handle": started["handle"], "until": "streaming", "for_s": 110});
    client.call("headless_observe", &streaming);
    assert_eq!(told(&mut client, "headless_status", &handle), Value::Null);
    assert_eq!(told(&mut client, "headless_lag_report", &handle)["kind"], "open");
}

/// What comes with the end is told, though the session is over when it is asked for.
#[test]
fn the_last_events_of_a_session_outlive_it() {
    let folder = folder();
    let mut client = Client::start(folder.path(), &[]);
    let args = json!({"url": serve_until(Last::PipelineError, true), "fixture": "x.wav"});
    let started = client.call("headless_start", &args);
    let streaming = json!({"handle": started["handle"], "until": "streaming", "for_s": 110});
    client.call("headless_observe", &streaming);
    let command = json!({"type": "set_depth", "value": 2});
    let args = json!({"handle": started["handle"], "command": command, "wait_s": 20});
    let sent = client.call("headless_send", &args);
    let codes: Vec<_> = sent["events"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(codes.contains(&&json!("pipeline_error")), "{sent}");
}
