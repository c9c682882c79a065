//! What the backend answers over HTTP: the documents that clients ask for before a session, and the
//! control endpoint.

use std::io::Cursor;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::{Backend, connection};
use crate::edge::socket::answers::{
    HttpAnswer, answer_of, for_any_origin, json_answer, not_found, object_of, refusal, wrong_method,
};
use crate::edge::socket::listener::{Accepted, StopSignal};
use crate::edge::socket::upgrade::until_websocket;
use crate::peer::server::{ServerOptions, fixture_audio, fixture_names, knob_manifest};
use crate::report::wav;
use crate::time::DEFAULT_SAMPLE_RATE;
use crate::wire::names;

/// Serves one connection to its end, as HTTP and perhaps as a WebSocket from then on.
pub(super) async fn serve(accepted: Accepted, backend: Arc<Backend>, mut stop: StopSignal) {
    let respond = |request| {
        let backend = Arc::clone(&backend);
        async move { answer(request, &backend).await }
    };
    if let Some(upgraded) = until_websocket(accepted, &mut stop, respond).await {
        connection::run(upgraded, &backend, stop).await;
    }
}

async fn answer(request: Request<Incoming>, backend: &Backend) -> HttpAnswer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, path) => {
            for_any_origin(document(path, &backend.options.server).await)
        }
        (&Method::POST, "/control/params_echo") => turn_knobs(request, backend).await,
        (&Method::POST, path) => not_found(path),
        _ => wrong_method(),
    }
}

/// A document of the simulated server.
pub(in crate::edge) async fn document(path: &str, server: &ServerOptions) -> HttpAnswer {
    match path {
        "/api/server-info" => json_answer(StatusCode::OK, &server_info()),
        "/api/protocol" => json_answer(StatusCode::OK, names::protocol()),
        "/api/knobs" => json_answer(StatusCode::OK, knob_manifest()),
        "/api/fixtures" => json_answer(StatusCode::OK, &fixture_names().collect()),
        "/api/loras" => json_answer(StatusCode::OK, &loras()),
        "/api/user_uploads" => json_answer(StatusCode::OK, &json!([])),
        _ => match path.strip_prefix("/fixtures/") {
            Some(name) if fixture_names().any(|known| known == name) => fixture(name, server).await,
            _ => not_found(path),
        },
    }
}

/// A fixture as a WAV file.
async fn fixture(name: &str, server: &ServerOptions) -> HttpAnswer {
    let (name, source, seed) = (name.to_owned(), server.source.clone(), server.seed);
    let rendered = tokio::task::spawn_blocking(move || {
        let pcm = fixture_audio(&name, &source, seed)?;
        let mut file = Cursor::new(Vec::new());
        wav::write(&mut file, &pcm.audio, pcm.channels, DEFAULT_SAMPLE_RATE).ok()?;
        Some(file.into_inner())
    });
    match rendered.await {
        Ok(Some(file)) => answer_of(StatusCode::OK, "audio/wav", file),
        _ => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the fixture could not be rendered"),
    }
}

fn server_info() -> Value {
    json!({
        "no_backend": false,
        "kiosk": false,
        "default_mode": "graph",
        "warmup": null,
        "server_side_fixtures": fixture_names().collect::<Value>(),
    })
}

fn loras() -> Value {
    json!({
        "dir": "models/loras",
        "extra_dirs": [],
        "checkpoint": "acestep-v15-turbo",
        "checkpoint_scale": "2B",
        "loras": [{
            "id": "lo-fi",
            "name": "Lo-fi",
            "path": "models/loras/lo-fi.safetensors",
            "state": "registered",
            "strength": 0.0,
            "materialized_bytes": 0,
        }],
    })
}

/// The control endpoint: the body is the knobs, as the side bus of the real server turns them.
async fn turn_knobs(request: Request<Incoming>, backend: &Backend) -> HttpAnswer {
    let raw = match object_of(request, "{\"knob\": value}").await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    if backend.active_session.turn_knobs(raw).await {
        json_answer(StatusCode::OK, &json!({"sent": true}))
    } else {
        refusal(StatusCode::CONFLICT, "no session is live; connect a client first")
    }
}
