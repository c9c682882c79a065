//! The numbers and switches of a scenario by name, as flags and sweeps call them.
//!
//! Enters: a name (`lead-floor`) and values as people write them. Leaves: a [`Key`] that puts a
//! value into a scenario. What is new to vary is a line in [`KEYS`].

use super::{Scenario, ScenarioError};
use crate::parse::{Unit, nearest};

/// A number of a scenario, or a switch, which is 1 or 0.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// How its values are written.
    pub unit: Unit,
    /// The value that changes nothing, or nearly nothing: upstream's default where there is one.
    pub neutral: f64,
    /// Where a search looks unless it is told, as a range of a sweep or a list.
    pub range: &'static str,
    /// The finest step that makes a difference worth telling.
    pub finest: f64,
    /// Puts a value into a scenario.
    pub set: fn(&mut Scenario, f64),
}

/// The values of a switch.
const SWITCH: (&str, f64) = ("on,off", 1.0);

/// All that can be varied.
pub const KEYS: [Key; 25] = [
    key("rate", Unit::Number, 1.0, ("0.9..1.1:0.005", 1e-4), |s, v| s.playback.rate = Some(v)),
    key("skew-ppm", Unit::Number, 0.0, ("-5000..5000:250", 1.0), |s, v| {
        s.playback.skew_ppm = Some(v);
    }),
    key("start-offset", Unit::Time, 0.0, ("0..10:0.25", 1e-3), |s, v| {
        s.playback.start_offset_s = Some(v);
    }),
    key("quantum", Unit::Number, 1.0, ("1..8192:256", 1.0), |s, v| {
        s.playback.quantum_frames = Some(v as u64);
    }),
    key("params-hz", Unit::Number, 30.0, ("1..120:1", 0.1), |s, v| {
        s.change.report.params_hz = Some(v);
    }),
    key("down", Unit::Rate, 1e12, ("100KB/s..4MB/s:100KB/s", 1e3), |s, v| {
        s.change.link.down.bandwidth = Some(v);
    }),
    key("up", Unit::Rate, 1e12, ("1KB/s..40KB/s:1KB/s", 100.0), |s, v| {
        s.change.link.up.bandwidth = Some(v);
    }),
    key("latency", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.down.latency_s = Some(v);
        s.change.link.up.latency_s = Some(v);
    }),
    key("down-latency", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.down.latency_s = Some(v);
    }),
    key("up-latency", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.up.latency_s = Some(v);
    }),
    key("jitter", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.down.jitter_s = Some(v);
        s.change.link.up.jitter_s = Some(v);
    }),
    key("down-jitter", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.down.jitter_s = Some(v);
    }),
    key("up-jitter", Unit::Time, 0.0, ("0..0.5:0.01", 1e-3), |s, v| {
        s.change.link.up.jitter_s = Some(v);
    }),
    key("buffer", Unit::Size, 1e12, ("32KB..1024KB:32KB", 1.0), |s, v| {
        s.change.link.down.buffer = Some(v as u64);
    }),
    key("apply-delay", Unit::Time, 0.0, ("0..0.2:0.005", 1e-3), |s, v| {
        s.change.client.apply_delay_s = Some(v);
    }),
    key("handles-every", Unit::Time, 0.0, ("0..2:0.05", 1e-3), |s, v| {
        s.change.client.handles_every_s = Some(v);
    }),
    key("acks", Unit::Switch, 1.0, SWITCH, |s, v| s.change.client.acks = Some(v != 0.0)),
    key("lead-floor", Unit::Time, 0.25, ("0.05..2:0.05", 5e-3), |s, v| {
        s.change.server.lead_floor_s = Some(v);
    }),
    key("lead-ceiling", Unit::Time, 1.35, ("0.25..4:0.05", 5e-3), |s, v| {
        s.change.server.lead_ceiling_s = Some(v);
    }),
    key("transport", Unit::Switch, 1.0, SWITCH, |s, v| {
        s.change.server.transport = Some(v != 0.0);
    }),
    key("flow-window", Unit::Size, 262_144.0, ("32KB..1024KB:32KB", 1e3), |s, v| {
        s.change.server.flow_window = Some(v as u64);
    }),
    key("staleness-compensation", Unit::Switch, 1.0, SWITCH, |s, v| {
        s.change.server.staleness_compensation = Some(v != 0.0);
    }),
    key("newest-wins", Unit::Switch, 1.0, SWITCH, |s, v| {
        s.change.server.newest_wins = Some(v != 0.0);
    }),
    key("tick-factor", Unit::Number, 1.0, ("0.1..2:0.05", 5e-3), |s, v| {
        s.change.tick_factor = Some(v);
    }),
    key("seed", Unit::Number, 0.0, ("0..31:1", 1.0), |s, v| s.seed = v as u64),
];

const fn key(
    name: &'static str,
    unit: Unit,
    neutral: f64,
    (range, finest): (&'static str, f64),
    set: fn(&mut Scenario, f64),
) -> Key {
    Key { name, unit, neutral, range, finest, set }
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
