//! What a tool answers: a summary, what to do next, and the facts, as one object.
//!
//! Enters: plain data. Leaves: structured content, the same as text, and links to files. Never longer
//! than [`MAX_ANSWER_LEN`]: lists are cut to fit, and say so with their totals.

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use rmcp::model::{CallToolResult, ContentBlock, Resource};
use serde::Serialize;
use serde_json::Value;

use super::percent::encoded;
use super::wording::ARGUMENTS;
use crate::app;

/// Longest answer in bytes of JSON: about 8,000 tokens, counting 2.5 bytes to one as figures take.
pub const MAX_ANSWER_LEN: usize = 20_000;
/// Bytes that a list may take of that; the rest is for what stands around it.
pub const LIST_LEN: usize = 12_000;
/// Longest text out of a capture that is repeated in an answer, in characters.
const MAX_TEXT_CHARS: usize = 300;
/// Longest sentence of a failure.
const MAX_FAILURE_CHARS: usize = 2_000;

/// An answer; its schema is that of the body. What stands in every answer, the server's instructions tell
/// once.
#[derive(Debug, Serialize)]
pub struct ToolAnswer<T> {
    /// What was found or done.
    pub summary: String,
    /// What to try next.
    pub next_steps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<Truncated>,
    #[serde(flatten)]
    pub body: T,
    /// Files that were written.
    #[serde(skip)]
    pub files: Vec<PathBuf>,
}

/// What was left out of a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Truncated {
    /// Which list.
    pub list: &'static str,
    /// Items shown.
    pub shown: u64,
    /// Items there are.
    pub total: u64,
    /// Give this as cursor to go on; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// What goes back to the client.
#[derive(Debug)]
pub struct ToolOutput(CallToolResult);

impl<T: Serialize> ToolAnswer<T> {
    /// An answer without anything left out.
    pub fn new(summary: impl Into<String>, body: T) -> Self {
        ToolAnswer {
            summary: summary.into(),
            next_steps: Vec::new(),
            truncated: None,
            body,
            files: Vec::new(),
        }
    }

    /// With tool calls to try.
    pub fn next(mut self, steps: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.next_steps.extend(steps.into_iter().map(Into::into));
        self
    }

    /// With a list that may have been cut.
    pub fn cut(mut self, truncated: Option<Truncated>) -> Self {
        self.truncated = truncated;
        self
    }

    /// With a file that was written.
    pub fn file(mut self, path: &Path) -> Self {
        self.files.push(path.to_owned());
        self
    }

    /// The answer as it is sent.
    pub fn output(&self) -> Result<ToolOutput> {
        let value = serde_json::to_value(self)?;
        let text = value.to_string();
        ensure!(
            text.len() <= MAX_ANSWER_LEN,
            "the answer would be {} bytes, more than an agent can read; ask for less with limit, a shorter time or format concise",
            text.len()
        );
        let mut content = vec![ContentBlock::text(text)];
        content.extend(self.files.iter().map(|path| ContentBlock::resource_link(link(path))));
        let mut result = CallToolResult::success(content);
        result.structured_content = Some(value);
        Ok(ToolOutput(result))
    }
}

impl ToolOutput {
    /// A picture with a sentence; without structured content, beside which some clients drop images.
    pub fn picture(base64: String, mime: &str, sentence: String) -> ToolOutput {
        let content = vec![ContentBlock::text(sentence), ContentBlock::image(base64, mime)];
        ToolOutput(CallToolResult::success(content))
    }

    /// A failure: everything in the text, since some clients show nothing else of it.
    pub fn failure(error: &anyhow::Error) -> ToolOutput {
        let sentence = clipped_to(&app::worded(error, ARGUMENTS), MAX_FAILURE_CHARS);
        ToolOutput(CallToolResult::error(vec![ContentBlock::text(sentence)]))
    }
}

impl From<ToolOutput> for CallToolResult {
    fn from(output: ToolOutput) -> CallToolResult {
        output.0
    }
}

