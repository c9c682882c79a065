//! Whether a capture's times can be trusted.

use serde::Serialize;

use crate::engine::Engine;
use crate::engine::doubts::Doubts;

/// What is known of the times that every figure rests on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeReport {
    /// Whether they carry a verdict.
    pub trust: TimeTrust,
    /// The step that all times are multiples of, 0 where all are one; of corrected ones, the longest
    /// time over which messages were spread. `null` where there are too few messages.
    pub resolution_s: Option<f64>,
    /// What replaced the written times: `client_time` or `playback_pos`.
    pub corrected_by: Option<String>,
    /// What was wrong with the written times.
    pub was: Option<String>,
    /// The unit that they were written in, where it is not seconds.
    pub unit: Option<String>,
    /// Why there is no verdict.
    pub doubts: Vec<String>,
    /// What is odd about the clocks and changes nothing.
    pub notes: Vec<String>,
}

/// How far times can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeTrust {
    /// As they were recorded.
    Good,
    /// Taken from the client's reports when the capture was imported.
    Corrected,
    /// Wrong, with nothing that tells better.
    None,
}

impl TimeReport {
    pub(super) fn of(engine: &Engine) -> TimeReport {
        let metadata = |key: &str| engine.header()?.metadata.get(key).cloned();
        let corrected_by = metadata("time.corrected_by");
        let corrected_s = metadata("time.resolution_s").and_then(|text| text.parse().ok());
        let Doubts { times: doubts, notes, .. } = engine.doubts();
        let trust = match (doubts.is_empty(), &corrected_by) {
            (false, _) => TimeTrust::None,
            (true, Some(_)) => TimeTrust::Corrected,
            (true, None) => TimeTrust::Good,
        };
        TimeReport {
            trust,
            resolution_s: corrected_s.or_else(|| engine.time_evidence().resolution_s()),
            corrected_by,
            was: metadata("time.was"),
            unit: metadata("time.unit"),
            doubts,
            notes,
        }
    }
}
