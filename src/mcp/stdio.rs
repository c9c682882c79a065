//! The server on stdin and stdout.
//!
//! Enters: lines of JSON-RPC. Leaves: lines of JSON-RPC, and nothing else. The end of the input, or a
//! signal, ends what waits and seals every running capture before the process does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};

use anyhow::{Context, Result};
use rmcp::ServiceExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{McpOptions, Server};

/// Serves one client on stdin and stdout until it goes or `stop` resolves.
pub async fn serve(options: &McpOptions, stop: impl Future<Output = ()>) -> Result<()> {
    let (input, output) = rmcp::transport::stdio_pipes();
    serve_on(&Server::new(options)?, input, output, stop).await
}

/// The same on any pair of streams.
pub async fn serve_on(
    server: &Server,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let input = Watched { input, ended: server.leaving() };
    let served = async {
        match server.clone().serve((input, output)).await {
            Ok(service) => service.waiting().await.map(|_| ()).context("the protocol broke"),
            // A client that goes before it has said anything is no failure.
            Err(_) if server.leaving().is_cancelled() => Ok(()),
            Err(error) => Err(error).context("the client did not begin as MCP clients do"),
        }
    };
    let ended = tokio::select! {
        ended = served => ended,
        () = stop => Ok(()),
    };
    server.close().await;
    ended
}

/// A stream that tells of its end at once: what waits has nobody to answer then.
struct Watched<R> {
    input: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for Watched<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        waker: &mut Waker<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.input).poll_read(waker, buffer);
        let is_over = match &polled {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_over {
            self.ended.cancel();
        }
        polled
    }
}
