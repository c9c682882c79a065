//! What a replay answers over HTTP, on the port of the WebSocket.
//!
//! Enters: requests. Leaves: the documents that clients ask for before a session, as far as the
//! recording knows them and as the simulated server has them else; `/control/replay`, which tells and
//! changes where the replay is.

use std::io::Cursor;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Replay;
use super::control::{self, Order};
use crate::edge::backend::http::{
    Answer, answer_of, document, for_anyone, json_answer, object_of, refusal, unknown,
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
    orders: mpsc::Sender<Order>,
) -> Answer {
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
        (&Method::GET | &Method::HEAD, path) => for_anyone(recorded(path, &replay).await),
        (&Method::POST, path) => unknown(path),
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are answered"),
    }
}

/// Gives an order to the session that is on.
async fn give(controls: Vec<Control>, orders: &mpsc::Sender<Order>) -> Answer {
    let (answer, status) = oneshot::channel();
    let is_given = orders.send(Order { controls, answer }).await.is_ok();
    match status.await {
        Ok(status) if is_given => json_answer(StatusCode::OK, &json!(status)),
        _ => refusal(StatusCode::CONFLICT, "no session is on; connect a client first"),
    }
}

async fn recorded(path: &str, replay: &Replay) -> Answer {
    let opening = &replay.opening;
    let fixture = opening.config.get("fixture_name").filter(|name| name.is_string());
    match (path, opening.ready.get("knob_manifest"), fixture) {
        ("/api/knobs", Some(knobs), _) => json_answer(StatusCode::OK, knobs),
        ("/api/fixtures", _, Some(name)) => json_answer(StatusCode::OK, &json!([name])),
        (_, _, Some(Value::String(name))) if path.strip_prefix("/fixtures/") == Some(name) => {
            buffer(replay)
        }
        _ => document(path, &ServerOptions::default()).await,
    }
}

/// The initial buffer as a WAV file: all that a recording knows of its fixture.
fn buffer(replay: &Replay) -> Answer {
    let opening = &replay.opening;
    let (halves, _) = opening.buffer.as_chunks::<HALF_LEN>();
    let samples: Vec<f32> = halves.iter().copied().map(widen).collect();
    let mut file = Cursor::new(Vec::new());
    match wav::write(&mut file, &samples, opening.channels, opening.sample_rate) {
        Ok(()) => answer_of(StatusCode::OK, "audio/wav", file.into_inner()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
