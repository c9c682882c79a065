//! The server over streamable HTTP, at `/mcp`.
//!
//! All clients share captures and live sessions. Host and Origin are checked, so that no page in a
//! browser reaches a server on this machine; a server that other machines reach needs a token.
//! Connections, requests a second and their sizes are bounded.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    AUTHORIZATION, CONTENT_TYPE, HeaderValue, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use sha2::{Digest, Sha256};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::accept::{Wants, one_message};
use super::hosts::is_local;
use super::options::McpOptions;
use super::origins;
use super::server::McpServer;
use crate::edge::clock::MonotonicClock;
use crate::edge::origins::Names;

/// Where the server answers.
pub const PATH: &str = "/mcp";
/// Connections at a time; further clients wait to be accepted.
pub const MAX_CONNECTIONS: usize = 256;
/// Longest request body.
pub const MAX_BODY_LEN: usize = 1 << 20;
/// Requests a second, of all clients together, and how many may come at once.
pub const MAX_REQUESTS: (f64, f64) = (1_000.0, 2_000.0);
/// Shortest token that guards a server.
pub const MIN_TOKEN_LEN: usize = 16;
/// How long answers that are under way may take when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a connection could not be accepted, in most cases for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who may call.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// What a client has to send as bearer; needed where others than this machine reach the server.
    pub token: Option<String>,
    /// Names of this server beside those of loopback, as clients write them in Host and Origin.
    pub hosts: Vec<String>,
}

type Body = BoxBody<Bytes, Infallible>;
type Service = StreamableHttpService<McpServer, LocalSessionManager>;

/// Serves until `stop` resolves; running captures are then sealed.
pub async fn serve(
    listener: TcpListener,
    options: &McpOptions,
    http: HttpOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let address = listener.local_addr()?;
    check(address, &http)?;
    let server = McpServer::new(options)?;
    let stopping = CancellationToken::new();
    let made = server.clone();
    let door = Arc::new(Door {
        service: StreamableHttpService::new(
            move || Ok(made.clone()),
            Arc::new(LocalSessionManager::default()),
            config(stopping.clone()),
        ),
        names: Names::new(address, &http.hosts),
        token: http.token.as_deref().map(|token| Sha256::digest(token).into()),
        bucket: Bucket::full(),
    });
    let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let seat = Arc::clone(&seats).acquire_owned().await?;
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (door, stopping) = (Arc::clone(&door), stopping.clone());
                    connections.spawn(async move {
                        converse(stream, door, stopping).await;
                        drop(seat);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    server.close().await;
    stopping.cancel();
    let over = async { while connections.join_next().await.is_some() {} };
    // Clients on open streams were notified; the others are cut off.
    let _ = tokio::time::timeout(STOP_TIMEOUT, over).await;
    Ok(())
}

/// Refuses to serve other machines without a token.
fn check(address: SocketAddr, http: &HttpOptions) -> Result<()> {
    match &http.token {
        Some(token) if token.len() < MIN_TOKEN_LEN => {
            bail!(
                "the token is too short to guard anything; take at least {MIN_TOKEN_LEN} characters"
            )
        }
        None if !is_local(address) => bail!(
            "{address} can be reached from other machines, so clients have to show a token: put one into the \
             environment variable LAGTAPE_MCP_TOKEN, or listen on 127.0.0.1"
        ),
        _ => Ok(()),
    }
}

/// Host and Origin are checked at the door.
fn config(stopping: CancellationToken) -> StreamableHttpServerConfig {
    StreamableHttpServerConfig::default()
        .disable_allowed_hosts()
        .disable_allowed_origins()
        .with_max_request_body_bytes(MAX_BODY_LEN)
        .with_cancellation_token(stopping)
}

/// What all connections share.
struct Door {
    service: Service,
    names: Names,
    token: Option<[u8; 32]>,
    bucket: Bucket,
}

impl Door {
    /// The answer to a request, which pages of allowed origins may read.
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if !self.bucket.take() {
            let mut answer =
                refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests; wait a second");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return answer;
        }
        if !self.names.has_host(request.headers()) {
            return refusal(StatusCode::FORBIDDEN, "the Host header names another server");
        }
        if !self.names.has_origin(request.headers()) {
            return refusal(
                StatusCode::FORBIDDEN,
                "pages of this origin may not call; lagtape mcp --http-host HOST:PORT allows them",
            );
        }
        let origin = request.headers().get(ORIGIN).cloned();
        let mut answer = self.answer_allowed(request).await;
        if let Some(origin) = origin {
            origins::allow(&origin, answer.headers_mut());
        }
        answer
    }

    async fn answer_allowed(&self, mut request: Request<Incoming>) -> Response<Body> {
        if request.uri().path().trim_end_matches('/') != PATH {
            return refusal(StatusCode::NOT_FOUND, "the MCP server answers at /mcp");
        }
        // A browser asks this before it shows the token.
        if request.method() == Method::OPTIONS {
            let mut answer = refusal(StatusCode::NO_CONTENT, "");
            origins::allow_requests(answer.headers_mut());
            return answer;
        }
        if !self.admits(&request) {
            let mut answer =
                refusal(StatusCode::UNAUTHORIZED, "show the token: Authorization: Bearer …");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return answer;
        }
        let wants = Wants::of(request.headers());
        wants.rewrite(request.headers_mut());
        let is_call = request.method() == Method::POST;
        let answer = self.service.handle(request).await;
        if is_call && wants == Wants::Json { one_message(answer).await } else { answer }
    }

    /// Compares digests, so that the time it takes reveals nothing about the token.
    fn admits(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let shown = shown.and_then(|value| value.split_once(' '));
        shown.is_some_and(|(scheme, shown)| {
            let digest: [u8; 32] = Sha256::digest(shown.trim()).into();
            scheme.eq_ignore_ascii_case("bearer") && digest == *token
        })
    }
}

async fn converse(stream: TcpStream, door: Arc<Door>, stopping: CancellationToken) {
    // Without it small answers would wait for acknowledgements; a socket that refuses is broken anyway.
    let _ = stream.set_nodelay(true);
    let respond = service_fn(|request| {
        let door = Arc::clone(&door);
        async move { Ok::<_, Infallible>(door.answer(request).await) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), respond);
    tokio::pin!(conversation);
    tokio::select! {
        _ = conversation.as_mut() => {}
        () = stopping.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_TIMEOUT, conversation.as_mut()).await;
        }
    }
}

