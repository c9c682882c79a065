//! The answer to a what-if: recorded against counterfactual, as data and as a person reads it.

pub mod alternatives;

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::SCHEMA;
use super::format::{Figure, in_brief, wrapped};
use crate::lag::LagReport;
use crate::peer::policy::Policy;
use crate::scenario::answer::{FittedModel, ScenarioAnswer};
use crate::scenario::model::{Bottleneck, FactualError, Fit, ModelOutcome, Spread, Trace};
use crate::scenario::{Scenario, Tier};
use crate::verdict::{HeardUse, Verdict};

/// An answer.
#[derive(Debug, Clone, Serialize)]
pub struct WhatIf {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// The part of it that was asked, in seconds from the initial buffer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_s: Option<f64>,
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
    pub factual: WhatIfSide,
    /// What would have been, in the likeliest outcome.
    pub counterfactual: WhatIfSide,
    /// In the model tier: what could have been, the likeliest first.
    pub outcomes: Vec<ModelOutcome>,
    /// Runs of the model; 0 in other tiers.
    pub members: usize,
    /// In the model tier: what the model was made of.
    pub model: Option<ModelUse>,
    /// The WAV file with what would have been heard, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<String>,
    /// When in the session that file begins, in seconds from the initial buffer, if not with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_from_s: Option<f64>,
    /// The capture of the counterfactual session, if one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub derived: Option<String>,
}

/// One of several scenarios that were asked of one capture.
#[derive(Debug, Clone, Serialize)]
pub struct Alternative {
    pub name: String,
    #[serde(flatten)]
    pub answer: AlternativeAnswer,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum AlternativeAnswer {
    Answered(Box<WhatIf>),
    Refused(Box<RefusedScenario>),
}

/// A scenario without an answer.
#[derive(Debug, Clone, Serialize)]
pub struct RefusedScenario {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// What was asked.
    pub scenario: Scenario,
    /// Always refused, …
    pub tier: Tier,
    /// … and why.
    pub reason: String,
}

impl Alternative {
    /// What came of the scenario of that name.
    #[must_use]
    pub fn of(
        name: &str,
        capture: &str,
        scenario: &Scenario,
        answer: Result<WhatIf, String>,
    ) -> Alternative {
        let refused = |reason| RefusedScenario {
            schema: SCHEMA,
            capture: capture.to_owned(),
            scenario: scenario.clone(),
            tier: Tier::Refused,
            reason,
        };
        let answer = match answer {
            Ok(answer) => AlternativeAnswer::Answered(Box::new(answer)),
            Err(reason) => AlternativeAnswer::Refused(Box::new(refused(reason))),
        };
        Alternative { name: name.to_owned(), answer }
    }

    /// The answer, if there is one.
    #[must_use]
    pub fn answered(&self) -> Option<&WhatIf> {
        match &self.answer {
            AlternativeAnswer::Answered(answer) => Some(answer),
            AlternativeAnswer::Refused(_) => None,
        }
    }

    /// Why there is none.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        match &self.answer {
            AlternativeAnswer::Answered(_) => None,
            AlternativeAnswer::Refused(refused) => Some(&refused.reason),
        }
    }
}

/// One side of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct WhatIfSide {
    /// The reference's report of the session since the last swap.
    pub lag: LagReport,
    /// What was heard of the whole session, as `analyze` has it.
    pub heard: Option<HeardUse>,
    /// Whether that is lag.
    pub verdict: Option<Verdict>,
}

impl WhatIfSide {
    /// The side of an answer; of its likeliest outcome in the model tier.
    #[must_use]
    pub fn of(answer: &ScenarioAnswer) -> WhatIfSide {
        let ScenarioAnswer { lag, heard, verdict, .. } = answer;
        WhatIfSide { lag: lag.clone(), heard: heard.clone(), verdict: verdict.clone() }
    }
}

/// The model that answered.
#[derive(Debug, Clone, Serialize)]
pub struct ModelUse {
    /// The server's constants, as fitted to the recording.
    pub parameters: Policy,
    /// How well it repeats the recording itself; over a link that is run anew no slice has a counterpart,
    /// and the lead error is by how much leads of one rank differ at most.
    pub factual_error: FactualError,
    /// The link that slices of the recording waited for, and which is run anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Bottleneck>,
    /// What the server or the client did otherwise than upstream's, each in a sentence; it stays so
    /// in every answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
}

