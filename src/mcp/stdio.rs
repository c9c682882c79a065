//! The server on stdin and stdout.
//!
//! Lines of JSON-RPC come in, lines of JSON-RPC go out, and nothing else. The end of the input, or a
//! signal, ends calls that wait and seals every running capture before the process exits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as Waker, Poll};

use anyhow::{Context, Result};
use rmcp::ServiceExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::options::McpOptions;
use super::server::McpServer;

/// Serves one client on stdin and stdout until it leaves or `stop` resolves.
pub async fn serve(options: &McpOptions, stop: impl Future<Output = ()>) -> Result<()> {
    let (input, output) = rmcp::transport::stdio_pipes();
    serve_on(&McpServer::new(options)?, input, output, stop).await
}

/// Serves one client on any pair of streams.
pub async fn serve_on(
    server: &McpServer,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let input = EndWatch { input, ended: server.leaving() };
    let served = async {
        match server.clone().serve((input, output)).await {
            Ok(service) => service.waiting().await.map(|_| ()).context("the protocol broke"),
            // A client that leaves before its first message is no failure.
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

/// A stream that cancels `ended` as soon as it ends: calls that wait have nobody to answer then.
struct EndWatch<R> {
    input: R,
    ended: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndWatch<R> {
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, split};

    use super::super::answer::ToolAnswer;
    use super::super::call::{Call, Job};
    use super::super::options::Toolset;
    use super::super::shared::Shared;
    use super::super::tool::{AboutTool, Effect, answering};
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct No {}

    #[derive(Serialize, JsonSchema)]
    struct Nothing {}

    async fn panics(_: Arc<Shared>, _: No, _: Call) -> Result<ToolAnswer<Nothing>> {
        panic!("on purpose");
    }

    async fn panics_at_work(_: Arc<Shared>, _: No, call: Call) -> Result<ToolAnswer<Nothing>> {
        call.work("breaking", || panic!("on purpose")).await
    }

    /// Goes on until it is cancelled.
    async fn works(_: Arc<Shared>, _: No, call: Call) -> Result<ToolAnswer<Nothing>> {
        call.steps("working", |job: &Job| {
            while job.reached(1, 2).is_continue() {
                std::thread::yield_now();
            }
            Ok(ToolAnswer::new("ended", Nothing {}))
        })
        .await
    }

    fn server(folder: &std::path::Path) -> McpServer {
        let about = |name| AboutTool {
            name,
            title: "test",
            description: "test",
            set: Toolset::Replay,
            effect: Effect::Reads,
        };
        let entries = [
            answering(about("panics"), panics),
            answering(about("panics_at_work"), panics_at_work),
            answering(about("works"), works),
        ];
        McpServer::with_tools(vec![folder.to_owned()], &[], entries.into_iter()).unwrap()
    }

    /// Speaks to a server in this process; the exchange gets its lines and its writer.
    fn converse<T>(
        server: &McpServer,
        exchange: impl AsyncFnOnce(&mut Lines, &mut Writer) -> T,
    ) -> T {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (input, output) = split(theirs);
            let served = serve_on(server, input, output, std::future::pending());
            let talk = async {
                let (read, mut write) = split(ours);
                let mut lines = BufReader::new(read).lines();
                let hello = json!({"protocolVersion": "2025-11-25", "capabilities": {},
                                   "clientInfo": {"name": "test", "version": "0"}});
                say(&mut write, &request(0, "initialize", &hello)).await;
                next(&mut lines).await;
                say(&mut write, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))
                    .await;
                let result = exchange(&mut lines, &mut write).await;
                write.shutdown().await.unwrap();
                result
            };
            let (served, result) = tokio::join!(served, talk);
            served.unwrap();
            result
        })
    }

    type Lines = tokio::io::Lines<BufReader<tokio::io::ReadHalf<tokio::io::DuplexStream>>>;
    type Writer = tokio::io::WriteHalf<tokio::io::DuplexStream>;

    fn request(id: u64, method: &str, params: &Value) -> Value {
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    async fn say(write: &mut Writer, message: &Value) {
        write.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn next(lines: &mut Lines) -> Value {
        serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_tool_that_panics_answers_as_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        converse(&server, async |lines, write| {
            for (id, tool) in [(1, "panics"), (2, "panics_at_work"), (3, "panics")] {
                say(write, &request(id, "tools/call", &json!({"name": tool, "arguments": {}})))
                    .await;
                let answer = next(lines).await;
                assert_eq!(answer["result"]["isError"], true, "{answer}");
                let text = answer["result"]["content"][0]["text"].as_str().unwrap().to_owned();
                assert!(text.contains("this is a bug, other calls go on"), "{text}");
            }
        });
        assert_eq!(server.jobs_running(), 0);
    }

    #[test]
    fn a_cancelled_call_stops_its_work() {
        let folder = tempfile::tempdir().unwrap();
        let server = server(folder.path());
        converse(&server, async |lines, write| {
            let params = json!({"name": "works", "arguments": {}, "_meta": {"progressToken": 7}});
            say(write, &request(1, "tools/call", &params)).await;
            let progress = next(lines).await;
            assert_eq!(progress["params"]["progressToken"], 7, "{progress}");
            assert_eq!(server.jobs_running(), 1);
            let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                                "params": {"requestId": 1}});
            say(write, &cancel).await;
            while server.jobs_running() > 0 {
                tokio::task::yield_now().await;
            }
        });
    }
}
