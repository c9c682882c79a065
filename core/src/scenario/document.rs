//! Scenarios as documents: TOML files, and the `scenario` of answers.
//!
//! Enters and leaves: JSON values whose keys and units are those of the [`knobs`](super::knobs), each
//! in its table. A quantity is a number in the unit's base, or text with a unit (`"40ms"`). Beside
//! knobs there are ops, outages, timed changes and the seed, and `at`, the moment from which on all of
//! it holds. What is read is checked in full.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::definition::{Conditions, Scenario, TimedChange};
use super::error::ScenarioError;
use super::knobs::{KNOBS, Knob};
use crate::capture::Marker;
use crate::parse::{Unit, nearest};
use crate::peer::script::ScriptedOp;
use crate::time::Span;

/// The tables of conditions, in the order in which they are written.
const TABLES: [&str; 6] = ["report", "link.up", "link.down", "client", "server", ""];
/// Keys of conditions beside those of knobs.
const OUTAGES: [&str; 2] = ["link.up.outages", "link.down.outages"];
/// Keys of a scenario beside those.
const OTHERS: [&str; 4] = ["playback.ops", "playback.replace_ops", "timed", "at"];
/// A key that documents have had since there was no knob for it: always null, behind another key.
pub(super) const NOT_MODELLED: &str = "server.emit_trim";
const BEFORE_NOT_MODELLED: &str = "server.flow_window";

impl Scenario {
    /// A scenario from any document, checked in full.
    pub fn from_value(value: &Value) -> Result<Scenario, ScenarioError> {
        let (mut scenario, mut at) = (Scenario::default(), None);
        let knobs = KNOBS.iter().filter_map(Knob::key);
        let known: Vec<_> = knobs.chain(OUTAGES).chain(OTHERS).collect();
        for (key, value) in leaves(value, &known, "")? {
            match key {
                "at" => at = Some(moment("at", value)?),
                "playback.ops" => scenario.playback.ops = ops(value)?,
                "playback.replace_ops" => scenario.playback.replace_ops = plain(key, value)?,
                "seed" => scenario.seed = plain(key, value)?,
                "timed" => {
                    let entries = value.as_array();
                    let entries =
                        entries.ok_or_else(|| ScenarioError::value(key, "write a list"))?;
                    scenario.timed = entries.iter().map(timed).collect::<Result<_, _>>()?;
                }
                _ => match Knob::with_key(key) {
                    Some(knob) => knob.set(&mut scenario, quantity(key, knob.unit, value)?),
                    None => scenario.conditions.set_outages(key, value)?,
                },
            }
        }
        if let Some(at) = at {
            scenario = scenario.beginning_at(at)?;
        }
        scenario.check()?;
        Ok(scenario)
    }

    /// The scenario as a document of what it changes, which reads as the same scenario.
    #[must_use]
    pub fn brief(&self) -> Value {
        let mut document = self.document();
        prune(&mut document);
        document
    }

    /// The scenario with every key that there is.
    fn document(&self) -> Value {
        let mut document = Map::new();
        for knob in &KNOBS {
            let playback = knob.key().filter(|key| key.starts_with("playback."));
            if let Some(key) = playback {
                put(&mut document, key, written(knob, knob.value(self)));
            }
        }
        put(&mut document, "playback.ops", self.playback.ops.iter().map(op_text).collect());
        put(&mut document, "playback.replace_ops", self.playback.replace_ops.into());
        self.conditions.write(&mut document);
        let timed = self.timed.iter().map(|timed| {
            let mut document = Map::from_iter([("at".to_owned(), timed.at.to_string().into())]);
            timed.conditions.write(&mut document);
            Value::Object(document)
        });
        put(&mut document, "timed", timed.collect());
        put(&mut document, "seed", self.seed.into());
        Value::Object(document)
    }
}

impl Conditions {
    fn set_outages(&mut self, key: &str, value: &Value) -> Result<(), ScenarioError> {
        let outages = plain(key, value)?;
        if key == OUTAGES[0] {
            self.up_outages = outages;
        } else {
            self.down_outages = outages;
        }
        Ok(())
    }

    fn write(&self, document: &mut Map<String, Value>) {
        for table in TABLES {
            let keyed = KNOBS.iter().filter_map(|knob| Some((knob.key()?, knob)));
            for (key, knob) in
                keyed.filter(|(key, knob)| is_condition(knob) && table_of(key) == table)
            {
                put(document, key, written(knob, self.value(key)));
                if key == BEFORE_NOT_MODELLED {
                    put(document, NOT_MODELLED, Value::Null);
                }
            }
            match table {
                "link.up" => put(document, OUTAGES[0], json!(self.up_outages)),
                "link.down" => put(document, OUTAGES[1], json!(self.down_outages)),
                _ => {}
            }
        }
    }
}

