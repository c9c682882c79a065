//! What the backend answers over HTTP, on the port of the WebSocket.
//!
//! Enters: one accepted connection. Leaves: the documents that clients ask for before a session, the
//! control endpoint's effect, or a WebSocket. Extensions are never agreed to.

use std::convert::Infallible;
use std::io::Cursor;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::{self, Either};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Map, Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::{Backend, CLOSE_TIMEOUT, connection, stopped};
use crate::peer::server::{ServerOptions, fixture_audio, fixture_names, knob_manifest};
use crate::report::wav;
use crate::time::DEFAULT_SAMPLE_RATE;
use crate::wire::json::parse_object;
use crate::wire::names;

/// Longest body of a control request.
const MAX_CONTROL_LEN: usize = 64 << 10;

pub(in crate::edge) type Answer = Response<Full<Bytes>>;

/// Serves one connection to its end, as HTTP and perhaps as a WebSocket from then on.
pub(super) async fn serve(
    stream: TcpStream,
    client: SocketAddr,
    backend: Arc<Backend>,
    mut stop: watch::Receiver<bool>,
) {
    let respond = |request| {
        let backend = Arc::clone(&backend);
        async move { answer(request, &backend).await }
    };
    if let Some((stream, read)) = converse(stream, &mut stop, respond).await {
        connection::run(stream, read, client, &backend, stop).await;
    }
}

/// Speaks HTTP until the connection ends or becomes a WebSocket: then the socket below, and what was
/// read from it too much. `respond` answers whatever is no WebSocket.
pub(in crate::edge) async fn converse<F: Future<Output = Answer>>(
    stream: TcpStream,
    stop: &mut watch::Receiver<bool>,
    respond: impl Fn(Request<Incoming>) -> F,
) -> Option<(TcpStream, Vec<u8>)> {
    // Without it slices would wait for acknowledgements; a socket that refuses is broken anyway.
    let _ = stream.set_nodelay(true);
    let (upgrades, mut upgraded) = mpsc::channel(1);
    let respond = service_fn(|mut request| {
        let answer = match upgrade(&mut request, &upgrades) {
            Some(answer) => Either::Left(future::ready(answer)),
            None => Either::Right(respond(request)),
        };
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), respond)
        .with_upgrades();
    tokio::pin!(conversation);
    tokio::select! {
        _ = conversation.as_mut() => {}
        () = stopped(stop) => {
            conversation.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, conversation.as_mut()).await;
        }
    }
    raw_stream(upgraded.try_recv().ok()?).await
}

/// The answer to a request that wants a WebSocket.
fn upgrade(request: &mut Request<Incoming>, upgrades: &mpsc::Sender<OnUpgrade>) -> Option<Answer> {
    let wanted = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
    if !wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(b"websocket")) {
        return None;
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    Some(match create_response_with_body(request, Full::default) {
        // The channel is as long as a connection has upgrades.
        Ok(response) if upgrades.try_send(upgrade).is_ok() => response,
        Ok(_) => refusal(StatusCode::BAD_REQUEST, "this connection is upgraded already"),
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    })
}

/// The socket below HTTP, and what was read from it too much.
async fn raw_stream(upgrade: OnUpgrade) -> Option<(TcpStream, Vec<u8>)> {
    let parts: Parts<TokioIo<TcpStream>> = upgrade.await.ok()?.downcast().ok()?;
    Some((parts.io.into_inner(), parts.read_buf.to_vec()))
}

async fn answer(request: Request<Incoming>, backend: &Backend) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, path) => {
            for_anyone(document(path, &backend.options.server).await)
        }
        (&Method::POST, "/control/params_echo") => turn_knobs(request, backend).await,
        (&Method::POST, path) => unknown(path),
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are answered"),
    }
}

/// An answer that pages of any origin may read.
pub(in crate::edge) fn for_anyone(mut answer: Answer) -> Answer {
    let anyone = HeaderValue::from_static("*");
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, anyone);
    answer
}

/// What a GET gets.
pub(in crate::edge) async fn document(path: &str, server: &ServerOptions) -> Answer {
    match path {
        "/api/server-info" => json_answer(StatusCode::OK, &server_info()),
        "/api/protocol" => json_answer(StatusCode::OK, names::protocol()),
        "/api/knobs" => json_answer(StatusCode::OK, knob_manifest()),
        "/api/fixtures" => json_answer(StatusCode::OK, &fixture_names().collect()),
        "/api/loras" => json_answer(StatusCode::OK, &loras()),
        "/api/user_uploads" => json_answer(StatusCode::OK, &json!([])),
        _ => match path.strip_prefix("/fixtures/") {
            Some(name) if fixture_names().any(|known| known == name) => fixture(name, server).await,
            _ => unknown(path),
        },
    }
}

/// A fixture as a WAV file.
async fn fixture(name: &str, server: &ServerOptions) -> Answer {
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
async fn turn_knobs(request: Request<Incoming>, backend: &Backend) -> Answer {
    let raw = match object_of(request, "{\"knob\": value}").await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    if backend.stage.turn(raw).await {
        json_answer(StatusCode::OK, &json!({"sent": true}))
    } else {
        refusal(StatusCode::CONFLICT, "no session is live; connect a client first")
    }
}

/// The JSON object that is the body of a control request, or the answer to one that is none;
/// `example` says what to send.
pub(in crate::edge) async fn object_of(
    request: Request<Incoming>,
    example: &str,
) -> Result<Map<String, Value>, Answer> {
    let bad =
        |sentence: String| refusal(StatusCode::BAD_REQUEST, &format!("{sentence}; send {example}"));
    let body = match Limited::new(request.into_body(), MAX_CONTROL_LEN).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let sentence = format!("the body is longer than {MAX_CONTROL_LEN} bytes");
            return Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, &sentence));
        }
        Err(error) => return Err(refusal(StatusCode::BAD_REQUEST, &error.to_string())),
    };
    let text = str::from_utf8(&body).map_err(|_| bad("the body is not UTF-8".to_owned()))?;
    parse_object(text).map(|object| object.fields).map_err(|error| bad(error.to_string()))
}

pub(in crate::edge) fn unknown(path: &str) -> Answer {
    refusal(StatusCode::NOT_FOUND, &format!("nothing is at {path}"))
}

pub(in crate::edge) fn refusal(status: StatusCode, sentence: &str) -> Answer {
    json_answer(status, &json!({"error": sentence}))
}

pub(in crate::edge) fn json_answer(status: StatusCode, value: &Value) -> Answer {
    answer_of(status, "application/json; charset=utf-8", value.to_string().into_bytes())
}

pub(in crate::edge) fn answer_of(
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
) -> Answer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
