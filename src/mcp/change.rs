//! What would have been different, as several tools take it: the knobs of a scenario, ops, the seed.

use anyhow::{Result, bail};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::parse::Unit;
use crate::scenario::knobs::{KNOBS, Knob};
use crate::scenario::{Scenario, parse};

/// A change: of a what-if, a comparison, counterfactual audio.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct ChangeArgs {
    #[serde(default)]
    #[schemars(schema_with = "knobs")]
    pub set: Map<String, Value>,
    /// What the listener does, or what changes, at a time: "6s:seek=16s", "10s:pause",
    /// "12s:resume", "15s:rate=0.98", "3s:down=250KB/s"
    #[serde(default)]
    pub ops: Vec<String>,
    /// The recorded seeks, pauses and rates did not happen
    #[serde(default)]
    pub replace_ops: bool,
    /// Decides what is random in the model
    pub seed: Option<u64>,
}

/// The schema of an object with any of the knobs.
fn knobs(_: &mut SchemaGenerator) -> Schema {
    let knob = |knob: &Knob| {
        let or_text = |kind: &str| json!({"anyOf": [{"type": kind}, {"type": "string"}]});
        let (mut schema, written) = match knob.unit {
            Unit::Number => (json!({"type": "number"}), ""),
            Unit::Switch => (json!({"type": "boolean"}), ""),
            Unit::Time => (or_text("number"), "; seconds, or \"40ms\""),
            Unit::Rate => (json!({"type": "string"}), "; such as \"200KB/s\""),
            Unit::Size => (or_text("integer"), "; bytes, or \"256KB\""),
        };
        schema["description"] = json!(format!("{}{written}", knob.help));
        (knob.name.to_owned(), schema)
    };
    let properties: Map<_, _> = KNOBS.iter().map(knob).collect();
    schemars::json_schema!({
        "type": "object",
        "description": "What is different from the beginning on. Example: \
            {\"lead-floor\": 0.6, \"down\": \"200KB/s\"}",
        "properties": properties,
        "additionalProperties": true,
    })
}

impl ChangeArgs {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.ops.is_empty() && !self.replace_ops
    }

    /// The scenario that is asked for.
    pub fn scenario(&self) -> Result<Scenario> {
        let mut scenario = Scenario::default();
        for (name, value) in &self.set {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => bail!("{name}: write a number, a text with a unit, or true or false"),
            };
            parse::assign(&mut scenario, &name.replace('_', "-"), &value)?;
        }
        for op in &self.ops {
            parse::add_op(&mut scenario, op)?;
        }
        scenario.playback.replace_ops |= self.replace_ops;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.check()?;
        Ok(scenario)
    }

    /// The same as a command line has it.
    pub fn typed(&self) -> Vec<String> {
        let mut typed = Vec::new();
        for (name, value) in &self.set {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            typed.extend([format!("--{}", name.replace('_', "-")), value]);
        }
        for op in &self.ops {
            typed.extend(["--op".to_owned(), op.clone()]);
        }
        typed.extend(self.replace_ops.then(|| "--replace-ops".to_owned()));
        typed.extend(self.seed.map(|seed| format!("--seed={seed}")));
        typed
    }

    /// The same in one line, with a space before each part.
    pub fn flags(&self) -> String {
        self.typed().iter().map(|part| format!(" {part}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_is_an_argument_with_a_description() {
        let schema = knobs(&mut SchemaGenerator::default()).to_value();
        for knob in &KNOBS {
            let described = schema["properties"][knob.name]["description"].as_str().unwrap();
            assert!(described.starts_with(knob.help), "{described}");
            let (text, value) = knob.last_tried();
            for name in [knob.name.to_owned(), knob.name.replace('-', "_")] {
                let set = Map::from_iter([(name, text.into())]);
                let change = ChangeArgs { set, ..ChangeArgs::default() };
                assert_eq!(change.scenario().unwrap(), knob.alone(value), "{}", knob.name);
                assert_eq!(change.typed(), [format!("--{}", knob.name), text.to_owned()]);
            }
        }
    }
}
