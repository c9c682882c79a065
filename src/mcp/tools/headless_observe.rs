//! `headless_observe`: a live session watched for a time, or until something happens.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lag::LagReport;
use crate::mcp::answer::ToolAnswer;
use crate::mcp::call::Call;
use crate::mcp::live_view::{LiveView, shown_events};
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView, any_list};
use crate::mcp::waiting::{Until, observe};
use crate::report::EndingReport;
use crate::report::text::Figure;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct ObserveArgs {
    handle: String,
    /// How long at most, 20 unless given, up to 110
    for_s: Option<f64>,
    /// What ends the observation early
    until: Option<Until>,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Observed {
    handle: String,
    capture: String,
    /// What was awaited happened; absent when nothing was
    #[serde(skip_serializing_if = "Option::is_none")]
    happened: Option<bool>,
    /// When the observation began, in seconds from the initial buffer
    from_s: f64,
    /// When it ended
    to_s: f64,
    /// The report of exactly that time
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<LagReport>,
    /// Over all of the session
    verdict: VerdictView,
    /// How the session ended, and gaps in the client's reports
    ending: EndingReport,
    /// The newest events of that time
    #[schemars(schema_with = "any_list")]
    events: Vec<Value>,
    /// Events of that time
    events_total: u64,
    state: LiveView,
}

/// The tool [`headless_observe`].
pub(super) const HEADLESS_OBSERVE: AboutTool = AboutTool {
    name: "headless_observe",
    title: "Observe a live session",
    description: "Watches a session for for_s seconds, or until something happens, and reports exactly that \
     time. Some clients cut calls off after 60 s: observe twice rather than long.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

pub(super) async fn headless_observe(
    shared: Arc<Shared>,
    args: ObserveArgs,
    call: Call,
) -> Result<ToolAnswer<Observed>> {
    let held = shared.sessions.find(&args.handle)?;
    let seen =
        observe(&held.session, args.for_s, args.until, args.stale_threshold_s, &call).await?;
    let analysis = &seen.analysis;
    let happened = seen.happened.map(|happened| match happened {
        true => "it happened: ",
        false => "it did not happen: ",
    });
    let figures = analysis.lag.as_ref().map_or_else(|| "no stream yet".to_owned(), views::figures);
    let span = format!("{} – {} s", Figure(seen.from_s), Figure(analysis.report_at_s));
    let summary = format!("{}{span}: {figures}", happened.unwrap_or_default());
    let state = held.session.state();
    let body = Observed {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        happened: seen.happened,
        from_s: seen.from_s,
        to_s: analysis.report_at_s,
        lag: analysis.lag.clone(),
        verdict: VerdictView::of(&analysis.verdict),
        ending: views::ending(analysis),
        events: shown_events(&seen.events, &state),
        events_total: seen.events_total as u64,
        state: LiveView::of(&state),
    };
    Ok(ToolAnswer::new(summary, body).next([held.next_step()]))
}
