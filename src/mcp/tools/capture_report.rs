//! `capture_report`: a capture as a page for people, or as the file of another tool.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::app::{self, ExportVerb, FoundCapture, SessionPart};
use crate::edge::output;
use crate::mcp::answer::{ToolAnswer, clipped};
use crate::mcp::args::report_args;
use crate::mcp::call::Call;
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::resources;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views::{self, VerdictView};
use crate::report::export::ExportForm;
use crate::report::page::html;
use crate::report::text::Bytes;
use crate::review::PageRequest;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct PageReportArgs {
    /// Its id or path
    capture: String,
    /// Age of stale audio, 3 unless given
    stale_threshold_s: Option<f64>,
    /// With sound
    #[serde(default)]
    audio: bool,
    /// Laid over it, as of capture_what_if
    #[serde(default)]
    #[schemars(schema_with = "change_object")]
    what_if: Option<ChangeArgs>,
    /// What to write
    #[serde(default)]
    form: FileForm,
}

/// The change is described once, where it is the question.
fn change_object(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "object"})
}

/// What is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum FileForm {
    #[default]
    Page,
    Perfetto,
    Mcap,
    Har,
    Csv,
    Jsonl,
}

impl FileForm {
    /// The form of an export and the end of its name; `None` is the page.
    fn export(self) -> Option<(ExportForm, &'static str)> {
        Some(match self {
            FileForm::Page => return None,
            FileForm::Perfetto => (ExportForm::Perfetto, "perfetto-trace"),
            FileForm::Mcap => (ExportForm::Mcap, "mcap"),
            FileForm::Har => (ExportForm::Har, "har"),
            FileForm::Csv => (ExportForm::Csv, "csv"),
            FileForm::Jsonl => (ExportForm::Jsonl, "jsonl"),
        })
    }
}

/// A file that was written.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct PageFile {
    path: PathBuf,
    bytes: u64,
    /// The page as a resource
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<VerdictView>,
}

/// The tool [`capture_report`].
pub(super) const CAPTURE_REPORT: AboutTool = AboutTool {
    name: "capture_report",
    title: "Page of a capture",
    description: "Writes an HTML page for people, or a file for other tools.",
    set: Toolset::Replay,
    effect: Effect::WritesFiles,
};

pub(super) async fn capture_report(
    shared: Arc<Shared>,
    args: PageReportArgs,
    call: Call,
) -> Result<ToolAnswer<PageFile>> {
    let found = shared.captures.find(&args.capture)?;
    if let Some((form, ending)) = args.form.export() {
        let out = shared.captures.place(&format!("out/{}.{ending}", found.id.replace('/', "-")))?;
        return export(found, form, out, &call).await;
    }
    let change = args.what_if.unwrap_or_default();
    let verb = PageRequest {
        report: report_args(None, args.stale_threshold_s, None)?,
        audio: args.audio,
        what_if: change.named()?,
        ..resources::shown()
    };
    let with = if args.audio { "-with-audio" } else { "" };
    let page = Some(resources::page_address(&found.id, &change)?);
    let changed = if change.is_empty() { "" } else { "-what-if" };
    let name = format!("out/{}{with}{changed}.html", found.id.replace('/', "-"));
    let out = shared.captures.place(&name)?;
    let written = out.clone();
    let write = move || {
        let (session, analysis) = app::page_session(&found.path, &verb)?;
        let missing = session.missing.clone();
        let html = html(&[session]);
        output::write(&written, html.as_bytes(), true)?;
        Ok((html.len() as u64, analysis, missing))
    };
    let (bytes, analysis, missing) = call.work("replaying", write).await?;
    let missing = missing.iter().map(|why| format!(" There is no sound of {}.", clipped(why)));
    let summary = format!(
        "wrote a page of {} to {}. {}{}",
        Bytes(bytes),
        out.display(),
        views::summary(&analysis),
        missing.collect::<String>()
    );
    let verdict = Some(VerdictView::of(&analysis.verdict));
    let file = PageFile { path: out.clone(), bytes, page, verdict };
    Ok(ToolAnswer::new(summary, file)
        .next(["give the path to the person, who opens it in a browser"])
        .file(&out))
}

/// Writes a capture as the file of another tool.
async fn export(
    found: FoundCapture,
    form: ExportForm,
    out: PathBuf,
    call: &Call,
) -> Result<ToolAnswer<PageFile>> {
    let verb = ExportVerb { form, part: SessionPart::default(), playhead: None, force: true };
    let written = out.clone();
    let write = move || {
        let summary = app::export(&found.path, &written, &verb)?;
        Ok((summary, std::fs::metadata(&written)?.len()))
    };
    let (summary, bytes) = call.work("replaying", write).await?;
    let damaged =
        summary.damage.map(|it| format!("; the capture is damaged: {}", clipped(&it.reason)));
    let summary = format!(
        "wrote {} records to {}; left out: {}{}",
        summary.rows,
        out.display(),
        form.left_out(),
        damaged.unwrap_or_default()
    );
    let file = PageFile { path: out.clone(), bytes, page: None, verdict: None };
    Ok(ToolAnswer::new(summary, file).file(&out))
}
