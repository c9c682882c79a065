//! The form in which a client over HTTP wants its answer.
//!
//! The protocol has clients name JSON and a stream of events both. Plain programs name one of them, or
//! none; they get the response alone, as JSON.

use std::convert::Infallible;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::Value;

type Body = BoxBody<Bytes, Infallible>;

/// The form of the answer that a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A stream of events, as the protocol has it.
    Events,
    /// JSON alone, or whatever comes: plain programs that read one answer.
    Json,
    /// Neither.
    Other,
}

impl Wants {
    pub fn of(headers: &HeaderMap) -> Wants {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let forms = values.flat_map(|value| value.split(','));
        let form = |form: &str| form.split(';').next().unwrap_or_default().trim().to_lowercase();
        let forms: Vec<_> = forms.map(form).collect();
        let has = |name: &str| forms.iter().any(|form| form == name);
        if has("text/event-stream") {
            return Wants::Events;
        }
        let is_open = forms.is_empty() || has("") || has("*/*");
        if is_open || has("application/json") || has("application/*") {
            Wants::Json
        } else {
            Wants::Other
        }
    }

    /// What the protocol asks clients to write.
    pub fn rewrite(self, headers: &mut HeaderMap) {
        if self != Wants::Other {
            let both = HeaderValue::from_static("application/json, text/event-stream");
            headers.insert(ACCEPT, both);
        }
    }
}

/// The response out of a stream of events, as JSON; progress before it is left out.
pub async fn one_message(answer: Response<Body>) -> Response<Body> {
    let form = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !form.is_some_and(|form| form.starts_with("text/event-stream")) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(events) = body.collect().await;
    let events = events.to_bytes();
    let events = String::from_utf8_lossy(&events);
    let mut messages = events.lines().filter_map(|line| line.strip_prefix("data:").map(str::trim));
    let is_response = |message: &&str| {
        let message: Value = serde_json::from_str(message).unwrap_or_default();
        message.get("result").or_else(|| message.get("error")).is_some()
    };
    let response = messages.rfind(is_response).unwrap_or_default().to_owned();
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Response::from_parts(parts, Full::new(Bytes::from(response)).boxed())
}
