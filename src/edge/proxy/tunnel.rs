//! A connection after HTTP: forwarded, and observed as a session if it is a WebSocket.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::Proxy;
use super::head::{Agreed, RequestHead};
use super::notice::SessionOpening;
use super::relay::Relay;
use super::tap::SessionTap;
use super::upstream::ServerStream;
use crate::edge::clock;
use crate::edge::socket::listener::StopSignal;

/// Forwards until both ends have closed, or the proxy stops.
pub(super) async fn run(
    proxy: &Proxy,
    peer: SocketAddr,
    (client, server): (TcpStream, ServerStream),
    unread: (Bytes, Bytes),
    (request, agreed): (&RequestHead, Option<Agreed>),
    mut stop: StopSignal,
) {
    let impairment = proxy.options.impairment.clone();
    let impairment = Some(impairment).filter(|impairment| !impairment.is_none());
    let (tell, buffered) = oneshot::channel();
    let opened = agreed.map(|agreed| SessionOpening {
        session: 1 + proxy.sessions.fetch_add(1, Ordering::Relaxed),
        at: proxy.clock.now(),
        utc: clock::utc_now(),
        client: peer,
        url: proxy.upstream.shown(&request.target),
        user_agent: request.user_agent.clone(),
        extensions: agreed.extensions,
        deflate: agreed.deflate,
        impairment: impairment.clone(),
    });
    let is_websocket = opened.is_some();
    let tap = proxy.tap.clone().zip(opened);
    let relay = Relay {
        clock: proxy.clock,
        client,
        server,
        unread,
        tap: tap.map(|(tap, opening)| SessionTap::open(tap, opening, tell)),
        impairment: impairment.filter(|_| is_websocket),
        buffered: Some(buffered),
    };
    let (end, tap) = relay.run(stop.stopped()).await;
    if let Some(tap) = tap {
        tap.shut(proxy.clock.now(), end);
    }
}
