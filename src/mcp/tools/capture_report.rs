//! `capture_report`: a capture as a page for people.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::{self, ReportVerb, TunnelRuns};
use crate::edge::output;
use crate::mcp::answer::ToolAnswer;
use crate::mcp::args::report_args;
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::mcp::wording::ARGUMENTS;
use crate::report::page;
use crate::report::text::Bytes;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PageReportArgs {
    /// Its id or path
    capture: String,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
    /// Put in what was heard, to listen to
    #[serde(default)]
    audio: bool,
}

/// A page that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PageFile {
    path: PathBuf,
    bytes: u64,
    verdict: VerdictView,
}

/// The tool [`capture_report`].
pub(super) const CAPTURE_REPORT: AboutTool = AboutTool {
    name: "capture_report",
    title: "Page of a capture",
    description: "Writes one HTML file for people that explains a capture: verdict, findings, the loop picture, lanes \
     over time, messages, what other knobs would have done. Needs no network. Answers with its path.",
    set: Toolset::Replay,
    effect: Effect::WritesFiles,
};

pub(super) async fn capture_report(
    shared: Arc<Shared>,
    args: PageReportArgs,
    call: Call,
) -> Result<ToolAnswer<PageFile>> {
    let found = shared.captures.find(&args.capture)?;
    let verb = ReportVerb {
        report: report_args(None, args.stale_threshold_s, None)?,
        audio: args.audio,
        tunnel: TunnelRuns::Affordable,
        wording: ARGUMENTS,
        ..ReportVerb::default()
    };
    let with = if args.audio { "-with-audio" } else { "" };
    let name = format!("out/{}{with}.html", found.id.replace('/', "-"));
    let out = shared.captures.place(&name)?;
    let written = out.clone();
    let write = move || {
        let (session, analysis) = app::page_session(&found.path, &verb)?;
        let html = page::html(&[session]);
        output::write(&written, html.as_bytes(), true)?;
        Ok((html.len() as u64, analysis))
    };
    let (bytes, analysis) = call.work("replaying", write).await?;
    let summary = format!(
        "wrote a page of {} to {}. {}",
        Bytes(bytes),
        out.display(),
        views::summary(&analysis)
    );
    let file = PageFile { path: out.clone(), bytes, verdict: VerdictView::of(&analysis.verdict) };
    Ok(ToolAnswer::new(summary, file)
        .next(["give the path to the person, who opens it in a browser"])
        .file(&out))
}
