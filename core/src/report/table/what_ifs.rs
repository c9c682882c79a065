//! The table of what would have been: a row for each scenario of each capture.

use super::{Cell, Column, ReadCell, TabledCapture, number, truth, whole, word};
use crate::lag::LagReport;
use crate::report::sweep::tier;
use crate::scenario::answer::ScenarioAnswer;
use crate::verdict::Verdict;

/// A scenario and what came of it.
#[derive(Debug)]
pub struct WhatIfRow {
    /// Its name.
    pub scenario: String,
    /// The answer, or why there is none.
    pub answer: Result<ScenarioAnswer, String>,
    /// What was heard in the recording; `None` where it could not be read.
    pub recorded: Option<Verdict>,
}

/// A column that an answer fills.
macro_rules! answer {
    ($read:expr) => {
        ReadCell::Capture(|of, row| {
            let read: fn(&ScenarioAnswer) -> Cell = $read;
            at(of, row).and_then(|row| row.answer.as_ref().ok()).map_or(Cell::Unknown, read)
        })
    };
}

pub(super) static COLUMNS: [Column; 13] = [
    word(
        "scenario",
        "name of the scenario",
        ReadCell::Capture(|of, row| Cell::text(at(of, row).map(|row| row.scenario.clone()))),
    ),
    word(
        "tier",
        "`exact`, `horizon` or `model`: how far it can be trusted",
        answer!(|of| { Cell::Word(tier(of.tier).to_owned()) }),
    ),
    word(
        "why",
        "why there is no answer",
        ReadCell::Capture(|of, row| {
            Cell::text(at(of, row).and_then(|row| row.answer.as_ref().err().cloned()))
        }),
    ),
    truth(
        "lag",
        "a listener would have heard lag",
        answer!(|of| {
            verdict(of).and_then(|verdict| verdict.lag).map_or(Cell::Unknown, Cell::Truth)
        }),
    ),
    number(
        "bad_s",
        "s",
        "bad audio that would have been heard",
        answer!(|of| { Cell::figure(verdict(of).map(|verdict| verdict.bad_s)) }),
    ),
    number(
        "lag_s",
        "s",
        "what the spells of lag would cover",
        answer!(|of| { Cell::figure(verdict(of).map(|verdict| verdict.lag_s)) }),
    ),
    whole(
        "episodes",
        "",
        "spells of lag",
        answer!(|of| {
            verdict(of).map_or(Cell::Unknown, |verdict| Cell::whole(verdict.episodes.len() as u64))
        }),
    ),
    number(
        "lead_p5_s",
        "s",
        "5th percentile of the leads",
        answer!(|of| { Cell::figure(lag(of).slices.lead_s.map(|lead| lead.p5)) }),
    ),
    number(
        "lead_p50_s",
        "s",
        "median of the leads",
        answer!(|of| { Cell::figure(lag(of).slices.lead_s.map(|lead| lead.p50)) }),
    ),
    number(
        "staleness_max_s",
        "s",
        "oldest audio at a report",
        answer!(|of| { Cell::figure(lag(of).ticks.staleness_s.map(|ages| ages.max)) }),
    ),
    truth(
        "recorded_lag",
        "a listener heard lag in the recording",
        ReadCell::Capture(|of, row| {
            recorded(of, row).and_then(|verdict| verdict.lag).map_or(Cell::Unknown, Cell::Truth)
        }),
    ),
    number(
        "recorded_bad_s",
        "s",
        "bad audio that was heard",
        ReadCell::Capture(|of, row| Cell::figure(recorded(of, row).map(|verdict| verdict.bad_s))),
    ),
    number(
        "recorded_lag_s",
        "s",
        "what the spells of lag covered",
        ReadCell::Capture(|of, row| Cell::figure(recorded(of, row).map(|verdict| verdict.lag_s))),
    ),
];

fn at(of: &TabledCapture, row: usize) -> Option<&WhatIfRow> {
    of.what_ifs.get(row)
}

fn verdict(of: &ScenarioAnswer) -> Option<&Verdict> {
    of.verdict.as_ref().filter(|verdict| verdict.known)
}

fn lag(of: &ScenarioAnswer) -> &LagReport {
    &of.lag
}

fn recorded(of: &TabledCapture, row: usize) -> Option<&Verdict> {
    at(of, row)?.recorded.as_ref().filter(|verdict| verdict.known)
}
