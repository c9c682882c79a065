//! `headless_lag_report`: the lag report of a live session up to now.

use std::sync::Arc;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lag::LagReport;
use crate::mcp::answer::{ToolAnswer, cursor};
use crate::mcp::args::{limit, report_args};
use crate::mcp::call::Call;
use crate::mcp::live_view::LiveView;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::report::EndingReport;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct LagArgs {
    handle: String,
    /// Only the last so many seconds; all unless given
    window_s: Option<f64>,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
    /// Add rows over time, a second each
    #[serde(default)]
    include_timeline: bool,
    /// Rows at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

/// A report of a live session.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct LiveReport {
    handle: String,
    capture: String,
    /// When the report was made, in seconds from the initial buffer
    report_at_s: f64,
    lag: LagReport,
    /// Over all of the session
    verdict: VerdictView,
    family: views::FamilyView,
    /// The causes in short, worst first; capture_diagnose has the evidence once it has ended
    findings: Vec<String>,
    /// How the session ended, and gaps in the client's reports
    ending: EndingReport,
}

/// The tool [`headless_lag_report`].
pub(super) const HEADLESS_LAG_REPORT: AboutTool = AboutTool {
    name: "headless_lag_report",
    title: "Lag report of a live session",
    description: "The reference client's lag report of a session up to this moment, or of its last window_s.",
    set: Toolset::Live,
    effect: Effect::Reads,
};

pub(super) async fn headless_lag_report(
    shared: Arc<Shared>,
    args: LagArgs,
    _: Call,
) -> Result<ToolAnswer<LiveReport>> {
    let held = shared.sessions.find(&args.handle)?;
    let step = args.include_timeline.then_some(1.0);
    let report = report_args(args.window_s, args.stale_threshold_s, step)?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 60, 200));
    let analysis = held.session.analysis(report).await?;
    let Some(report) = &analysis.lag else {
        bail!(
            "{} is {}: the server has not sent its initial buffer; ask headless_status again",
            held.handle,
            LiveView::of(&held.session.state()).phase
        );
    };
    let (lag, cut) = views::lag(report, start, most);
    let body = LiveReport {
        handle: held.handle.clone(),
        capture: held.capture.clone(),
        report_at_s: analysis.report_at_s,
        lag,
        verdict: VerdictView::of(&analysis.verdict),
        family: views::FamilyView::of(&analysis),
        findings: views::findings(&analysis),
        ending: views::ending(&analysis),
    };
    Ok(ToolAnswer::new(views::figures(report), body).next([held.next_step()]).cut(cut))
}
