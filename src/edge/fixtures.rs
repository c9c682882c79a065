//! What to say to somebody who named a fixture that the server does not have.
//!
//! Such a server says nothing: it waits for the client to send audio instead. So it is asked, over
//! HTTP, which fixtures it has.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};

use super::proxy::{ServerTrust, Upstream};
use crate::wire::json::{is_nothing, parse_object};

/// How long a server may be silent before it is asked.
const ASK_AFTER: Duration = Duration::from_secs(1);
/// How long it may take to say.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// Longest answer that is read.
const MAX_ANSWER_LEN: usize = 1 << 20;

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
        if known.has(&self.fixture) {
            return std::future::pending().await;
        }
        let names = &known.names;
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        format!(
            "the server has no fixture {:?} and waits for audio instead; it has {known}: name one of \
             these, or upload audio",
            self.fixture
        )
    }

    /// The fixtures that the server lists.
    async fn listed(&self) -> Option<ListedFixtures> {
        let upstream = Upstream::parse(&self.url, &ServerTrust::System).ok()?;
        let query =
            self.url.split_once('?').map_or(String::new(), |(_, query)| format!("?{query}"));
        let mut request = Request::get(format!("/api/server-info{query}"))
            .header(HOST, upstream.authority())
            .header(ACCEPT, "application/json");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).ok()?;
        answered(upstream.connect(false).await.ok()?, request).await
    }
}

/// The fixtures that a server says it has.
#[derive(Debug, PartialEq, Eq)]
struct ListedFixtures {
    names: Vec<String>,
    /// Further names without `.wav`, of lagtape's own server.
    aliases: Vec<String>,
}

impl ListedFixtures {
    fn has(&self, name: &str) -> bool {
        let stem = name.strip_suffix(".wav").unwrap_or(name).to_ascii_lowercase();
        self.names.iter().any(|known| known == name) || self.aliases.contains(&stem)
    }
}

/// The fixtures in the answer to a request.
async fn answered<S>(stream: S, request: Request<Empty<Bytes>>) -> Option<ListedFixtures>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let is_ok = answer.status() == StatusCode::OK;
        let body = Limited::new(answer.into_body(), MAX_ANSWER_LEN).collect().await.ok()?;
        fixtures_in(&body.to_bytes()).filter(|_| is_ok)
    };
    // Nothing moves on a connection that nobody drives; what came before it ended is still there.
    tokio::pin!(answer);
    tokio::select! {
        listed = &mut answer => listed,
        _ = connection => answer.await,
    }
}

/// The fixtures in the document of a server.
fn fixtures_in(document: &[u8]) -> Option<ListedFixtures> {
    let info = parse_object(str::from_utf8(document).ok()?).ok()?.fields;
    let list = |key: &str| {
        let listed = info.get(key)?.as_array()?;
        Some(listed.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>())
    };
    let aliases = list("fixture_aliases").unwrap_or_default();
    let aliases = aliases.iter().map(|alias| alias.to_ascii_lowercase()).collect();
    Some(ListedFixtures { names: list("server_side_fixtures")?, aliases })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[track_caller]
    fn check(answer: &str, expected: Option<&[&str]>) {
        let expected = expected.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let listed = runtime.block_on(async {
            let (client, mut server) = tokio::io::duplex(4096);
            let asked = answered(client, Request::new(Empty::new()));
            let answers = async {
                server.read_u8().await.unwrap();
                server.write_all(answer.as_bytes()).await.unwrap();
                server.shutdown().await.unwrap();
            };
            tokio::join!(asked, answers).0
        });
        assert_eq!(listed.map(|listed| listed.names), expected, "{answer}");
    }

    #[test]
    fn an_alias_is_a_name_that_the_server_knows() {
        let info =
            br#"{"server_side_fixtures": ["low_fi.wav"], "fixture_aliases": ["lofi", "Low_Fi"]}"#;
        let listed = fixtures_in(info).unwrap();
        for (name, is_known) in
            [("low_fi.wav", true), ("low_fi", true), ("LoFi.wav", true), ("hifi.wav", false)]
        {
            assert_eq!(listed.has(name), is_known, "{name}");
        }
        let listed = fixtures_in(br#"{"server_side_fixtures": ["low_fi.wav"]}"#).unwrap();
        assert!(listed.has("low_fi.wav") && !listed.has("low_fi"));
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
