//! The figures that findings rest on, each by itself.

use serde::Serialize;

/// Figures of a session; `null` where the evidence for one is missing.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimates {
    /// How fast leads rise or fall, in seconds per second, where they move the longest.
    pub lead_slope: Option<f64>,
    /// Age of the oldest position that the server acts on, in seconds.
    pub position_age_s: Option<f64>,
    /// The client's audio clock against the clock of the records, in millionths, …
    pub clock_skew_ppm: Option<f64>,
    /// … and two standard errors of it.
    pub clock_skew_interval_ppm: Option<f64>,
    /// Bytes per second of slices in the busiest second and in the middle one.
    pub link_bytes_per_s_max: Option<f64>,
    pub link_bytes_per_s_p50: Option<f64>,
    /// Most bytes that had come and were not acknowledged.
    pub in_flight_bytes_max: Option<f64>,
    /// Usual times between two reports, two slices and two acknowledgements that say more.
    pub report_interval_s: Option<f64>,
    pub slice_interval_s: Option<f64>,
    pub ack_interval_s: Option<f64>,
    /// Longest times without one.
    pub report_gap_s: Option<f64>,
    pub slice_gap_s: Option<f64>,
    /// Work of the server for a slice in the first and in the last third, in seconds.
    pub tick_s_first: Option<f64>,
    pub tick_s_last: Option<f64>,
    pub decode_s_first: Option<f64>,
    pub decode_s_last: Option<f64>,
    pub generations_per_s: Option<f64>,
    /// Seconds of the present loop that no slice has covered since its buffer came.
    pub never_refreshed_s: Option<f64>,
    /// Seconds in which the server had nothing to do.
    pub idle_s: f64,
    /// Seconds in which the player stood still.
    pub paused_s: f64,
}
