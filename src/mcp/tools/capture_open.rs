//! `capture_open`: what a capture is and what it shows.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{self, AnalyzeOptions};
use crate::lag::LagReport;
use crate::mcp::answer::{ToolAnswer, clipped, page};
use crate::mcp::args::Format;
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::mcp::wording::ARGUMENTS;
use crate::mcp::{resources, schema};
use crate::report::{ArrivalsReport, EndingReport};
use crate::scenario::askable::Askable;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OpenArgs {
    /// Its id or path
    capture: String,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Opened {
    id: String,
    path: PathBuf,
    integrity: views::IntegrityView,
    verdict: VerdictView,
    family: views::FamilyView,
    /// The causes in short, worst first; capture_diagnose has the evidence
    findings: Vec<String>,
    /// How the session ended, and gaps in the client's reports
    ending: EndingReport,
    /// The lag report over all of it; absent when no audio came
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<LagReport>,
    /// What came and when, of a capture without a DEMON session
    #[serde(skip_serializing_if = "Option::is_none")]
    arrivals: Option<ArrivalsReport>,
    /// What what-ifs answer, how, and when something can happen
    askable: Askable,
    session: views::SessionView,
    warnings: Vec<String>,
    /// Events of the server by type
    #[schemars(schema_with = "schema::any_object")]
    events: Value,
    /// The newest events, in format detailed
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    last_events: Vec<Value>,
    /// Addresses of its resources
    resources: Vec<String>,
}

/// The tool [`capture_open`].
pub(super) const CAPTURE_OPEN: AboutTool = AboutTool {
    name: "capture_open",
    title: "Open a capture",
    description: "Says what a capture is, whether it is intact, whether the listener heard lag, when and how \
     badly, and which tools help next. Begin with this one.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_open(
    shared: Arc<Shared>,
    args: OpenArgs,
    call: Call,
) -> Result<ToolAnswer<Opened>> {
    let found = shared.captures.find(&args.capture)?;
    let (path, id) = (found.path.clone(), found.id);
    let replay = move || {
        let analysis = app::analyze(&path, &AnalyzeOptions::default())?;
        Ok((analysis, app::askable(&path, ARGUMENTS)))
    };
    let (analysis, askable) = call.work("replaying", replay).await?;
    let detailed = args.format == Format::Detailed;
    let newest = analysis.events.iter().rev().map(views::event);
    let (last_events, cut) = match detailed {
        true => page("last_events", newest, 0, 30),
        false => (Vec::new(), None),
    };
    let opened = Opened {
        integrity: views::IntegrityView::of(&analysis),
        verdict: VerdictView::of(&analysis.verdict),
        family: views::FamilyView::of(&analysis),
        findings: views::findings(&analysis),
        ending: views::ending(&analysis),
        lag: analysis.lag.clone(),
        arrivals: analysis.arrivals.clone(),
        askable,
        session: views::SessionView::of(&analysis, detailed),
        warnings: analysis.warnings.iter().take(12).map(|w| clipped(&w.message)).collect(),
        events: views::event_counts(&analysis),
        last_events,
        resources: ["report", "timeline", "chart"].map(|part| resources::address(&id, part)).into(),
        path: found.path,
        id: id.clone(),
    };
    let steps = views::next_after(&analysis, &id, "capture_open");
    Ok(ToolAnswer::new(views::summary(&analysis), opened).next(steps).cut(cut))
}
