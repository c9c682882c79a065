//! A replay under way that is paused, slowed, sent elsewhere, and asked for by two.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use lagtape::capture::Direction;
use lagtape::edge::replay::ServeOptions;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message as WsMessage;

use super::{begin, bundled, connect, hashes, hex, messages, play, read_all};

/// One HTTP request over a connection of its own: status and body.
async fn http(address: SocketAddr, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n");
    let request = format!("{head}content-length: {length}\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    (status, answer[body..].to_vec())
}

async fn control(address: SocketAddr, order: &Value) -> Value {
    let (status, body) = http(address, "POST", "/control/replay", &order.to_string()).await;
    assert_eq!(status, 200, "{order}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

#[tokio::test]
async fn pauses_rates_and_jumps_are_ordered_over_http() {
    let (replayed, got) = play(ServeOptions::new(bundled("stall")), |address| async move {
        let asked = http(address, "GET", "/control/replay", "").await;
        assert_eq!(asked.0, 409, "nobody is there to tell");
        let mut client = begin(address).await;
        let report = r#"{"type":"params","playback_pos":0}"#;
        client.send(WsMessage::text(report)).await.unwrap();
        let mut got = 0;
        while got < 2 {
            got += u32::from(client.next().await.unwrap().unwrap().is_text());
        }
        let paused = control(address, &json!({"pause": true})).await;
        assert_eq!(paused["paused"], true);
        let again = control(address, &json!({})).await;
        assert_eq!(paused, again, "it stands still");
        let rated = control(address, &json!({"rate": 4.0, "pause": false})).await;
        assert_eq!((&rated["rate"], &rated["paused"]), (&json!(4.0), &json!(false)));
        let (refused, _) = http(address, "POST", "/control/replay", r#"{"rate": -1}"#).await;
        assert_eq!(refused, 400);
        control(address, &json!({"jump_s": 600})).await;
        read_all(client).await
    })
    .await;
    let whole = messages(&bundled("stall"), Direction::ServerToClient);
    assert!(whole.ends_with(&got.0) && got.0.len() > 60, "{}", got.0.len());
    let divergence = replayed.divergence.unwrap();
    assert!(divergence.whole && divergence.time.paused_s > 0.0, "{divergence:?}");
}

#[tokio::test]
async fn a_jump_back_is_a_swap() {
    let (_, (swap, buffer)) = play(ServeOptions::new(bundled("stall")), |address| async move {
        let mut client = begin(address).await;
        let report = r#"{"type":"params","playback_pos":0}"#;
        client.send(WsMessage::text(report)).await.unwrap();
        let mut slices = 0;
        while slices < 3 {
            slices += u32::from(client.next().await.unwrap().unwrap().is_binary());
        }
        control(address, &json!({"jump_s": 0})).await;
        let swap = loop {
            let message = client.next().await.unwrap().unwrap();
            if message.to_text().is_ok_and(|text| text.contains("swap_ready")) {
                break message.to_text().unwrap().to_owned();
            }
        };
        let buffer = client.next().await.unwrap().unwrap().into_data();
        client.close(None).await.unwrap();
        (swap, buffer.to_vec())
    })
    .await;
    let swap: Value = serde_json::from_str(&swap).unwrap();
    assert_eq!((&swap["channels"], &swap["duration"]), (&json!(1), &json!(5.0)));
    assert_eq!(hex(&buffer), hashes(&bundled("stall"))[0]);
}

#[tokio::test]
async fn one_session_at_a_time() {
    let (replayed, _) = play(ServeOptions::new(bundled("healthy")), |address| async move {
        let mut upload = connect(address).await;
        upload.send(WsMessage::text(r#"{"type":"upload_track","name":"x"}"#)).await.unwrap();
        let refused = upload.next().await.unwrap().unwrap();
        assert!(refused.to_text().unwrap().contains("upload_failed"), "{refused}");
        while let Some(Ok(_)) = upload.next().await {}

        let mut first = begin(address).await;
        first.next().await.unwrap().unwrap();
        let (nothing, code) = read_all(connect(address).await).await;
        assert_eq!((nothing.len(), code), (0, Some(1013)));

        let (status, knobs) = http(address, "GET", "/api/knobs", "").await;
        let ready: Value =
            serde_json::from_slice(&messages(&bundled("healthy"), Direction::ServerToClient)[1])
                .unwrap();
        let knobs: Value = serde_json::from_slice(&knobs).unwrap();
        assert_eq!((status, &knobs), (200, &ready["knob_manifest"]));
        let fixture = "/fixtures/low_fi_Gm_loop_60s_gnm.wav";
        let (status, wav) = http(address, "GET", fixture, "").await;
        assert!(status == 200 && wav.starts_with(b"RIFF"), "{status}");
        first.close(None).await.unwrap();
    })
    .await;
    assert!(!replayed.divergence.unwrap().whole);
}
