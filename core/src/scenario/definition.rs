//! What a scenario is: plain values, of which those that are not given stay as recorded.
//!
//! What the listener does has a field each, since the open loop walks by it. What else can change is
//! kept by its key in a document; [`knobs`](super::knobs) say what a key means. Times of changes
//! count from the initial buffer on.

use std::collections::BTreeMap;

use serde::Serialize;

use super::error::ScenarioError;
use crate::capture::Marker;
use crate::peer::interval::Interval;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// A scenario with its name, by which its answer and its files are known.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedScenario {
    pub name: String,
    pub scenario: Scenario,
}

/// What would have been different.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    pub playback: Playback,
    /// What the peers and the link are like from the beginning on.
    pub conditions: Conditions,
    /// The same from a later moment on, each over what held before.
    pub timed: Vec<TimedChange>,
    /// Decides what is random in a model; a part of the question, not a change.
    pub seed: u64,
}

/// Where the listener is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Playback {
    /// Rate from the recording's beginning on, in place of every recorded one.
    pub rate: Option<f64>,
    /// Parts per million by which the listener's clock is fast; multiplies every rate.
    pub skew_ppm: Option<f64>,
    /// Position where the recording begins, as a rule with the initial buffer, in seconds.
    pub start_offset_s: Option<f64>,
    /// Positions are whole multiples of this many frames.
    pub quantum_frames: Option<u64>,
    /// What the listener does beside, or in place of, what was recorded; any order.
    pub ops: Vec<ScriptedOp>,
    /// The recorded seeks, pauses and rates did not happen.
    pub replace_ops: bool,
}

/// What is different about the peers and the link between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// By the key in a document, in the unit's base; a switch is 1 or 0.
    values: BTreeMap<&'static str, f64>,
    /// Spells in which no byte passes to the server, from the initial buffer on.
    pub up_outages: Vec<Interval>,
    /// The same to the client.
    pub down_outages: Vec<Interval>,
}

/// A change that begins during the session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimedChange {
    /// When, from the initial buffer on.
    pub at: Span,
    pub conditions: Conditions,
}

/// How far an answer can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Tier {
    /// What a live client would have got, bit for bit.
    Exact,
    /// Exact until the server would have learned of the change.
    Horizon,
    /// What a model of the server makes of it, with its error.
    Model,
    /// No answer.
    Refused,
}

/// The tier that a question can be answered in, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Need {
    pub tier: Tier,
    /// One sentence.
    pub reason: &'static str,
}

impl Conditions {
    /// The value of that key; `None`: as recorded.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<f64> {
        self.values.get(key).copied()
    }

    /// All values with their keys.
    pub(super) fn values(&self) -> impl Iterator<Item = (&'static str, f64)> {
        self.values.iter().map(|(key, value)| (*key, *value))
    }

    pub(super) fn set(&mut self, key: &'static str, value: f64) {
        self.values.insert(key, value);
    }

    /// Takes a value out, which then is as recorded.
    pub(super) fn take(&mut self, key: &str) -> Option<f64> {
        self.values.remove(key)
    }
}

