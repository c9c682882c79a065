//! One connection of a client: requests and answers, and perhaps something else from then on.
//!
//! Enters: an accepted connection. Leaves: the same requests at the server and the same answers at
//! the client, byte for byte but for the values that [`super::head`] changes. Bodies stream. One
//! connection of a client is one of the server; neither is reused for anybody else.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::body::{BodyFraming, HttpBody};
use super::head::{self, MAX_HEAD_LEN, RequestHead, ResponseHead};
use super::headers::{NotHttp, Wants};
use super::upstream::ServerStream;
use super::{Proxy, tunnel};
use crate::edge::socket::listener::StopSignal;

/// How long a client may take to hear that its connection ends.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(super) async fn serve(client: TcpStream, peer: SocketAddr, proxy: &Proxy, stop: StopSignal) {
    // Without it small messages would wait for acknowledgements; a socket that refuses is broken.
    let _ = client.set_nodelay(true);
    let conversation = Conversation { client, peer, proxy, stop, sent: BytesMut::new() };
    // Whoever broke the connection off needs not be told.
    let _ = conversation.run().await;
}

struct Conversation<'a> {
    client: TcpStream,
    peer: SocketAddr,
    proxy: &'a Proxy,
    stop: StopSignal,
    /// What the client sent and nobody has used yet.
    sent: BytesMut,
}

/// What follows an exchange.
enum Next {
    Another,
    /// The server has ended it, or will.
    Nothing,
    /// Bytes without HTTP, from this answer on.
    Tunnel(ResponseHead),
}

/// What came in place of a request.
enum NoRequest {
    Client,
    Server,
    Nonsense(NotHttp),
}

impl Conversation<'_> {
    async fn run(mut self) -> Result<()> {
        let mut request = match self.request(None).await? {
            Ok(request) => request,
            Err(NoRequest::Nonsense(NotHttp(why))) => return self.reject(why).await,
            Err(NoRequest::Client | NoRequest::Server) => return Ok(()),
        };
        let mut server = match self.proxy.connect(request.wants == Wants::Upgrade).await {
            Ok(server) => server,
            Err(error) => return self.refuse(&error.to_string()).await,
        };
        let mut answered = BytesMut::new();
        loop {
            match self.exchange(&mut server, &mut answered, &request).await? {
                Next::Another => {}
                Next::Nothing => return self.part().await,
                Next::Tunnel(response) => {
                    let Conversation { client, peer, proxy, stop, sent } = self;
                    let unread = (sent.freeze(), answered.freeze());
                    let ends = (client, server);
                    tunnel::run(proxy, peer, ends, unread, (&request, response), stop).await;
                    return Ok(());
                }
            }
            request = match self.request(Some((&mut server, &mut answered))).await? {
                Ok(request) => request,
                Err(NoRequest::Server) => {
                    self.client.write_all(&answered).await?;
                    tokio::io::copy(&mut server, &mut self.client).await?;
                    return self.part().await;
                }
                Err(NoRequest::Client) => {
                    server.shutdown().await?;
                    tokio::io::copy(&mut server, &mut self.client).await?;
                    return self.part().await;
                }
                Err(NoRequest::Nonsense(NotHttp(why))) => return self.reject(why).await,
            };
        }
    }

    /// The next request. A server that says something meanwhile will say no more.
    async fn request(
        &mut self,
        mut server: Option<(&mut ServerStream, &mut BytesMut)>,
    ) -> Result<Result<RequestHead, NoRequest>> {
        loop {
            match head::request(&self.sent, &self.proxy.upstream) {
                Ok(Some(request)) => {
                    self.sent.advance(request.len);
                    return Ok(Ok(request));
                }
                Ok(None) => {}
                Err(nonsense) => return Ok(Err(NoRequest::Nonsense(nonsense))),
            }
            let from_server = async {
                match &mut server {
                    Some((server, answered)) => server.read_buf(*answered).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = self.client.read_buf(&mut self.sent) => {
                    if read? == 0 {
                        return Ok(Err(NoRequest::Client));
                    }
                }
                read = from_server => return read.map(|_| Err(NoRequest::Server)).map_err(Into::into),
            }
        }
    }

    /// Forwards one request and its answers.
    async fn exchange(
        &mut self,
        server: &mut ServerStream,
        answered: &mut BytesMut,
        request: &RequestHead,
    ) -> Result<Next> {
        let (from_client, to_client) = self.client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let mut asking = Asking { from: from_client, to: to_server, sent: &mut self.sent };
        let mut answering =
            Answering { proxy: self.proxy, from: from_server, to: to_client, answered };
        let answer = answering.run(request);
        tokio::pin!(answer);
        {
            let sending = asking.send(request);
            tokio::pin!(sending);
            tokio::select! {
                // A server that listens no more may still have something to say.
                _ = &mut sending => {}
                next = &mut answer => {
                    if matches!(next, Ok(Next::Another | Next::Tunnel(_))) {
                        sending.await?;
                    }
                    return Ok(next?);
                }
            }
        }
        tokio::select! {
            biased;
            next = answer => Ok(next?),
            error = asking.hear_on() => Err(error.into()),
        }
    }

    /// Nothing more comes from the server.
    async fn part(&mut self) -> Result<()> {
        self.client.shutdown().await?;
        // What is unread when a connection is closed would cost the client the answer.
        let rest = async { tokio::io::copy(&mut self.client, &mut tokio::io::sink()).await };
        let _ = tokio::time::timeout(LINGER, rest).await;
        Ok(())
    }

    /// Tells a client that it cannot be understood.
    async fn reject(&mut self, why: &str) -> Result<()> {
        self.proxy.complain(format!("the request of {} is refused: {why}", self.peer));
        self.answer("400 Bad Request", &format!("lagtape refuses the request: {why}")).await
    }

    /// Tells a client that the server cannot be had.
    async fn refuse(&mut self, why: &str) -> Result<()> {
        self.proxy.complain(why.to_owned());
        self.answer("502 Bad Gateway", &format!("lagtape: {why}")).await
    }

    async fn answer(&mut self, status: &str, sentence: &str) -> Result<()> {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{sentence}\n",
            sentence.len() + 1
        );
        self.client.write_all(answer.as_bytes()).await?;
        self.part().await
    }
}

