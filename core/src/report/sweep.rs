//! What came of a sweep or a search: as data, as a table, as comma-separated values.
//!
//! Enters: rows in the order of captures and scenarios. Leaves: the JSON of `lagtape sweep --json`
//! (the structs themselves) and [`csv`]; [`table`] and [`find`] print them for a person. Times are
//! seconds.

pub mod find;
pub mod table;

use serde::Serialize;

use super::format::OneLine;
use super::what_if::ModelUse;
use crate::lag::LagReport;
use crate::parse::Unit;
use crate::scenario::{Scenario, Tier};
use crate::sweep::axis::Axis;
use crate::sweep::rows::{Predicate, SweepRow, SweepSummary};
use crate::verdict::{HeardUse, Verdict};

/// A sweep.
#[derive(Debug, Clone, Serialize)]
pub struct Sweep {
    /// Version of this JSON.
    pub schema: u32,
    /// What is different in all scenarios.
    pub scenario: Scenario,
    /// What was varied; the last runs fastest.
    pub axes: Vec<SweptAxis>,
    /// Recorded slices stayed, whatever the server would have done.
    pub open_loop: bool,
    /// Runs of the model for each scenario.
    pub members: usize,
    /// The captures in the order of their naming.
    pub captures: Vec<SweptCapture>,
    /// Rows worth a look, by their numbers; `null` when none has an answer.
    pub summary: Option<SweepSummary>,
    /// All scenarios of the first usable capture, then those of the next.
    pub rows: Vec<SweepRow>,
}

/// A key and its values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweptAxis {
    /// The key, as a flag calls it.
    pub key: &'static str,
    /// Its values in the unit's base: seconds, bytes, bytes per second.
    pub values: Vec<f64>,
    #[serde(skip)]
    unit: Unit,
}

/// A capture of a sweep.
#[derive(Debug, Clone, Serialize)]
pub struct SweptCapture {
    /// The capture as it was named.
    pub capture: String,
    /// Why it could not be used; `null` when it could.
    pub failure: Option<String>,
    /// What was recorded.
    pub factual: Option<LagReport>,
    /// What was heard in the recording.
    pub heard: Option<HeardUse>,
    /// Whether that is lag.
    pub verdict: Option<Verdict>,
    /// The model that was fitted to it, where one was needed and is good enough.
    pub model: Option<ModelUse>,
}

/// The smallest change after which a condition holds.
#[derive(Debug, Clone, Serialize)]
pub struct Find {
    /// What was looked for.
    pub condition: String,
    #[serde(skip)]
    pub figure: Predicate,
    /// The value of the key in the first capture, from which changes are measured.
    pub recorded_value: f64,
    /// The condition holds without a change of the key.
    pub holds_already: bool,
    /// Each capture without a change of the key.
    pub unvaried: Vec<SweepRow>,
    /// The value found; `null`: none that was tried does it.
    pub value: Option<f64>,
    /// Runs of the model with that value, …
    pub runs: usize,
    /// … and for each usable capture the share of them in which the condition holds.
    pub shares: Vec<f64>,
    /// The command that shows the value at work.
    pub command: Option<String>,
    /// Everything that was tried, by capture and value.
    #[serde(flatten)]
    pub sweep: Sweep,
}

impl SweptAxis {
    /// What was varied.
    #[must_use]
    pub fn of(axis: &Axis) -> SweptAxis {
        SweptAxis { key: axis.knob.name, values: axis.values.clone(), unit: axis.knob.unit }
    }

    /// A value as a person reads it.
    fn value(&self, value: f64) -> String {
        let text = self.unit.write(value).replace('-', "−");
        if self.unit == Unit::Time { format!("{text} s") } else { text }
    }
}

impl SweptCapture {
    /// A capture of which nothing else is known yet.
    #[must_use]
    pub fn new(capture: String) -> SweptCapture {
        let (failure, factual, heard, verdict, model) = (None, None, None, None, None);
        SweptCapture { capture, failure, factual, heard, verdict, model }
    }
}