impl Scenario {
    /// Whether it is the recording itself.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.playback == Playback::default() && self.only_moves_playhead()
    }

    /// Whether nothing but the listener changes.
    #[must_use]
    pub fn only_moves_playhead(&self) -> bool {
        self.conditions == Conditions::default() && self.timed.is_empty()
    }

    /// When something happens that the recording has not, in seconds from the initial buffer.
    pub(super) fn moments_s(&self) -> impl Iterator<Item = f64> {
        let ops = self.playback.ops.iter().map(|op| op.at.seconds());
        let timed = self.timed.iter().map(|change| change.at.seconds());
        let conditions = [&self.conditions].into_iter();
        let conditions = conditions.chain(self.timed.iter().map(|timed| &timed.conditions));
        let outages = conditions.flat_map(|it| it.up_outages.iter().chain(&it.down_outages));
        ops.chain(timed).chain(outages.map(|outage| outage.at_s))
    }

    /// The same scenario, of which all that holds from the beginning holds from a moment on: the rate
    /// is set then, and what the peers and the link are like changes then. Ops and changes with times
    /// of their own keep them.
    ///
    /// # Errors
    /// Where something is turned that cannot change in the middle of a session.
    pub fn beginning_at(mut self, at: Span) -> Result<Scenario, ScenarioError> {
        let Playback { rate, skew_ppm, start_offset_s, quantum_frames, .. } = self.playback;
        let only_at_first = [
            (skew_ppm.is_some(), "playback.skew_ppm", "a clock is fast all the time; set a rate"),
            (
                start_offset_s.is_some(),
                "playback.start_offset_s",
                "it says where the listener begins; seek at that time",
            ),
            (
                quantum_frames.is_some(),
                "playback.quantum_frames",
                "it holds all the time; leave it out",
            ),
            (
                self.playback.replace_ops,
                "playback.replace_ops",
                "it holds all the time; leave it out",
            ),
        ];
        if let Some((_, key, why)) = only_at_first.into_iter().find(|(is_set, ..)| *is_set) {
            let reason = format!("{why}, or leave the moment out at which it begins");
            return Err(ScenarioError::value(key, reason));
        }
        if let Some(rate) = rate {
            self.playback.rate = None;
            self.playback.ops.push(ScriptedOp { at, op: Marker::Rate { rate } });
        }
        let conditions = std::mem::take(&mut self.conditions);
        if conditions != Conditions::default() {
            self.timed.push(TimedChange { at, conditions });
        }
        Ok(self)
    }

    /// The tier of an answer; `open_loop` asks for recorded slices as they were.
    #[must_use]
    pub fn needs(&self, open_loop: bool) -> Need {
        let (tier, reason) = match (self.is_null(), self.only_moves_playhead(), open_loop) {
            (true, _, _) => (Tier::Exact, "Nothing that the server saw changes."),
            (_, true, true) => (
                Tier::Horizon,
                "Only the listener moves, and the recorded slices stay until the server would \
                 have learned of it.",
            ),
            (_, true, false) => {
                (Tier::Model, "The server sees other positions and places its slices by them.")
            }
            (_, false, true) => (
                Tier::Refused,
                "Recorded slices cannot stay when the link, the client's reports or the server \
                 change",
            ),
            (_, false, false) => (
                Tier::Model,
                "The link, the client's reports or the server change, so slices come at other \
                 times and places.",
            ),
        };
        Need { tier, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check_need(scenario: &Value, open_loop: bool, expected: Tier) {
        let scenario = Scenario::from_value(scenario).unwrap();
        assert_eq!(scenario.needs(open_loop).tier, expected, "{scenario:?}");
    }

    #[test]
    fn tiers_follow_from_what_the_server_would_have_seen() {
        let (null, moved) = (json!({"seed": 3}), json!({"playback": {"rate": 1.01}}));
        let thin = json!({"link": {"down": {"bandwidth": 1e5}}});
        check_need(&null, false, Tier::Exact);
        check_need(&null, true, Tier::Exact);
        check_need(&moved, false, Tier::Model);
        check_need(&moved, true, Tier::Horizon);
        check_need(&thin, false, Tier::Model);
        check_need(&thin, true, Tier::Refused);
        let later = json!({"timed": [{"at": 3, "tick_factor": 2}]});
        check_need(&later, false, Tier::Model);
        check_need(&later, true, Tier::Refused);
    }

    #[test]
    fn what_holds_from_the_beginning_can_hold_from_a_moment_on() {
        let scenario = json!({
            "playback": {"rate": 0.98, "ops": ["3s:pause"]},
            "link": {"down": {"bandwidth": 1e5}},
            "timed": [{"at": "2s", "tick_factor": 2.0}],
        });
        let moment = Span(12_000_000_000);
        let later = Scenario::from_value(&scenario).unwrap().beginning_at(moment).unwrap();
        let expected = json!({
            "playback": {"ops": ["3s:pause", "12s:rate=0.98"]},
            "timed": [
                {"at": "2s", "tick_factor": 2.0},
                {"at": "12s", "link": {"down": {"bandwidth": 1e5}}},
            ],
        });
        assert_eq!(later, Scenario::from_value(&expected).unwrap());
        for (key, value) in [("skew_ppm", 5.0), ("start_offset_s", 1.0), ("quantum_frames", 512.0)]
        {
            let scenario = Scenario::from_value(&json!({"playback": {key: value}})).unwrap();
            let refused = scenario.beginning_at(moment).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("playback.{key}: ")), "{refused}");
        }
    }
}
