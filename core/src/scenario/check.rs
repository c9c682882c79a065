//! Whether a scenario can be: every value in its range, and none against another.

use super::advice::Advice;
use super::definition::{Conditions, Playback, Scenario};
use super::error::ScenarioError;
use super::knobs::{KNOBS, Knob, MAX_CHANGE_S};
use crate::capture::Marker;
use crate::peer::interval::Interval;
use crate::peer::script::ScriptedOp;

impl Scenario {
    /// Whether it can be.
    pub fn check(&self) -> Result<(), ScenarioError> {
        for knob in &KNOBS {
            if let (Some(key), Some(value)) = (knob.key(), knob.value(self)) {
                in_range(key, knob, value)?;
            }
        }
        check_ops(&self.playback)?;
        self.conditions.check("")?;
        self.timed.iter().try_for_each(|timed| timed.conditions.check("timed."))
    }
}

impl ScenarioError {
    /// The same where somebody turned knobs and wrote no document: with the knob's name for its key.
    #[must_use]
    pub fn by_knobs(self) -> ScenarioError {
        match self {
            ScenarioError::Value { key, reason } => {
                let named = |key: &str| Knob::with_key(key).map(|knob| knob.name.to_owned());
                let mut reason = reason;
                for knob in
                    KNOBS.iter().filter(|knob| knob.key().is_some_and(|key| key.contains('.')))
                {
                    reason = reason.replace(knob.key().unwrap_or_default(), knob.name);
                }
                let plain = key.trim_start_matches("timed.");
                let switch = (plain == "playback.replace_ops").then(|| "replace-ops".to_owned());
                let key = named(plain).or(switch).unwrap_or(key);
                ScenarioError::Value { key, reason }
            }
            other => other,
        }
    }

    /// The same where somebody wrote a document: what to do is named by its key.
    pub(super) fn by_keys(self) -> ScenarioError {
        match self {
            ScenarioError::Unanswerable { key, why, instead: Advice::TurnInstead(name) } => {
                let of = Knob::named(name).ok().and_then(Knob::key);
                let instead = of.map_or(Advice::TurnInstead(name), Advice::SetKey);
                ScenarioError::Unanswerable { key, why, instead }
            }
            other => other,
        }
    }
}

impl Conditions {
    /// `within` stands before keys in errors.
    fn check(&self, within: &str) -> Result<(), ScenarioError> {
        for (key, value) in self.values() {
            if let Some(knob) = Knob::with_key(key) {
                in_range(&format!("{within}{key}"), knob, value)?;
            }
        }
        let outages = [("up", &self.up_outages), ("down", &self.down_outages)];
        for (way, outages) in outages {
            let key = format!("{within}link.{way}.outages");
            outages.iter().try_for_each(|outage| check_outage(&key, *outage))?;
        }
        let (floor, ceiling) = ("server.lead_floor_s", "server.lead_ceiling_s");
        match (self.value(floor), self.value(ceiling)) {
            (Some(floor_s), Some(ceiling_s)) if floor_s > ceiling_s => Err(ScenarioError::value(
                &format!("{within}{floor}"),
                format!("{floor_s} s is above {ceiling}, {ceiling_s} s"),
            )),
            _ => Ok(()),
        }
    }
}

fn in_range(key: &str, knob: &Knob, value: f64) -> Result<(), ScenarioError> {
    match knob.out_of_range(value) {
        Some(reason) => Err(ScenarioError::value(key, reason)),
        None => Ok(()),
    }
}

fn check_ops(playback: &Playback) -> Result<(), ScenarioError> {
    for ScriptedOp { op, .. } in &playback.ops {
        let value = match op {
            Marker::Seek { to_s } => *to_s,
            Marker::Rate { rate } => *rate,
            Marker::Pause | Marker::Resume | Marker::Point { .. } => continue,
        };
        if !value.is_finite() {
            let reason = format!("{value} is out of range; give a finite number");
            return Err(ScenarioError::value("playback.ops", reason));
        }
    }
    Ok(())
}

fn check_outage(key: &str, Interval { at_s, for_s }: Interval) -> Result<(), ScenarioError> {
    match [at_s, for_s].into_iter().find(|value| !(0.0..=MAX_CHANGE_S).contains(value)) {
        Some(value) => {
            let reason = format!("{value} is out of range; give 0 s to {MAX_CHANGE_S} s");
            Err(ScenarioError::value(key, reason))
        }
        None => Ok(()),
    }
}
