//! `headless_status`: the state of live sessions.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mcp::answer::{ToolAnswer, clipped, page};
use crate::mcp::call::Call;
use crate::mcp::live_view::LiveView;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct StatusArgs {
    /// The session's handle; all sessions unless given
    handle: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Status {
    sessions: Vec<SessionLine>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionLine {
    handle: String,
    capture: String,
    server: String,
    /// When it ends by itself, in seconds from the initial buffer
    run_for_s: f64,
    state: LiveView,
}

/// The tool [`headless_status`].
pub(super) const HEADLESS_STATUS: AboutTool = AboutTool {
    name: "headless_status",
    title: "State of live sessions",
    description: "How a session stands now; without handle all sessions of this server.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

pub(super) async fn headless_status(
    shared: Arc<Shared>,
    args: StatusArgs,
    _: Call,
) -> Result<ToolAnswer<Status>> {
    let held = match &args.handle {
        Some(handle) => vec![shared.sessions.find(handle)?],
        None => shared.sessions.all(),
    };
    let running = held.iter().filter(|held| held.is_running()).count();
    let newest = held.iter().rev().map(|held| SessionLine {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        server: clipped(&held.server),
        run_for_s: held.run_for_s,
        state: LiveView::of(&held.session.state()),
    });
    let (sessions, cut) = page("sessions", newest, 0, 16);
    let summary = match sessions.as_slice() {
        [] => "no session was started".to_owned(),
        [only] => format!("{} is {}", only.handle, only.state.phase),
        _ => format!(
            "{} running, the newest stands first",
            views::counted(running as u64, "session")
        ),
    };
    let next = match sessions.first() {
        None => "headless_start starts one".to_owned(),
        Some(line) => format!("headless_observe {{\"handle\": \"{}\"}}", line.handle),
    };
    Ok(ToolAnswer::new(summary, Status { sessions }).next([next]).cut(cut))
}
