//! The server: which tools there are, and how a request becomes a call.
//!
//! Enters: requests as rmcp understood them. Leaves: answers, always: a tool that panics answers as a
//! failure. What all clients share stands in one place, so that a server may be made per connection.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use futures_util::FutureExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    GetPromptRequestParams, GetPromptResponse, Implementation, ListPromptsResult,
    ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, PaginatedRequestParams,
    ReadResourceRequestParams, ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use tokio_util::sync::CancellationToken;

use super::answer::{Output, clipped};
use super::call::{Call, Jobs};
use super::hosts::Hosts;
use super::sessions::Sessions;
use super::tool::{Entry, Toolset};
use super::{McpOptions, live, prompt, replay, resources};
use crate::app::Captures;
use crate::parse::nearest;

const INSTRUCTIONS: &str = "\
lagtape is the flight recorder for DEMON's realtime audio: it says whether a listener heard lag (audio \
grown stale, or slices that landed behind the playhead), when, how badly, and what would have been \
otherwise. Recorded sessions: capture_list, then capture_open with an id; it names the tools that help \
next. Live sessions: headless_start (takes the server over from whoever listens; without a url it uses \
a built-in simulated server, with an incident if you name one), headless_observe, headless_stop; each \
leaves a capture. Times are seconds from the initial buffer; a negative lead is behind the listener.";

/// The server, for every client.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What all clients share.
pub struct Shared {
    /// Where captures lie.
    pub captures: Captures,
    /// Which servers may be called.
    pub hosts: Hosts,
    /// Live sessions.
    pub sessions: Sessions,
    jobs: Jobs,
    leaving: CancellationToken,
    tools: BTreeMap<&'static str, Entry>,
}

impl std::ops::Deref for Server {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Server {
    /// A server as it was asked for.
    pub fn new(options: &McpOptions) -> Result<Server> {
        let entries = live::tools().into_iter().chain(replay::tools());
        let offered = entries.filter(|entry| {
            options.toolsets.contains(&entry.set) && (entry.read_only || !options.read_only)
        });
        Server::with_tools(options.captures.clone(), &options.allow_hosts, offered)
    }

    fn with_tools(
        captures: Vec<std::path::PathBuf>,
        allow_hosts: &[String],
        entries: impl Iterator<Item = Entry>,
    ) -> Result<Server> {
        let mut tools = BTreeMap::new();
        for entry in entries {
            if let std::borrow::Cow::Borrowed(name) = entry.tool.name {
                tools.insert(name, entry);
            }
        }
        Ok(Server(Arc::new(Shared {
            captures: Captures::new(captures)?,
            hosts: Hosts::new(allow_hosts),
            sessions: Sessions::default(),
            jobs: Jobs::new(),
            leaving: CancellationToken::new(),
            tools,
        })))
    }

    /// Cancelled when no more requests can come: calls that wait for something then end.
    #[must_use]
    pub fn leaving(&self) -> CancellationToken {
        self.leaving.clone()
    }

    /// Ends what still waits, and seals every running capture.
    pub async fn close(&self) {
        self.leaving.cancel();
        self.sessions.close().await;
    }

    /// Jobs at work now.
    #[must_use]
    pub fn jobs_running(&self) -> usize {
        self.jobs.running()
    }

    /// Whether a toolset is offered.
    pub(super) fn has(&self, set: Toolset) -> bool {
        self.tools.values().any(|entry| entry.set == set)
    }

    /// Work for a request that is no call of a tool.
    pub(super) fn call(&self, context: &RequestContext<RoleServer>) -> Call {
        Call::of(context, self.jobs.clone(), self.leaving.clone())
    }

    async fn answer(&self, params: CallToolRequestParams, call: Call) -> Result<Output> {
        let Some(entry) = self.tools.get(&*params.name) else {
            let known = nearest(&params.name, self.tools.keys().copied());
            return Err(anyhow!("there is no tool \"{}\"; {known}", clipped(&params.name)));
        };
        let args = params.arguments.unwrap_or_default();
        let answering = AssertUnwindSafe(async { (entry.call)(self.clone(), args, call).await });
        answering.catch_unwind().await.unwrap_or_else(|_| {
            Err(anyhow!("lagtape broke in {}; this is a bug, other calls go on", params.name))
        })
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_resources()
            .enable_prompts()
            .enable_completions()
            .build();
        let mut name = Implementation::new("lagtape", env!("CARGO_PKG_VERSION"));
        name.title = Some("lagtape".to_owned());
        ServerConfig::new(capabilities).with_server_info(name).with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.tools.values().map(|entry| entry.tool.clone()).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.tools.get(name).map(|entry| entry.tool.clone())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = self.call(&context);
        let output = self.answer(params, call).await.unwrap_or_else(|e| Output::failure(&e));
        Ok(CallToolResult::from(output).into())
    }

    async fn list_resources(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = params.and_then(|params| params.cursor);
        resources::list(self, cursor.as_deref(), &self.call(&context)).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates(self)))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(self, params.uri, &self.call(&context)).await
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![prompt::described()]))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        prompt::get(&params)
    }

    async fn complete(
        &self,
        params: CompleteRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        resources::complete(self, &params, &self.call(&context)).await
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, split};

    use super::super::answer::Answer;
    use super::super::call::Job;
    use super::super::serve_on;
    use super::super::tool::{About, Effect, answering};
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct No {}

    #[derive(Serialize, JsonSchema)]
    struct Nothing {}

    async fn panics(_: Server, _: No, _: Call) -> Result<Answer<Nothing>> {
        panic!("on purpose");
    }

    async fn panics_at_work(_: Server, _: No, call: Call) -> Result<Answer<Nothing>> {
        call.work("breaking", || panic!("on purpose")).await
    }

    /// Goes on until it is cancelled.
    async fn works(_: Server, _: No, call: Call) -> Result<Answer<Nothing>> {
        call.steps("working", |job: &Job| {
            while job.reached(1, 2).is_continue() {
                std::thread::yield_now();
            }
            Ok(Answer::new("ended", Nothing {}))
        })
        .await
    }

    fn server(folder: &std::path::Path) -> Server {
        let about = |name| About {
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
        Server::with_tools(vec![folder.to_owned()], &[], entries.into_iter()).unwrap()
    }

    /// Speaks to a server in this process; the exchange gets its lines and its writer.
    fn converse<T>(server: &Server, exchange: impl AsyncFnOnce(&mut Lines, &mut Writer) -> T) -> T {
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
                let told = exchange(&mut lines, &mut write).await;
                write.shutdown().await.unwrap();
                told
            };
            let (served, told) = tokio::join!(served, talk);
            served.unwrap();
            told
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
