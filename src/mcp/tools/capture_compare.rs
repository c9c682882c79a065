//! `capture_compare`: two captures, side by side.

use std::sync::Arc;

use anyhow::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{self, DiffVerb};
use crate::mcp::answer::{ToolAnswer, clipped, clipped_value};
use crate::mcp::call::Call;
use crate::mcp::options::Toolset;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::report::compare::{self, Comparison, FigureComparison};

#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct CompareArgs {
    /// Its id or path
    capture: String,
    /// The other's
    with: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Compared {
    /// The first side, …
    a: String,
    /// … and the second
    b: String,
    /// They are the same, within 50 ms or 5 %
    same: bool,
    /// The one that is worse for the listener, a or b
    #[serde(skip_serializing_if = "Option::is_none")]
    worse: Option<String>,
    /// The figure or the kind of span that says so
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
    /// By name with a, b, difference (b − a), same, worse
    #[schemars(schema_with = "views::any_list")]
    figures: Vec<Value>,
    /// Spans of time in which they lie apart
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    spans: Vec<Value>,
    /// What differs in setting and configuration
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    setting: Vec<Value>,
    /// Events, closes and ops of which one has more
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    events: Vec<Value>,
}

impl Compared {
    /// Spans, settings and events that are listed.
    const MOST: usize = 12;

    fn of(compared: &Comparison) -> Compared {
        fn first<T: Serialize>(items: &[T]) -> Vec<Value> {
            items.iter().take(Compared::MOST).map(|item| clipped_value(&json!(item))).collect()
        }
        let judgement = &compared.judgement;
        let is_known = |figure: &&FigureComparison| figure.a.or(figure.b).is_some();
        let figures = judgement.figures.iter().filter(is_known).map(|figure| json!(figure));
        Compared {
            a: clipped(&compared.a.capture),
            b: clipped(&compared.b.capture),
            same: judgement.same,
            worse: judgement.worse.filter(|_| !judgement.same).map(|which| which.name().to_owned()),
            because: judgement.because.filter(|_| !judgement.same).map(str::to_owned),
            figures: figures.collect(),
            spans: first(&compared.spans),
            setting: first(&compared.setting),
            events: first(&compared.events),
        }
    }
}

/// The tool [`capture_compare`].
pub(super) const CAPTURE_COMPARE: AboutTool = AboutTool {
    name: "capture_compare",
    title: "Compare two captures",
    description: "Compares two captures, figure by figure: which is worse for a listener, by what, and where.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub(super) async fn capture_compare(
    shared: Arc<Shared>,
    args: CompareArgs,
    call: Call,
) -> Result<ToolAnswer<Compared>> {
    let (a, b) =
        (shared.captures.find(&args.capture)?.path, shared.captures.find(&args.with)?.path);
    let compared = call.work("replaying", move || app::diff(&a, &b, &DiffVerb::default())).await?;
    Ok(ToolAnswer::new(compare::sentence(&compared.judgement), Compared::of(&compared))
        .next(["capture_chart shows when; capture_dump_audio lets a person hear it"]))
}