fn refusal(status: StatusCode, sentence: &'static str) -> Response<Body> {
    let mut answer = Response::new(Full::new(Bytes::from_static(sentence.as_bytes())).boxed());
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

/// Requests that may still come, refilled with time.
struct Bucket {
    clock: MonotonicClock,
    /// What is left, and when that was counted in seconds.
    left: Mutex<(f64, f64)>,
}

impl Bucket {
    fn full() -> Bucket {
        Bucket { clock: MonotonicClock::start(), left: Mutex::new((MAX_REQUESTS.1, 0.0)) }
    }

    fn take(&self) -> bool {
        let now_s = self.clock.now().seconds();
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        take(&mut left, now_s)
    }
}

fn take((left, counted_s): &mut (f64, f64), now_s: f64) -> bool {
    let (per_s, most) = MAX_REQUESTS;
    *left = (*left + (now_s - *counted_s).max(0.0) * per_s).min(most);
    *counted_s = now_s;
    let admitted = *left >= 1.0;
    if admitted {
        *left -= 1.0;
    }
    admitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_bounded_and_come_back_with_time() {
        let mut left = (MAX_REQUESTS.1, 0.0);
        let admitted = (0..5_000).filter(|_| take(&mut left, 1.0)).count();
        assert_eq!(admitted as f64, MAX_REQUESTS.1);
        assert!(!take(&mut left, 1.0));
        assert!(take(&mut left, 1.01));
    }

    #[track_caller]
    fn check_start(address: &str, token: Option<&str>, is_fine: bool) {
        let http = HttpOptions { token: token.map(str::to_owned), hosts: Vec::new() };
        assert_eq!(check(address.parse().unwrap(), &http).is_ok(), is_fine, "{address} {token:?}");
    }

    #[test]
    fn whoever_is_reached_by_others_asks_for_a_token() {
        let token = Some("0123456789abcdef");
        check_start("127.0.0.1:0", None, true);
        check_start("[::1]:0", None, true);
        check_start("127.0.0.1:0", token, true);
        check_start("0.0.0.0:0", None, false);
        check_start("192.168.1.7:80", None, false);
        check_start("0.0.0.0:0", token, true);
        check_start("0.0.0.0:0", Some("short"), false);
        check_start("127.0.0.1:0", Some("short"), false);
    }
}
