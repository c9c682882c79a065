//! What the caller knows of a capture and the engine does not.

use super::damage::DamageReport;
use super::playhead_use::PlayheadDecision;
use crate::time::Nanos;

/// What the caller knows of a capture beside what the engine does.
#[derive(Debug, Clone)]
pub struct CaptureDescription {
    /// The capture as it was named.
    pub capture: String,
    /// The time of the report.
    pub at: Nanos,
    /// Slices were read by their headers only.
    pub headers_only: bool,
    /// Most records that each tracker kept.
    pub tracker_bound: Option<usize>,
    /// The capture ends with its end record.
    pub complete: bool,
    /// What of the capture is damaged.
    pub damage: Option<DamageReport>,
    /// The engine knows the capture from its checkpoints only.
    pub quick: bool,
    /// How the playhead was chosen.
    pub playheads: PlayheadDecision,
}

impl CaptureDescription {
    /// A session that the engine saw live, to its end record at `at`.
    #[must_use]
    pub fn live(capture: String, at: Nanos) -> CaptureDescription {
        CaptureDescription {
            capture,
            at,
            headers_only: false,
            tracker_bound: None,
            complete: true,
            damage: None,
            quick: false,
            playheads: PlayheadDecision::default(),
        }
    }
}
