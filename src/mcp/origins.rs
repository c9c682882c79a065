//! What a browser is told of the pages that may call; [`crate::edge::origins`] says which those are.

use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderMap, HeaderName, HeaderValue,
    ORIGIN, VARY,
};

/// What a page may send beside the headers that it always may.
const ALLOWED_HEADERS: &str = "Accept, Authorization, Content-Type, Last-Event-ID, MCP-Protocol-Version, \
     Mcp-Method, Mcp-Name, Mcp-Session-Id";

/// Lets a page of an allowed origin read the answer.
pub fn allow(origin: &HeaderValue, answer: &mut HeaderMap) {
    answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Mcp-Session-Id"));
    answer.append(VARY, HeaderValue::from(ORIGIN));
}

/// What a browser asks for before a page may send a request.
pub fn allow_requests(answer: &mut HeaderMap) {
    let headers: [(HeaderName, &'static str); 3] = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS"),
        (ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS),
        (ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    answer.extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
}
