//! `headless_stop`: ends a live session and seals its capture.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lag::LagReport;
use crate::mcp::answer::{ToolAnswer, clipped};
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::report::EndingReport;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct HandleArgs {
    handle: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Stopped {
    handle: String,
    /// The id of the sealed capture
    capture: String,
    path: PathBuf,
    /// Why the session ended
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family: Option<views::FamilyView>,
    /// How the session ended, and gaps in the client's reports
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<EndingReport>,
    /// The lag report over all of it
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<LagReport>,
}

/// The tool [`headless_stop`].
pub(super) const HEADLESS_STOP: AboutTool = AboutTool {
    name: "headless_stop",
    title: "Stop a live session",
    description: "Ends a session, seals its capture, and says what it shows. Again is harmless.",
    set: Toolset::Live,
    effect: Effect::Ends,
};

pub(super) async fn headless_stop(
    shared: Arc<Shared>,
    args: HandleArgs,
    _: Call,
) -> Result<ToolAnswer<Stopped>> {
    let held = shared.sessions.find(&args.handle)?;
    held.session.stop();
    let end = held.session.ended().await?;
    let analysis = end.analysis.as_ref();
    let summary = match analysis {
        Some(analysis) => format!("sealed {}: {}", held.capture, views::summary(analysis)),
        None => "there was no session, and so there is no capture".to_owned(),
    };
    let open = analysis.map(|_| format!("capture_open {{\"capture\": \"{}\"}}", held.capture));
    let body = Stopped {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        path: held.path.clone(),
        reason: clipped(&end.reason),
        failure: end.failure.as_deref().map(clipped),
        verdict: analysis.map(|analysis| VerdictView::of(&analysis.verdict)),
        family: analysis.map(views::FamilyView::of),
        ending: analysis.map(views::ending),
        lag: analysis.and_then(|analysis| analysis.lag.clone()),
    };
    Ok(ToolAnswer::new(summary, body).next(open))
}
