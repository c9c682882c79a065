//! The short words for what a scenario changes, as they stand on a command line.
//!
//! Enters: a word with a value (`lead-floor`, `0.5`), or an op with its time (`6s:seek=30s`,
//! `3s:down=250KB/s`). Leaves: a [`Scenario`] with that change. What sweeps vary are the [`keys`](super::keys);
//! other switches are here. [`Scenario::check`] judges the whole.

use super::keys::{KEYS, Key};
use super::{Playback, Scenario, ScenarioError, TimedChange, wrong};
use crate::parse::{Unit, nearest};
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// A switch: its word, and what it sets.
type Switch = (&'static str, fn(&mut Scenario, bool));

/// What is on or off and cannot be varied.
const SWITCHES: [Switch; 2] = [
    ("emit-trim", |scenario, on| scenario.change.server.emit_trim = Some(on)),
    ("replace-ops", |scenario, on| scenario.playback.replace_ops = on),
];

/// Sets what a word stands for.
pub fn assign(scenario: &mut Scenario, word: &str, value: &str) -> Result<(), ScenarioError> {
    if let Some((_, set)) = SWITCHES.iter().find(|(known, _)| *known == word) {
        let on = Unit::Switch.parse(value).map_err(|reason| wrong(word, &reason.to_string()))?;
        set(scenario, on != 0.0);
        return Ok(());
    }
    let Some(key) = KEYS.iter().find(|key| key.name == word) else {
        let words = SWITCHES.iter().map(|(known, _)| *known).chain(KEYS.iter().map(|key| key.name));
        let known = nearest(word, words);
        return Err(ScenarioError::UnknownKey { key: word.to_owned(), known });
    };
    set_number(scenario, key, value)
}

fn set_number(scenario: &mut Scenario, key: &Key, value: &str) -> Result<(), ScenarioError> {
    let number = key.unit.parse(value).map_err(|reason| match value.contains("..") {
        true => wrong(key.name, "one value is wanted here; sweep takes ranges"),
        false => wrong(key.name, &reason.to_string()),
    })?;
    (key.set)(scenario, number);
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
    let refuse = || wrong("op", &error.to_string());
    let (at, change) = text.split_once(':').ok_or_else(refuse)?;
    let (word, value) = change.split_once('=').ok_or_else(refuse)?;
    let at: Span = at.parse().map_err(|_| refuse())?;
    let mut later = Scenario::default();
    assign(&mut later, word, value)?;
    if later.playback != Playback::default() {
        return Err(wrong(word, "it holds from the beginning; write it without a time"));
    }
    scenario.timed.push(TimedChange { at, change: later.change });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[(&str, &str)], ops: &[&str], expected: &Scenario) {
        let mut scenario = Scenario::default();
        words.iter().for_each(|(word, value)| assign(&mut scenario, word, value).unwrap());
        ops.iter().for_each(|op| add_op(&mut scenario, op).unwrap());
        assert_eq!(&scenario, expected);
    }

    #[track_caller]
    fn check_refused(op: &str, sentence: &str) {
        let error = add_op(&mut Scenario::default(), op).unwrap_err().to_string();
        assert!(error.contains(sentence), "{op}: {error}");
    }

    fn scenario(document: serde_json::Value) -> Scenario {
        Scenario::from_value(document).unwrap()
    }

    #[test]
    fn words_and_ops() {
        check(
            &[("rate", "1.002"), ("lead-floor", "500ms"), ("acks", "off")],
            &["6s:seek=30s"],
            &scenario(serde_json::json!({
                "playback": {"rate": 1.002, "ops": ["6s:seek=30s"]},
                "server": {"lead_floor_s": 0.5},
                "client": {"acks": false},
            })),
        );
        check(
            &[("latency", "40ms")],
            &["3s:down=250KB/s"],
            &scenario(serde_json::json!({
                "link": {"down": {"latency_s": 0.04}, "up": {"latency_s": 0.04}},
                "timed": [{"at": "3s", "link": {"down": {"bandwidth": "250KB/s"}}}],
            })),
        );
        check_refused("3s:dwn=1", "did you mean down?");
        check_refused("3s:down=fast", "is not a rate");
        check_refused("3s:acks=maybe", "neither on nor off");
        check_refused("3s:quantum=4096", "without a time");
        check_refused("jump", "is not an op");
    }
}
