//! Forwarding one request and its answers, each a task's half of an exchange.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::Proxy;
use super::body::HttpBody;
use super::head::{self, Agreed, MAX_HEAD_LEN, RequestHead, ResponseHead};
use super::headers::NotHttp;
use super::tap::PIECE_LEN;

/// Room made for the head of a message.
pub(super) const HEAD_ROOM: usize = 8 << 10;

/// What follows an exchange.
pub(super) enum Next {
    Another,
    /// The server has ended the connection, or will.
    Nothing,
    /// The request turned out to be none, before there was an answer.
    Refusal(NotHttp),
    /// No more HTTP after this answer, but a WebSocket if one was agreed on.
    Tunnel(Option<Agreed>),
    /// The answer is none that can be read: from here on bytes pass as they are.
    Splice,
}

/// What came of sending a request.
pub(super) enum Asked {
    Whole,
    Nonsense(NotHttp),
}

/// Forwards a request.
pub(super) struct RequestForwarder<'a, R, W> {
    pub from: R,
    pub to: W,
    pub sent: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> RequestForwarder<'_, R, W> {
    pub async fn send(&mut self, request: &RequestHead) -> io::Result<Asked> {
        let mut body = HttpBody::new(request.framing);
        let mut malformed = forward(&mut self.to, &request.head, &mut body, self.sent).await?;
        while malformed.is_none() && !body.is_over() {
            if fill(&mut self.from, self.sent, PIECE_LEN).await? == 0 {
                self.to.shutdown().await?;
                break;
            }
            malformed = forward(&mut self.to, &[], &mut body, self.sent).await?;
        }
        Ok(malformed.map_or(Asked::Whole, Asked::Nonsense))
    }

    /// Reads on while the client waits for its answer, so that the server learns when the client
    /// leaves. Ends when the connection breaks.
    pub async fn read_on(&mut self) -> io::Error {
        while self.sent.len() < MAX_HEAD_LEN {
            match fill(&mut self.from, self.sent, HEAD_ROOM).await {
                Ok(0) => {
                    // A server that is gone is noticed where its answer is awaited.
                    let _ = self.to.shutdown().await;
                    break;
                }
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        std::future::pending().await
    }
}

/// Forwards the answers to a request.
pub(super) struct AnswerForwarder<'a, R, W> {
    pub proxy: &'a Proxy,
    pub from: R,
    pub to: W,
    pub answered: &'a mut BytesMut,
    /// Set once the client has some of the final answer.
    pub has_begun: &'a AtomicBool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> AnswerForwarder<'_, R, W> {
    pub async fn run(&mut self, request: &RequestHead) -> io::Result<Next> {
        loop {
            let response = match self.head(request).await? {
                Some(Ok(response)) => response,
                Some(Err(why)) => return Ok(self.splice(why)),
                None => return Ok(Next::Nothing),
            };
            self.has_begun.fetch_or(response.status >= 200, Ordering::Relaxed);
            if response.status == 101 {
                self.to.write_all(&response.head).await?;
                return Ok(Next::Tunnel(response.websocket));
            }
            let mut body = HttpBody::new(response.framing);
            let mut head = &response.head[..];
            loop {
                if let Some(why) = forward(&mut self.to, head, &mut body, self.answered).await? {
                    return Ok(self.splice(why));
                }
                if body.is_over() {
                    break;
                }
                if fill(&mut self.from, self.answered, PIECE_LEN).await? == 0 {
                    return Ok(Next::Nothing);
                }
                head = &[];
            }
            let is_final = response.status >= 200;
            if is_final {
                return Ok(if response.is_last { Next::Nothing } else { Next::Another });
            }
        }
    }

    /// Forwards whatever comes until the server ends. May be dropped without losing anything.
    pub async fn pass_on(&mut self) -> io::Result<()> {
        loop {
            while !self.answered.is_empty() {
                self.to.write_buf(self.answered).await?;
            }
            self.to.flush().await?;
            if fill(&mut self.from, self.answered, PIECE_LEN).await? == 0 {
                return Ok(());
            }
        }
    }

    /// The head of the next answer, or why it is none; `None` after the server's last bytes, which are
    /// forwarded.
    async fn head(
        &mut self,
        request: &RequestHead,
    ) -> io::Result<Option<Result<ResponseHead, NotHttp>>> {
        loop {
            let upstream = &self.proxy.upstream;
            match head::response(self.answered, request.wants, upstream, request.host.as_deref()) {
                Ok(Some(response)) => {
                    self.answered.advance(response.len);
                    return Ok(Some(Ok(response)));
                }
                Ok(None) => {}
                Err(why) => return Ok(Some(Err(why))),
            }
            if fill(&mut self.from, self.answered, HEAD_ROOM).await? == 0 {
                self.to.write_all(self.answered).await?;
                return Ok(None);
            }
        }
    }

    fn splice(&self, NotHttp(why): NotHttp) -> Next {
        self.has_begun.store(true, Ordering::Relaxed);
        self.proxy
            .report_trouble(format!("an answer of the server: {why}; it is passed on as it is"));
        Next::Splice
    }
}

/// Reads what is there into the end of a buffer.
pub(super) async fn fill(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    room: usize,
) -> io::Result<usize> {
    buffer.reserve(room);
    from.read_buf(buffer).await
}

/// Writes a head and as much of its body as is there; the rest stays in `bytes`. Says why, if the body
/// is malformed.
async fn forward(
    to: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &mut HttpBody,
    bytes: &mut BytesMut,
) -> io::Result<Option<NotHttp>> {
    let (taken, malformed) = match body.take(bytes) {
        Ok(taken) => (taken, None),
        Err(why) => (0, Some(why)),
    };
    if head.is_empty() {
        to.write_all(&bytes[..taken]).await?;
    } else {
        to.write_all(&[head, &bytes[..taken]].concat()).await?;
    }
    bytes.advance(taken);
    to.flush().await?;
    Ok(malformed)
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::ReadBuf;

    use super::super::upstream::{ServerTrust, Upstream};
    use super::*;

    /// Always has as much as is asked for, and counts how often it is.
    struct Endless {
        reads: usize,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.reads += 1;
            let len = buffer.remaining();
            buffer.initialize_unfilled_to(len);
            buffer.advance(len);
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn bodies_pass_in_large_pieces() {
        const LEN: usize = 8 << 20;
        let head = format!("POST / HTTP/1.1\r\nContent-Length: {LEN}\r\n\r\n");
        let upstream = Upstream::parse("ws://pod", &ServerTrust::Anybody).unwrap();
        let request = head::request(head.as_bytes(), &upstream).unwrap().unwrap();
        let (mut from, mut to) = (Endless { reads: 0 }, Vec::new());
        // The first bytes came with the head, in a small buffer.
        let mut sent = BytesMut::from(&[0; 100][..]);
        let mut forwarder = RequestForwarder { from: &mut from, to: &mut to, sent: &mut sent };
        assert!(matches!(forwarder.send(&request).await, Ok(Asked::Whole)));
        assert_eq!(to.len(), head.len() + LEN);
        assert!(from.reads <= LEN / PIECE_LEN + 2, "{} reads", from.reads);
    }
}
