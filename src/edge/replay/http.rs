//! What a replay answers over HTTP: the documents that clients ask for before a session, from the
//! recording where it has them and else the simulated server's; and `/control/replay`, which reports
//! and changes where the replay is.

use std::io::Cursor;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Replay;
use super::control::{self, ReplayOrder};
use crate::edge::backend::http::{document, server_info};
use crate::edge::socket::answers::{
    HttpAnswer, answer_of, for_any_origin, json_answer, not_found, object_of, refusal, wrong_method,
};
use crate::peer::replay::Control;
use crate::peer::server::ServerOptions;
use crate::report::wav;
use crate::wire::halves::{HALF_LEN, widen};

const CONTROL: &str = "/control/replay";

/// Answers one request.
pub(super) async fn answer(
    request: Request<Incoming>,
    replay: Arc<Replay>,
    orders: mpsc::Sender<ReplayOrder>,
) -> HttpAnswer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, CONTROL) => give(Vec::new(), &orders).await,
        (&Method::POST, CONTROL) => {
            let fields = match object_of(request, control::EXAMPLE).await {
                Ok(fields) => fields,
                Err(refusal) => return refusal,
            };
            match control::controls(&fields) {
                Ok(controls) => give(controls, &orders).await,
                Err(sentence) => refusal(StatusCode::BAD_REQUEST, &sentence),
            }
        }
        (&Method::GET | &Method::HEAD, path) => {
            for_any_origin(recorded(path, request.uri().query(), &replay).await)
        }
        (&Method::POST, path) => not_found(path),
        _ => wrong_method(),
    }
}

/// Gives an order to the session.
async fn give(controls: Vec<Control>, orders: &mpsc::Sender<ReplayOrder>) -> HttpAnswer {
    let (answer, status) = oneshot::channel();
    let is_given = orders.send(ReplayOrder { controls, answer }).await.is_ok();
    match status.await {
        Ok(status) if is_given => json_answer(StatusCode::OK, &json!(status)),
        _ => refusal(StatusCode::CONFLICT, "no session is on; connect a client first"),
    }
}

async fn recorded(path: &str, query: Option<&str>, replay: &Replay) -> HttpAnswer {
    let opening = &replay.opening;
    let fixture = opening.config.get("fixture_name").filter(|name| name.is_string());
    match (path, opening.ready.get("knob_manifest"), fixture) {
        ("/api/knobs", Some(knobs), _) => json_answer(StatusCode::OK, knobs),
        ("/api/fixtures", _, Some(name)) => json_answer(StatusCode::OK, &json!([name])),
        ("/api/server-info", _, Some(name)) => {
            json_answer(StatusCode::OK, &server_info(&json!([name])))
        }
        (_, _, Some(Value::String(name))) if path.strip_prefix("/fixtures/") == Some(name) => {
            buffer(replay)
        }
        _ => document(path, query, &ServerOptions::default()).await,
    }
}

/// The initial buffer as a WAV file: all that a recording knows of its fixture.
fn buffer(replay: &Replay) -> HttpAnswer {
    let opening = &replay.opening;
    let (halves, _) = opening.buffer.as_chunks::<HALF_LEN>();
    let samples: Vec<f32> = halves.iter().copied().map(widen).collect();
    let mut file = Cursor::new(Vec::new());
    match wav::write(&mut file, &samples, opening.channels, opening.sample_rate) {
        Ok(()) => answer_of(StatusCode::OK, "audio/wav", file.into_inner()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
