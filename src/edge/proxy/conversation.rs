//! One connection of a client while it is HTTP.
//!
//! Requests and answers pass byte for byte, except for the values that [`super::head`] changes;
//! bodies are streamed. Each client connection has one server connection of its own.

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

/// How long a client may take to learn that its connection is closing.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(super) async fn serve(client: TcpStream, peer: SocketAddr, proxy: &Proxy, stop: StopSignal) {
    // Without it small messages would wait for acknowledgements; a socket that refuses is broken.
    let _ = client.set_nodelay(true);
    let conversation = Conversation { client, peer, proxy, stop, sent: BytesMut::new() };
    // An error means that a side broke the connection off, and there is nobody to tell.
    let _ = conversation.run().await;
}

struct Conversation<'a> {
    client: TcpStream,
    peer: SocketAddr,
    proxy: &'a Proxy,
    stop: StopSignal,
    /// Read from the client and not yet used.
    sent: BytesMut,
}

/// What follows an exchange.
enum Next {
    Another,
    /// The server has ended the connection, or will.
    Nothing,
    /// No more HTTP after this answer.
    Tunnel(ResponseHead),
}

/// Why there is no further request.
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
                Next::Nothing => return self.close().await,
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
                    return self.close().await;
                }
                Err(NoRequest::Client) => {
                    server.shutdown().await?;
                    tokio::io::copy(&mut server, &mut self.client).await?;
                    return self.close().await;
                }
                Err(NoRequest::Nonsense(NotHttp(why))) => return self.reject(why).await,
            };
        }
    }

    /// Reads the next request. A server that sends anything meanwhile is about to close.
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
        let mut asking =
            RequestForwarder { from: from_client, to: to_server, sent: &mut self.sent };
        let mut answering =
            AnswerForwarder { proxy: self.proxy, from: from_server, to: to_client, answered };
        let answer = answering.run(request);
        tokio::pin!(answer);
        {
            let sending = asking.send(request);
            tokio::pin!(sending);
            tokio::select! {
                // A server that has stopped reading may still answer.
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
            error = asking.read_on() => Err(error.into()),
        }
    }

    /// Closes the client's connection, once the server is done.
    async fn close(&mut self) -> Result<()> {
        self.client.shutdown().await?;
        // Closing with unread bytes resets the connection, and the client would lose the answer.
        let rest = async { tokio::io::copy(&mut self.client, &mut tokio::io::sink()).await };
        let _ = tokio::time::timeout(LINGER, rest).await;
        Ok(())
    }

    /// Answers a request that is no HTTP.
    async fn reject(&mut self, why: &str) -> Result<()> {
        self.proxy.report_trouble(format!("the request of {} is refused: {why}", self.peer));
        self.answer("400 Bad Request", &format!("lagtape refuses the request: {why}")).await
    }

    /// Answers when the server cannot be reached.
    async fn refuse(&mut self, why: &str) -> Result<()> {
        self.proxy.report_trouble(why.to_owned());
        self.answer("502 Bad Gateway", &format!("lagtape: {why}")).await
    }

    async fn answer(&mut self, status: &str, sentence: &str) -> Result<()> {
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{sentence}\n",
            sentence.len() + 1
        );
        self.client.write_all(answer.as_bytes()).await?;
        self.close().await
    }
}

/// Forwards a request.
struct RequestForwarder<'a, R, W> {
    from: R,
    to: W,
    sent: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> RequestForwarder<'_, R, W> {
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

    /// Reads on while the client waits for its answer, so that the server learns when the client
    /// leaves. Ends when the connection breaks.
    async fn read_on(&mut self) -> io::Error {
        while self.sent.len() < MAX_HEAD_LEN {
            match self.from.read_buf(self.sent).await {
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
struct AnswerForwarder<'a, R, W> {
    proxy: &'a Proxy,
    from: R,
    to: W,
    answered: &'a mut BytesMut,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> AnswerForwarder<'_, R, W> {
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

    /// The head of the next answer; `None` after the server's last bytes, which are forwarded.
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
                    self.proxy.report_trouble(format!("{why}; it is passed on as it is"));
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

/// Writes a head and as much of its body as is there. A malformed body lasts until the close.
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
