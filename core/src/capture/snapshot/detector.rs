//! The state of the lag detector.

use serde::{Deserialize, Serialize};

/// What the verdict depends on; times are seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LagDetectorState {
    /// Whether the player is paused.
    pub paused: bool,
    /// When the last transient is over.
    pub settled_at_s: f64,
    /// Mean lead of the server.
    pub advance_s: f64,
    /// When a knob was turned last.
    pub last_knob_s: f64,
    /// When the last slice landed.
    pub last_slice_s: f64,
    /// How long no knob had been turned then.
    pub quiet_at_last_slice_s: f64,
    /// The spell of stale audio that may go on.
    #[serde(default)]
    pub stale: Option<StaleState>,
    /// The spell of slices behind the listener that may go on.
    #[serde(default)]
    pub behind: Option<BehindState>,
}

/// A spell of stale audio.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StaleState {
    /// The staleness over which audio counts as stale here, in seconds.
    pub threshold_s: f64,
    /// When it began.
    pub from_s: f64,
    /// When it was over, or the last look.
    pub to_s: f64,
    /// Stale ticks.
    pub ticks: u64,
    /// The oldest audio heard.
    pub worst_staleness_s: f64,
    /// The longest time without a slice.
    pub silence_s: f64,
    /// The last stale tick.
    pub last_stale_s: f64,
    /// Whether a tick since was not stale.
    pub over: bool,
}

/// A spell of slices behind the listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BehindState {
    /// When it began.
    pub from_s: f64,
    /// The last slice behind.
    pub last_behind_s: f64,
    /// Slices behind.
    pub slices: u64,
    /// All slices.
    pub of: u64,
    /// All slices up to the last one behind.
    pub of_at_last_behind: u64,
    /// The lowest lead.
    pub worst_lead_s: f64,
}
