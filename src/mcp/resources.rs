//! Captures as resources: report, timeline and chart of each, by its id.
//!
//! A resource holds what the command line prints for the same capture.

use std::sync::Arc;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmcp::ErrorData;
use rmcp::model::{
    CompleteRequestParams, CompleteResult, CompletionInfo, ListResourcesResult,
    ReadResourceResponse, ReadResourceResult, Reference, Resource, ResourceContents,
    ResourceTemplate,
};

use super::answer::clipped;
use super::call::Call;
use super::change::ChangeArgs;
use super::options::Toolset;
use super::percent::{decoded, encoded};
use super::shared::Shared;
use super::wording::ARGUMENTS;
use crate::app::{self, AnalyzeOptions, FoundCapture, PlotForm, PlotVerb};
use crate::lag::ReportArgs;
use crate::report::{page, timeline};
use crate::review::{PageRequest, TunnelRuns};

/// What every address begins with.
const PREFIX: &str = "lagtape://captures/";
/// The page of [`app::page_session`] as an app in a chat, and its media type.
pub const APP: &str = "ui://lagtape/report";
pub const APP_MIME: &str = "text/html;profile=mcp-app";
/// What stands between the address of a page and the change that is laid over it, in JSON.
const CHANGED: &str = "?what_if=";
/// Captures on a page of the list.
const PAGE: usize = 30;
/// Length of a row of the timeline, in seconds.
const TIMELINE_STEP_S: f64 = 1.0;

/// The parts of a capture: end of the address, media type, description.
const PARTS: [(&str, &str, &str); 4] = [
    ("report", "application/json", "everything that lagtape analyze --json says"),
    ("timeline", "text/csv", "lowest lead, highest staleness and playhead, second by second"),
    ("chart", "image/png", "lead, staleness, loop and cadence over time"),
    ("page", "text/html", "all of it to look at, as capture_report writes it"),
];

/// The address of a part of a capture.
pub fn address(id: &str, part: &str) -> String {
    format!("{PREFIX}{}/{part}", encoded(id, ""))
}

/// The address of the page with a change laid over it.
pub fn page_address(id: &str, change: &ChangeArgs) -> Result<String> {
    let page = address(id, "page");
    if change.is_empty() {
        return Ok(page);
    }
    Ok(format!("{page}{CHANGED}{}", encoded(&serde_json::to_string(change)?, "")))
}

/// The templates of addresses.
pub fn templates(shared: &Arc<Shared>) -> Vec<ResourceTemplate> {
    if !shared.has(Toolset::Replay) {
        return Vec::new();
    }
    PARTS
        .iter()
        .map(|(part, mime, what)| {
            ResourceTemplate::new(format!("{PREFIX}{{id}}/{part}"), format!("capture {part}"))
                .with_description(format!(
                    "Of a capture: {what}; {{id}} is the one of capture_list, / written %2F"
                ))
                .with_mime_type(*mime)
        })
        .collect()
}

/// A page of all resources, those of the newest capture first.
pub async fn list(
    shared: &Arc<Shared>,
    cursor: Option<&str>,
    call: &Call,
) -> Result<ListResourcesResult, ErrorData> {
    let refuse = |error: anyhow::Error| ErrorData::invalid_params(format!("{error:#}"), None);
    if !shared.has(Toolset::Replay) {
        return Ok(ListResourcesResult::with_all_items(Vec::new()));
    }
    let start = super::answer::cursor(cursor).map_err(refuse)?;
    let listing = Arc::clone(shared);
    let listed = call.work("listing", move || listing.captures.list()).await.map_err(refuse)?;
    let end = start.saturating_add(PAGE);
    let shown = listed.iter().skip(start).take(PAGE);
    let resources = shown.flat_map(|listed| PARTS.map(|part| described(&listed.id, part)));
    let mut result = ListResourcesResult::with_all_items(resources.collect());
    result.next_cursor = (end < listed.len()).then(|| end.to_string());
    Ok(result)
}

fn described(id: &str, (part, mime, what): (&str, &str, &str)) -> Resource {
    Resource::new(address(id, part), format!("{id} {part}"))
        .with_description(what)
        .with_mime_type(mime)
}