fn is_condition(knob: &Knob) -> bool {
    knob.key().is_some_and(|key| !key.starts_with("playback.") && key != "seed")
}

fn table_of(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

/// A change that begins at a time, in its document.
fn timed(document: &Value) -> Result<TimedChange, ScenarioError> {
    let mut change = TimedChange::default();
    let knobs = KNOBS.iter().filter(|knob| is_condition(knob)).filter_map(Knob::key);
    let known: Vec<_> = ["at"].into_iter().chain(knobs).chain(OUTAGES).collect();
    for (key, value) in leaves(document, &known, "timed.")? {
        match Knob::with_key(key) {
            Some(knob) => {
                let value = quantity(&format!("timed.{key}"), knob.unit, value)?;
                change.conditions.set(knob.key().unwrap_or_default(), value);
            }
            None if key == "at" => change.at = moment("timed.at", value)?,
            None => change.conditions.set_outages(key, value)?,
        }
    }
    Ok(change)
}

/// A moment from the initial buffer on.
fn moment(key: &str, value: &Value) -> Result<Span, ScenarioError> {
    let at_s = quantity(key, Unit::Time, value)?;
    let unreadable = |error: crate::time::SpanError| ScenarioError::value(key, error.to_string());
    at_s.to_string().parse::<Span>().map_err(unreadable)
}

/// What a document says under which of the `known` keys; `shown` stands before keys in errors.
fn leaves<'a, 'k>(
    document: &'a Value,
    known: &[&'k str],
    shown: &str,
) -> Result<Vec<(&'k str, &'a Value)>, ScenarioError> {
    let mut found = Vec::new();
    let mut tables = vec![(String::new(), document)];
    while let Some((within, table)) = tables.pop() {
        let Value::Object(fields) = table else {
            let table = format!("{shown}{}", within.trim_end_matches('.'));
            let name = if table.is_empty() { "scenario" } else { table.trim_end_matches('.') };
            return Err(ScenarioError::value(name, "write a table"));
        };
        for (name, value) in fields {
            let key = format!("{within}{name}");
            let as_table = format!("{key}.");
            if let Some(key) = known.iter().find(|known| **known == key) {
                found.extend((!value.is_null()).then_some((*key, value)));
            } else if known.iter().any(|known| known.starts_with(&as_table)) {
                tables.push((as_table, value));
            } else if key != NOT_MODELLED || !value.is_null() {
                return Err(unknown(&format!("{shown}{key}"), name, &within, known));
            }
        }
    }
    Ok(found)
}

fn unknown(key: &str, name: &str, within: &str, known: &[&str]) -> ScenarioError {
    let key = key.to_owned();
    if let Some(refused) = ScenarioError::unanswerable(name, &key) {
        return refused.by_keys();
    }
    let beside = known.iter().filter_map(|known| known.strip_prefix(within));
    let mut names: Vec<_> = beside.filter_map(|name| name.split('.').next()).collect();
    names.dedup();
    ScenarioError::UnknownKey { key, known: nearest(name, names.into_iter()) }
}

/// A value of a knob, in the unit's base.
fn quantity(key: &str, unit: Unit, value: &Value) -> Result<f64, ScenarioError> {
    let refuse = |reason: &str| ScenarioError::value(key, reason);
    match (value, unit) {
        (Value::Bool(on), Unit::Switch) => Ok(f64::from(u8::from(*on))),
        (_, Unit::Switch) => Err(refuse("write true or false")),
        (Value::Number(number), _) => number.as_f64().ok_or_else(|| refuse("write a number")),
        (Value::String(text), Unit::Time | Unit::Rate | Unit::Size) => {
            unit.parse(text).map_err(|error| refuse(&error.to_string()))
        }
        (_, Unit::Number) => Err(refuse("write a number")),
        _ => Err(refuse("write a number, or text with a unit")),
    }
}

/// A value as serde reads it.
fn plain<T: DeserializeOwned>(key: &str, value: &Value) -> Result<T, ScenarioError> {
    T::deserialize(value).map_err(|error| ScenarioError::value(key, error.to_string()))
}

fn ops(value: &Value) -> Result<Vec<ScriptedOp>, ScenarioError> {
    let texts: Vec<String> = plain("playback.ops", value)?;
    let op = |text: &String| {
        text.parse().map_err(|error: crate::peer::script::OpError| {
            ScenarioError::value("scenario", error.to_string())
        })
    };
    texts.iter().map(op).collect()
}

fn op_text(ScriptedOp { at, op }: &ScriptedOp) -> Value {
    let text = match op {
        Marker::Seek { to_s } => format!("{at}:seek={to_s}s"),
        Marker::Rate { rate } => format!("{at}:rate={rate}"),
        Marker::Pause => format!("{at}:pause"),
        Marker::Resume => format!("{at}:resume"),
        Marker::Point { name } => format!("{at}:mark={name}"),
    };
    text.into()
}

fn written(knob: &Knob, value: Option<f64>) -> Value {
    match value {
        None => Value::Null,
        Some(value) if knob.unit == Unit::Switch => (value != 0.0).into(),
        Some(value) if knob.is_whole() => (value as u64).into(),
        Some(value) => value.into(),
    }
}

/// Puts a value under its key, into the tables that the key names.
fn put(document: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            document.insert(key.to_owned(), value);
        }
        Some((table, key)) => {
            let table = document.entry(table).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(table) = table {
                put(table, key, value);
            }
        }
    }
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

impl<'de> Deserialize<'de> for Scenario {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Scenario::from_value(&value).map_err(serde::de::Error::custom)
    }
}

