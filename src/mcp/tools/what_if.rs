//! `capture_what_if`: what would have been heard, had something been different.

use std::sync::Arc;

use anyhow::{Result, ensure};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::app::{self, WhatIfVerb};
use crate::mcp::answer::{ToolAnswer, page};
use crate::mcp::args::{Format, report_args};
use crate::mcp::call::Call;
use crate::mcp::change::ChangeArgs;
use crate::mcp::options::Toolset;
use crate::mcp::schema;
use crate::mcp::shared::Shared;
use crate::mcp::tool::{AboutTool, Effect};
use crate::mcp::views;
use crate::mcp::wording::ARGUMENTS;
use crate::scenario::model::DEFAULT_MEMBERS;

/// Runs of the model at most.
pub const MAX_MEMBERS: u64 = 1_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub struct WhatIfCall {
    /// Its id or path
    capture: String,
    #[serde(flatten)]
    change: ChangeArgs,
    /// Keep the recorded slices
    #[serde(default)]
    open_loop: bool,
    /// Runs of the model
    members: Option<u64>,
    /// Only so long before the end
    window_s: Option<f64>,
    /// Age from which audio is stale, 3 unless given
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
