//! How the server paces its slices, as numbers.
//!
//! Every constant of the server's clock, lead controller, placement, flow control and idle rule is
//! a field here, so that a what-if changes a number and not the code. The defaults are those of the
//! upstream server of June 2026 (`acestep/streaming/pipeline_runner.py`, `ws_adapter.py`); where the
//! source says less than its recordings do, the recordings decide.

use serde::{Deserialize, Serialize};

/// All constants of the server's pacing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// What the server believes about the listener's position.
    pub clock: ClockPolicy,
    /// How far ahead of that position slices are aimed.
    pub lead: LeadPolicy,
    /// Which frames a slice covers.
    pub placement: PlacementPolicy,
    /// Which slices are dropped instead of sent.
    pub flow: FlowPolicy,
    /// When the server stops because nobody turns a knob.
    pub idle: IdlePolicy,
    /// How messages from the client are taken in.
    pub intake: IntakePolicy,
}

/// Constants of [`PlayheadClock`](super::pacing::PlayheadClock).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockPolicy {
    /// Whether `client_time` corrects for the age of a report (servers since PR 256).
    pub use_client_time: bool,
    /// For how long the smallest delay is remembered, in seconds.
    pub delay_memory_s: f64,
    /// Width of the buckets in which it is remembered, in seconds.
    pub delay_bucket_s: f64,
}

impl Default for ClockPolicy {
    fn default() -> Self {
        Self { use_client_time: true, delay_memory_s: 120.0, delay_bucket_s: 10.0 }
    }
}

/// Constants of [`LeadController`](super::pacing::LeadController).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeadPolicy {
    /// Factor on the mean gap between slices.
    pub gain: f64,
    /// Added to the scaled mean gap, in seconds.
    pub margin_s: f64,
    /// Least lead before the transport lead is added, in seconds (config `lead_floor_s`).
    pub floor_s: f64,
    /// Most lead before the transport lead is added, in seconds (config `lead_ceiling_s`).
    pub ceiling_s: f64,
    /// Weight of the newest gap in the mean gap.
    pub gap_weight: f64,
    /// Gaps count as at most this much in the mean, in seconds.
    pub gap_cap_s: f64,
    /// The mean gap before the first one was measured, in seconds.
    pub gap_seed_s: f64,
    /// The stall reserve covers a gap by this much more than the window does, in seconds.
    pub reserve_margin_s: f64,
    /// Most stall reserve, in seconds.
    pub reserve_cap_s: f64,
    /// Time constant with which the stall reserve decays, in seconds (config `lead_release_tau_s`).
    pub reserve_tau_s: f64,
    /// What the client says about the leads it sees; `None` for servers before PR 256.
    pub transport: Option<TransportPolicy>,
}

impl Default for LeadPolicy {
    fn default() -> Self {
        Self {
            gain: 1.6,
            margin_s: 0.05,
            floor_s: 0.25,
            ceiling_s: 1.35,
            gap_weight: 0.1,
            gap_cap_s: 0.18,
            gap_seed_s: 0.07,
            reserve_margin_s: 0.05,
            reserve_cap_s: 1.35,
            reserve_tau_s: 1.5,
            transport: Some(TransportPolicy::default()),
        }
    }
}

/// Constants of the transport lead, which answers `slice_lead_s` (PR 256).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TransportPolicy {
    /// A reported lead below this raises the transport lead by what is missing, in seconds.
    pub target_s: f64,
    /// Most transport lead, in seconds.
    pub cap_s: f64,
    /// It decays only while the last reported lead is above this, in seconds,
    pub release_above_s: f64,
    /// or while the last reported lead is older than this, in seconds.
    pub report_age_s: f64,
    /// Time constant of the decay, in seconds.
    pub tau_s: f64,
}

impl Default for TransportPolicy {
    fn default() -> Self {
        Self { target_s: 0.15, cap_s: 3.0, release_above_s: 0.35, report_age_s: 10.0, tau_s: 20.0 }
    }
}

/// Constants of [`Placement`](super::pacing::Placement).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PlacementPolicy {
    /// Length of a slice in seconds (config `vae_window`): 0.36 s is 17,280 frames at 48 kHz.
    pub window_s: f64,
    /// Slices start on multiples of this many frames, rounded down: one latent step of 1/25 s at
    /// 48 kHz. Measured: every start in the recordings of the real server.
    pub grid_frames: u32,
    /// What becomes of a window that reaches past the end of the loop.
    pub at_end: EndRule,
}

impl Default for PlacementPolicy {
    fn default() -> Self {
        Self { window_s: 0.36, grid_frames: 1_920, at_end: EndRule::Truncate }
    }
}

/// What becomes of a window that reaches past the end of the loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndRule {
    /// The slice ends with the loop. Measured on the server of June 2026: the last slices of a lap
    /// shrink to 1,920 frames.
    #[default]
    Truncate,
    /// The slice starts earlier and keeps its length.
    Clamp,
    /// The slice ends with the loop and a second one at 0 carries the rest.
    Spill,
}

/// Constants of [`FlowControl`](super::pacing::FlowControl).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FlowPolicy {
    /// A slice is dropped while more than this many bytes are sent and not acknowledged.
    pub window_bytes: u64,
    /// A slice that waited longer than this is dropped, in seconds.
    pub max_wait_s: f64,
    /// Regions that the client asked for are dropped like all others, as before PR 347.
    pub sheds_asked_for: bool,
}

impl Default for FlowPolicy {
    fn default() -> Self {
        Self { window_bytes: 262_144, max_wait_s: 2.0, sheds_asked_for: false }
    }
}

/// Constants of [`IdleGate`](super::pacing::IdleGate).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IdlePolicy {
    /// Without a knob change for this long the server reuses what it has, in seconds; after one
    /// more length of the loop slices stop. `None`: never.
    pub after_s: Option<f64>,
}

impl Default for IdlePolicy {
    fn default() -> Self {
        Self { after_s: Some(20.0) }
    }
}

/// How messages from the client are taken in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntakePolicy {
    /// The intake looks for messages this often, in seconds.
    pub poll_s: f64,
    /// Reports handled per second when they are not coalesced; `None`: the newest report wins and
    /// all others are forgotten.
    pub backlog_per_s: Option<f64>,
    /// They are not coalesced only from then on, in seconds from the initial buffer.
    pub backlog_from_s: f64,
    /// How long a binary message that a command announced may take, in seconds. Ten until June
    /// 2026, which was too short for slow uplinks.
    pub payload_within_s: f64,
}

impl Default for IntakePolicy {
    fn default() -> Self {
        Self { poll_s: 0.001, backlog_per_s: None, backlog_from_s: 0.0, payload_within_s: 120.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_policy_is_a_policy() {
        let policy: Policy =
            serde_json::from_str(r#"{"lead": {"floor_s": 0.5, "transport": null}}"#).unwrap();
        assert_eq!(policy.lead.floor_s, 0.5);
        assert_eq!(policy.lead.transport, None);
        assert_eq!(policy.lead.ceiling_s, LeadPolicy::default().ceiling_s);
        assert_eq!(policy.flow, FlowPolicy::default());
    }

    #[test]
    fn a_misspelt_constant_is_an_error() {
        assert!(serde_json::from_str::<Policy>(r#"{"lead": {"flor_s": 0.5}}"#).is_err());
    }
}
