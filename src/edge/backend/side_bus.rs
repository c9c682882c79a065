//! The side bus: a second port, through which others than the client look at a session and command
//! it. DEMON's own MCP server works through the same.
//!
//! `GET /sessions` and `GET /sessions/<id>` tell what a session is at; `POST /sessions/<id>/cmd`
//! takes the length of a JSON command as four bytes, little-endian, the command, and then the binary
//! that it announces, if any.

use std::sync::Arc;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Map, Value, json};

use super::Backend;
use super::sessions::InjectedCommand;
use crate::edge::connect::MAX_MESSAGE_LEN;
use crate::edge::socket::answers::{HttpAnswer, json_answer, not_found, refusal, wrong_method};
use crate::edge::socket::listener::{Accepted, StopSignal};
use crate::edge::socket::upgrade::until_websocket;
use crate::wire::json::parse_object;

/// Connections at a time; each may bring a message of the greatest length.
pub(super) const MAX_CONNECTIONS: usize = 8;

/// Serves one connection to its end.
pub(super) async fn serve(accepted: Accepted, backend: Arc<Backend>, mut stop: StopSignal) {
    let respond = |request| {
        let backend = Arc::clone(&backend);
        async move { answer(request, &backend).await }
    };
    // Whoever wants a WebSocket here has the wrong port.
    drop(until_websocket(accepted, &mut stop, respond).await);
}

async fn answer(request: Request<Incoming>, backend: &Backend) -> HttpAnswer {
    let path = request.uri().path().to_owned();
    let under = path.strip_prefix("/sessions").map(|under| under.trim_start_matches('/'));
    match (request.method(), under) {
        (&Method::GET | &Method::HEAD, Some("")) => {
            let sessions: Value = snapshots(backend).await.map(Value::Object).collect();
            json_answer(StatusCode::OK, &sessions)
        }
        (&Method::GET | &Method::HEAD, Some(id)) => {
            match snapshots(backend).await.find(|snapshot| is_session(snapshot, id)) {
                Some(snapshot) => json_answer(StatusCode::OK, &Value::Object(snapshot)),
                None => unknown_session(),
            }
        }
        (&Method::POST, Some(under)) => match under.strip_suffix("/cmd") {
            Some(id) => inject(id.to_owned(), request, backend).await,
            None => not_found(&path),
        },
        (&Method::GET | &Method::HEAD | &Method::POST, None) => not_found(&path),
        _ => wrong_method(),
    }
}

/// What each session is at, and since when.
async fn snapshots(backend: &Backend) -> impl Iterator<Item = Map<String, Value>> {
    let told = |mut snapshot: Map<String, Value>| {
        // The real server names both first.
        let mut told = Map::new();
        for key in ["id", "started_at"] {
            told.insert(key.to_owned(), snapshot.shift_remove(key).unwrap_or_default());
        }
        told.extend(snapshot);
        told
    };
    backend.sessions.snapshots().await.into_iter().map(told)
}

fn is_session(snapshot: &Map<String, Value>, id: &str) -> bool {
    snapshot.get("id").and_then(Value::as_str) == Some(id)
}

async fn inject(session_id: String, request: Request<Incoming>, backend: &Backend) -> HttpAnswer {
    if !snapshots(backend).await.any(|snapshot| is_session(&snapshot, &session_id)) {
        return unknown_session();
    }
    let body = match Limited::new(request.into_body(), MAX_MESSAGE_LEN).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let sentence = format!("the body is longer than {MAX_MESSAGE_LEN} bytes");
            return refusal(StatusCode::PAYLOAD_TOO_LARGE, &sentence);
        }
        Err(error) => return refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let (command, binary) = match unframed(&body) {
        Ok(unframed) => unframed,
        Err(sentence) => return refusal(StatusCode::BAD_REQUEST, &sentence),
    };
    let audio_bytes = binary.len();
    let injected = InjectedCommand { session_id: session_id.clone(), command, binary };
    if backend.sessions.inject(injected).await {
        let sent = json!({"sent": true, "session_id": session_id, "audio_bytes": audio_bytes});
        json_answer(StatusCode::OK, &sent)
    } else {
        unknown_session()
    }
}

/// The command in a body, and the binary behind it.
fn unframed(body: &[u8]) -> Result<(Map<String, Value>, Vec<u8>), String> {
    if body.is_empty() {
        return Err("the body is empty".to_owned());
    }
    let missing = || "the body begins with four bytes of length, which are missing".to_owned();
    let (len, rest) = body.split_first_chunk::<4>().ok_or_else(missing)?;
    let len = u32::from_le_bytes(*len) as usize;
    let (command, binary) = rest
        .split_at_checked(len)
        .filter(|_| len > 0)
        .ok_or_else(|| format!("the command is said to have {len} bytes; {} follow", rest.len()))?;
    let text = str::from_utf8(command).map_err(|_| "the command is not UTF-8".to_owned())?;
    let command = parse_object(text).map_err(|error| error.to_string())?.fields;
    Ok((command, binary.to_vec()))
}

fn unknown_session() -> HttpAnswer {
    refusal(StatusCode::NOT_FOUND, "unknown session")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &[u8], expected: Result<(&Value, &[u8]), &str>) {
        let expected = expected
            .map(|(command, binary)| (command.as_object().unwrap().clone(), binary.to_vec()));
        assert_eq!(unframed(body), expected.map_err(str::to_owned));
    }

    #[test]
    fn bodies_good_and_bad() {
        let command = br#"{"type":"x"}"#;
        let framed = |len: u32, rest: &[u8]| [&len.to_le_bytes()[..], rest].concat();
        check(&framed(12, command), Ok((&json!({"type": "x"}), &[])));
        let with_binary = framed(12, &[&command[..], &[1, 2]].concat());
        check(&with_binary, Ok((&json!({"type": "x"}), &[1, 2])));
        check(&[], Err("the body is empty"));
        check(&[1, 0], Err("the body begins with four bytes of length, which are missing"));
        check(&framed(0, command), Err("the command is said to have 0 bytes; 12 follow"));
        check(&framed(13, command), Err("the command is said to have 13 bytes; 12 follow"));
        check(&framed(1, b"\xff"), Err("the command is not UTF-8"));
        check(&framed(2, b"[]"), Err("text is JSON, but a list and not an object"));
    }
}
