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
}

/// Why a policy cannot be changed like this.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the policy cannot be changed like this: {0}")]
pub struct ChangeError(String);

impl Change {
    /// The policy with what differs.
    ///
    /// # Errors
    /// Where there is no constant of that name, or not with such a value.
    pub fn policy(&self, recorded: &Policy) -> Result<Policy, ChangeError> {
        if self.policy.is_empty() {
            return Ok(recorded.clone());
        }
        let refuse = |error: serde_json::Error| ChangeError(error.to_string());
        let mut policy = serde_json::to_value(recorded).map_err(refuse)?;
        merge(&mut policy, &Value::Object(self.policy.clone()));
        serde_json::from_value(policy).map_err(refuse)
    }
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
    }
}
