//! `capture_timeline`: what happened in a capture, in one list.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app;
use crate::mcp::answer::{ToolAnswer, clipped, clipped_value, cursor, page};
use crate::mcp::args::{TimeRange, limit};
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::report::moments::Moment;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct TimelineArgs {
    /// Its id or path
    capture: String,
    /// Only these kinds or names: op, knobs, command, event, buffer, close, loss, lag, finding
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(flatten)]
    part: TimeRange,
    /// Moments at most, 60 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureTimeline {
    id: String,
    /// t_s, seq, kind, name, detail; the first one first
    #[schemars(schema_with = "views::any_list")]
    moments: Vec<Value>,
    /// Later ones that were not kept, of a session with very many
    left_out: u64,
    /// Where the capture is damaged; what is lost is not here
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

/// The tool [`capture_timeline`].
pub(super) const CAPTURE_TIMELINE: AboutTool = AboutTool {
    name: "capture_timeline",
    title: "Time line of a capture",
    description: "What happened, in one list: ops, knobs turned, commands, events, buffers, closes, losses, \
     lag and its causes.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_timeline(
    shared: Arc<Shared>,
    args: TimelineArgs,
    call: Call,
) -> Result<ToolAnswer<CaptureTimeline>> {
    let found = shared.captures.find(&args.capture)?;
    let part = args.part.part()?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 60, 200));
    let path = found.path.clone();
    let (all, damage) = call.work("replaying", move || app::timeline(&path, part)).await?;
    let is_asked = |moment: &&Moment| {
        let named = |kind: &String| kind == moment.kind.name() || *kind == moment.name;
        args.kinds.is_empty() || args.kinds.iter().any(named)
    };
    let asked: Vec<_> = all.moments.iter().filter(is_asked).collect();
    let shown = asked.iter().map(|moment| clipped_value(&json!(moment)));
    let (moments, cut) = page("moments", shown, start, most);
    let summary = match asked.len() {
        0 => "nothing of that kind happened then".to_owned(),
        count => format!("{} of {}", moments.len(), views::counted(count as u64, "moment")),
    };
    let id = Value::from(found.id.as_str());
    let next = match moments.iter().find(|moment| moment["kind"] == "finding") {
        Some(_) => format!("capture_diagnose {{\"capture\": {id}}}"),
        None => format!("capture_messages {{\"capture\": {id}}}"),
    };
    let answer = CaptureTimeline {
        id: found.id,
        moments,
        left_out: all.left_out,
        damage: damage.map(|damage| clipped(&damage.reason)),
    };
    Ok(ToolAnswer::new(summary, answer).next([next]).cut(cut))
}