/// The way of a request.
struct Asking<'a, R, W> {
    from: R,
    to: W,
    sent: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Asking<'_, R, W> {
    async fn send(&mut self, request: &RequestHead) -> io::Result<()> {
        let mut body = HttpBody::new(request.framing);
        forward(&mut self.to, &request.head, &mut body, self.sent).await?;
        while !body.is_over() {
            if self.from.read_buf(self.sent).await? == 0 {
                return self.to.shutdown().await;
            }
            forward(&mut self.to, &[], &mut body, self.sent).await?;
        }
        Ok(())
    }

    /// Listens to the client while it waits, so that the server hears of its leaving. Ends when the
    /// client is gone altogether.
    async fn hear_on(&mut self) -> io::Error {
        while self.sent.len() < MAX_HEAD_LEN {
            match self.from.read_buf(self.sent).await {
                Ok(0) => {
                    // A server that is gone will be noticed where its answer is awaited.
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

/// The way of the answers to a request.
struct Answering<'a, R, W> {
    proxy: &'a Proxy,
    from: R,
    to: W,
    answered: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Answering<'_, R, W> {
    async fn run(&mut self, request: &RequestHead) -> io::Result<Next> {
        loop {
            let Some(response) = self.head(request).await? else { return Ok(Next::Nothing) };
            let is_tunnel = match request.wants {
                Wants::Upgrade => response.status == 101,
                Wants::Tunnel => (200..300).contains(&response.status),
                Wants::Document | Wants::Head => false,
            };
            if is_tunnel {
                self.to.write_all(&response.head).await?;
                return Ok(Next::Tunnel(response));
            }
            let mut body = HttpBody::new(response.framing);
            forward(&mut self.to, &response.head, &mut body, self.answered).await?;
            while !body.is_over() {
                if self.from.read_buf(self.answered).await? == 0 {
                    return Ok(Next::Nothing);
                }
                forward(&mut self.to, &[], &mut body, self.answered).await?;
            }
            let is_final = response.status >= 200;
            if is_final {
                return Ok(if response.is_last { Next::Nothing } else { Next::Another });
            }
        }
    }

    /// The head of the next answer; `None` when the server said its last, which is forwarded.
    async fn head(&mut self, request: &RequestHead) -> io::Result<Option<ResponseHead>> {
        loop {
            let upstream = &self.proxy.upstream;
            match head::response(self.answered, request.wants, upstream, request.host.as_deref()) {
                Ok(Some(response)) => {
                    self.answered.advance(response.len);
                    return Ok(Some(response));
                }
                Ok(None) => {}
                Err(NotHttp(why)) => {
                    self.proxy.complain(format!("{why}; it is passed on as it is"));
                    self.to.write_all(self.answered).await?;
                    tokio::io::copy(&mut self.from, &mut self.to).await?;
                    return Ok(None);
                }
            }
            if self.from.read_buf(self.answered).await? == 0 {
                self.to.write_all(self.answered).await?;
                return Ok(None);
            }
        }
    }
}

/// Writes a head and what there is of its body. A body that breaks its own rules has no end.
async fn forward(
    to: &mut (impl AsyncWrite + Unpin),
    head: &[u8],
    body: &mut HttpBody,
    bytes: &mut BytesMut,
) -> io::Result<()> {
    let taken = body.take(bytes).unwrap_or_else(|_| {
        *body = HttpBody::new(BodyFraming::UntilClose);
        bytes.len()
    });
    if head.is_empty() {
        to.write_all(&bytes[..taken]).await?;
    } else {
        to.write_all(&[head, &bytes[..taken]].concat()).await?;
    }
    bytes.advance(taken);
    to.flush().await
}
