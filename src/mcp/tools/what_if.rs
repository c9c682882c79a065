//! `capture_what_if`: what would have been heard, had something been different.

use std::sync::Arc;

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::app::{self, WhatIfVerb};
use crate::mcp::answer::{ToolAnswer, clipped, page};
use crate::mcp::args::{Format, TimeRange, report_args};
use crate::mcp::call::Call;
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::schema;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::mcp::wording::ARGUMENTS;
use crate::parse::shell;
use crate::report::what_if::{self, Alternative};
use crate::scenario::NamedScenario;
use crate::scenario::model::DEFAULT_MEMBERS;

/// Runs of the model at most.
pub const MAX_MEMBERS: u64 = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct WhatIfCall {
    /// Its id or path
    capture: String,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Several, each with name, set, ops
    #[serde(default)]
    #[schemars(schema_with = "views::any_list")]
    scenarios: Vec<NamedChange>,
    /// Keep the recorded slices
    #[serde(default)]
    open_loop: bool,
    /// Runs of the model
    members: Option<u64>,
    #[serde(flatten)]
    part: TimeRange,
    /// Only so long before the end
    window_s: Option<f64>,
    /// Age from which audio is stale, 3 unless given
    stale_threshold_s: Option<f64>,
    #[serde(default)]
    format: Format,
}

/// One of several scenarios.
#[derive(Debug, Deserialize)]
struct NamedChange {
    name: String,
    #[serde(flatten)]
    change: ChangeArgs,
}

impl WhatIfCall {
    /// The scenarios of a call that asks for several, each with what holds for all of them.
    fn several(&self) -> Result<Vec<NamedScenario>> {
        ensure!(
            self.change.is_empty(),
            "with scenarios each of them says what is different; leave set and ops beside them out"
        );
        let named = |it: &NamedChange| {
            Ok(NamedScenario { name: it.name.clone(), scenario: it.change.scenario()? })
        };
        self.scenarios.iter().map(named).collect()
    }

    fn verb(&self) -> Result<WhatIfVerb> {
        ensure!(
            !self.change.is_empty() || !self.scenarios.is_empty(),
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
            part: self.part.part()?,
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
    #[serde(skip_serializing_if = "Option::is_none")]
    trust: Option<views::TrustView>,
    /// What was recorded, under lag, heard and verdict
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    factual: Option<Value>,
    /// The same in the likeliest outcome of what would have been
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_object")]
    counterfactual: Option<Value>,
    /// name, tier, heard, …, or refusal
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    alternatives: Vec<Value>,
    /// What could have been, the likeliest first
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "views::any_list")]
    outcomes: Vec<Value>,
    /// The same as a command line
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

/// The tool [`capture_what_if`].
pub const CAPTURE_WHAT_IF: AboutTool = AboutTool {
    name: "capture_what_if",
    title: "What would have been",
    description: "Asks what the listener would have heard otherwise: another lead floor, a seek, a thinner or \
     faster link, another clock. The answer says whether it is exact, exact until a moment, or a model's, \
     and how well that repeats this capture.",
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
    if !args.scenarios.is_empty() {
        let scenarios = args.several()?;
        let ask = move || app::what_ifs(&path, &verb, &scenarios);
        return Ok(side_by_side(found.id, &call.work("replaying", ask).await?));
    }
    let answer = call.work("replaying", move || app::what_if(&path, &verb)).await?;
    let most = if args.format == Format::Detailed { 10 } else { 4 };
    let outcomes = answer.outcomes.iter().map(views::outcome);
    let (outcomes, cut) = page("outcomes", outcomes, 0, most);
    let compare =
        format!("capture_compare with the same arguments on \"{}\" lists every figure", found.id);
    let body = WhatIfAnswer {
        trust: Some(views::TrustView::of(&answer)),
        factual: Some(views::side(&answer.factual)),
        counterfactual: Some(views::side(&answer.counterfactual)),
        alternatives: Vec::new(),
        outcomes,
        command: Some(format!(
            "lagtape what-if {}{}{}",
            shell::file(&found.path.to_string_lossy()),
            args.change.flags(),
            args.part.flags()?
        )),
        id: found.id,
    };
    Ok(ToolAnswer::new(views::what_if_summary(&answer), body).next([compare]).cut(cut))
}

/// Several scenarios in one answer.
fn side_by_side(id: String, alternatives: &[Alternative]) -> ToolAnswer<WhatIfAnswer> {
    const MOST: usize = 20;
    let (rows, cut) = page("alternatives", alternatives.iter().map(row), 0, MOST);
    let said = alternatives.iter().take(MOST).map(|it| match (it.answered(), it.refusal()) {
        (Some(answer), _) => format!("{}: {}", it.name, what_if::headline(answer)),
        (None, why) => format!("{}: refused, {}", it.name, why.unwrap_or_default()),
    });
    let summary = said.collect::<Vec<_>>().join("; ");
    let factual = alternatives.iter().find_map(|it| Some(views::side(&it.answered()?.factual)));
    let body = WhatIfAnswer {
        id,
        trust: None,
        factual,
        counterfactual: None,
        alternatives: rows,
        outcomes: Vec::new(),
        command: None,
    };
    ToolAnswer::new(summary, body)
        .next(["capture_what_if with the set and ops of one of them lists every figure"])
        .cut(cut)
}

/// A scenario in few words.
fn row(alternative: &Alternative) -> Value {
    let Some(answer) = alternative.answered() else {
        let refusal = alternative.refusal().map(clipped);
        return json!({"name": alternative.name, "tier": "refused", "refusal": refusal});
    };
    let side = &answer.counterfactual;
    let lead = side.lag.slices.lead_s;
    json!({
        "name": alternative.name,
        "tier": views::word(&answer.tier),
        "heard": what_if::headline(answer),
        "bad_s": side.verdict.as_ref().filter(|it| it.known).map(|it| it.bad_s),
        "stale_ticks": side.lag.ticks.stale_ticks,
        "behind": side.lag.slices.behind_playhead,
        "lead_p5_s": lead.map(|lead| lead.p5),
        "lead_p50_s": lead.map(|lead| lead.p50),
    })
}