/// The contents of an address.
pub async fn read(
    shared: &Arc<Shared>,
    uri: String,
    call: &Call,
) -> Result<ReadResourceResponse, ErrorData> {
    let unknown = |why: String| {
        ErrorData::resource_not_found(why, Some(serde_json::json!({"uri": clipped(&uri)})))
    };
    if uri == APP && shared.has(Toolset::Replay) {
        let page = ResourceContents::text(page::app(), uri).with_mime_type(APP_MIME);
        return Ok(ReadResourceResult::new(vec![page]).into());
    }
    let (plain, change) = uri.split_once(CHANGED).unwrap_or((&uri, ""));
    let path = plain.strip_prefix(PREFIX).filter(|_| shared.has(Toolset::Replay));
    let named = path.and_then(|path| path.rsplit_once('/'));
    let known = named.filter(|(_, part)| PARTS.iter().any(|(known, ..)| known == part));
    let Some((id, part)) = known else {
        return Err(unknown(format!(
            "there is no resource \"{}\"; addresses are {PREFIX}ID/report, /timeline, /chart and /page",
            clipped(&uri)
        )));
    };
    let Some(id) = decoded(id) else {
        return Err(unknown("the id is not percent-encoded UTF-8".to_owned()));
    };
    let shown = shown_with(change).map_err(|error| unknown(format!("{error:#}")))?;
    let found = shared.captures.find(&id).map_err(|error| unknown(format!("{error:#}")))?;
    let (part, address) = (part.to_owned(), uri.clone());
    let contents = move || contents(&found, &part, &shown, address);
    let contents = call.work("reading the capture", contents).await;
    let contents = contents.map_err(|e| ErrorData::internal_error(format!("{e:#}"), None))?;
    Ok(ReadResourceResult::new(vec![contents]).into())
}

fn contents(
    found: &FoundCapture,
    part: &str,
    shown: &PageRequest,
    uri: String,
) -> Result<ResourceContents> {
    let report = |timeline_step_s| ReportArgs { timeline_step_s, ..ReportArgs::default() };
    let options = |step| AnalyzeOptions { report: report(step), ..AnalyzeOptions::default() };
    Ok(match part {
        "report" => {
            let analysis = app::analyze(&found.path, &options(None))?;
            ResourceContents::text(serde_json::to_string(&analysis)?, uri)
                .with_mime_type("application/json")
        }
        "timeline" => {
            let analysis = app::analyze(&found.path, &options(Some(TIMELINE_STEP_S)))?;
            ResourceContents::text(timeline::csv(&analysis), uri).with_mime_type("text/csv")
        }
        "page" => {
            let (session, _) = app::page_session(&found.path, shown)?;
            ResourceContents::text(page::html(&[session]), uri).with_mime_type("text/html")
        }
        _ => {
            let (png, _) = app::plot_bytes(&found.path, PlotForm::Png, &PlotVerb::default())?;
            ResourceContents::blob(STANDARD.encode(png), uri).with_mime_type("image/png")
        }
    })
}

/// What a page for people shows.
pub fn shown() -> PageRequest {
    PageRequest { tunnel: TunnelRuns::Affordable, wording: ARGUMENTS, ..PageRequest::default() }
}

/// The same with a change, which is percent-encoded JSON or nothing.
fn shown_with(change: &str) -> Result<PageRequest> {
    if change.is_empty() {
        return Ok(shown());
    }
    let json = decoded(change).context("the change is not percent-encoded UTF-8")?;
    let change: ChangeArgs = serde_json::from_str(&json).context("the change is no JSON")?;
    Ok(PageRequest { what_if: change.named()?, ..shown() })
}

/// Completes the id in the address of a resource, or the capture of the prompt.
pub async fn complete(
    shared: &Arc<Shared>,
    params: &CompleteRequestParams,
    call: &Call,
) -> Result<CompleteResult, ErrorData> {
    let refuse = |error: String| ErrorData::invalid_params(error, None);
    let (wanted, escapes) = match &params.r#ref {
        Reference::Resource(_) => ("id", true),
        _ => ("capture", false),
    };
    if params.argument.name != wanted || !shared.has(Toolset::Replay) {
        return Ok(CompleteResult::new(CompletionInfo::default()));
    }
    let listing = Arc::clone(shared);
    let listed = call.work("listing", move || listing.captures.list()).await;
    let listed = listed.map_err(|error| refuse(format!("{error:#}")))?;
    let shown = |id: String| if escapes { encoded(&id, "") } else { id };
    let ids: Vec<_> = listed.into_iter().map(|listed| shown(listed.id)).collect();
    let fitting: Vec<_> =
        ids.into_iter().filter(|id| id.starts_with(&params.argument.value)).collect();
    let total = u32::try_from(fitting.len()).unwrap_or(u32::MAX);
    let values: Vec<_> = fitting.into_iter().take(CompletionInfo::MAX_VALUES).collect();
    let has_more = values.len() < total as usize;
    let completion = CompletionInfo::with_pagination(values, Some(total), has_more);
    Ok(CompleteResult::new(completion.map_err(refuse)?))
}
