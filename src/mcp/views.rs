//! The parts of a report that several tools show, short enough for an agent.
//!
//! Reports keep their own types and schemas; here they are only cut to size and put into sentences.
//! Figures are copied and never rounded again.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer::{Truncated, clipped, clipped_value, page};
use crate::app::CaptureFolders;
use crate::family::FamilyUse;
use crate::heard::TapeReport;
use crate::lag::LagReport;
use crate::report::text::{self, Figure};
use crate::report::what_if::{self, WhatIf, WhatIfSide};
use crate::report::{Analysis, EndingReport, EventReport, FamilyReport, LeadsReport};
use crate::scenario::Tier;
use crate::scenario::model::ModelOutcome;
use crate::verdict::{HeardUse, Verdict};
use crate::wire::url::without_secrets;

/// Episodes that are shown of a verdict.
pub const EPISODES: usize = 10;
/// The same where several stand side by side.
const FEW_EPISODES: usize = 3;

/// A verdict with as many of its episodes as an answer has room for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct VerdictView {
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Episodes there are
    pub episodes_total: u64,
}

impl VerdictView {
    pub fn of(verdict: &Verdict) -> VerdictView {
        let mut shown = verdict.clone();
        shown.episodes.truncate(EPISODES);
        VerdictView { verdict: shown, episodes_total: verdict.episodes.len() as u64 }
    }
}

/// How far ahead of the listener slices were, while there was one, in seconds.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeadsView {
    /// When they came
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival_p5_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrival_p50_s: Option<f64>,
    /// When the client applied them, as it reports them: the worst of each report
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_p5_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_p50_s: Option<f64>,
    /// Slices that came before the client said where it plays
    pub before_listener: u64,
}

impl LeadsView {
    pub fn of(leads: &LeadsReport) -> LeadsView {
        LeadsView {
            arrival_p5_s: leads.arrival.map(|lead| lead.p5),
            arrival_p50_s: leads.arrival.map(|lead| lead.p50),
            client_p5_s: leads.client.map(|lead| lead.p5),
            client_p50_s: leads.client.map(|lead| lead.p50),
            before_listener: leads.before_listener,
        }
    }
}

/// Which family of models served a session, and its own measure.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FamilyView {
    /// What decided which it is stands in why
    #[serde(flatten)]
    pub of: FamilyUse,
    /// The piece is over, and the server lives
    pub ended: bool,
    /// The figures of an append-only tape, whose frontier is the measure and not the age of audio
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontier: Option<TapeReport>,
}

impl FamilyView {
    pub fn of(analysis: &Analysis) -> FamilyView {
        let FamilyReport { of, ended, frontier, .. } = &analysis.family;
        let of = FamilyUse { why: clipped(&of.why), ..of.clone() };
        FamilyView { of, ended: *ended, frontier: frontier.clone() }
    }
}

/// How a session ended, as short as an answer has to be.
pub fn ending(analysis: &Analysis) -> EndingReport {
    let mut shown = analysis.ending.clone();
    shown.reason = clipped(&shown.reason);
    shown.sentence = clipped(&shown.sentence);
    shown.gaps.truncate(EPISODES);
    shown
}

/// Whether a capture is whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct IntegrityView {
    /// complete, incomplete (cut off, or still being written), or damaged
    pub state: String,
    /// Where it is damaged
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
    /// Messages that could not be used
    pub decode_errors: u64,
}

impl IntegrityView {
    pub fn of(analysis: &Analysis) -> IntegrityView {
        let state = match (&analysis.damage, analysis.complete) {
            (Some(_), _) => "damaged",
            (None, true) => "complete",
            (None, false) => "incomplete",
        };
        IntegrityView {
            state: state.to_owned(),
            damage: analysis.damage.as_ref().map(|damage| clipped(&damage.reason)),
            decode_errors: analysis.decode_errors,
        }
    }
}

/// What a session was.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SessionView {
    /// Length from the initial buffer to the report
    pub stream_s: f64,
    /// Length of the newest loop
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loop_s: Option<f64>,
    /// headless or foreign
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_utc: Option<String>,
    /// simulated or reported
    pub playhead: String,
    pub slices: u64,
    pub ticks: u64,
    pub swaps: u64,
    /// The listener's ops, the first of them
    #[schemars(schema_with = "any_list")]
    pub ops: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Close frames
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "any_list")]
    pub closes: Vec<Value>,
    /// What the client asked for, in format detailed
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::any_object")]
    pub config: Option<Value>,
    /// Key=value metadata
    #[schemars(schema_with = "super::schema::any_object")]
    pub metadata: Value,
}