/// The rows as comma-separated values with a header line (RFC 4180, with plain line feeds).
#[must_use]
pub fn csv(sweep: &Sweep) -> String {
    let keys = sweep.axes.iter().map(|axis| axis.key.to_owned());
    let names = CSV_FIGURES.iter().map(|(name, _)| (*name).to_owned());
    let mut out = csv_fields(
        ["capture".to_owned()]
            .into_iter()
            .chain(keys)
            .chain(["tier", "lags"].map(str::to_owned))
            .chain(names)
            .chain(["valid_until_s", "beyond_share", "refusal"].map(str::to_owned))
            .chain(CSV_VERDICT.iter().map(|(name, _)| (*name).to_owned())),
    );
    for row in &sweep.rows {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let values = row.values.iter().map(|value| value.to_string());
        let verdict = row.verdict.as_ref().filter(|verdict| verdict.known);
        let figures = CSV_FIGURES.iter().map(|(_, of)| number(row.lag.as_ref().and_then(of)));
        out.push_str(&csv_fields(
            [OneLine(&sweep.captures[row.capture].capture).to_string()]
                .into_iter()
                .chain(values)
                .chain([tier(row.tier).to_owned()])
                .chain([row.lags.map_or(String::new(), |lags| lags.to_string())])
                .chain(figures)
                .chain([number(row.valid_until_s), row.beyond_share.to_string()])
                .chain([row.refusal.clone().unwrap_or_default()])
                .chain(CSV_VERDICT.iter().map(|(_, of)| number(verdict.and_then(of)))),
        ));
    }
    out
}

/// A figure of a report by its name.
type NamedFigure = (&'static str, fn(&LagReport) -> Option<f64>);

const CSV_FIGURES: [NamedFigure; 12] = [
    ("stale_ticks", |lag| Some(lag.ticks.stale_ticks as f64)),
    ("slices_behind", |lag| Some(lag.slices.behind_playhead as f64)),
    ("ticks", |lag| Some(lag.ticks.count as f64)),
    ("slices", |lag| Some(lag.slices.count as f64)),
    ("lead_min_s", |lag| lag.slices.lead_s.map(|lead| lead.min)),
    ("lead_p5_s", |lag| lag.slices.lead_s.map(|lead| lead.p5)),
    ("lead_p50_s", |lag| lag.slices.lead_s.map(|lead| lead.p50)),
    ("lead_p95_s", |lag| lag.slices.lead_s.map(|lead| lead.p95)),
    ("lead_max_s", |lag| lag.slices.lead_s.map(|lead| lead.max)),
    ("staleness_p50_s", |lag| lag.ticks.staleness_s.map(|stale| stale.p50)),
    ("staleness_p95_s", |lag| lag.ticks.staleness_s.map(|stale| stale.p95)),
    ("staleness_max_s", |lag| lag.ticks.staleness_s.map(|stale| stale.max)),
];

/// A figure of a verdict by its name.
type NamedSeconds = (&'static str, fn(&Verdict) -> Option<f64>);

/// Behind all others, so that those keep their places.
const CSV_VERDICT: [NamedSeconds; 4] = [
    ("bad_s", |verdict| Some(verdict.bad_s)),
    ("onset_s", |verdict| verdict.onset_s),
    ("lag_s", |verdict| Some(verdict.lag_s)),
    ("episodes", |verdict| Some(verdict.episodes.len() as f64)),
];

pub(super) fn csv_fields(fields: impl Iterator<Item = String>) -> String {
    let quoted = |field: String| match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field,
    };
    fields.map(quoted).collect::<Vec<_>>().join(",") + "\n"
}

pub(super) fn tier(tier: Tier) -> &'static str {
    match tier {
        Tier::Exact => "exact",
        Tier::Horizon => "horizon",
        Tier::Model => "model",
        Tier::Refused => "refused",
    }
}
