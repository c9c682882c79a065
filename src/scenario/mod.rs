//! What-ifs: what would have been different, and how far an answer can be trusted.
//!
//! Enters: a [`Scenario`], plain data from a file or from flags. Leaves: [`Need`], the [`Tier`] that
//! an answer to it can have and why; [`ask`] gets that answer, from [`open_loop`] or the [`model`].
//! Everything in a scenario is optional, and one without changes is the recording itself. Times
//! are seconds, or text with a unit (`"40ms"`); of a change they count from the initial buffer on.
//! Nothing here changes what a recording fixes: prompts, knobs and audio.

pub mod ask;
pub mod columns;
pub mod derive;
pub mod keys;
pub mod model;
mod moves;
pub mod open_loop;
mod refreshes;
mod text;
pub mod words;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::capture::Marker;
use crate::parse::nearest;
use crate::peer::client::MAX_PARAMS_HZ;
use crate::peer::interval::Interval;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// What would have been different.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct Scenario {
    /// Where the listener is.
    pub playback: Playback,
    /// What the peers and the link are like from the beginning on.
    #[serde(flatten)]
    pub change: Change,
    /// The same from a later moment on, each over what held before.
    pub timed: Vec<TimedChange>,
    /// Decides what is random in a model; a part of the question, not a change.
    pub seed: u64,
}

/// Where the listener is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Playback {
    /// Rate from the recording's beginning on, in place of every recorded one.
    pub rate: Option<f64>,
    /// Parts per million by which the listener's clock is fast; multiplies every rate.
    pub skew_ppm: Option<f64>,
    /// Position where the recording begins, as a rule with the initial buffer, in seconds.
    #[serde(with = "text::seconds")]
    pub start_offset_s: Option<f64>,
    /// Positions are whole multiples of this many frames.
    pub quantum_frames: Option<u64>,
    /// What the listener does beside, or in place of, what was recorded; any order.
    #[serde(with = "text::ops")]
    pub ops: Vec<ScriptedOp>,
    /// The recorded seeks, pauses and rates did not happen.
    pub replace_ops: bool,
}

/// Changes of the peers and the link between them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Change {
    /// When the client reports.
    pub report: ReportChange,
    /// How messages travel.
    pub link: LinkChanges,
    /// How the client takes slices in.
    pub client: ClientChange,
    /// How the server decides.
    pub server: ServerChange,
    /// Generation takes this many times as long.
    pub tick_factor: Option<f64>,
}

/// A change that begins during the session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimedChange {
    /// When, from the initial buffer on.
    #[serde(with = "text::span")]
    pub at: Span,
    /// What.
    #[serde(flatten)]
    pub change: Change,
}

/// When the client reports.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReportChange {
    /// Reports a second.
    pub params_hz: Option<f64>,
}

/// How messages travel, each way.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkChanges {
    /// From client to server.
    pub up: LinkChange,
    /// From server to client.
    pub down: LinkChange,
}

/// One direction of the link. First in, first out; WebSocket headers and texts count too.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkChange {
    /// Bytes per second.
    #[serde(with = "text::byte_rate")]
    pub bandwidth: Option<f64>,
    /// Added to the transit that the recording shows, in seconds.
    #[serde(with = "text::seconds")]
    pub latency_s: Option<f64>,
    /// Up to this much is added to the latency of each message, in seconds.
    #[serde(with = "text::seconds")]
    pub jitter_s: Option<f64>,
    /// Bytes that may wait in front of the link; unbounded unless given.
    #[serde(with = "text::byte_size")]
    pub buffer: Option<u64>,
    /// Spells in which no byte passes, from the initial buffer on.
    pub outages: Vec<Interval>,
}

/// How the client takes slices in.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientChange {
    /// From the arrival of a slice until it is patched in, in seconds.
    #[serde(with = "text::seconds")]
    pub apply_delay_s: Option<f64>,
    /// Messages are handled only at multiples of this many seconds, as in a throttled tab.
    #[serde(with = "text::seconds")]
    pub handles_every_s: Option<f64>,
    /// Whether reports acknowledge the bytes received.
    pub acks: Option<bool>,
}