impl SessionView {
    pub fn of(analysis: &Analysis, detailed: bool) -> SessionView {
        let session = &analysis.session;
        let short = |text: &Option<String>| text.as_deref().map(clipped);
        SessionView {
            stream_s: analysis.report_at_s,
            loop_s: analysis.epochs.last().map(|epoch| epoch.loop_s),
            client: session.client.as_ref().map(word),
            url: session.url.as_deref().map(address),
            started_utc: short(&session.start_utc),
            playhead: word(&analysis.playhead.source),
            slices: analysis.slices,
            ticks: analysis.ticks,
            swaps: analysis.swaps,
            ops: analysis
                .playhead
                .ops
                .iter()
                .take(12)
                .map(|op| clipped_value(&json!(op)))
                .collect(),
            refusal: short(&session.refusal),
            closes: analysis.closes.iter().take(4).map(|c| clipped_value(&json!(c))).collect(),
            config: detailed.then(|| session.config.as_ref().map(clipped_value)).flatten(),
            metadata: clipped_value(&json!(session.metadata)),
        }
    }
}

/// How far a counterfactual can be trusted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TrustView {
    /// exact, horizon (exact until a moment), model, refused
    pub tier: String,
    pub reason: String,
    /// Until when it is exact, in seconds from the initial buffer
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until_s: Option<f64>,
    /// Share of the slices that came later
    #[serde(skip_serializing_if = "Option::is_none")]
    pub beyond_share: Option<f64>,
    /// How well the model repeats this very capture
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::schema::any_object")]
    pub model_error: Option<Value>,
    /// What no answer covers
    pub not_modelled: String,
}

impl TrustView {
    pub fn of(answer: &WhatIf) -> TrustView {
        TrustView {
            tier: word(&answer.tier),
            reason: clipped(&answer.reason),
            valid_until_s: answer.valid_until_s,
            beyond_share: answer.valid_until_s.map(|_| answer.beyond_share),
            model_error: answer.model.as_ref().map(|model| json!(model.factual_error)),
            not_modelled: "content, GPU load".to_owned(),
        }
    }
}

/// One side of a what-if with the first of its episodes.
pub fn side(side: &WhatIfSide) -> Value {
    let mut side = side.clone();
    shorten(&mut side.heard, &mut side.verdict);
    json!(side)
}

/// The same of an outcome.
pub fn outcome(outcome: &ModelOutcome) -> Value {
    let mut outcome = outcome.clone();
    shorten(&mut outcome.heard, &mut outcome.verdict);
    json!(outcome)
}

fn shorten(heard: &mut Option<HeardUse>, verdict: &mut Option<Verdict>) {
    if let Some(heard) = heard {
        heard.report.episodes.truncate(FEW_EPISODES);
    }
    if let Some(verdict) = verdict {
        verdict.episodes.truncate(FEW_EPISODES);
    }
}

/// The address of a server as it is shown: captures that others wrote may hold secrets in it.
pub fn address(url: &str) -> String {
    clipped(&without_secrets(url))
}

/// A list of objects.
pub fn any_list(_: &mut SchemaGenerator) -> Schema {
    schemars::json_schema!({"type": "array", "items": {"type": "object"}})
}

