//! Connecting to a server, and what connection errors mean.
//!
//! Address and headers may hold secrets, which no error repeats.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{ProtocolError, TlsError, UrlError};
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::COOKIE;
use tokio_tungstenite::tungstenite::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config};

use super::inbound::{FollowedStream, Inbound};
use crate::parse::Misuse;
use crate::wire::url::without_secrets;

/// Longest message that is accepted: what the protocol allows, and room for a header.
pub const MAX_MESSAGE_LEN: usize = (100 << 20) + (1 << 16);
/// How long connecting may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A WebSocket to a server.
pub type ServerSocket = WebSocketStream<FollowedStream<MaybeTlsStream<TcpStream>>>;

/// A handshake that can be sent: the address is one of a WebSocket, and the headers can be headers.
pub struct Handshake {
    request: Request,
    /// The address without its secrets.
    shown: String,
}

impl Handshake {
    /// The handshake with the server at `url`.
    ///
    /// # Errors
    ///
    /// Where no server could be called like that; wrong usage, as far as the address goes.
    pub fn new(url: &str, headers: &[(String, String)]) -> Result<Handshake> {
        let shown = without_secrets(url);
        let mut request = url.into_client_request().map_err(|error| {
            Misuse(format!("{shown} is no WebSocket address: {error}; write ws://host:port"))
        })?;
        ensure!(
            matches!(request.uri().scheme_str(), Some("ws" | "wss")),
            Misuse(format!(
                "{shown} is no WebSocket address; it has to begin with ws:// or wss://"
            ))
        );
        add_headers(request.headers_mut(), headers)?;
        Ok(Handshake { request, shown })
    }

    /// Connects. Gives the socket, and what has come of the server's messages.
    ///
    /// # Errors
    ///
    /// Where no server answers as one, within [`CONNECT_TIMEOUT`].
    pub async fn connect(self) -> Result<(ServerSocket, Inbound)> {
        let Handshake { request, shown } = self;
        // Fails on every call but the first in a process, which has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        tokio::time::timeout(CONNECT_TIMEOUT, shake_hands(request))
            .await
            .map_err(|_| anyhow!("{shown} did not answer within {} s", CONNECT_TIMEOUT.as_secs()))?
            .map_err(|error| anyhow!("cannot connect to {shown}: {}", sentence_of(&error)))
    }
}

async fn shake_hands(request: Request) -> Result<(ServerSocket, Inbound), tungstenite::Error> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .write_buffer_size(0);
    let (stream, inbound) = FollowedStream::new(reach(request.uri()).await?);
    let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
    Ok((socket, inbound))
}

/// Connects to the host of an address, over TLS if it asks for that.
async fn reach(uri: &Uri) -> Result<MaybeTlsStream<TcpStream>, tungstenite::Error> {
    let is_secure = uri.scheme_str() == Some("wss");
    let host = uri.host().ok_or(UrlError::NoHostName)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(if is_secure { 443 } else { 80 });
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    if !is_secure {
        return Ok(MaybeTlsStream::Plain(stream));
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::InvalidDnsName)?;
    let mut roots = RootCertStore::empty();
    // Some stores hold certificates that cannot be parsed; the others count.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let sentence = "this machine trusts no certificates, so that wss:// cannot be used";
        return Err(io::Error::new(io::ErrorKind::NotFound, sentence).into());
    }
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await?;
    Ok(MaybeTlsStream::Rustls(stream))
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