/// How the server decides.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerChange {
    /// Least lead before the transport lead is added, in seconds.
    #[serde(with = "text::seconds")]
    pub lead_floor_s: Option<f64>,
    /// Most lead before the transport lead is added, in seconds.
    #[serde(with = "text::seconds")]
    pub lead_ceiling_s: Option<f64>,
    /// Whether reported leads raise the lead.
    pub transport: Option<bool>,
    /// A slice is dropped while more than this many bytes are sent and not acknowledged.
    #[serde(with = "text::byte_size")]
    pub flow_window: Option<u64>,
    /// Whether slices shrink to what has not been sent yet.
    pub emit_trim: Option<bool>,
    /// Whether `client_time` corrects for the age of a report.
    pub staleness_compensation: Option<bool>,
    /// Whether the newest report wins over those that wait before it.
    pub newest_wins: Option<bool>,
}

/// How far an answer can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
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
    /// The tier.
    pub tier: Tier,
    /// One sentence.
    pub reason: &'static str,
}

/// Why a scenario cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// It names something that is not in a scenario.
    #[error("a scenario has no \"{key}\"; {known}")]
    UnknownKey {
        /// What was named, with the tables that it stands in.
        key: String,
        /// What comes closest.
        known: String,
    },
    /// It changes what a recording cannot tell about.
    #[error(
        "\"{key}\" cannot be changed: the recording does not tell what would have been generated"
    )]
    Content {
        /// What was named.
        key: String,
    },
    /// A value that makes no sense, or that contradicts another.
    #[error("{key}: {reason}")]
    Value {
        /// The key, with the tables that it stands in.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Keys that people ask for and no recording can answer.
const CONTENT_KEYS: [&str; 6] = ["prompt", "prompts", "knobs", "raw", "source", "config"];

impl Scenario {
    /// A scenario from any document, checked in full.
    pub fn from_value(value: Value) -> Result<Scenario, ScenarioError> {
        check_keys(&value, &template(&Scenario::default()), "")?;
        for timed in value.get("timed").and_then(Value::as_array).into_iter().flatten() {
            check_keys(timed, &template(&TimedChange::default()), "timed.")?;
        }
        let scenario = Scenario::deserialize(value).map_err(|error: serde_json::Error| {
            ScenarioError::Value { key: "scenario".to_owned(), reason: error.to_string() }
        })?;
        scenario.check()?;
        Ok(scenario)
    }

    /// Whether it is the recording itself.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Scenario { seed: self.seed, ..Scenario::default() }
    }

    /// Whether nothing but the listener changes.
    #[must_use]
    pub fn only_moves_playhead(&self) -> bool {
        let playback = self.playback.clone();
        *self == Scenario { seed: self.seed, playback, ..Scenario::default() }
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
                 change; ask without open loop.",
            ),
            (_, false, false) => (
                Tier::Model,
                "The link, the client's reports or the server change, so slices come at other \
                 times and places.",
            ),
        };
        Need { tier, reason }
    }

    /// The scenario as a document of what it changes, which reads as the same scenario.
    #[must_use]
    pub fn brief(&self) -> Value {
        let mut document = template(self);
        prune(&mut document);
        document
    }

    /// Whether it can be: every value in its range and none against another.
    pub fn check(&self) -> Result<(), ScenarioError> {
        self.playback.check()?;
        self.change.check("")?;
        self.timed.iter().try_for_each(|timed| timed.change.check("timed."))
    }
}

impl Playback {
    fn check(&self) -> Result<(), ScenarioError> {
        let finite = [
            ("playback.rate", self.rate),
            ("playback.skew_ppm", self.skew_ppm),
            ("playback.start_offset_s", self.start_offset_s),
        ];
        for (key, value) in finite {
            check_range(key, value, f64::MIN..=f64::MAX, "give a finite number")?;
        }
        if self.quantum_frames == Some(0) {
            return Err(wrong("playback.quantum_frames", "give 1 frame or more"));
        }
        for ScriptedOp { op, .. } in &self.ops {
            let value = match op {
                Marker::Seek { to_s } => Some(*to_s),
                Marker::Rate { rate } => Some(*rate),
                Marker::Pause | Marker::Resume | Marker::Point { .. } => None,
            };
            check_range("playback.ops", value, f64::MIN..=f64::MAX, "give a finite number")?;
        }
        Ok(())
    }
}

