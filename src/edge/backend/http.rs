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
use crate::peer::server::{
    Pcm, ServerOptions, fixture_aliases, fixture_audio, fixture_names, is_fixture, knob_manifest,
    lora_document,
};
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
            for_any_origin(document(path, request.uri().query(), &backend.options.server).await)
        }
        (&Method::POST, "/control/params_echo") => turn_knobs(request, backend).await,
        (&Method::POST, path) => not_found(path),
        _ => wrong_method(),
    }
}

/// A document of the simulated server.
pub(in crate::edge) async fn document(
    path: &str,
    query: Option<&str>,
    server: &ServerOptions,
) -> HttpAnswer {
    match path {
        "/api/server-info" => {
            let mut info = server_info(&fixture_names().collect());
            // The real server has none; clients that wait would take an alias for a name unknown.
            info["fixture_aliases"] = fixture_aliases().collect();
            json_answer(StatusCode::OK, &info)
        }
        "/api/protocol" => json_answer(StatusCode::OK, names::protocol()),
        "/api/knobs" => json_answer(StatusCode::OK, knob_manifest()),
        "/api/fixtures" => json_answer(StatusCode::OK, &fixture_names().collect()),
        "/api/loras" => json_answer(StatusCode::OK, &lora_document()),
        "/api/user_uploads" => json_answer(StatusCode::OK, &json!(server.library.names())),
        "/api/videos" => json_answer(StatusCode::OK, &json!([])),
        "/api/enhance" => json_answer(StatusCode::OK, &enhanced(query.unwrap_or_default())),
        _ => file(path, server).await.unwrap_or_else(|| not_found(path)),
    }
}

/// Without a model that knows better, an idea is as good as it is.
fn enhanced(query: &str) -> Value {
    let prompt = query.split('&').find_map(|pair| pair.strip_prefix("prompt="));
    let idea = decoded(&prompt.unwrap_or_default().replace('+', " "));
    json!({"enhanced": idea.trim(), "ok": false})
}

/// A fixture or an uploaded track as a WAV file; `None`: there is none of that name.
async fn file(path: &str, server: &ServerOptions) -> Option<HttpAnswer> {
    if let Some(name) = path.strip_prefix("/user_uploads/") {
        let track = server.library.track(&decoded(name))?;
        return Some(wav_file(move || Some(Pcm::clone(&track.pcm))).await);
    }
    let name = decoded(path.strip_prefix("/fixtures/")?);
    let (source, seed) = (server.source.clone(), server.seed);
    match is_fixture(&name) {
        true => Some(wav_file(move || fixture_audio(&name, &source, seed)).await),
        false => None,
    }
}

/// Renders audio, which takes time, as a WAV file.
async fn wav_file(audio: impl FnOnce() -> Option<Pcm> + Send + 'static) -> HttpAnswer {
    let rendered = tokio::task::spawn_blocking(move || {
        let pcm = audio()?;
        let mut file = Cursor::new(Vec::new());
        wav::write(&mut file, &pcm.audio, pcm.channels, DEFAULT_SAMPLE_RATE, &[]).ok()?;
        Some(file.into_inner())
    });
    match rendered.await {
        Ok(Some(file)) => answer_of(StatusCode::OK, "audio/wav", file),
        _ => refusal(StatusCode::INTERNAL_SERVER_ERROR, "the audio could not be rendered"),
    }
}

/// A part of an address without its escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.split_first_chunk::<2>().filter(|_| first == b'%').and_then(
            |(digits, behind)| {
                let digits = str::from_utf8(digits).ok().filter(|digits| !digits.contains('+'))?;
                Some((u8::from_str_radix(digits, 16).ok()?, behind))
            },
        );
        let (byte, behind) = escaped.unwrap_or((first, behind));
        bytes.push(byte);
        rest = behind;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a server says of itself that has those fixtures.
pub(in crate::edge) fn server_info(fixtures: &Value) -> Value {
    json!({
        "no_backend": false,
        "kiosk": false,
        "default_mode": "graph",
        "warmup": null,
        "server_side_fixtures": fixtures,
    })
}

/// The control endpoint: the body is the knobs, as the side bus of the real server turns them.
async fn turn_knobs(request: Request<Incoming>, backend: &Backend) -> HttpAnswer {
    let raw = match object_of(request, "{\"knob\": value}").await {
        Ok(raw) => raw,
        Err(refusal) => return refusal,
    };
    if backend.sessions.turn_knobs(raw).await {
        json_answer(StatusCode::OK, &json!({"sent": true}))
    } else {
        refusal(StatusCode::CONFLICT, "no session is live; connect a client first")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded() {
        let rows = [
            ("My%20Song%20(1).wav", "My Song (1).wav"),
            ("%C3%A9", "é"),
            ("100%", "100%"),
            ("%+1%zz%4", "%+1%zz%4"),
            ("", ""),
        ];
        for (text, expected) in rows {
            assert_eq!(decoded(text), expected);
        }
        assert_eq!(
            enhanced("x=1&prompt=dub+techno%21 "),
            json!({"enhanced": "dub techno!", "ok": false})
        );
        assert_eq!(enhanced(""), json!({"enhanced": "", "ok": false}));
    }
}
