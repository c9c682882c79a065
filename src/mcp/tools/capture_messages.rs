//! `capture_messages`: the messages of a capture, filtered and paged.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::{self, CatFilter, SessionPart};
use crate::capture::Direction;
use crate::lag::stats::round;
use crate::mcp::answer::{LIST_LEN, ToolAnswer, Truncated, clipped, clipped_value, cursor};
use crate::mcp::args::{Format, TimeRange, limit};
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::time::Nanos;

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum MessageDirection {
    /// Client to server
    C2s,
    /// Server to client
    S2c,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct MessagesArgs {
    /// Its id or path
    capture: String,
    /// Only these: a JSON type (params, prompt, ready, swap_ready, …), an opcode (text, binary), or
    /// what it is (config, upload, buffer, slice, swap_buffer)
    #[serde(default)]
    types: Vec<String>,
    /// Not these
    #[serde(default)]
    not_types: Vec<String>,
    /// Only what went this way
    direction: Option<MessageDirection>,
    #[serde(flatten)]
    part: TimeRange,
    /// Messages at most, 40 unless given, up to 200
    limit: Option<u64>,
    /// next_cursor of the last answer
    cursor: Option<String>,
    /// detailed: all fields, long texts cut
    #[serde(default)]
    format: Format,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct CaptureMessages {
    id: String,
    /// Concise: number, seconds, direction, type, size, beginning
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
    /// Detailed: as lagtape cat --json has them
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    messages: Vec<Value>,
    /// Messages that pass the filter
    total: u64,
    /// Where the capture is damaged; nothing after that is here
    #[serde(skip_serializing_if = "Option::is_none")]
    damage: Option<String>,
}

/// The tool [`capture_messages`].
pub(super) const CAPTURE_MESSAGES: AboutTool = AboutTool {
    name: "capture_messages",
    title: "Messages of a capture",
    description: "The messages of a capture in their order, filtered and paged.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_messages(
    shared: Arc<Shared>,
    args: MessagesArgs,
    call: Call,
) -> Result<ToolAnswer<CaptureMessages>> {
    let found = shared.captures.find(&args.capture)?;
    let detailed = args.format == Format::Detailed;
    let SessionPart { from, to, .. } = args.part.part()?;
    let filter = CatFilter {
        json: detailed,
        records: false,
        kinds: args.types,
        not_kinds: args.not_types,
        direction: args.direction.map(|direction| match direction {
            MessageDirection::C2s => Direction::ClientToServer,
            MessageDirection::S2c => Direction::ServerToClient,
        }),
        from,
        to,
        limit: Some(limit(args.limit, 40, 200) as u64),
    };
    filter.check()?;
    let after = match args.cursor.as_deref() {
        Some(text) => Some(cursor(Some(text))? as u64),
        None => None,
    };
    let path = found.path.clone();
    let read = move || app::messages(&path, &filter, after, LIST_LEN);
    let messages = call.work("reading", read).await?;
    let shown = messages.lines.len() as u64;
    let cut = (shown < messages.total).then(|| Truncated {
        list: if detailed { "messages" } else { "lines" },
        shown,
        total: messages.total,
        next_cursor: messages.next.map(|next| next.to_string()),
    });
    let mut body = CaptureMessages {
        id: found.id,
        lines: Vec::new(),
        messages: Vec::new(),
        total: messages.total,
        damage: messages.damage.map(|damage| clipped(&damage.reason)),
    };
    match detailed {
        true => {
            let parsed = messages.lines.iter().filter_map(|line| serde_json::from_str(line).ok());
            body.messages = parsed.map(|message| timed(message, messages.origin)).collect();
        }
        false => body.lines = messages.lines,
    }
    let summary = format!("{shown} of {} messages", messages.total);
    let hint = match shown {
        0 => "no message passes; capture_open names the events that there are",
        _ => {
            "narrow with types, not_types [\"params\", \"params_update\", \"slice\"], from_s and to_s"
        }
    };
    Ok(ToolAnswer::new(summary, body).next([hint]).cut(cut))
}

/// A message with its time as all other answers have it.
fn timed(message: Map<String, Value>, origin: Nanos) -> Value {
    let mut fields = Map::new();
    let t = message.get("t_ns").and_then(Value::as_u64).map(Nanos);
    fields.extend(t.map(|t| ("t_s".to_owned(), json!(round(t.seconds_since(origin), 6)))));
    fields.extend(message);
    clipped_value(&Value::Object(fields))
}
