//! The answer to a what-if: recorded against counterfactual, as data and as a person reads it.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::text::Figure;
use crate::lag::LagReport;
use crate::peer::policy::Policy;
use crate::scenario::model::{FactualError, Fit, Outcome, Spread};
use crate::scenario::{Scenario, Tier};

/// An answer.
#[derive(Debug, Clone, Serialize)]
pub struct WhatIf {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// What was asked.
    pub scenario: Scenario,
    /// How far it can be trusted, …
    pub tier: Tier,
    /// … and why.
    pub reason: String,
    /// Until when the answer is exact, in seconds from the initial buffer; `null`: to the end, or
    /// nowhere in the model tier.
    pub valid_until_s: Option<f64>,
    /// Share of the slices that came later.
    pub beyond_share: f64,
    /// What was recorded.
    pub factual: Side,
    /// What would have been, in the likeliest outcome.
    pub counterfactual: Side,
    /// In the model tier: what could have been, the likeliest first.
    pub outcomes: Vec<Outcome>,
    /// In the model tier: what the model was made of.
    pub model: Option<ModelUse>,
    /// The WAV file with what would have been heard, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// The capture of the counterfactual session, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
}

/// One side of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Side {
    /// The reference's report of the session since the last swap.
    pub lag: LagReport,
}

/// The model that answered.
#[derive(Debug, Clone, Serialize)]
pub struct ModelUse {
    /// The server's constants, as fitted to the recording.
    pub parameters: Policy,
    /// How well it repeats the recording itself.
    pub factual_error: FactualError,
}

impl ModelUse {
    /// What was fitted.
    #[must_use]
    pub fn of(fit: &Fit) -> ModelUse {
        ModelUse { parameters: fit.policy.clone(), factual_error: fit.factual_error }
    }

    /// How well it repeats the recording, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "repeats {} % of this capture's slices to the frame, and lead p95 within {} ms",
            Figure(self.factual_error.exact_share * 100.0),
            (self.factual_error.lead_error_p95_s * 1e3).ceil(),
        )
    }
}

/// Prints an answer.
#[must_use]
pub fn text(answer: &WhatIf) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(answer, &mut out);
    out
}

fn write(answer: &WhatIf, out: &mut String) -> fmt::Result {
    writeln!(out, "{}", basis(answer))?;
    writeln!(out, "\n{:<17}{:<14}with the change", "", "recorded")?;
    for (name, figure) in FIGURES {
        let (recorded, changed) = (figure(&answer.factual.lag), figure(&answer.counterfactual.lag));
        let spread = answer.outcomes.first().and_then(|outcome| spread(outcome, name));
        writeln!(
            out,
            "{name:<17}{:<14}{}{}",
            seconds(recorded),
            seconds(changed),
            spread.unwrap_or_default()
        )?;
    }
    counts(answer, out)?;
    writeln!(out, "\nnot modelled: content, GPU load")
}

/// A figure of a report by its name.
type NamedFigure = (&'static str, fn(&LagReport) -> Option<f64>);

const FIGURES: [NamedFigure; 5] = [
    ("lead min", |lag| lag.slices.lead_s.map(|lead| lead.min)),
    ("lead p5", |lag| lag.slices.lead_s.map(|lead| lead.p5)),
    ("lead p50", |lag| lag.slices.lead_s.map(|lead| lead.p50)),
    ("lead p95", |lag| lag.slices.lead_s.map(|lead| lead.p95)),
    ("staleness p95", |lag| lag.ticks.staleness_s.map(|staleness| staleness.p95)),
];

/// What the answer rests on.
fn basis(answer: &WhatIf) -> String {
    match (answer.tier, &answer.model, answer.valid_until_s) {
        (Tier::Model, Some(model), _) => format!("closed-loop model: {}", model.sentence()),
        (Tier::Exact, _, _) => format!("exact: {}", answer.reason),
        (_, _, Some(until_s)) => format!(
            "open loop: exact until {} s; {} % of the slices came later. {}",
            Figure(until_s),
            Figure(answer.beyond_share * 100.0),
            answer.reason
        ),
        _ => answer.reason.clone(),
    }
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), |value| format!("{} s", Figure(value)))
}

/// How far the members of the likeliest outcome lie apart.
fn spread(outcome: &Outcome, name: &str) -> Option<String> {
    let Spread { p5, p95, .. } = match name {
        "lead min" => outcome.lead_min_s,
        "lead p5" => outcome.lead_p5_s,
        "lead p50" => outcome.lead_p50_s,
        "lead p95" => outcome.lead_p95_s,
        "staleness p95" => outcome.staleness_p95_s,
        _ => return None,
    };
    Some(format!("   ({} – {})", Figure(p5), Figure(p95)))
}

/// Stale ticks and slices behind, for each outcome.
fn counts(answer: &WhatIf, out: &mut String) -> fmt::Result {
    let of = |lag: &LagReport| (lag.ticks.stale_ticks, lag.slices.behind_playhead);
    let (stale, behind) = of(&answer.factual.lag);
    if answer.outcomes.len() < 2 {
        let (changed_stale, changed_behind) = of(&answer.counterfactual.lag);
        writeln!(out, "{:<17}{stale:<14}{changed_stale}", "stale ticks")?;
        return writeln!(out, "{:<17}{behind:<14}{changed_behind}", "slices behind");
    }
    for (i, outcome) in answer.outcomes.iter().enumerate() {
        let (changed_stale, changed_behind) = of(&outcome.lag);
        let recorded = |count: usize| if i == 0 { count.to_string() } else { String::new() };
        writeln!(
            out,
            "{:<17}{:<14}{changed_stale:<6} in {} % of the runs: lead p50 {} s, p95 {} s",
            if i == 0 { "stale ticks" } else { "" },
            recorded(stale),
            Figure(outcome.share * 100.0),
            Figure(outcome.lead_p50_s.p50),
            Figure(outcome.lead_p95_s.p50),
        )?;
        writeln!(
            out,
            "{:<17}{:<14}{changed_behind}",
            if i == 0 { "slices behind" } else { "" },
            recorded(behind)
        )?;
    }
    Ok(())
}
