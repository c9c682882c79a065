//! The numbers of a scenario by name, as flags and sweeps call them.
//!
//! Enters: a name (`lead-floor`) and values as people write them. Leaves: a [`Key`] that puts a
//! value into a scenario. A new number to vary is a line in [`KEYS`].

use super::{Scenario, ScenarioError};
use crate::peer::incident::{Unit, nearest};

/// A number of a scenario.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// How its values are written.
    pub unit: Unit,
    /// The value that changes nothing, or nearly nothing: upstream's default where there is one.
    pub neutral: f64,
    /// Puts a value into a scenario.
    pub set: fn(&mut Scenario, f64),
}

/// All numbers that can be varied.
pub const KEYS: [Key; 20] = [
    key("rate", Unit::Number, 1.0, |s, v| s.playback.rate = Some(v)),
    key("skew-ppm", Unit::Number, 0.0, |s, v| s.playback.skew_ppm = Some(v)),
    key("start-offset", Unit::Time, 0.0, |s, v| s.playback.start_offset_s = Some(v)),
    key("quantum", Unit::Number, 1.0, |s, v| s.playback.quantum_frames = Some(v as u64)),
    key("params-hz", Unit::Number, 30.0, |s, v| s.change.report.params_hz = Some(v)),
    key("down", Unit::Rate, f64::MAX, |s, v| s.change.link.down.bandwidth = Some(v)),
    key("up", Unit::Rate, f64::MAX, |s, v| s.change.link.up.bandwidth = Some(v)),
    key("latency", Unit::Time, 0.0, |s, v| {
        s.change.link.down.latency_s = Some(v);
        s.change.link.up.latency_s = Some(v);
    }),
    key("down-latency", Unit::Time, 0.0, |s, v| s.change.link.down.latency_s = Some(v)),
    key("up-latency", Unit::Time, 0.0, |s, v| s.change.link.up.latency_s = Some(v)),
    key("down-jitter", Unit::Time, 0.0, |s, v| s.change.link.down.jitter_s = Some(v)),
    key("up-jitter", Unit::Time, 0.0, |s, v| s.change.link.up.jitter_s = Some(v)),
    key("buffer", Unit::Size, f64::MAX, |s, v| s.change.link.down.buffer = Some(v as u64)),
    key("apply-delay", Unit::Time, 0.0, |s, v| s.change.client.apply_delay_s = Some(v)),
    key("handles-every", Unit::Time, 0.0, |s, v| s.change.client.handles_every_s = Some(v)),
    key("lead-floor", Unit::Time, 0.25, |s, v| s.change.server.lead_floor_s = Some(v)),
    key("lead-ceiling", Unit::Time, 1.35, |s, v| s.change.server.lead_ceiling_s = Some(v)),
    key("flow-window", Unit::Size, 262_144.0, |s, v| s.change.server.flow_window = Some(v as u64)),
    key("tick-factor", Unit::Number, 1.0, |s, v| s.change.tick_factor = Some(v)),
    key("seed", Unit::Number, 0.0, |s, v| s.seed = v as u64),
];

const fn key(name: &'static str, unit: Unit, neutral: f64, set: fn(&mut Scenario, f64)) -> Key {
    Key { name, unit, neutral, set }
}

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Result<&'static Key, ScenarioError> {
        KEYS.iter().find(|key| key.name == name).ok_or_else(|| ScenarioError::UnknownKey {
            key: name.to_owned(),
            known: nearest(name, KEYS.iter().map(|key| key.name)),
        })
    }
}
