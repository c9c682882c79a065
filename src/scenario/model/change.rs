//! What is to be different.
//!
//! Times count from the arrival of the initial buffer. [`Change::default`] changes nothing.

use serde_json::{Map, Value};

use crate::peer::link::LinkOptions;
use crate::peer::policy::Policy;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// A counterfactual: everything that it does not name stays as recorded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Change {
    /// What the listener does instead of what they did; `None`: the same.
    pub ops: Option<Vec<ScriptedOp>>,
    /// Constants of the server's policy, as the part of its JSON that differs.
    pub policy: Map<String, Value>,
    /// The link to the server, beside the way that the recording measured: from when on what.
    pub up: Vec<(Span, LinkOptions)>,
    /// The link to the client, likewise.
    pub down: Vec<(Span, LinkOptions)>,
    /// Factor on every tick of the model; `None`: 1.
    pub tick_factor: Option<f64>,
    /// Reports a second; `None`: at the recorded moments.
    pub params_hz: Option<f64>,
    /// Whether reports acknowledge slices; `None`: as recorded.
    pub acknowledges: Option<bool>,
    /// How long the client is busy with each slice, in seconds.
    pub apply_delay_s: f64,
    /// A throttled client handles what came only at multiples of this many seconds; 0: at once.
    pub handles_every_s: f64,
    /// Positions are whole multiples of this many frames; `None`: of one.
    pub quantum_frames: Option<u64>,
    /// What is different from a later moment on, each over what held before.
    pub later: Vec<(Span, Later)>,
}

/// What is different from a later moment on, beside the link; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Later {
    /// Constants of the server's policy, as the part of its JSON that differs.
    pub policy: Map<String, Value>,
    /// Factor on every tick of the model.
    pub tick_factor: Option<f64>,
    /// Whether reports acknowledge slices.
    pub acknowledges: Option<bool>,
    /// How long the client is busy with each slice, in seconds.
    pub apply_delay_s: Option<f64>,
    /// How often a throttled client handles what came, in seconds.
    pub handles_every_s: Option<f64>,
}

/// Why a policy cannot be changed like this.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the policy cannot be changed like this: {0}")]
pub struct ChangeError(String);

impl Change {
    /// The policy with what differs from the beginning on.
    ///
    /// # Errors
    /// Where there is no constant of that name, or not with such a value, now or later.
    pub fn policy(&self, recorded: &Policy) -> Result<Policy, ChangeError> {
        let policy = with(recorded, &self.policy)?;
        self.later
            .iter()
            .try_fold(policy.clone(), |held, (_, later)| with(&held, &later.policy))?;
        Ok(policy)
    }
}

/// A policy with some of its constants replaced.
pub(super) fn with(policy: &Policy, part: &Map<String, Value>) -> Result<Policy, ChangeError> {
    if part.is_empty() {
        return Ok(policy.clone());
    }
    let refuse = |error: serde_json::Error| ChangeError(error.to_string());
    let mut policy = serde_json::to_value(policy).map_err(refuse)?;
    merge(&mut policy, &Value::Object(part.clone()));
    serde_json::from_value(policy).map_err(refuse)
}

fn merge(base: &mut Value, change: &Value) {
    match (base, change) {
        (Value::Object(base), Value::Object(change)) => {
            for (key, value) in change {
                merge(base.entry(key.as_str()).or_insert(Value::Null), value);
            }
        }
        (base, change) => *base = change.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn changed(policy: &Value) -> Result<Policy, ChangeError> {
        let policy = policy.as_object().cloned().unwrap();
        Change { policy, ..Change::default() }.policy(&Policy::default())
    }

    #[test]
    fn a_part_of_a_policy_changes_that_part() {
        let policy = changed(&json!({"lead": {"floor_s": 0.6}})).unwrap();
        assert_eq!(policy.lead.floor_s, 0.6);
        assert_eq!(policy.flow, Policy::default().flow);
        assert_eq!(changed(&json!({"lead": {"transport": null}})).unwrap().lead.transport, None);
        assert!(changed(&json!({"lead": {"flor_s": 0.6}})).is_err());
        let later = Later {
            policy: json!({"flow": {"window": 1}}).as_object().cloned().unwrap(),
            ..Later::default()
        };
        let change = Change { later: vec![(Span(1), later)], ..Change::default() };
        assert!(change.policy(&Policy::default()).is_err());
    }
}