impl Change {
    fn check(&self, within: &str) -> Result<(), ScenarioError> {
        let key = |name: &str| format!("{within}{name}");
        let hz = self.report.params_hz;
        let range = f64::MIN_POSITIVE..=MAX_PARAMS_HZ;
        check_range(&key("report.params_hz"), hz, range, "give more than 0 and at most 1000")?;
        let factor = f64::MIN_POSITIVE..=1e6;
        check_range(&key("tick_factor"), self.tick_factor, factor, "give a number above 0")?;
        self.link.up.check(&key("link.up."))?;
        self.link.down.check(&key("link.down."))?;
        let seconds = [
            ("client.apply_delay_s", self.client.apply_delay_s),
            ("client.handles_every_s", self.client.handles_every_s),
            ("server.lead_floor_s", self.server.lead_floor_s),
            ("server.lead_ceiling_s", self.server.lead_ceiling_s),
        ];
        for (name, value) in seconds {
            check_range(&key(name), value, 0.0..=MOST_SECONDS, SECONDS_ADVICE)?;
        }
        match (self.server.lead_floor_s, self.server.lead_ceiling_s) {
            (Some(floor_s), Some(ceiling_s)) if floor_s > ceiling_s => Err(wrong(
                &key("server.lead_floor_s"),
                &format!("{floor_s} s is above server.lead_ceiling_s, {ceiling_s} s"),
            )),
            _ => Ok(()),
        }
    }
}

impl LinkChange {
    fn check(&self, within: &str) -> Result<(), ScenarioError> {
        let rate = f64::MIN_POSITIVE..=f64::MAX;
        check_range(&format!("{within}bandwidth"), self.bandwidth, rate, "give more than 0 B/s")?;
        for (name, value) in [("latency_s", self.latency_s), ("jitter_s", self.jitter_s)] {
            check_range(&format!("{within}{name}"), value, 0.0..=MOST_SECONDS, SECONDS_ADVICE)?;
        }
        for outage in &self.outages {
            let key = format!("{within}outages");
            check_range(&key, Some(outage.at_s), 0.0..=MOST_SECONDS, SECONDS_ADVICE)?;
            check_range(&key, Some(outage.for_s), 0.0..=MOST_SECONDS, SECONDS_ADVICE)?;
        }
        Ok(())
    }
}

/// Longest time that a change may name: a day.
const MOST_SECONDS: f64 = 86_400.0;
const SECONDS_ADVICE: &str = "give 0 s to 86400 s";

fn wrong(key: &str, reason: &str) -> ScenarioError {
    ScenarioError::Value { key: key.to_owned(), reason: reason.to_owned() }
}

fn check_range(
    key: &str,
    value: Option<f64>,
    range: std::ops::RangeInclusive<f64>,
    advice: &str,
) -> Result<(), ScenarioError> {
    match value.filter(|value| !range.contains(value)) {
        Some(value) => Err(wrong(key, &format!("{value} is out of range; {advice}"))),
        None => Ok(()),
    }
}

/// A document with every key that a type has.
fn template(of: &impl Serialize) -> Value {
    serde_json::to_value(of).expect("a scenario is plain data")
}

/// Leaves out what stands for no change.
fn prune(document: &mut Value) {
    let Value::Object(fields) = document else { return };
    fields.values_mut().for_each(prune);
    fields.retain(|key, value| match value {
        Value::Bool(on) if key == "replace_ops" => *on,
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => true,
    });
}

