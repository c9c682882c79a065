//! The tools that ask what would have been: one change, many of them, side by side.

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer::{Answer, clipped, page};
use super::args::{ChangeArgs, Format, report_args};
use super::call::Call;
use super::schema;
use super::server::Server;
use super::tool::{About, Effect, Toolset};
use super::views;
use crate::app::{self, WhatIfVerb};
use crate::scenario::model::DEFAULT_MEMBERS;

/// Runs of the model at most.
pub const MAX_MEMBERS: u64 = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct WhatIfArgs {
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

impl WhatIfArgs {
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
            ..WhatIfVerb::default()
        })
    }
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct WhatIfAnswer {
    id: String,
    /// What the answer rests on
    trust: views::Trust,
    /// What was recorded, under lag
    #[schemars(schema_with = "schema::any_object")]
    factual: Value,
    /// What would have been in the likeliest outcome, under lag
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
pub const CAPTURE_WHAT_IF: About = About {
    name: "capture_what_if",
    title: "What would have been",
    description: "Asks what the listener would have heard otherwise: another lead floor, a seek, a thinner or \
     faster link, another clock. The answer says how far it can be trusted: exact, exact until a \
     moment, or by a model together with the model's error on this capture.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub async fn capture_what_if(
    server: Server,
    args: WhatIfArgs,
    call: Call,
) -> Result<Answer<WhatIfAnswer>> {
    let found = server.captures.find(&args.capture)?;
    let (verb, path) = (args.verb()?, found.path.clone());
    let answer = call
        .work("replaying", move || app::what_if(&path, &verb))
        .await
        .map_err(|error| views::in_words_of_tools(&error))?;
    let most = if args.format == Format::Detailed { 10 } else { 4 };
    let outcomes = answer.outcomes.iter().map(|outcome| json!(outcome));
    let (outcomes, cut) = page("outcomes", outcomes, 0, most);
    let compare =
        format!("capture_compare with the same arguments on \"{}\" lists every figure", found.id);
    let body = WhatIfAnswer {
        trust: views::Trust::of(&answer),
        factual: json!(answer.factual),
        counterfactual: json!(answer.counterfactual),
        outcomes,
        command: format!("lagtape what-if {}{}", found.path.display(), args.change.words()),
        id: found.id,
    };
    Ok(Answer::new(views::what_if_summary(&answer), body).next([compare]).cut(cut))
}

#[derive(Debug, Deserialize, JsonSchema)]
pub struct CompareArgs {
    /// The capture, by its id or path
    capture: String,
    /// Another capture to compare it with; leave out for what would have been
    with: Option<String>,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Only so many seconds before the end; all unless given
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
    /// Figures with a, b, change (b − a) and what that means: better, worse, same, other
    #[schemars(schema_with = "views::any_list")]
    figures: Vec<Value>,
    /// Figures that are better in b
    better: u64,
    /// Figures that are worse in b
    worse: u64,
    /// How far b can be trusted, when it was not recorded
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<views::Trust>,
}

/// The tool [`capture_compare`].
pub const CAPTURE_COMPARE: About = About {
    name: "capture_compare",
    title: "Compare",
    description: "Compares a capture with another one (with), or with what would have been (set, ops), figure by \
     figure, and says which differences a listener would call better or worse.",
    set: Toolset::Replay,
    effect: Effect::Reads,
};

pub async fn capture_compare(
    server: Server,
    args: CompareArgs,
    call: Call,
) -> Result<Answer<Compared>> {
    let found = server.captures.find(&args.capture)?;
    let report = report_args(args.window_s, args.stale_threshold_s, None)?;
    let (compared, trust) = match &args.with {
        Some(other) => {
            ensure!(args.change.is_empty(), "give either with or set and ops, not both");
            let (a, b) = (found.path, server.captures.find(other)?.path);
            let compared = call.work("replaying", move || app::compare(&a, &b, report)).await?;
            (compared, None)
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
                ..WhatIfVerb::default()
            };
            let asked = move || app::compare_what_if(&found.path, &verb);
            let (compared, answer) = call
                .work("replaying", asked)
                .await
                .map_err(|error| views::in_words_of_tools(&error))?;
            (compared, Some(views::Trust::of(&answer)))
        }
    };
    let summary = views::comparison(&compared);
    let body = Compared {
        a: clipped(&compared.a.name),
        b: clipped(&compared.b.name),
        figures: compared.figures.iter().map(|figure| json!(figure)).collect(),
        better: compared.better as u64,
        worse: compared.worse as u64,
        trust,
    };
    Ok(Answer::new(summary, body)
        .next(["capture_chart shows when; capture_dump_audio lets a person hear it"]))
}
