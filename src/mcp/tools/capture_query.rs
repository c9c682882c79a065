//! `capture_query`: rows of a capture, or what they come to.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{self, QueryVerb};
use crate::mcp::answer::{ToolAnswer, Truncated, clipped, clipped_value, cursor, page};
use crate::mcp::args::limit;
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::report::query::QueryWords;

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct QueryArgs {
    /// Its id or path
    capture: String,
    /// slices: t_s seq start frames lead_s interval_s tick_ms dec_ms generations bytes; ticks: t_s seq
    /// playhead_s staleness_s interval_s in_flight; messages: t_s seq from kind bytes text
    table: String,
    /// "lead_s < 0", "kind = prompt", "text ~ dub"; all hold
    #[serde(default, rename = "where")]
    conditions: Vec<String>,
    /// Columns; all unless given
    #[serde(default)]
    select: Vec<String>,
    /// Instead of rows: count, min(lead_s), p95(lead_s), …; also max mean sum first last
    #[serde(default)]
    aggregate: Vec<String>,
    /// A column, or steps of it: "t_s/10"
    group_by: Option<String>,
    /// "lead_s" or "lead_s desc"
    order: Option<String>,
    /// Rows at most, 40 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct QueryRows {
    id: String,
    columns: Vec<String>,
    /// Lists of values
    rows: Vec<Value>,
    /// Rows of the table for which the conditions hold
    matched: u64,
    /// Where the capture is damaged; what is lost is not here
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

/// The tool [`capture_query`].
pub(super) const CAPTURE_QUERY: AboutTool = AboutTool {
    name: "capture_query",
    title: "Query a capture",
    description: "Filters, orders and sums up slices, ticks or messages, for what no other tool answers.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_query(
    shared: Arc<Shared>,
    args: QueryArgs,
    call: Call,
) -> Result<ToolAnswer<QueryRows>> {
    let found = shared.captures.find(&args.capture)?;
    let (start, most) = (cursor(args.cursor.as_deref())?, limit(args.limit, 40, 200));
    let verb = QueryVerb {
        words: QueryWords {
            table: args.table,
            conditions: args.conditions,
            select: args.select,
            aggregates: args.aggregate,
            group_by: args.group_by,
            order: args.order,
        },
        skip: start,
        limit: most,
        ..QueryVerb::default()
    };
    let path = found.path.clone();
    let (answer, damage) = call.work("replaying", move || app::query(&path, &verb)).await?;
    let rows = answer.rows.iter().map(|row| clipped_value(&serde_json::json!(row)));
    let (rows, _) = page("rows", rows, 0, most);
    let (shown, total) = (rows.len() as u64, answer.total);
    let end = start as u64 + shown;
    let cut = (shown < total).then(|| Truncated {
        list: "rows",
        shown,
        total,
        next_cursor: (end < total && shown > 0).then(|| end.to_string()),
    });
    let summary = format!(
        "{shown} of {}; {} of the table match",
        views::counted(total, "row"),
        views::counted(answer.matched, "row")
    );
    let body = QueryRows {
        id: found.id,
        columns: answer.columns,
        rows,
        matched: answer.matched,
        damage: damage.map(|damage| clipped(&damage.reason)),
    };
    Ok(ToolAnswer::new(summary, body).cut(cut))
}
