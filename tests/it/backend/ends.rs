//! How the simulated server's sessions end, and how many there may be.

use futures_util::{SinkExt, StreamExt};
use lagtape::edge::backend::BackendChange as Happening;
use lagtape::edge::backend::KeepaliveOptions;
use lagtape::peer::server::{Pcm, ServerSource};
use lagtape::time::Span;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use super::{CONFIG, Running, options};

#[test]
fn a_newer_session_preempts_and_an_upload_does_not() {
    let backend = Running::start(options());
    let mut first = backend.session();
    backend.next_of(&mut first, "ready");

    let mut upload = backend.connect();
    backend.send(&mut upload, r#"{"type": "upload_track", "name": "mine"}"#);
    let bytes = [1_u32.to_le_bytes(), 1_u32.to_le_bytes(), 0_f32.to_le_bytes()].concat();
    backend.act(upload.send(Message::binary(bytes))).unwrap();
    assert_eq!(backend.next_json(&mut upload)["type"], "upload_ok");
    backend.next_of(&mut first, "params_update");

    let mut second = backend.session();
    let (code, reason) = backend.next_close(&mut first);
    assert_eq!((code, reason.as_str()), (4001, "preempted by another session"));
    backend.await_notice(1, &Happening::Preempted);
    assert_eq!(backend.await_end(1), 4001);
    backend.next_of(&mut second, "params_update");
}

#[test]
fn a_client_that_does_not_read_is_heard_all_the_same() {
    let mut options = options();
    // More than two sockets hold.
    let audio = vec![0.0; 8 << 20];
    options.server.source = ServerSource::Pcm(Pcm { channels: 8, audio });
    let backend = Running::start(options);
    let deaf = backend.session();
    backend.await_notice(1, &Happening::Ready);
    assert_eq!(backend.post("/control/params_echo", r#"{"denoise": 0.7}"#).0, 200);

    let mut second = backend.session();
    assert_eq!(backend.next_json(&mut second)["type"], "ready");
    assert_eq!(backend.await_end(1), 4001);
    drop(deaf);
}

#[test]
fn stopping_closes_with_1001() {
    let mut backend = Running::start(options());
    let mut client = backend.session();
    backend.next_of(&mut client, "ready");
    drop(backend.stop.take());
    assert_eq!(backend.next_close(&mut client).0, 1001);
    backend.stop();
    assert_eq!(backend.await_end(1), 1001);
    assert!(backend.act(TcpStream::connect(backend.address)).is_err());
}

#[test]
fn a_bad_config_gets_an_error_and_a_close() {
    let backend = Running::start(options());
    for first in [Message::text("{"), Message::text("[]"), Message::binary([1, 2].to_vec())] {
        let mut client = backend.connect();
        backend.act(client.send(first)).unwrap();
        let error = backend.next_json(&mut client);
        assert_eq!((&error["type"], &error["code"]), (&json!("error"), &json!("handshake_failed")));
        assert_eq!(backend.next_close(&mut client).0, 1011);
    }
}

/// The code with which the backend answers raw bytes on a WebSocket.
#[track_caller]
fn check_raw(bytes: &[u8], code: u16) {
    let backend = Running::start(options());
    let mut client = backend.connect();
    backend.act(client.get_mut().write_all(bytes)).unwrap();
    assert_eq!(backend.next_close(&mut client).0, code);
    drop(client);
    assert_eq!(backend.await_end(1), code);
}

#[test]
fn messages_that_cannot_be_taken_end_the_connection() {
    // 101 MiB announced, and some of them there.
    let mut too_long = vec![0x82, 0xff, 0, 0, 0, 0, 0x06, 0x50, 0, 0, 1, 2, 3, 4];
    too_long.resize(100_000, 7);
    check_raw(&too_long, 1009);
    // Not masked; an opcode that there is not; text that is not UTF-8.
    check_raw(&[0x81, 0x01, b'x'], 1002);
    check_raw(&[0x83, 0x80, 1, 2, 3, 4], 1002);
    check_raw(&[0x81, 0x81, 0, 0, 0, 0, 0xff], 1007);
}

#[test]
fn a_client_that_answers_no_ping_is_given_up() {
    let mut options = options();
    let (ping_every, pong_within) = (Span(50_000_000), Span(50_000_000));
    options.keepalive = KeepaliveOptions { ping_every, pong_within, ..KeepaliveOptions::default() };
    let backend = Running::start(options);
    let mut client = backend.session();
    // Whoever does not read does not answer.
    assert_eq!(backend.await_end(1), 1011);
    let (code, reason) = backend.next_close(&mut client);
    assert_eq!((code, reason.as_str()), (1011, "keepalive ping timeout"));
}

#[test]
fn a_client_that_takes_nothing_is_given_up() {
    let mut options = options();
    // More than the buffers of both ends hold, so that it waits.
    let audio = vec![0.0; 8 * 20 * 48_000];
    options.server.source = ServerSource::Pcm(Pcm::new(8, audio));
    options.keepalive.stalls_for = Some(Span(300_000_000));
    let backend = Running::start(options);
    let mut client = backend.session();
    let reason = "the client takes nothing any more".to_owned();
    backend.await_notice(1, &Happening::Closed { code: 1006, reason });
    // What is left of the buffer comes, and no close.
    let left = backend.act(async {
        let mut left = Vec::new();
        while let Some(Ok(message)) = client.next().await {
            left.push(message);
        }
        left
    });
    assert!(!left.iter().any(Message::is_close), "{} messages", left.len());
}

/// Connects clients with this config, and reads which sessions the side bus then tells of.
#[track_caller]
fn check_sessions(configs: &[&str], left: usize) {
    let backend = Running::start(options());
    let mut clients: Vec<_> = configs
        .iter()
        .map(|config| {
            let mut client = backend.connect();
            backend.send(&mut client, config);
            backend.next_of(&mut client, "ready");
            client
        })
        .collect();
    let preempted = configs.len() - left;
    for client in &mut clients[..preempted] {
        assert_eq!(backend.next_close(client).0, 4001, "{configs:?}");
    }
    let (_, sessions) = backend.on_bus("GET", "/sessions", b"");
    assert_eq!(sessions.as_array().unwrap().len(), left, "{configs:?}: {sessions}");
    for session in sessions.as_array().unwrap() {
        let path = format!("/sessions/{}", session["id"].as_str().unwrap());
        assert_eq!(backend.on_bus("GET", &path, b"").1["id"], session["id"]);
    }
}

#[test]
fn a_model_serves_as_many_sessions_as_its_family_has_room_for() {
    let sfx = r#"{"checkpoint": "sa3-sfx", "text_only": true, "telemetry_version": 1, "sa3_duration_s": 1}"#;
    check_sessions(&[sfx; 5], 4);
    let mrt2 = r#"{"backend": "mrt2", "text_only": true, "telemetry_version": 1}"#;
    check_sessions(&[mrt2; 2], 1);
    check_sessions(&[CONFIG, mrt2], 2);
}

#[test]
fn a_client_that_goes_without_a_word() {
    let backend = Running::start(options());
    let mut client = backend.session();
    backend.next_of(&mut client, "ready");
    drop(client);
    assert_eq!(backend.await_end(1), 1006);
}