/// The text that serde writes for a value without fields.
pub fn word(value: &impl Serialize) -> String {
    match json!(value) {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

/// A count with its noun, in the plural where it has to be.
pub fn counted(count: u64, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}

/// The folders, separated by commas.
pub fn folders(captures: &CaptureFolders) -> String {
    let names: Vec<_> = captures.folders().iter().map(|f| f.display().to_string()).collect();
    names.join(", ")
}

/// An event of the server, clipped.
pub fn event(event: &EventReport) -> Value {
    clipped_value(&json!(event))
}

/// How many events there were of each type.
pub fn event_counts(analysis: &Analysis) -> Value {
    const MOST: usize = 24;
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for event in &analysis.events {
        let kind = event.event.get("type").and_then(Value::as_str).unwrap_or("untyped");
        *counts.entry(clipped(kind)).or_default() += 1;
    }
    if analysis.events_dropped > 0 {
        counts.insert("(older ones, not kept)".to_owned(), analysis.events_dropped);
    }
    json!(counts.into_iter().take(MOST).collect::<BTreeMap<_, _>>())
}

/// What a capture shows, in a sentence.
pub fn summary(analysis: &Analysis) -> String {
    let verdict = &analysis.verdict;
    let heard = match (&analysis.lag, verdict.episodes.first()) {
        (None, _) => return no_report(analysis),
        (_, None) if !verdict.known => {
            format!("no verdict: {}", verdict.why.as_deref().unwrap_or("unknown"))
        }
        (_, None) if analysis.ending.abnormal => {
            "nothing stale or late was heard until then".to_owned()
        }
        (_, None) => {
            let healthy = || "healthy: nothing stale or late was heard".to_owned();
            analysis.family.ended().unwrap_or_else(healthy)
        }
        (_, Some(first)) => format!(
            "LAG {}, the first up to {} s",
            text::lag(verdict, analysis.covered_s()),
            Figure(first.to_s)
        ),
    };
    let heard = match analysis.ending.headline() {
        Some(headline) => format!("{}; {heard}", clipped(&headline)),
        None => heard,
    };
    match &analysis.damage {
        Some(_) => {
            format!("{heard}; the capture is damaged, and this is made of what is left of it")
        }
        None => heard,
    }
}

/// The worst finding, in a sentence.
pub fn causes(analysis: &Analysis) -> String {
    match analysis.diagnosis.findings.first() {
        Some(finding) => format!("{}: {}", text::headline(finding), clipped(&finding.sentence)),
        None => format!("no finding; {}", summary(analysis)),
    }
}

/// The findings as short as an answer about something else has to be.
pub fn findings(analysis: &Analysis) -> Vec<String> {
    analysis.diagnosis.findings.iter().take(4).map(text::headline).collect()
}

/// Why there is no report.
pub fn no_report(analysis: &Analysis) -> String {
    let why = match &analysis.session.refusal {
        Some(refusal) => format!("the server refused the session: {}", clipped(refusal)),
        None => clipped(analysis.verdict.why.as_deref().unwrap_or("no audio came")),
    };
    format!("nothing to measure: {why}; capture_messages shows what did come")
}

/// The figures of a report, in a sentence.
pub fn figures(lag: &LagReport) -> String {
    let lead = lag.slices.lead_s.map_or("no slice".to_owned(), |lead| {
        format!("lead p5 {} p50 {} s", Figure(lead.p5), Figure(lead.p50))
    });
    let stale = lag.ticks.staleness_s.map_or("no tick".to_owned(), |staleness| {
        format!("staleness p95 {} max {} s", Figure(staleness.p95), Figure(staleness.max))
    });
    format!(
        "{lead}; {stale}; {} of {} slices behind, {} of {} ticks stale",
        lag.slices.behind_playhead, lag.slices.count, lag.ticks.stale_ticks, lag.ticks.count
    )
}

/// A report whose timeline is cut to a page.
pub fn lag(report: &LagReport, start: usize, most: usize) -> (LagReport, Option<Truncated>) {
    let mut report = report.clone();
    let Some(rows) = report.timeline.take() else { return (report, None) };
    let (rows, cut) = page("lag.timeline", rows.into_iter(), start, most);
    report.timeline = Some(rows);
    (report, cut)
}

/// Tool calls worth making after an analysis that `asked` made: first the one that names the cause, then those
/// that will answer.
pub fn next_after(analysis: &Analysis, id: &str, asked: &str) -> Vec<String> {
    let id = Value::from(id).to_string();
    let call = |tool: &str| format!("{tool} {{\"capture\": {id}}}");
    if analysis.lag.is_none() {
        return vec![call("capture_messages")];
    }
    let mut steps = Vec::new();
    let episode = analysis.verdict.episodes.first();
    let has_cause = episode.is_some() || !analysis.diagnosis.findings.is_empty();
    if has_cause && asked != "capture_diagnose" {
        steps.push(call("capture_diagnose"));
    }
    steps.push(call("capture_timeline"));
    steps.push(call("capture_chart"));
    // Only what the recording is known to answer.
    if let Some((knob, value)) = analysis.diagnosis.question {
        let set = format!("{{\"{knob}\": \"{value}\"}}");
        steps.push(format!("capture_what_if {{\"capture\": {id}, \"set\": {set}}}"));
    }
    steps
}

/// What would have been, in a sentence.
pub fn what_if_summary(answer: &WhatIf) -> String {
    let (was, would) = (&answer.factual.lag, &answer.counterfactual.lag);
    let basis = match answer.tier {
        Tier::Exact => "exact".to_owned(),
        Tier::Model => "by the model".to_owned(),
        _ => answer
            .valid_until_s
            .map_or("open loop".to_owned(), |until_s| format!("exact until {} s", Figure(until_s))),
    };
    let share = match answer.outcomes.as_slice() {
        [likeliest, _, ..] => format!(", in {} % of the runs", Figure(likeliest.share * 100.0)),
        _ => String::new(),
    };
    format!(
        "{basis}: {}; stale ticks {} → {}, slices behind {} → {}{share}",
        what_if::headline(answer),
        was.ticks.stale_ticks,
        would.ticks.stale_ticks,
        was.slices.behind_playhead,
        would.slices.behind_playhead
    )
}
