//! Which playhead a report measures against, and why that one.

use serde::Serialize;

use super::clock::ReportClock;
use crate::capture::{ClientKind, Marker};
use crate::engine::Engine;
use crate::playhead::PlayheadSource;

/// Which playhead was used.
#[derive(Debug, Clone, Serialize)]
pub struct PlayheadUse {
    /// `simulated` or `reported`.
    pub source: PlayheadSource,
    /// Why this one, in words.
    pub why: String,
    /// How often the client's reports came apart from the simulated playhead, and stayed so.
    pub departures: u64,
    /// The capture's ops.
    pub ops: Vec<OpReport>,
}

/// One op of the capture.
#[derive(Debug, Clone, Serialize)]
pub struct OpReport {
    /// When.
    pub t_s: f64,
    #[serde(flatten)]
    pub op: Marker,
}

/// How the playhead of a capture was chosen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlayheadDecision {
    /// The reports, and not the kind of client, decided.
    pub by_evidence: bool,
    /// Whether the other playhead hears lag, where the two disagree about that.
    pub other_lags: Option<bool>,
}

impl PlayheadUse {
    pub(super) fn of(
        engine: &Engine,
        choice: PlayheadDecision,
        clock: &ReportClock,
    ) -> PlayheadUse {
        let ops = engine.facts().markers.iter();
        PlayheadUse {
            source: engine.playhead_source(),
            why: why(engine, choice, clock),
            departures: engine.playhead_evidence().departures,
            ops: ops.map(|(t, op)| OpReport { t_s: clock.s(*t), op: op.clone() }).collect(),
        }
    }
}

fn why(engine: &Engine, choice: PlayheadDecision, clock: &ReportClock) -> String {
    if choice.by_evidence {
        let first = engine.playhead_evidence().first.map_or(0.0, |t| clock.s(t));
        return format!(
            "the reports leave the simulated playhead at {first:.1} s, and no op says why"
        );
    }
    if engine.playhead_was_chosen() {
        return "as asked".to_owned();
    }
    let header = engine.header();
    let named = header.and_then(|header| header.metadata.get("client"));
    match (header.map(|header| header.client), named) {
        (Some(_), Some(name)) => format!("the log names the client \"{name}\""),
        (Some(ClientKind::Headless), None) => "a headless client plays by clock and ops".to_owned(),
        (Some(ClientKind::Foreign), None) => {
            "a foreign client's player is known by its reports only".to_owned()
        }
        (None, _) => "the capture does not say whose client it was".to_owned(),
    }
}
