//! How a connection ends.
//!
//! Enters: why, and both halves of the socket. Leaves: a client that has been told, if it can be.
//! Never gives up by itself: that is for the caller to bound.

use futures_util::StreamExt;
use futures_util::stream::{SplitSink, SplitStream};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{self, Message};

pub(in crate::edge) type Socket = WebSocketStream<TcpStream>;

/// How a connection ends.
pub(in crate::edge) enum End {
    /// This side closes.
    Ours { code: u16, reason: String },
    /// The client closed.
    Theirs { code: u16, reason: String },
    /// There is nobody left to say anything to.
    Cut,
}

impl End {
    pub fn ours(code: u16, reason: &str) -> Self {
        End::Ours { code, reason: reason.to_owned() }
    }

    /// What a message that cannot be read ends a connection with.
    pub fn of(error: &tungstenite::Error) -> Self {
        match error {
            tungstenite::Error::Capacity(error) => Self::ours(1009, &error.to_string()),
            tungstenite::Error::Utf8(error) => Self::ours(1007, error),
            tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Cut,
            tungstenite::Error::Protocol(error) => Self::ours(1002, &error.to_string()),
            _ => End::Cut,
        }
    }

    /// Close code and reason, 1006 where nobody closed.
    pub fn into_code(self) -> (u16, String) {
        match self {
            End::Ours { code, reason } | End::Theirs { code, reason } => (code, reason),
            End::Cut => (1006, String::new()),
        }
    }
}

/// Sends what is left and the close, and hears the client out.
pub(in crate::edge) async fn part(
    end: &End,
    mut incoming: SplitStream<Socket>,
    unsent: mpsc::Sender<Message>,
    sender: &mut JoinHandle<SplitSink<Socket, Message>>,
) {
    if let End::Ours { code, reason } = end {
        let close = CloseFrame { code: (*code).into(), reason: reason.as_str().into() };
        // Fails when the sender has ended, and then there is nobody to tell.
        let _ = unsent.send(Message::Close(Some(close))).await;
    }
    drop(unsent);
    let sink = sender.await;
    if matches!(end, End::Cut) {
        return;
    }
    let mut is_agreed = matches!(end, End::Theirs { .. });
    while let Some(Ok(message)) = incoming.next().await {
        is_agreed |= message.is_close();
    }
    if let Some(socket) = sink.ok().and_then(|sink| incoming.reunite(sink).ok())
        && !is_agreed
    {
        linger(socket.into_inner()).await;
    }
}

/// Reads what a client still sends that has broken the protocol: closing a socket on which bytes
/// are unread would cost it the close.
async fn linger(mut stream: TcpStream) {
    if stream.shutdown().await.is_ok() {
        // However it ends, it has ended.
        let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    }
}
