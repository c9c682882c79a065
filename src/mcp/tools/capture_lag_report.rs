//! `capture_lag_report`: the lag report of a capture, or of a part of it.

use std::sync::Arc;

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{self, AnalyzeOptions};
use crate::lag::LagReport;
use crate::mcp::answer::{ToolAnswer, cursor};
use crate::mcp::args::{PlayheadChoice, limit, report_args, span};
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, LeadsView, VerdictView};
use crate::report::EndingReport;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CaptureReportArgs {
    /// Its id or path
    capture: String,
    /// Only so long before the report
    window_s: Option<f64>,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
    /// Add rows over time
    #[serde(default)]
    include_timeline: bool,
    /// Length of a row, 1 s unless given
    timeline_step_s: Option<f64>,
    /// Report as of then, not of the end
    at_s: Option<f64>,
    /// Instead of the one that suits the capture
    playhead: Option<PlayheadChoice>,
    /// Rows at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureReport {
    id: String,
    /// When the report was made, in seconds from the initial buffer
    report_at_s: f64,
    lag: LagReport,
    leads: LeadsView,
    verdict: VerdictView,
    family: views::FamilyView,
    /// The causes in short, worst first; capture_diagnose has the evidence
    findings: Vec<String>,
    /// How the session ended, and gaps in the client's reports
    ending: EndingReport,
}

/// The tool [`capture_lag_report`].
pub(super) const CAPTURE_LAG_REPORT: AboutTool = AboutTool {
    name: "capture_lag_report",
    title: "Lag report of a capture",
    description: "The reference client's lag report (lead of slices, staleness of what was heard) over all of \
     a capture or a part of it; with include_timeline also over time.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_lag_report(
    shared: Arc<Shared>,
    args: CaptureReportArgs,
    call: Call,
) -> Result<ToolAnswer<CaptureReport>> {
    let found = shared.captures.find(&args.capture)?;
    let step = args.include_timeline.then(|| args.timeline_step_s.unwrap_or(1.0));
    let options = AnalyzeOptions {
        playhead: args.playhead.map(Into::into),
        report: report_args(args.window_s, args.stale_threshold_s, step)?,
        at: args.at_s.map(|at_s| span("at_s", at_s)).transpose()?,
        ..AnalyzeOptions::default()
    };
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 60, 200));
    let path = found.path.clone();
    let analysis = call.work("replaying", move || app::analyze(&path, &options)).await?;
    let Some(report) = &analysis.lag else { bail!("{}", views::no_report(&analysis)) };
    let (lag, cut) = views::lag(report, start, most);
    let answer = CaptureReport {
        id: found.id.clone(),
        report_at_s: analysis.report_at_s,
        lag,
        leads: LeadsView::of(&analysis.leads),
        verdict: VerdictView::of(&analysis.verdict),
        family: views::FamilyView::of(&analysis),
        findings: views::findings(&analysis),
        ending: views::ending(&analysis),
    };
    let steps = views::next_after(&analysis, &found.id, "capture_lag_report");
    Ok(ToolAnswer::new(views::figures(report), answer).next(steps).cut(cut))
}
