//! Scenarios as they are typed: a knob with its value (`lead-floor`, `0.5`), an op with its time
//! (`6s:seek=30s`), or a knob that is turned at a time (`3s:down=250KB/s`).
//!
//! Each call changes the scenario that it is given; [`Scenario::check`] judges the whole.

use super::definition::{Conditions, Scenario, TimedChange};
use super::error::ScenarioError;
use super::knobs::{KNOBS, Knob};
use crate::parse::{Unit, nearest};
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// A switch that is no knob: it decides what of the recording stays.
const REPLACE_OPS: &str = "replace-ops";

/// Sets what a name stands for.
pub fn assign(scenario: &mut Scenario, name: &str, value: &str) -> Result<(), ScenarioError> {
    match name {
        REPLACE_OPS => {
            let on = Unit::Switch.parse(value);
            let on = on.map_err(|error| ScenarioError::value(name, error.to_string()))?;
            scenario.playback.replace_ops = on != 0.0;
            Ok(())
        }
        _ => turn(scenario, knob(name)?, value),
    }
}

fn knob(name: &str) -> Result<&'static Knob, ScenarioError> {
    let names = [REPLACE_OPS].into_iter().chain(KNOBS.iter().map(|knob| knob.name));
    Knob::named(name).map_err(|_| {
        let known = nearest(name, names);
        let unknown = ScenarioError::UnknownKey { key: name.to_owned(), known };
        ScenarioError::unanswerable(name, name).unwrap_or(unknown)
    })
}

fn turn(scenario: &mut Scenario, knob: &Knob, value: &str) -> Result<(), ScenarioError> {
    let number = knob.unit.parse(value).map_err(|error| match value.contains("..") {
        true => ScenarioError::value(knob.name, "one value is wanted here; sweep takes ranges"),
        false => ScenarioError::value(knob.name, error.to_string()),
    })?;
    knob.set(scenario, number);
    Ok(())
}

/// Adds an op of the listener, or a change that begins at a time.
pub fn add_op(scenario: &mut Scenario, text: &str) -> Result<(), ScenarioError> {
    let error = match text.parse::<ScriptedOp>() {
        Ok(op) => {
            scenario.playback.ops.push(op);
            return Ok(());
        }
        Err(error) => error,
    };
    let refuse = || ScenarioError::value("op", error.to_string());
    let (at, change) = text.split_once(':').ok_or_else(refuse)?;
    let (name, value) = match change.split_once('=') {
        Some(both) => both,
        None => return Err(ScenarioError::unanswerable(change, change).unwrap_or_else(refuse)),
    };
    let at: Span = at.parse().map_err(|_| refuse())?;
    let conditions = later(name, value)?;
    scenario.timed.push(TimedChange { at, conditions });
    Ok(())
}

/// The same, where an op that gives no time of its own happens at `at`.
pub fn add_op_at(
    scenario: &mut Scenario,
    text: &str,
    at: Option<Span>,
) -> Result<(), ScenarioError> {
    let has_time = text.split_once(':').is_some_and(|(time, _)| time.parse::<Span>().is_ok());
    match at.filter(|_| !has_time) {
        Some(at) => add_op(scenario, &format!("{at}:{text}")),
        None => add_op(scenario, text),
    }
}

/// What is different from a later moment on.
fn later(name: &str, value: &str) -> Result<Conditions, ScenarioError> {
    let mut later = Scenario::default();
    assign(&mut later, name, value)?;
    if !Knob::named(name).is_ok_and(Knob::is_condition) {
        let reason = "it holds from the beginning; write it without a time";
        return Err(ScenarioError::value(name, reason));
    }
    Ok(later.conditions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[(&str, &str)], ops: &[&str], expected: &Scenario) {
        let mut scenario = Scenario::default();
        values.iter().for_each(|(name, value)| assign(&mut scenario, name, value).unwrap());
        ops.iter().for_each(|op| add_op(&mut scenario, op).unwrap());
        assert_eq!(&scenario, expected);
    }

    #[track_caller]
    fn check_refused(op: &str, sentence: &str) {
        let error = add_op(&mut Scenario::default(), op).unwrap_err().to_string();
        assert!(error.contains(sentence), "{op}: {error}");
    }

    fn scenario(document: &serde_json::Value) -> Scenario {
        Scenario::from_value(document).unwrap()
    }

    #[test]
    fn values_and_ops() {
        check(
            &[("rate", "1.002"), ("lead-floor", "500ms"), ("acks", "off")],
            &["6s:seek=30s"],
            &scenario(&serde_json::json!({
                "playback": {"rate": 1.002, "ops": ["6s:seek=30s"]},
                "server": {"lead_floor_s": 0.5},
                "client": {"acks": false},
            })),
        );
        check(
            &[("latency", "40ms")],
            &["3s:down=250KB/s"],
            &scenario(&serde_json::json!({
                "link": {"down": {"latency_s": 0.04}, "up": {"latency_s": 0.04}},
                "timed": [{"at": "3s", "link": {"down": {"bandwidth": "250KB/s"}}}],
            })),
        );
        check_refused("3s:dwn=1", "did you mean down?");
        check_refused("3s:down=fast", "is not a rate");
        check_refused("3s:acks=maybe", "neither on nor off");
        check_refused("3s:quantum=4096", "without a time");
        check_refused("3s:swap", "swap cannot be changed: ");
        check_refused("3s:depth=2", "depth cannot be changed: ");
        check_refused("-3s:pause", "nothing happens before the initial buffer");
        check_refused("jump", "is not an op");
    }
}
