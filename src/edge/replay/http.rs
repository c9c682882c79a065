//! What a replay answers over HTTP: the documents that clients ask for before a session, from the
//! recording where it has them and else the simulated server's; and `/control/replay`, which reports
//! and changes where the replay is.

use std::io::Cursor;
use std::sync::Arc;

use anyhow::Result;
use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::Replay;
use super::control::{self, ReplayOrder};
use super::swap_targets;
use crate::edge::backend::http::{document, server_info};
use crate::edge::socket::answers::{
    HttpAnswer, answer_of, for_any_origin, json_answer, not_found, object_of, refusal, wrong_method,
};
use crate::peer::replay::Control;
use crate::peer::server::{ServerOptions, fixture_names};
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

async fn recorded(path: &str, query: Option<&str>, replay: &Arc<Replay>) -> HttpAnswer {
    let opening = &replay.opening;
    let fixture = opening.config.get("fixture_name").and_then(Value::as_str);
    match (path, opening.ready.get("knob_manifest"), path.strip_prefix("/fixtures/")) {
        ("/api/knobs", Some(knobs), _) => json_answer(StatusCode::OK, knobs),
        ("/api/fixtures", ..) => fixtures(fixture, replay, Value::clone).await,
        ("/api/server-info", ..) => fixtures(fixture, replay, server_info).await,
        (_, _, Some(name)) if fixture == Some(name) => as_wav(replay, &opening.buffer),
        (_, _, Some(name)) => swapped_to(path, name, replay).await,
        _ => document(path, query, &ServerOptions::default()).await,
    }
}

/// A document of the tracks that the recording knows: the one it begins with, and those that it swaps
/// to. Where it names none, they are the simulated server's.
async fn fixtures(
    fixture: Option<&str>,
    replay: &Arc<Replay>,
    document_of: impl Fn(&Value) -> Value,
) -> HttpAnswer {
    let (capture, session) = (replay.options.capture.clone(), replay.opening.session);
    let names = in_background(move || swap_targets::names(&capture, session)).await;
    let targets = names.unwrap_or_default();
    let all = fixture.map(str::to_owned).into_iter();
    let all: Vec<_> =
        all.chain(targets.into_iter().filter(|name| Some(&**name) != fixture)).collect();
    let all: Value = if all.is_empty() { fixture_names().collect() } else { json!(all) };
    json_answer(StatusCode::OK, &document_of(&all))
}

/// A track that the recording swaps to; any other is the simulated server's.
async fn swapped_to(path: &str, name: &str, replay: &Arc<Replay>) -> HttpAnswer {
    let (capture, session) = (replay.options.capture.clone(), replay.opening.session);
    let name = name.to_owned();
    match in_background(move || swap_targets::buffer(&capture, session, &name)).await {
        Ok(Some(halves)) => as_wav(replay, &halves),
        _ => document(path, None, &ServerOptions::default()).await,
    }
}

/// Reads a capture on a thread that may wait for the disk.
async fn in_background<T: Send + 'static>(
    read: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(read).await?
}

/// A buffer as a WAV file: all that a recording knows of a fixture.
fn as_wav(replay: &Replay, buffer: &[u8]) -> HttpAnswer {
    let opening = &replay.opening;
    let (halves, _) = buffer.as_chunks::<HALF_LEN>();
    let samples: Vec<f32> = halves.iter().copied().map(widen).collect();
    let mut file = Cursor::new(Vec::new());
    match wav::write(&mut file, &samples, opening.channels, opening.sample_rate, &[]) {
        Ok(()) => answer_of(StatusCode::OK, "audio/wav", file.into_inner()),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
