//! `capture_list`: the captures of the folders.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::fleet_sums::FleetSums;
use crate::app::{self, AnalyzeOptions};
use crate::mcp::answer::{ToolAnswer, clipped, cursor, page};
use crate::mcp::args::limit;
use crate::mcp::call::{Call, Job};
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;

#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct ListArgs {
    /// Only captures whose id contains this
    contains: Option<String>,
    /// Sum them up instead, in groups: "client,day", verdict, cause, host, metadata.NAME
    by: Option<String>,
    /// Captures at most, 20 unless given, up to 100
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureList {
    #[serde(skip_serializing_if = "Option::is_none")]
    captures: Option<Vec<CaptureLine>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sums: Option<FleetSums>,
    /// Captures there are
    total: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureLine {
    id: String,
    path: PathBuf,
    bytes: u64,
    /// When the recording began, UTC
    #[serde(skip_serializing_if = "Option::is_none")]
    started_utc: Option<String>,
    /// Whose client it was: headless or foreign
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    /// The server, without secrets
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// The handle of the live session that still writes it
    #[serde(skip_serializing_if = "Option::is_none")]
    recording: Option<String>,
    /// Length from the initial buffer on
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_s: Option<f64>,
    /// What a listener heard, and how the session ended
    #[serde(skip_serializing_if = "Option::is_none")]
    shows: Option<String>,
    /// The listener heard lag; absent where nobody can tell
    #[serde(skip_serializing_if = "Option::is_none")]
    lag: Option<bool>,
    /// The causes in short, worst first; capture_diagnose has the evidence
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<String>,
    /// How the session ended
    #[serde(skip_serializing_if = "Option::is_none")]
    ending: Option<String>,
    /// It has a stream, of which reports, audio and what-ifs can be had; of others only messages
    askable: bool,
}

impl CaptureLine {
    /// What is known of a file; `recording` is the handle of the session that still writes it.
    fn of(listed: &app::ListedCapture, recording: Option<String>) -> CaptureLine {
        let header = app::header_of(&listed.path);
        let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
        let analysis = match recording {
            None => app::analyze(&listed.path, &quick).ok(),
            Some(_) => None,
        };
        CaptureLine {
            id: listed.id.clone(),
            path: listed.path.clone(),
            bytes: listed.bytes,
            started_utc: header.as_ref().and_then(|h| h.start_utc.as_deref().map(clipped)),
            client: header.as_ref().map(|h| views::word(&h.client)),
            url: header.and_then(|h| h.url.as_deref().map(views::address)),
            recording,
            stream_s: analysis.as_ref().map(|analysis| analysis.report_at_s),
            shows: analysis.as_ref().map(views::summary),
            lag: analysis.as_ref().and_then(|analysis| analysis.verdict.lag),
            findings: analysis.as_ref().map(views::findings).unwrap_or_default(),
            ending: analysis.as_ref().map(|analysis| views::word(&analysis.ending.kind)),
            askable: analysis.as_ref().is_some_and(|analysis| analysis.lag.is_some()),
        }
    }
}

/// The tool [`capture_list`].
pub(super) const CAPTURE_LIST: AboutTool = AboutTool {
    name: "capture_list",
    title: "List captures",
    description: "Lists recorded sessions with what each shows, the newest first, or sums them up. Their ids are what the other capture_ \
     tools take.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_list(
    shared: Arc<Shared>,
    args: ListArgs,
    call: Call,
) -> Result<ToolAnswer<CaptureList>> {
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 20, 100));
    let running: Vec<_> =
        shared.sessions.all().into_iter().filter(|held| held.is_running()).collect();
    let folders = Arc::clone(&shared);
    let list = move || {
        let mut listed = folders.captures.list()?;
        if let Some(part) = &args.contains {
            listed.retain(|listed| listed.id.contains(part));
        }
        anyhow::Ok(listed)
    };
    if let Some(by) = args.by {
        let (by, folders) = (by.parse()?, Arc::clone(&shared));
        let run = move |job: &Job| {
            // Sessions that are still recorded have no end yet.
            let is_whole =
                |of: &app::ListedCapture| !running.iter().any(|held| held.path == of.path);
            let listed = list()?.into_iter().filter(is_whole);
            let paths: Vec<_> = listed.map(|listed| listed.path).collect();
            let total = paths.len() as u64;
            Ok((FleetSums::of(paths, by, (start, most), &folders.captures, job)?, total))
        };
        let ((sums, cut), total) = call.steps("summing up", run).await?;
        let next = match sums.worst_id() {
            Some(id) => format!("capture_diagnose {{\"capture\": \"{id}\"}}"),
            None => "capture_list without by names them".to_owned(),
        };
        let summary = sums.summary.clone();
        let body = CaptureList { captures: None, sums: Some(sums), total };
        return Ok(ToolAnswer::new(summary, body).next([next]).cut(cut));
    }
    let line = move |listed: &app::ListedCapture| {
        let writer = running.iter().find(|held| held.path == listed.path);
        CaptureLine::of(listed, writer.map(|held| held.handle.clone()))
    };
    let (captures, cut) = call
        .work("listing", move || Ok(page("captures", list()?.iter().map(line), start, most)))
        .await?;
    let total = cut.as_ref().map_or(captures.len() as u64, |cut| cut.total);
    let first =
        captures.first().map(|capture| format!("capture_open {{\"capture\": \"{}\"}}", capture.id));
    let (summary, next) = match first {
        Some(open) => (format!("{}, the newest first", views::counted(total, "capture")), open),
        None => (
            format!("no capture in {}", views::folders(&shared.captures)),
            "headless_start records one, also without a server".to_owned(),
        ),
    };
    Ok(ToolAnswer::new(summary, CaptureList { captures: Some(captures), sums: None, total })
        .next([next])
        .cut(cut))
}
