//! Connecting to a server, and what connection errors mean.
//!
//! Address and headers may hold secrets, which no error repeats.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use futures_util::{Sink, Stream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::http::header::COOKIE;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as WsMessage};

use crate::wire::url::without_secrets;

/// Longest message that is accepted: what the protocol allows, and room for a header.
pub const MAX_MESSAGE_LEN: usize = (100 << 20) + (1 << 16);
/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Connects to a WebSocket server.
pub async fn connect(
    url: &str,
    headers: &[(String, String)],
) -> Result<
    impl Stream<Item = Result<WsMessage, tungstenite::Error>>
    + Sink<WsMessage, Error = tungstenite::Error>
    + Unpin
    + Send
    + 'static
    + use<>,
> {
    let shown = without_secrets(url);
    // Fails on every call but the first in a process, which has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut request = url.into_client_request().map_err(|error| {
        anyhow!("{shown} is no WebSocket address: {error}; write ws://host:port")
    })?;
    ensure!(
        matches!(request.uri().scheme_str(), Some("ws" | "wss")),
        "{shown} is no WebSocket address; it has to begin with ws:// or wss://"
    );
    add_headers(request.headers_mut(), headers)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .write_buffer_size(0);
    let connected = tokio_tungstenite::connect_async_with_config(request, Some(config), true);
    let (socket, _) = tokio::time::timeout(CONNECT_TIMEOUT, connected)
        .await
        .map_err(|_| anyhow!("{shown} did not answer within {} s", CONNECT_TIMEOUT.as_secs()))?
        .map_err(|error| anyhow!("cannot connect to {shown}: {}", sentence_of(&error)))?;
    Ok(socket)
}

/// Adds headers to those of the handshake, replacing any with the same name. A header that is given
/// twice is sent twice, except for cookies, which share one header (RFC 6265, 5.4).
fn add_headers(request: &mut HeaderMap, headers: &[(String, String)]) -> Result<()> {
    let mut added = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.parse().context("the name of a header has another form")?;
        let earlier = added.get(&name).filter(|_| name == COOKIE).cloned();
        let value = match earlier.as_ref().and_then(|earlier: &HeaderValue| earlier.to_str().ok()) {
            Some(earlier) => {
                added.remove(&name);
                format!("{earlier}; {value}")
            }
            None => value.clone(),
        };
        let value = HeaderValue::from_str(&value)
            .with_context(|| format!("the value of {name} cannot be a header"))?;
        added.append(name, value);
    }
    for name in added.keys() {
        request.remove(name);
    }
    for (name, value) in &added {
        request.append(name, value.clone());
    }
    Ok(())
}

/// What a WebSocket error means, and what to do.
pub fn sentence_of(error: &tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Io(error) => sentence_of_io(error),
        tungstenite::Error::Http(response) if (502..=504).contains(&response.status().as_u16()) => {
            format!(
                "HTTP {}: what answers there does not reach the server; is the server running?",
                response.status()
            )
        }
        tungstenite::Error::Http(response) => format!(
            "the server answered HTTP {} and not with a WebSocket; check address and credentials",
            response.status()
        ),
        tungstenite::Error::Capacity(error) => {
            format!("{error}; the protocol allows 100 MiB a message")
        }
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "the connection was cut without a close (1006)".to_owned()
        }
        other => other.to_string(),
    }
}

/// What an error of a socket or of its TLS means.
pub(super) fn sentence_of_io(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (error.kind(), tls) {
        (io::ErrorKind::ConnectionRefused, _) => {
            "connection refused; is the server running, and is the port right?".to_owned()
        }
        (_, Some(rustls::Error::InvalidMessage(_))) => {
            "the server does not answer with TLS; try ws:// in place of wss://".to_owned()
        }
        _ => error.to_string(),
    }
}