impl ModelUse {
    /// What was fitted.
    #[must_use]
    pub fn of(fitted: &FittedModel<'_>) -> ModelUse {
        let FittedModel { trace, fit, link } = *fitted;
        ModelUse {
            parameters: fit.policy().clone(),
            factual_error: fit.factual_error,
            link: link.cloned(),
            found: found(trace, fit),
        }
    }

    /// How well it repeats the recording and what it found there, in words.
    #[must_use]
    pub fn sentence(&self) -> String {
        let found: String = self.found.iter().map(|found| format!("; {found}")).collect();
        let within_ms = (self.factual_error.lead_error_p95_s * 1e3).ceil();
        if let Some(link) = &self.link {
            return format!(
                "runs this capture's link to the client anew ({link}), and then leads lie within \
                 {within_ms} ms of the recorded ones, rank by rank{found}"
            );
        }
        format!(
            "repeats {} % of this capture's slices to the frame, and lead p95 within {} ms{found}",
            Figure(self.factual_error.exact_share * 100.0),
            within_ms,
        )
    }
}

/// What a recording tells of a server or a client that is not like upstream's.
fn found(trace: &Trace, fit: &Fit) -> Vec<String> {
    let Policy { lead, clock, intake, .. } = fit.policy();
    let lacks = [
        (lead.reserve_cap_s == 0.0, "the server holds no reserve against stalls"),
        (lead.transport.is_none(), "the server does not heed the leads that are reported to it"),
        (!clock.use_client_time, "the server does not heed client_time"),
    ];
    let lacks = lacks.into_iter().filter(|(lacks, _)| *lacks).map(|(_, what)| what.to_owned());
    let late = intake.backlog_per_s.map(|per_s| {
        format!("the server takes {} reports a second, one after another", Figure(per_s))
    });
    let displaced = fit.server.rule.displaced().iter().map(|spell| {
        let [from, to] = [spell.from, spell.to].map(|at| Figure(at.seconds_since(trace.origin)));
        let behind = Figure(spell.behind_s);
        format!("from {from} to {to} s the server put slices {behind} s behind the listener")
    });
    let waited = fit.server.queue.map(|queue| format!("slices {}", queue.cause));
    lacks.chain(late).chain(displaced).chain(waited).collect()
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
    writeln!(out, "{}", headline(answer))?;
    writeln!(out, "{}\n", wrapped(&basis(answer)))?;
    table(answer, out)?;
    for outcome in &answer.outcomes {
        if outcome.transport_peak_s.p50 >= MUCH_TRANSPORT_S && !outcome.lead_min_s.p50.is_nan() {
            let sentence = format!(
                "in {} % of the runs a report of {} s of lead makes the server hold up to {} s of \
                 extra lead",
                Figure(outcome.share * 100.0),
                Figure(outcome.lead_min_s.p50),
                Figure(outcome.transport_peak_s.p50),
            );
            writeln!(out, "\n{}", wrapped(&sentence))?;
        }
    }
    match answer.tier {
        Tier::Exact => Ok(()),
        _ => writeln!(out, "\nnot modelled: content, GPU load"),
    }
}

/// Transport lead that is worth a sentence.
const MUCH_TRANSPORT_S: f64 = 1.0;

/// What was heard as recorded, and with the change.
#[must_use]
pub fn headline(answer: &WhatIf) -> String {
    let recorded = answer.factual.verdict.as_ref();
    let would = would_be(answer);
    // Where both lag, the word is said once.
    let would = match recorded.is_some_and(Verdict::is_lag) {
        true => would.strip_prefix("LAG ").unwrap_or(&would),
        false => &would,
    };
    format!("{} → {would}", in_brief(recorded))
}

/// What would have been heard, and in how many runs where not in all.
fn would_be(answer: &WhatIf) -> String {
    let alone = answer.outcomes.is_empty().then_some((1.0, answer.counterfactual.verdict.as_ref()));
    let outcomes = answer.outcomes.iter().map(|outcome| (outcome.share, outcome.verdict.as_ref()));
    let all: Vec<_> = alone.into_iter().chain(outcomes).collect();
    let is_lag = |verdict: Option<&Verdict>| verdict.is_some_and(Verdict::is_lag);
    let lag_share: f64 = all.iter().filter(|one| is_lag(one.1)).fold(0.0, |sum, one| sum + one.0);
    let telling = all.iter().find(|one| is_lag(one.1)).or(all.first()).and_then(|one| one.1);
    let runs = match lag_share {
        0.0 => String::new(),
        share if share > 0.999 => String::new(),
        share => format!(" in {} % of {} runs", Figure(share * 100.0), answer.members),
    };
    format!("{}{runs}", in_brief(telling))
}

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