fn check_keys(value: &Value, known: &Value, within: &str) -> Result<(), ScenarioError> {
    let (Value::Object(fields), Value::Object(known)) = (value, known) else { return Ok(()) };
    for (name, value) in fields {
        let key = format!("{within}{name}");
        match known.get(name) {
            Some(known) => check_keys(value, known, &format!("{key}."))?,
            None if CONTENT_KEYS.contains(&name.as_str()) => {
                return Err(ScenarioError::Content { key });
            }
            None => {
                let known = nearest(name, known.keys().map(String::as_str));
                return Err(ScenarioError::UnknownKey { key, known });
            }
        }
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Scenario::from_value(value).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Scenario::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check_refused(scenario: Value, expected: &str) {
        assert_eq!(Scenario::from_value(scenario).unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_name_the_key_and_the_nearest_one() {
        check_refused(
            json!({"playbak": {}}),
            "a scenario has no \"playbak\"; did you mean playback?",
        );
        check_refused(
            json!({"server": {"lead_flor_s": 0.5}}),
            "a scenario has no \"server.lead_flor_s\"; did you mean lead_floor_s?",
        );
        check_refused(
            json!({"timed": [{"at": "3s", "link": {"dwn": {}}}]}),
            "a scenario has no \"timed.link.dwn\"; did you mean down?",
        );
        check_refused(
            json!({"prompt": "jazz"}),
            "\"prompt\" cannot be changed: the recording does not tell what would have been generated",
        );
        check_refused(
            json!({"playback": {"quantum_frames": 0}}),
            "playback.quantum_frames: give 1 frame or more",
        );
        check_refused(
            json!({"link": {"down": {"bandwidth": 0}}}),
            "link.down.bandwidth: 0 is out of range; give more than 0 B/s",
        );
        check_refused(
            json!({"server": {"lead_floor_s": 2, "lead_ceiling_s": 1}}),
            "server.lead_floor_s: 2 s is above server.lead_ceiling_s, 1 s",
        );
        check_refused(
            json!({"timed": [{"at": "3s", "tick_factor": 0}]}),
            "timed.tick_factor: 0 is out of range; give a number above 0",
        );
        check_refused(
            json!({"playback": {"ops": ["6s:jump"]}}),
            "scenario: \"6s:jump\" is not an op: there is no such op; \
             write 6s:seek=30s, 10s:pause, 12s:resume or 15s:rate=0.98",
        );
    }

    #[test]
    fn scenarios_are_read_as_they_are_written() {
        let text = json!({
            "playback": {"rate": 1.002, "ops": ["6s:seek=30s", "10s:pause", "12s:resume"]},
            "link": {"down": {"bandwidth": "200KB/s", "latency_s": "40ms", "buffer": "64KB"}},
            "server": {"lead_floor_s": 0.5, "transport": false},
            "timed": [{"at": "3s", "link": {"down": {"bandwidth": 250e3}}}],
            "tick_factor": 2.0,
            "seed": 7,
        });
        let scenario = Scenario::from_value(text).unwrap();
        assert_eq!(scenario.change.link.down.bandwidth, Some(200e3));
        assert_eq!(scenario.change.link.down.latency_s, Some(0.04));
        assert_eq!(scenario.timed[0].at, Span(3_000_000_000));
        let written = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&written).unwrap(), scenario);
        let brief = scenario.brief();
        assert_eq!(brief["server"], json!({"lead_floor_s": 0.5, "transport": false}));
        assert_eq!(serde_json::from_value::<Scenario>(brief).unwrap(), scenario);
    }

    #[track_caller]
    fn check_need(scenario: Value, open_loop: bool, expected: Tier) {
        let scenario = Scenario::from_value(scenario).unwrap();
        assert_eq!(scenario.needs(open_loop).tier, expected, "{scenario:?}");
    }

    #[test]
    fn tiers_follow_from_what_the_server_would_have_seen() {
        let (null, moved) = (json!({"seed": 3}), json!({"playback": {"rate": 1.01}}));
        let thin = json!({"link": {"down": {"bandwidth": 1e5}}});
        check_need(null.clone(), false, Tier::Exact);
        check_need(null, true, Tier::Exact);
        check_need(moved.clone(), false, Tier::Model);
        check_need(moved, true, Tier::Horizon);
        check_need(thin.clone(), false, Tier::Model);
        check_need(thin, true, Tier::Refused);
        let later = json!({"timed": [{"at": 3, "tick_factor": 2}]});
        check_need(later.clone(), false, Tier::Model);
        check_need(later, true, Tier::Refused);
    }
}
