//! One connection of a client while it is HTTP.
//!
//! Requests and answers pass byte for byte, except for the values that [`super::head`] changes;
//! bodies are streamed. Each client connection has one server connection of its own. Requests have to
//! follow the rules; behind an answer that does not, everything passes as it is.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::{Buf, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::forwarders::{AnswerForwarder, Asked, HEAD_ROOM, Next, RequestForwarder, fill};
use super::head::{self, RequestHead};
use super::headers::{NotHttp, Wants};
use super::upstream::ServerStream;
use super::{Proxy, tunnel};
use crate::edge::socket::capacity::AwaitedHead;
use crate::edge::socket::listener::{Accepted, StopSignal};

/// How long a client may take to learn that its connection is closing.
const LINGER: Duration = Duration::from_secs(2);

/// Serves one connection to its end.
pub(super) async fn serve(accepted: Accepted, proxy: &Proxy, stop: StopSignal) {
    let Accepted { stream: client, client: peer, awaited } = accepted;
    // Without it small messages would wait for acknowledgements; a socket that refuses is broken.
    let _ = client.set_nodelay(true);
    let mut stopping = stop.clone();
    let awaited = Some(awaited);
    let conversation = Conversation { client, peer, proxy, stop, awaited, sent: BytesMut::new() };
    tokio::select! {
        // An error means that a side broke the connection off, and there is nobody to tell.
        _ = conversation.run() => {}
        () = stopping.out_of_grace() => {}
    }
}

struct Conversation<'a> {
    client: TcpStream,
    peer: SocketAddr,
    proxy: &'a Proxy,
    stop: StopSignal,
    /// Until the first request is whole.
    awaited: Option<AwaitedHead>,
    /// Read from the client and not yet used.
    sent: BytesMut,
}

/// Why there is no further request.
enum NoRequest {
    Client,
    Server,
    /// Its head took too long.
    Late,
    /// The proxy stops.
    Stopped,
    Nonsense(NotHttp),
}

