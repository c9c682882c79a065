//! What would have been, of many captures.

use std::path::Path;

use crate::app::part::SessionPart;
use crate::app::recording;
use crate::report::table::{TabledCapture, WhatIfRow};
use crate::scenario::answer::AskOptions;
use crate::scenario::open_loop::Scratch;
use crate::scenario::{Scenario, Tier};

/// A row for each scenario of a capture, or of a part of it, which is read once.
#[must_use]
pub fn what_if_rows(
    path: &Path,
    part: SessionPart,
    scenarios: &[(String, Scenario)],
) -> TabledCapture {
    let name = path.display().to_string();
    let modelled = scenarios.iter().any(|(_, scenario)| scenario.needs(false).tier == Tier::Model);
    let mut rows = Vec::new();
    let refused = |scenario: &str, why| WhatIfRow {
        scenario: scenario.to_owned(),
        answer: Err(why),
        recorded: None,
    };
    let mut scratch = Scratch::default();
    let recording = part.resolved(path).and_then(|part| recording::read_part(path, part, modelled));
    let prepared = recording.as_ref().map(|recording| {
        let options = AskOptions { heard: true, members: 1, ..AskOptions::default() };
        recording.prepare(options)
    });
    let factual = prepared.as_ref().ok().map(|prepared| prepared.factual(&mut scratch));
    for (scenario, change) in scenarios {
        rows.push(match (&prepared, &factual) {
            (Err(error), _) => refused(scenario, format!("{error:#}")),
            (Ok(_), Some(Err(error))) => refused(scenario, error.to_string()),
            (Ok(prepared), recorded) => {
                let recorded = recorded.as_ref().and_then(|factual| factual.as_ref().ok());
                let answer = prepared.answer(change, &mut scratch);
                WhatIfRow {
                    scenario: scenario.clone(),
                    answer: answer.map_err(|why| prepared.worded(&why)),
                    recorded: recorded.and_then(|factual| factual.verdict.clone()),
                }
            }
        });
    }
    let why = "only scenarios were asked".to_owned();
    TabledCapture { what_ifs: rows, ..TabledCapture::unreadable(name, None, why) }
}
