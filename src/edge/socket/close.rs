//! How a connection ends, and how the client is told.
//!
//! Nothing here gives up by itself; the caller bounds the time.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{self, Message};

use super::CLOSE_TIMEOUT;
use super::upgrade::Upgraded;
use super::watched::WatchedStream;
use crate::peer::{LOST, NO_CODE};

pub(in crate::edge) type Socket = WebSocketStream<WatchedStream>;

/// How a connection ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::edge) enum SocketEnd {
    /// This side closes.
    Ours { code: u16, reason: String },
    /// The client closed.
    Theirs { code: u16, reason: String },
    /// The connection is broken: nobody is left to be told.
    Cut,
    /// This side gives a client up that takes nothing, not even a close.
    GivenUp { reason: String },
    /// This side ends the connection without a close, or resets it.
    Dropped { is_reset: bool },
}

impl SocketEnd {
    pub fn ours(code: u16, reason: &str) -> Self {
        SocketEnd::Ours { code, reason: reason.to_owned() }
    }

    /// What the client closed with; 1005 stands for a close without a code.
    pub fn theirs(close: Option<&CloseFrame>) -> Self {
        match close {
            Some(close) => {
                SocketEnd::Theirs { code: close.code.into(), reason: close.reason.to_string() }
            }
            None => SocketEnd::Theirs { code: NO_CODE, reason: String::new() },
        }
    }

    /// The end after a message that cannot be read.
    pub fn of_error(error: &tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Capacity(error) => Self::ours(1009, &error.to_string()),
            tungstenite::Error::Utf8(error) => Self::ours(1007, error),
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                SocketEnd::Cut
            }
            tungstenite::Error::Protocol(error) => Self::ours(1002, &error.to_string()),
            _ => SocketEnd::Cut,
        }
    }

    /// Close code and reason; 1006 where neither side closed.
    pub fn into_code(self) -> (u16, String) {
        match self {
            SocketEnd::Ours { code, reason } | SocketEnd::Theirs { code, reason } => (code, reason),
            SocketEnd::GivenUp { reason } => (LOST, reason),
            SocketEnd::Cut | SocketEnd::Dropped { .. } => (LOST, String::new()),
        }
    }
}

/// Sends what is still queued and the close, then reads until the client has answered.
pub(in crate::edge) async fn finish(
    end: &SocketEnd,
    mut incoming: SplitStream<Socket>,
    unsent: mpsc::Sender<Message>,
    sender: &mut JoinHandle<SplitSink<Socket, Message>>,
) {
    if let SocketEnd::Ours { code, reason } = end {
        let frame = || CloseFrame { code: (*code).into(), reason: reason.as_str().into() };
        let close = (*code != NO_CODE).then(frame);
        // Fails when the sender has ended, and then there is nobody to tell.
        let _ = unsent.send(Message::Close(close)).await;
    }
    drop(unsent);
    let sink = sender.await;
    if let SocketEnd::Dropped { is_reset } = end {
        let socket = sink.ok().and_then(|sink| incoming.reunite(sink).ok());
        if let Some(socket) = socket {
            drop_connection(socket.into_inner().into_inner(), *is_reset).await;
        }
        return;
    }
    if let SocketEnd::Cut | SocketEnd::GivenUp { .. } = end {
        return;
    }
    let mut is_agreed = matches!(end, SocketEnd::Theirs { .. });
    while let Some(Ok(message)) = incoming.next().await {
        is_agreed |= message.is_close();
    }
    if let Some(socket) = sink.ok().and_then(|sink| incoming.reunite(sink).ok())
        && !is_agreed
    {
        linger(socket.into_inner().into_inner()).await;
    }
}

/// Ends a connection as one that is lost ends: with a reset, or in order but without a close.
async fn drop_connection(stream: TcpStream, is_reset: bool) {
    if is_reset {
        // A socket that refuses is reset already.
        let _ = stream.set_zero_linger();
    } else {
        linger(stream).await;
    }
}

/// Closes a WebSocket at once, without reading what the client has to say.
pub(in crate::edge) async fn turn_away(upgraded: Upgraded, code: u16, reason: &'static str) {
    let Upgraded { stream, read, .. } = upgraded;
    let mut socket = WebSocketStream::from_partially_read(stream, read, Role::Server, None).await;
    let close = Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }));
    // A client that is gone need not be told.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, socket.send(close)).await;
}

/// Reads on after a protocol error: closing a socket with unread bytes resets it, and the client
/// would lose the close message.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        // However it ends, it has ended.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}