impl Conversation<'_> {
    async fn run(mut self) -> Result<()> {
        let mut request = match self.request(None).await? {
            Ok(request) => request,
            Err(why) => return self.dismiss(why).await,
        };
        let mut server = match self.proxy.connect(request.wants == Wants::WebSocket).await {
            Ok(server) => server,
            Err(error) => return self.refuse(&error.to_string()).await,
        };
        let mut answered = BytesMut::new();
        loop {
            let agreed = match self.exchange(&mut server, &mut answered, &request).await? {
                Next::Another => None,
                Next::Nothing => return self.close().await,
                Next::Refusal(NotHttp(why)) => {
                    drop(server);
                    return self.reject(why).await;
                }
                Next::Tunnel(agreed) => Some(agreed),
                Next::Splice => Some(None),
            };
            if let Some(agreed) = agreed {
                let Conversation { client, peer, proxy, stop, sent, .. } = self;
                let unread = (sent.freeze(), answered.freeze());
                let ends = (client, server);
                tunnel::run(proxy, peer, ends, unread, (&request, agreed), stop).await;
                return Ok(());
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
                Err(why) => {
                    drop(server);
                    return self.dismiss(why).await;
                }
            };
        }
    }

    /// Reads the next request. A server that sends anything meanwhile is about to close.
    async fn request(
        &mut self,
        mut server: Option<(&mut ServerStream, &mut BytesMut)>,
    ) -> Result<Result<RequestHead, NoRequest>> {
        let timeout = self.proxy.options.head_timeout;
        let in_time = || Some(Box::pin(tokio::time::sleep(timeout)));
        // A connection owes its first request; it may be idle before the next one.
        let mut timer = if server.is_none() { in_time() } else { None };
        loop {
            match head::request(&self.sent, &self.proxy.upstream) {
                Ok(Some(request)) => {
                    self.sent.advance(request.len);
                    self.awaited = None;
                    return Ok(Ok(request));
                }
                Ok(None) => {}
                Err(nonsense) => return Ok(Err(NoRequest::Nonsense(nonsense))),
            }
            if timer.is_none() && !self.sent.is_empty() {
                timer = in_time();
            }
            let late = async {
                match &mut timer {
                    Some(timer) => timer.await,
                    None => std::future::pending().await,
                }
            };
            let from_server = async {
                match &mut server {
                    Some((server, answered)) => fill(*server, answered, HEAD_ROOM).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                read = fill(&mut self.client, &mut self.sent, HEAD_ROOM) => {
                    if read? == 0 {
                        return Ok(Err(NoRequest::Client));
                    }
                }
                read = from_server => return read.map(|_| Err(NoRequest::Server)).map_err(Into::into),
                () = late => return Ok(Err(NoRequest::Late)),
                () = self.stop.stopped() => return Ok(Err(NoRequest::Stopped)),
            }
        }
    }

    /// Forwards one request and its answers.
    async fn exchange(
        &mut self,
        server: &mut ServerStream,
        answered: &mut BytesMut,
        request: &RequestHead,
    ) -> io::Result<Next> {
        let (from_client, to_client) = self.client.split();
        let (from_server, to_server) = tokio::io::split(server);
        let has_begun = AtomicBool::new(false);
        let mut asking =
            RequestForwarder { from: from_client, to: to_server, sent: &mut self.sent };
        let mut answering = AnswerForwarder {
            proxy: self.proxy,
            from: from_server,
            to: to_client,
            answered,
            has_begun: &has_begun,
        };
        let mut answer = Box::pin(answering.run(request));
        let mut sending = Box::pin(asking.send(request));
        let asked = tokio::select! {
            asked = &mut sending => asked,
            next = &mut answer => {
                let next = next?;
                let asked = match next {
                    Next::Nothing | Next::Refusal(_) => return Ok(next),
                    Next::Another | Next::Tunnel(_) => sending.await?,
                    Next::Splice => {
                        drop(answer);
                        // The request has to be whole before bytes pass as they are.
                        tokio::select! {
                            asked = &mut sending => asked?,
                            passed = answering.pass_on() => return passed.map(|()| Next::Nothing),
                        }
                    }
                };
                return Ok(if let Asked::Whole = asked { next } else { Next::Nothing });
            }
        };
        drop(sending);
        match asked {
            Ok(Asked::Nonsense(_)) if has_begun.load(Ordering::Relaxed) => {
                return Ok(Next::Nothing);
            }
            Ok(Asked::Nonsense(why)) => return Ok(Next::Refusal(why)),
            // A server that has stopped reading may still answer.
            Ok(Asked::Whole) | Err(_) => {}
        }
        tokio::select! {
            biased;
            next = answer => next,
            error = asking.read_on() => Err(error),
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

    /// Ends a connection that has no further request.
    async fn dismiss(&mut self, why: NoRequest) -> Result<()> {
        match why {
            NoRequest::Client | NoRequest::Server | NoRequest::Stopped => Ok(()),
            NoRequest::Late if self.sent.is_empty() => Ok(()),
            NoRequest::Late => {
                let waited_s = self.proxy.options.head_timeout.as_secs_f64();
                let why = format!("its head was not whole within {waited_s} s");
                self.turn_down("408 Request Timeout", &why).await
            }
            NoRequest::Nonsense(NotHttp(why)) => self.reject(why).await,
        }
    }

    /// Answers a request that is no HTTP.
    async fn reject(&mut self, why: &str) -> Result<()> {
        self.turn_down("400 Bad Request", why).await
    }

    async fn turn_down(&mut self, status: &str, why: &str) -> Result<()> {
        self.proxy.report_trouble(format!("the request of {} is refused: {why}", self.peer));
        self.answer(status, &format!("lagtape refuses the request: {why}")).await
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
