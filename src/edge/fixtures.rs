//! What to say to somebody who named a fixture that the server does not have.
//!
//! Such a server says nothing: it waits for the client to send audio instead. So it is asked, over
//! HTTP, which fixtures it has.

use std::time::Duration;

use serde_json::{Map, Value};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::proxy::{ServerTrust, Upstream};
use crate::wire::json::{is_nothing, parse_object};

/// How long a server may be silent before it is asked.
const ASK_AFTER: Duration = Duration::from_secs(5);
/// How long it may take to say.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Longest answer that is read.
const MAX_ANSWER_LEN: u64 = 1 << 20;

/// The fixture that a config has the server load, and where to ask for it.
pub(super) struct FixtureQuestion {
    fixture: String,
    url: String,
    headers: Vec<(String, String)>,
}

impl FixtureQuestion {
    /// `None`: the client brings its audio itself.
    pub fn of(
        config: &Map<String, Value>,
        url: &str,
        headers: &[(String, String)],
    ) -> Option<Self> {
        config.get("use_server_fixture").filter(|asked| !is_nothing(asked))?;
        let fixture = config.get("fixture_name")?.as_str()?.to_owned();
        Some(Self { fixture, url: url.to_owned(), headers: headers.to_vec() })
    }

    /// Waits, and asks then. Resolves with a sentence if the server lists its fixtures and this one
    /// is not among them, and otherwise never.
    pub async fn unknown(self) -> String {
        tokio::time::sleep(ASK_AFTER).await;
        let asked = tokio::time::timeout(ANSWER_WITHIN, self.listed()).await;
        let Ok(Some(known)) = asked else { return std::future::pending().await };
        if known.contains(&self.fixture) {
            return std::future::pending().await;
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        format!(
            "the server has no fixture {:?} and waits for audio instead; it has {known}: name one of \
             these, or upload audio",
            self.fixture
        )
    }

    /// The fixtures that the server lists.
    async fn listed(&self) -> Option<Vec<String>> {
        let upstream = Upstream::parse(&self.url, &ServerTrust::System).ok()?;
        let mut stream = upstream.connect(false).await.ok()?;
        let query =
            self.url.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let mut request = format!(
            "GET /api/server-info{query} HTTP/1.1\r\nHost: {}\r\nAccept: application/json\r\n\
             Connection: close\r\n",
            upstream.authority()
        );
        for (name, value) in &self.headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER_LEN).read_to_end(&mut answer).await.ok()?;
        fixtures_in(&answer)
    }
}

/// The fixtures in an answer of HTTP.
fn fixtures_in(answer: &[u8]) -> Option<Vec<String>> {
    let (head, body) = std::str::from_utf8(answer).ok()?.split_once("\r\n\r\n")?;
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if is_chunked { unchunked(body)? } else { body.to_owned() };
    let info = parse_object(&body).ok()?.fields;
    let listed = info.get("server_side_fixtures")?.as_array()?;
    Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// A body that came in chunks.
fn unchunked(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (head, behind) = rest.split_once("\r\n")?;
        let digits = head.split(';').next().unwrap_or_default().trim();
        let len = usize::from_str_radix(digits, 16).ok()?;
        if len == 0 {
            return Some(body);
        }
        let (chunk, behind) = behind.split_at_checked(len)?;
        body.push_str(chunk);
        rest = behind.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(answer: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(fixtures_in(answer.as_bytes()), expected);
    }

    #[test]
    fn answers_good_and_bad() {
        let plain = "HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"server_side_fixtures\": [\"a.wav\", 7]}";
        check(plain, Some(&["a.wav"]));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       10\r\n{\"server_side_fi\r\nf;x=1\r\nxtures\": [\"b\"] \r\n1\r\n}\r\n0\r\n\r\n";
        check(chunked, Some(&["b"]));
        check(&chunked.replace("10\r", "11\r"), None);
        check(&plain.replace("200", "404"), None);
        check("HTTP/1.1 200 OK\r\n\r\n{\"no_backend\": false}", None);
        check("HTTP/1.1 200 OK\r\n\r\n<html>", None);
        check("", None);
    }

    #[test]
    fn only_a_fixture_of_the_servers_is_asked_for() {
        let asks = |config: Value| {
            FixtureQuestion::of(config.as_object().unwrap(), "ws://x", &[]).is_some()
        };
        assert!(asks(json!({"use_server_fixture": true, "fixture_name": "a"})));
        assert!(!asks(json!({"use_server_fixture": false, "fixture_name": "a"})));
        assert!(!asks(json!({"fixture_name": "a"})));
        assert!(!asks(json!({"use_server_fixture": true})));
    }
}
