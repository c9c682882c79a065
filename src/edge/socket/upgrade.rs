//! A connection while it is still HTTP, up to the WebSocket that it may become.
//!
//! Extensions are never agreed to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{self, Either};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

use super::answers::{HttpAnswer, refusal};
use super::capacity::HEAD_TIMEOUT;
use super::listener::{Accepted, STOP_GRACE, StopSignal};

/// A connection whose WebSocket handshake is done.
pub(in crate::edge) struct Upgraded {
    pub stream: TcpStream,
    /// Bytes read after the handshake, which belong to the WebSocket.
    pub read: Vec<u8>,
    pub client: SocketAddr,
}

/// Serves HTTP until the connection ends or becomes a WebSocket. `respond` answers whatever asks for
/// no WebSocket.
pub(in crate::edge) async fn until_websocket<F: Future<Output = HttpAnswer>>(
    accepted: Accepted,
    stop: &mut StopSignal,
    respond: impl Fn(Request<Incoming>) -> F,
) -> Option<Upgraded> {
    let Accepted { stream, client, awaited } = accepted;
    let awaited = Mutex::new(Some(awaited));
    // Without it slices would wait for acknowledgements; a socket that refuses is broken anyway.
    let _ = stream.set_nodelay(true);
    let (upgrades, mut upgraded) = mpsc::channel(1);
    let respond = service_fn(|mut request| {
        drop(awaited.lock().unwrap_or_else(PoisonError::into_inner).take());
        let answer = refuse_doubled(&request).or_else(|| upgrade(&mut request, &upgrades));
        let answer = match answer {
            Some(answer) => Either::Left(future::ready(answer)),
            None => Either::Right(respond(request)),
        };
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), respond)
        .with_upgrades();
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = stop.stopped() => {
            connection.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(STOP_GRACE, connection.as_mut()).await;
        }
    }
    let upgrade = upgraded.try_recv().ok()?;
    let parts: Parts<TokioIo<TcpStream>> = upgrade.await.ok()?.downcast().ok()?;
    Some(Upgraded { stream: parts.io.into_inner(), read: parts.read_buf.to_vec(), client })
}

/// Refuses what servers read in different ways and the HTTP library lets pass.
fn refuse_doubled(request: &Request<Incoming>) -> Option<HttpAnswer> {
    let doubled = [HOST, TRANSFER_ENCODING]
        .into_iter()
        .find(|name| request.headers().get_all(name).iter().nth(1).is_some())?;
    let sentence = format!("the request has two headers {doubled}");
    Some(refusal(StatusCode::BAD_REQUEST, &sentence))
}

/// The answer to a request for a WebSocket; `None` for any other request.
fn upgrade(
    request: &mut Request<Incoming>,
    upgrades: &mpsc::Sender<OnUpgrade>,
) -> Option<HttpAnswer> {
    let wanted = request.headers().get(UPGRADE).map(HeaderValue::as_bytes);
    if !wanted.is_some_and(|wanted| wanted.eq_ignore_ascii_case(b"websocket")) {
        return None;
    }
    let upgrade = hyper::upgrade::on(&mut *request);
    Some(match create_response_with_body(request, Full::default) {
        // The channel has room for the one upgrade of a connection.
        Ok(mut response) if upgrades.try_send(upgrade).is_ok() => {
            let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL);
            if let Some(chosen) = offered.iter().find_map(subprotocol) {
                response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, chosen);
            }
            response
        }
        Ok(_) => refusal(StatusCode::BAD_REQUEST, "this connection is upgraded already"),
        Err(error) => refusal(StatusCode::BAD_REQUEST, &error.to_string()),
    })
}

/// Longest name of a subprotocol that is no token.
const MAX_NAME_LEN: usize = 32;
/// A name has fewer digits than this.
const MAX_DIGITS: usize = 5;

/// The first offered subprotocol that is a name: a browser gives a connection up whose server chooses
/// none of those that it offers. Tokens that clients put beside the name are never sent back.
fn subprotocol(offered: &HeaderValue) -> Option<HeaderValue> {
    let is_name = |name: &&str| {
        let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-._".contains(c);
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        let word = name.to_ascii_lowercase();
        let is_secret =
            ["key", "token", "secret", "auth"].iter().any(|secret| word.contains(secret));
        let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
        starts
            && name.len() <= MAX_NAME_LEN
            && digits < MAX_DIGITS
            && !is_secret
            && name.chars().all(is_letter)
    };
    let names = offered.to_str().ok()?.split(',').map(str::trim);
    names.filter(is_name).find_map(|name| HeaderValue::from_str(name).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subprotocol_that_is_sent_back_is_no_token() {
        let chosen = |offered: &'static str| {
            let chosen = subprotocol(&HeaderValue::from_static(offered));
            chosen.map(|chosen| chosen.to_str().unwrap().to_owned())
        };
        assert_eq!(chosen("demon.v1").as_deref(), Some("demon.v1"));
        assert_eq!(chosen("eyJhbGciOiJIUzI1NiJ9.e30.x, demon").as_deref(), Some("demon"));
        assert_eq!(chosen("bearer, 0123456789abcdef").as_deref(), Some("bearer"));
        assert_eq!(chosen("api-key.sk-abc"), None);
        assert_eq!(chosen("9f86d081884c7d659a2feaa0c55ad015"), None);
        assert_eq!(chosen("f3a9c0b1d2e4a5b6c7"), None);
        assert_eq!(chosen(""), None);
    }
}
