//! The tools for recorded sessions.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::{Answer, Output, clipped, cursor, page};
use super::args::{Format, Playhead, limit, report_args, span};
use super::call::Call;
use super::server::Server;
use super::tool::{About, Effect, Entry, Toolset, answering, picturing};
use super::views::{self, Verdict};
use super::{ask, audio, messages, resources, schema, sweep};
use crate::app::{self, AnalyzeOptions, PlotForm, PlotVerb};
use crate::report::text::Bytes;

/// Largest picture in bytes.
const MAX_CHART_LEN: usize = 40 << 10;

/// The tools.
pub fn tools() -> Vec<Entry> {
    vec![
        answering(CAPTURE_LIST, capture_list),
        answering(CAPTURE_OPEN, capture_open),
        answering(CAPTURE_LAG_REPORT, capture_lag_report),
        answering(ask::CAPTURE_WHAT_IF, ask::capture_what_if),
        answering(sweep::CAPTURE_SWEEP, sweep::capture_sweep),
        answering(ask::CAPTURE_COMPARE, ask::capture_compare),
        answering(messages::CAPTURE_MESSAGES, messages::capture_messages),
        answering(audio::CAPTURE_DUMP_AUDIO, audio::capture_dump_audio),
        picturing(CAPTURE_CHART, capture_chart),
    ]
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
struct ListArgs {
    /// Only captures whose id contains this
    contains: Option<String>,
    /// CaptureFolders at most, 20 unless given, up to 100
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CaptureList {
    captures: Vec<CaptureLine>,
    /// CaptureFolders there are
    total: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct CaptureLine {
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
}

/// The tool [`capture_list`].
const CAPTURE_LIST: About = About {
    name: "capture_list",
    title: "List captures",
    description: "Lists recorded sessions, the newest first. Their ids are what the other capture_ tools take.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

async fn capture_list(server: Server, args: ListArgs, call: Call) -> Result<Answer<CaptureList>> {
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 20, 100));
    let running: Vec<_> =
        server.sessions.all().into_iter().filter(|held| held.is_running()).collect();
    let line = move |listed: &app::ListedCapture| {
        let header = app::header_of(&listed.path);
        let recording = running.iter().find(|held| held.path == listed.path);
        CaptureLine {
            id: listed.id.clone(),
            path: listed.path.clone(),
            bytes: listed.bytes,
            started_utc: header.as_ref().and_then(|h| h.start_utc.as_deref().map(clipped)),
            client: header.as_ref().map(|h| views::word(&h.client)),
            url: header.and_then(|h| h.url.as_deref().map(views::address)),
            recording: recording.map(|held| held.handle.clone()),
        }
    };
    let asked = server.clone();
    let (captures, cut) = call
        .work("listing", move || {
            let mut listed = asked.captures.list()?;
            if let Some(part) = &args.contains {
                listed.retain(|listed| listed.id.contains(part));
            }
            Ok(page("captures", listed.iter().map(line), start, most))
        })
        .await?;
    let total = cut.as_ref().map_or(captures.len() as u64, |cut| cut.total);
    let first =
        captures.first().map(|capture| format!("capture_open {{\"capture\": \"{}\"}}", capture.id));
    let (summary, next) = match first {
        Some(open) => (format!("{}, the newest first", views::counted(total, "capture")), open),
        None => (
            format!("no capture in {}", views::folders(&server.captures)),
            "headless_start records one, also without a server".to_owned(),
        ),
    };
    Ok(Answer::new(summary, CaptureList { captures, total }).next([next]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct OpenArgs {
    /// The capture, by its id or path
    capture: String,
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Opened {
    id: String,
    path: PathBuf,
    integrity: views::Integrity,
    verdict: Verdict,
    /// The lag report over all of it; absent when no audio came
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lag")]
    lag: Option<Value>,
    session: views::Session,
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
const CAPTURE_OPEN: About = About {
    name: "capture_open",
    title: "Open a capture",
    description: "Says what a capture is, whether it is intact, whether the listener heard lag, when and how \
     badly, and which tools help next. Begin with this one.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

async fn capture_open(server: Server, args: OpenArgs, call: Call) -> Result<Answer<Opened>> {
    let found = server.captures.find(&args.capture)?;
    let (path, id) = (found.path.clone(), found.id);
    let analysis =
        call.work("replaying", move || app::analyze(&path, &AnalyzeOptions::default())).await?;
    let detailed = args.format == Format::Detailed;
    let newest = analysis.events.iter().rev().map(views::event);
    let (last_events, cut) = match detailed {
        true => page("last_events", newest, 0, 30),
        false => (Vec::new(), None),
    };
    let opened = Opened {
        integrity: views::Integrity::of(&analysis),
        verdict: Verdict::of(&analysis.verdict),
        lag: analysis.lag.as_ref().map(serde_json::to_value).transpose()?,
        session: views::Session::of(&analysis, detailed),
        warnings: analysis.warnings.iter().take(12).map(|w| clipped(&w.message)).collect(),
        events: views::event_counts(&analysis),
        last_events,
        resources: ["report", "timeline", "chart"].map(|part| resources::address(&id, part)).into(),
        path: found.path,
        id: id.clone(),
    };
    let steps = views::next_after(&analysis, &id);
    Ok(Answer::new(views::summary(&analysis), opened).next(steps).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ReportToolArgs {
    /// The capture, by its id or path
    capture: String,
    /// Only so many seconds before the report; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
    /// Add rows over time
    #[serde(default)]
    include_timeline: bool,
    /// Length of a row, 1 s unless given
    timeline_step_s: Option<f64>,
    /// Report as of this moment from the initial buffer on, instead of the end
    at_s: Option<f64>,
    /// Measure against this playhead instead of the one that suits the capture
    playhead: Option<Playhead>,
    /// Rows of the timeline at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the answer before
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct ReportAnswer {
    id: String,
    /// When the report was made, in seconds from the initial buffer
    report_at_s: f64,
    #[schemars(schema_with = "schema::lag")]
    lag: Value,
    verdict: Verdict,
}

/// The tool [`capture_lag_report`].
const CAPTURE_LAG_REPORT: About = About {
    name: "capture_lag_report",
    title: "Lag report of a capture",
    description: "The reference client's lag report (lead of slices, staleness of what was heard) over all of \
     a capture or a part of it; with include_timeline also over time.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

async fn capture_lag_report(
    server: Server,
    args: ReportToolArgs,
    call: Call,
) -> Result<Answer<ReportAnswer>> {
    let found = server.captures.find(&args.capture)?;
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
    let (lag, cut) = views::lag(report, start, most)?;
    let answer = ReportAnswer {
        id: found.id.clone(),
        report_at_s: analysis.report_at_s,
        lag,
        verdict: Verdict::of(&analysis.verdict),
    };
    let steps = views::next_after(&analysis, &found.id);
    Ok(Answer::new(views::figures(report), answer).next(steps).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
struct ChartArgs {
    /// The capture, by its id or path
    capture: String,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
}

/// The tool [`capture_chart`].
const CAPTURE_CHART: About = About {
    name: "capture_chart",
    title: "Chart of a capture",
    description: "A picture: lead of slices, age of the audio heard, write frontier against playhead over the \
     loop, cadences; spells of lag are shaded.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

async fn capture_chart(server: Server, args: ChartArgs, call: Call) -> Result<Output> {
    let found = server.captures.find(&args.capture)?;
    let report = report_args(None, args.stale_threshold_s, None)?;
    let path = found.path.clone();
    let draw = move || app::plot_bytes(&path, PlotForm::Png, &PlotVerb { playhead: None, report });
    let (png, analysis) = call.work("drawing", draw).await?;
    ensure!(
        png.len() <= MAX_CHART_LEN,
        "the chart is {}, too large for an answer; lagtape plot {} -o chart.png writes it to a file",
        Bytes(png.len() as u64),
        found.path.display()
    );
    let sentence = format!(
        "{}. Panels from above: lead of slices (red: behind the listener), age of the audio heard with the \
         stale threshold, loop position written (blue) and heard (orange), slices and reports a second; \
         spells of lag are shaded. The figures are in capture_lag_report.",
        views::summary(&analysis)
    );
    Ok(Output::picture(STANDARD.encode(png), "image/png", sentence))
}
