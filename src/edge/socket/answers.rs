//! Bodies and answers of the HTTP requests on the port of a WebSocket.

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::wire::json::parse_object;

/// Longest body of a control request.
const MAX_CONTROL_LEN: usize = 64 << 10;

pub(in crate::edge) type HttpAnswer = Response<Full<Bytes>>;

/// The JSON object in the body of a control request, or the refusal of a body that is none;
/// `example` says what to send.
pub(in crate::edge) async fn object_of(
    request: Request<Incoming>,
    example: &str,
) -> Result<Map<String, Value>, HttpAnswer> {
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

/// Lets pages of any origin read an answer.
pub(in crate::edge) fn for_any_origin(mut answer: HttpAnswer) -> HttpAnswer {
    let any = HeaderValue::from_static("*");
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, any);
    answer
}

/// 404.
pub(in crate::edge) fn not_found(path: &str) -> HttpAnswer {
    refusal(StatusCode::NOT_FOUND, &format!("nothing is at {path}"))
}

/// 405.
pub(in crate::edge) fn wrong_method() -> HttpAnswer {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST are answered")
}

/// An error, with a sentence that says why.
pub(in crate::edge) fn refusal(status: StatusCode, sentence: &str) -> HttpAnswer {
    json_answer(status, &json!({"error": sentence}))
}

/// A JSON document.
pub(in crate::edge) fn json_answer(status: StatusCode, value: &Value) -> HttpAnswer {
    answer_of(status, "application/json; charset=utf-8", value.to_string().into_bytes())
}

/// A document of any type.
pub(in crate::edge) fn answer_of(
    status: StatusCode,
    content_type: &'static str,
    body: Vec<u8>,
) -> HttpAnswer {
    let mut answer = Response::new(Full::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
