//! Requests become calls of tools, lists, resources and prompts.
//!
//! Every request gets an answer: a tool that panics answers as a failure. The state lives in
//! [`Shared`], so that HTTP may make a server for every connection.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use futures_util::FutureExt;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestParams, CompleteResult,
    CustomRequest, CustomResult, ErrorCode, GetPromptRequestParams, GetPromptResponse,
    Implementation, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::answer::{ToolOutput, clipped};
use super::call::Call;
use super::fit::arguments;
use super::options::McpOptions;
use super::shared::Shared;
use super::tool::ToolEntry;
use super::{prompt, resources, tools};
use crate::app::CaptureFolders;
use crate::parse::nearest;

const INSTRUCTIONS: &str = "\
lagtape is the flight recorder for DEMON's realtime audio: it says whether a listener heard lag (audio \
grown stale, or slices that landed behind the playhead), when, how badly, and what would have been \
otherwise. Recorded sessions: capture_list, then capture_open with an id; it names the tools that help \
next. Live sessions: headless_start (takes the server over from whoever listens; without a url it uses \
a built-in simulated server, with an incident if you name one), headless_observe, headless_stop; each \
leaves a capture. Times are seconds from the initial buffer; a negative lead is behind the listener. In \
answers findings are the causes, worst first; verdict has lag, bad_s, onset_s and episodes; ending has kind, \
code, abnormal and a sentence; lag is the reference's report with slices and ticks; leads has arrival and \
client percentiles; family has name, kind, ended and a tape's frontier; state has phase, stream_s, lead_s, \
staleness_s and lagging.";

/// The extension by which hosts show pages of tools.
const APPS: &str = "io.modelcontextprotocol/ui";

/// The server of one client; clones share everything.
#[derive(Clone)]
pub struct McpServer {
    shared: Arc<Shared>,
    tools: Arc<BTreeMap<&'static str, ToolEntry>>,
}

impl McpServer {
    /// A server with the tools that `options` ask for.
    pub fn new(options: &McpOptions) -> Result<McpServer> {
        let offered = tools::all().into_iter().filter(|entry| {
            options.toolsets.contains(&entry.set) && (entry.read_only || !options.read_only)
        });
        McpServer::with_tools(options.captures.clone(), &options.allow_hosts, offered)
    }

    /// A server with these tools.
    pub(super) fn with_tools(
        captures: Vec<PathBuf>,
        allow_hosts: &[String],
        entries: impl Iterator<Item = ToolEntry>,
    ) -> Result<McpServer> {
        let mut tools = BTreeMap::new();
        for entry in entries {
            if let Cow::Borrowed(name) = entry.tool.name {
                tools.insert(name, entry);
            }
        }
        let toolsets = tools.values().map(|entry| entry.set).collect();
        let shared = Shared::new(CaptureFolders::new(captures)?, allow_hosts, toolsets);
        Ok(McpServer { shared, tools: Arc::new(tools) })
    }

    /// Cancelled when no more requests can come: calls that wait for something then end.
    #[must_use]
    pub fn leaving(&self) -> CancellationToken {
        self.shared.leaving.clone()
    }

    /// Ends what still waits, and seals every running capture.
    pub async fn close(&self) {
        self.shared.leaving.cancel();
        self.shared.sessions.close().await;
    }

    /// How many jobs run now.
    #[must_use]
    pub fn jobs_running(&self) -> usize {
        self.shared.jobs.running()
    }

    fn call(&self, context: &RequestContext<RoleServer>) -> Call {
        Call::of(context, self.shared.jobs.clone(), self.shared.leaving.clone())
    }

    async fn result(
        &self,
        params: CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> CallToolResult {
        let output = self.answer(params, self.call(context)).await;
        output.unwrap_or_else(|error| ToolOutput::failure(&error)).into()
    }

    async fn answer(&self, params: CallToolRequestParams, call: Call) -> Result<ToolOutput> {
        let Some(entry) = self.tools.get(&*params.name) else {
            let known = nearest(&params.name, self.tools.keys().copied());
            return Err(anyhow!("there is no tool \"{}\"; {known}", clipped(&params.name)));
        };
        let args = params.arguments.unwrap_or_default();
        let answering =
            AssertUnwindSafe(async { (entry.call)(Arc::clone(&self.shared), args, call).await });
        answering.catch_unwind().await.unwrap_or_else(|_| {
            Err(anyhow!("lagtape broke in {}; this is a bug, other calls go on", params.name))
        })
    }
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let apps = serde_json::json!({"mimeTypes": [resources::APP_MIME]});
        let apps = apps.as_object().cloned().unwrap_or_default();
        let capabilities = ServerCapabilities::builder()
            .enable_extensions_with(BTreeMap::from([(APPS.to_owned(), apps)]))
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
        Ok(self.result(params, &context).await.into())
    }

    /// A call whose arguments are no object comes as a request that the protocol does not know.
    async fn on_custom_request(
        &self,
        request: CustomRequest,
        context: RequestContext<RoleServer>,
    ) -> Result<CustomResult, ErrorData> {
        let CustomRequest { method, mut params, .. } = request;
        let name = params.as_ref().and_then(|params| params["name"].as_str()).map(str::to_owned);
        let Some(name) = name.filter(|_| method == "tools/call") else {
            return Err(ErrorData::new(ErrorCode::METHOD_NOT_FOUND, method, None));
        };
        // Older protocols know no kinds of results; of other calls it is left out for them.
        let version = context.protocol_version();
        let is_new = version.is_some_and(|version| version >= ProtocolVersion::V_2026_07_28);
        let given = params.as_mut().and_then(|params| params.get_mut("arguments")).map(Value::take);
        let result = match arguments(&clipped(&name), given) {
            Ok(args) => {
                let params = CallToolRequestParams::new(name).with_arguments(args);
                self.result(params, &context).await
            }
            Err(error) => ToolOutput::failure(&error).into(),
        };
        let mut result = serde_json::to_value(result)
            .map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        if let Some(fields) = result.as_object_mut().filter(|_| !is_new) {
            fields.remove("resultType");
        }
        Ok(CustomResult::new(result))
    }

    async fn list_resources(
        &self,
        params: Option<PaginatedRequestParams>,
        context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let cursor = params.and_then(|params| params.cursor);
        resources::list(&self.shared, cursor.as_deref(), &self.call(&context)).await
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        Ok(ListResourceTemplatesResult::with_all_items(resources::templates(&self.shared)))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        resources::read(&self.shared, params.uri, &self.call(&context)).await
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
        resources::complete(&self.shared, &params, &self.call(&context)).await
    }
}