/// A figure with its name, of a report and over the runs of an outcome.
type NamedFigure = (&'static str, fn(&LagReport) -> Option<f64>, fn(&ModelOutcome) -> Spread);

const FIGURES: [NamedFigure; 5] = [
    ("lead min", |lag| lag.slices.lead_s.map(|lead| lead.min), |outcome| outcome.lead_min_s),
    ("lead p5", |lag| lag.slices.lead_s.map(|lead| lead.p5), |outcome| outcome.lead_p5_s),
    ("lead p50", |lag| lag.slices.lead_s.map(|lead| lead.p50), |outcome| outcome.lead_p50_s),
    ("lead p95", |lag| lag.slices.lead_s.map(|lead| lead.p95), |outcome| outcome.lead_p95_s),
    (
        "staleness p95",
        |lag| lag.ticks.staleness_s.map(|staleness| staleness.p95),
        |outcome| outcome.staleness_p95_s,
    ),
];

const COUNTS: [NamedFigure; 2] = [
    ("stale ticks", |lag| Some(lag.ticks.stale_ticks as f64), |outcome| outcome.stale_ticks),
    (
        "slices behind",
        |lag| Some(lag.slices.behind_playhead as f64),
        |outcome| outcome.behind_playhead,
    ),
];

/// Outcomes beside which there is room for how far their runs lie apart.
const OUTCOMES_WITH_SPREAD: usize = 2;

/// The recording beside the change, with a column for each outcome.
fn table(answer: &WhatIf, out: &mut String) -> fmt::Result {
    let mut heading = format!("{:<15}{:<11}", "", "recorded");
    match answer.outcomes.len() {
        0 | 1 => heading.push_str("with the change"),
        _ => heading.push_str(&shares(answer)),
    }
    writeln!(out, "{}", heading.trim_end())?;
    bad_audio(answer, out)?;
    let rows = FIGURES.map(|figure| (figure, " s")).into_iter();
    for ((name, of, spread), unit) in rows.chain(COUNTS.map(|figure| (figure, ""))) {
        let cell = |value: Option<f64>| match value {
            Some(value) if unit.is_empty() => value.to_string(),
            Some(value) => format!("{}{unit}", Figure(value)),
            None => "–".to_owned(),
        };
        let mut line = format!("{name:<15}{:<11}", cell(of(&answer.factual.lag)));
        if answer.outcomes.is_empty() {
            line.push_str(&cell(of(&answer.counterfactual.lag)));
        }
        for outcome in &answer.outcomes {
            let mut text = cell(of(&outcome.lag));
            let Spread { p5, p95, .. } = spread(outcome);
            if answer.outcomes.len() <= OUTCOMES_WITH_SPREAD && answer.members > 1 && !p5.is_nan() {
                let (low, high) = match unit.is_empty() {
                    true => (p5.round().to_string(), p95.round().to_string()),
                    false => (Figure(p5).to_string(), Figure(p95).to_string()),
                };
                text = format!("{text:<8} ({low} – {high})");
            }
            line.push_str(&format!("{text:<width$}", width = column_width(answer)));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// How many seconds were bad.
fn bad_audio(answer: &WhatIf, out: &mut String) -> fmt::Result {
    let cell = |verdict: &Option<Verdict>| {
        let known = verdict.as_ref().filter(|verdict| verdict.known);
        known.map_or("–".to_owned(), |verdict| format!("{} s", Figure(verdict.bad_s)))
    };
    let mut line = format!("{:<15}{:<11}", "bad audio", cell(&answer.factual.verdict));
    if answer.outcomes.is_empty() {
        line.push_str(&cell(&answer.counterfactual.verdict));
    }
    for outcome in &answer.outcomes {
        let width = column_width(answer);
        line.push_str(&format!("{:<width$}", cell(&outcome.verdict)));
    }
    writeln!(out, "{}", line.trim_end())
}

fn column_width(answer: &WhatIf) -> usize {
    if answer.outcomes.len() <= OUTCOMES_WITH_SPREAD { 26 } else { 13 }
}

/// How often each outcome came.
fn shares(answer: &WhatIf) -> String {
    let share = |(i, outcome): (usize, &ModelOutcome)| {
        let percent = Figure(outcome.share * 100.0);
        let text = match i {
            0 if answer.outcomes.len() <= OUTCOMES_WITH_SPREAD => {
                format!("in {percent} % of {} runs", answer.members)
            }
            _ => format!("in {percent} %"),
        };
        format!("{text:<width$}", width = column_width(answer))
    };
    answer.outcomes.iter().enumerate().map(share).collect()
}