impl Serialize for Scenario {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(scenario: &Value, expected: &str) {
        assert_eq!(Scenario::from_value(scenario).unwrap_err().to_string(), expected);
    }

    #[test]
    fn errors_name_the_key_and_the_nearest_one() {
        check_refused(
            &json!({"playbak": {}}),
            "a scenario has no \"playbak\"; did you mean playback?",
        );
        check_refused(
            &json!({"server": {"lead_flor_s": 0.5}}),
            "a scenario has no \"server.lead_flor_s\"; did you mean lead_floor_s?",
        );
        check_refused(
            &json!({"timed": [{"at": "3s", "link": {"dwn": {}}}]}),
            "a scenario has no \"timed.link.dwn\"; did you mean down?",
        );
        check_refused(
            &json!({"prompt": "jazz"}),
            "prompt cannot be changed: no recording tells what would have been generated",
        );
        check_refused(
            &json!({"playback": {"quantum_frames": 0}}),
            "playback.quantum_frames: 0 is out of range; give 1 frame or more",
        );
        check_refused(
            &json!({"link": {"down": {"bandwidth": 0}}}),
            "link.down.bandwidth: 0 is out of range; give more than 0 B/s",
        );
        check_refused(
            &json!({"server": {"lead_floor_s": 2, "lead_ceiling_s": 1}}),
            "server.lead_floor_s: 2 s is above server.lead_ceiling_s, 1 s",
        );
        check_refused(
            &json!({"timed": [{"at": "3s", "tick_factor": 0}]}),
            "timed.tick_factor: 0 is out of range; give a number above 0 and at most 1000000",
        );
        check_refused(
            &json!({"playback": {"ops": ["6s:jump"]}}),
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
        let scenario = Scenario::from_value(&text).unwrap();
        assert_eq!(scenario.conditions.value("link.down.bandwidth"), Some(200e3));
        assert_eq!(scenario.conditions.value("link.down.latency_s"), Some(0.04));
        assert_eq!(scenario.timed[0].at, Span(3_000_000_000));
        let written = serde_json::to_string(&scenario).unwrap();
        assert_eq!(serde_json::from_str::<Scenario>(&written).unwrap(), scenario);
        let brief = scenario.brief();
        assert_eq!(brief["server"], json!({"lead_floor_s": 0.5, "transport": false}));
        assert_eq!(serde_json::from_value::<Scenario>(brief).unwrap(), scenario);
    }

    #[test]
    fn all_of_a_document_can_begin_at_a_moment() {
        let text =
            json!({"at": "12s", "playback": {"rate": 0.98}, "server": {"lead_floor_s": 0.5}});
        let same = json!({
            "playback": {"ops": ["12s:rate=0.98"]},
            "timed": [{"at": "12s", "server": {"lead_floor_s": 0.5}}],
        });
        assert_eq!(Scenario::from_value(&text), Scenario::from_value(&same));
        check_refused(
            &json!({"at": "soon"}),
            "at: \"soon\" is not a length of time; write seconds (2.5) or a unit (500ms, 30s, 10min)",
        );
    }

    #[test]
    fn outages_belong_to_their_direction() {
        let outages = |direction: &str| {
            let link = json!({"link": {direction: {"outages": [{"at_s": 1.0, "for_s": 0.2}]}}});
            let scenario = Scenario::from_value(&link).unwrap();
            let Conditions { up_outages, down_outages, .. } = &scenario.conditions;
            (
                up_outages.len(),
                down_outages.len(),
                Scenario::from_value(&scenario.brief()) == Ok(scenario.clone()),
            )
        };
        assert_eq!(outages("up"), (1, 0, true));
        assert_eq!(outages("down"), (0, 1, true));
    }
}