/// A file as a resource.
fn link(path: &Path) -> Resource {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    let mime = match path.extension().and_then(|extension| extension.to_str()) {
        Some("wav") => "audio/wav",
        Some("png") => "image/png",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html",
        Some("csv") => "text/csv",
        _ => "application/octet-stream",
    };
    Resource::new(format!("file://{}", encoded(&path.display().to_string(), "/")), name)
        .with_mime_type(mime)
}

/// Keeps as many items as fit from number `start` on, at most `limit`, and counts the rest.
pub fn page<T: Serialize>(
    list: &'static str,
    items: impl ExactSizeIterator<Item = T>,
    start: usize,
    limit: usize,
) -> (Vec<T>, Option<Truncated>) {
    let total = items.len();
    let (mut kept, mut room) = (Vec::new(), LIST_LEN);
    for item in items.skip(start).take(limit) {
        let len = serde_json::to_string(&item).map_or(0, |text| text.len() + 1);
        if len > room && !kept.is_empty() {
            break;
        }
        room = room.saturating_sub(len);
        kept.push(item);
    }
    let end = start.saturating_add(kept.len());
    let truncated = (kept.len() < total).then(|| Truncated {
        list,
        shown: kept.len() as u64,
        total: total as u64,
        next_cursor: (end < total).then(|| end.to_string()),
    });
    (kept, truncated)
}

/// The number in a cursor.
pub fn cursor(cursor: Option<&str>) -> Result<usize> {
    match cursor {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            anyhow::anyhow!(
                "\"{}\" is no cursor of this tool; leave it out, or repeat next_cursor of the last answer",
                clipped(text)
            )
        }),
    }
}

/// A text out of a capture, short.
pub fn clipped(text: &str) -> String {
    clipped_to(text, MAX_TEXT_CHARS)
}

fn clipped_to(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
    }
}

/// JSON out of a capture with every text shortened and every list and object cut.
pub fn clipped_value(value: &Value) -> Value {
    const MOST: usize = 24;
    match value {
        Value::String(text) => clipped(text).into(),
        Value::Array(items) => items.iter().take(MOST).map(clipped_value).collect(),
        Value::Object(fields) => {
            let short = |(key, value): (&String, &Value)| (clipped(key), clipped_value(value));
            Value::Object(fields.iter().take(MOST).map(short).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Body {
        text: String,
    }

    #[track_caller]
    fn check_page(
        items: usize,
        len: usize,
        start: usize,
        limit: usize,
        shown: u64,
        next: Option<&str>,
    ) {
        let text = "x".repeat(len);
        let (kept, truncated) = page("items", (0..items).map(|_| &text), start, limit);
        assert_eq!(kept.len() as u64, shown);
        let shown_as = truncated.as_ref().map(|t| (t.shown, t.total, t.next_cursor.as_deref()));
        let expected = (kept.len() < items).then_some((shown, items as u64, next));
        assert_eq!(shown_as, expected);
    }

    #[test]
    fn lists_are_cut_and_say_so() {
        check_page(3, 10, 0, 10, 3, None);
        check_page(30, 10, 0, 10, 10, Some("10"));
        check_page(30, 10, 20, 10, 10, None);
        check_page(30, 10, 40, 10, 0, None);
        check_page(30, 5_000, 0, 10, 2, Some("2"));
        check_page(1, 50_000, 0, 10, 1, None);
        check_page(0, 0, 0, 10, 0, None);
    }

    #[test]
    fn an_answer_that_is_too_long_fails_with_advice() {
        let fits = ToolAnswer::new("s", Body { text: "x".repeat(MAX_ANSWER_LEN - 200) });
        assert!(fits.output().is_ok());
        let long = ToolAnswer::new("s", Body { text: "x".repeat(MAX_ANSWER_LEN) });
        let error = long.output().unwrap_err().to_string();
        assert!(error.contains("ask for less"), "{error}");
    }

    #[test]
    fn texts_out_of_captures_are_short() {
        let long = "ä".repeat(5_000);
        assert!(clipped(&long).ends_with("… (10000 bytes in all)"));
        let nested = serde_json::json!({"a": [long.clone(), {"b": long}], "n": 1});
        assert!(clipped_value(&nested).to_string().len() < 1_500);
    }
}
