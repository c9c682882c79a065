//! The tools that ask what would have been: one change, many of them, side by side.

use std::sync::Arc;

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{self, DiffVerb, WhatIfVerb};
use crate::mcp::answer::{ToolAnswer, clipped, clipped_value, page};
use crate::mcp::args::{Format, report_args};
use crate::mcp::call::Call;
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::schema;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::mcp::wording::ARGUMENTS;
use crate::report::compare::{self, Comparison, FigureComparison, Judgement, Tolerance};
use crate::scenario::model::DEFAULT_MEMBERS;

/// Runs of the model at most.
pub const MAX_MEMBERS: u64 = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct WhatIfCall {
    /// The capture, by its id or path
    capture: String,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Keep the recorded slices, whatever the server would have done
    #[serde(default)]
    open_loop: bool,
    /// Runs of the model
    members: Option<u64>,
    /// Only so many seconds before the end; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
    #[serde(default)]
    format: Format,
}

impl WhatIfCall {
    fn verb(&self) -> Result<WhatIfVerb> {
        ensure!(
            !self.change.is_empty(),
            "say what would have been different: set {{\"lead-floor\": 0.6}}, or ops [\"6s:seek=16s\"]"
        );
        let members = self.members.unwrap_or(DEFAULT_MEMBERS as u64);
        ensure!(
            (1..=MAX_MEMBERS).contains(&members),
            "members is {members}; give from 1 to {MAX_MEMBERS}"
        );
        Ok(WhatIfVerb {
            scenario: self.change.scenario()?,
            open_loop: self.open_loop,
            members: usize::try_from(members)?,
            report: report_args(self.window_s, self.stale_threshold_s, None)?,
            wording: ARGUMENTS,
            ..WhatIfVerb::default()
        })
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct WhatIfAnswer {
    id: String,
    /// What the answer rests on
    trust: views::TrustView,
    /// What was recorded, under lag, heard and verdict
    #[schemars(schema_with = "schema::any_object")]
    factual: Value,
    /// The same in the likeliest outcome of what would have been
    #[schemars(schema_with = "schema::any_object")]
    counterfactual: Value,
    /// Where it is a matter of luck: what could have been, the likeliest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    outcomes: Vec<Value>,
    /// The same as a command line
    command: String,
}

/// The tool [`capture_what_if`].
pub const CAPTURE_WHAT_IF: AboutTool = AboutTool {
    name: "capture_what_if",
    title: "What would have been",
    description: "Asks what the listener would have heard otherwise: another lead floor, a seek, a thinner or \
     faster link, another clock. The answer says how far it can be trusted: exact, exact until a \
     moment, or by a model together with the model's error on this capture.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub async fn capture_what_if(
    shared: Arc<Shared>,
    args: WhatIfCall,
    call: Call,
) -> Result<ToolAnswer<WhatIfAnswer>> {
    let found = shared.captures.find(&args.capture)?;
    let (verb, path) = (args.verb()?, found.path.clone());
    let answer = call.work("replaying", move || app::what_if(&path, &verb)).await?;
    let most = if args.format == Format::Detailed { 10 } else { 4 };
    let outcomes = answer.outcomes.iter().map(views::outcome);
    let (outcomes, cut) = page("outcomes", outcomes, 0, most);
    let compare =
        format!("capture_compare with the same arguments on \"{}\" lists every figure", found.id);
    let body = WhatIfAnswer {
        trust: views::TrustView::of(&answer),
        factual: views::side(&answer.factual),
        counterfactual: views::side(&answer.counterfactual),
        outcomes,
        command: format!("lagtape what-if {}{}", found.path.display(), args.change.flags()),
        id: found.id,
    };
    Ok(ToolAnswer::new(views::what_if_summary(&answer), body).next([compare]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct CompareCall {
    /// The capture, by its id or path
    capture: String,
    /// Another capture to compare it with; leave out for what would have been
    with: Option<String>,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Of what would have been only so many seconds before the end; all unless given
    window_s: Option<f64>,
    /// Audio older than this is stale, 3 s unless given
    stale_threshold_s: Option<f64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Compared {
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
    /// Figures by name with a, b, difference (b − a), whether they are the same and which is worse;
    /// what a listener minds most comes first
    #[schemars(schema_with = "views::any_list")]
    figures: Vec<Value>,
    /// Of two captures: spans of time in which they lie apart
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    spans: Vec<Value>,
    /// Of two captures: what differs in setting and configuration
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    setting: Vec<Value>,
    /// Of two captures: events, closes and ops of which one has more
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    events: Vec<Value>,
    /// How far b can be trusted, when it was not recorded
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<views::TrustView>,
}

impl Compared {
    /// Spans, settings and events that are listed.
    const MOST: usize = 12;

    fn new(a: &str, b: &str, judgement: &Judgement) -> Compared {
        let is_known = |figure: &&FigureComparison| figure.a.or(figure.b).is_some();
        Compared {
            a: clipped(a),
            b: clipped(b),
            same: judgement.same,
            worse: judgement.worse.filter(|_| !judgement.same).map(|which| which.name().to_owned()),
            because: judgement.because.filter(|_| !judgement.same).map(str::to_owned),
            figures: judgement
                .figures
                .iter()
                .filter(is_known)
                .map(|figure| json!(figure))
                .collect(),
            spans: Vec::new(),
            setting: Vec::new(),
            events: Vec::new(),
            trust: None,
        }
    }

    fn of_captures(compared: &Comparison) -> Compared {
        fn first<T: Serialize>(items: &[T]) -> Vec<Value> {
            items.iter().take(Compared::MOST).map(|item| clipped_value(&json!(item))).collect()
        }
        Compared {
            spans: first(&compared.spans),
            setting: first(&compared.setting),
            events: first(&compared.events),
            ..Compared::new(&compared.a.capture, &compared.b.capture, &compared.judgement)
        }
    }
}

/// The tool [`capture_compare`].
pub const CAPTURE_COMPARE: AboutTool = AboutTool {
    name: "capture_compare",
    title: "Compare",
    description: "Compares a capture with another one (with), or with what would have been (set, ops), figure by \
     figure: which is worse for a listener, by what, and of two captures where.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub async fn capture_compare(
    shared: Arc<Shared>,
    args: CompareCall,
    call: Call,
) -> Result<ToolAnswer<Compared>> {
    let found = shared.captures.find(&args.capture)?;
    let report = report_args(args.window_s, args.stale_threshold_s, None)?;
    let (summary, body) = match &args.with {
        Some(other) => {
            ensure!(args.change.is_empty(), "give either with or set and ops, not both");
            ensure!(
                args.window_s.is_none(),
                "two captures are compared over the time that both cover; leave out window_s"
            );
            let (a, b) = (found.path, shared.captures.find(other)?.path);
            let verb =
                DiffVerb { stale_threshold_s: report.stale_threshold_s, ..DiffVerb::default() };
            let compared = call.work("replaying", move || app::diff(&a, &b, &verb)).await?;
            (compare::sentence(&compared.judgement), Compared::of_captures(&compared))
        }
        None => {
            ensure!(
                !args.change.is_empty(),
                "say with what: another capture in with, or a change in set or ops"
            );
            let verb = WhatIfVerb {
                scenario: args.change.scenario()?,
                members: DEFAULT_MEMBERS,
                report,
                wording: ARGUMENTS,
                ..WhatIfVerb::default()
            };
            let answer = call.work("replaying", move || app::what_if(&found.path, &verb)).await?;
            let (factual, counterfactual) = (&answer.factual.lag, &answer.counterfactual.lag);
            let judgement = Judgement::of_reports(factual, counterfactual, Tolerance::default());
            let body = Compared {
                trust: Some(views::TrustView::of(&answer)),
                ..Compared::new("recorded", "with the change", &judgement)
            };
            let summary =
                format!("{}; {}", compare::sentence(&judgement), views::what_if_summary(&answer));
            (summary, body)
        }
    };
    Ok(ToolAnswer::new(summary, body)
        .next(["capture_chart shows when; capture_dump_audio lets a person hear it"]))
}
