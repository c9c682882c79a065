//! What would have been different, as several tools take it: the knobs of a scenario, ops, the seed.

use anyhow::{Result, bail};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::mcp::args::span;
use crate::parse::{Unit, shell};
use crate::scenario::knobs::KNOBS;
use crate::scenario::{NamedScenario, Scenario, ScenarioError, parse};
use crate::time::Span;

/// A change: of a what-if, a comparison, counterfactual audio.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
pub struct ChangeArgs {
    #[serde(default)]
    #[schemars(schema_with = "knobs")]
    pub set: Map<String, Value>,
    /// Timed: "6s:seek=16s", "10s:pause", "12s:resume", "15s:rate=0.98", "3s:down=250KB/s"
    #[serde(default)]
    pub ops: Vec<String>,
    /// When set begins
    pub begins_s: Option<f64>,
    /// Instead of the recorded
    #[serde(default)]
    pub replace_ops: bool,
    /// Of the model
    pub seed: Option<u64>,
}

/// The schema of an object with any of the knobs. They are named and not described one by one: four
/// tools take them, and every client reads the schemas of all tools.
fn knobs(_: &mut SchemaGenerator) -> Schema {
    let of = |unit| {
        let named = KNOBS.iter().filter(|knob| knob.unit == unit).map(|knob| knob.name);
        named.collect::<Vec<_>>().join(", ")
    };
    let description = format!(
        "From the start, as {{\"lead-floor\": 0.6, \"down\": \"200KB/s\"}}. Seconds: {}. Rates: \
         {}. Bytes or \"256KB\": {}. true or false: {}. Numbers: {}",
        of(Unit::Time),
        of(Unit::Rate),
        of(Unit::Size),
        of(Unit::Switch),
        of(Unit::Number),
    );
    schemars::json_schema!({
        "type": "object",
        "description": description,
    })
}

impl ChangeArgs {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.ops.is_empty() && !self.replace_ops
    }

    /// The scenario that is asked for.
    pub fn scenario(&self) -> Result<Scenario> {
        let scenario = self.base()?;
        let begun = match self.at()? {
            Some(at) => scenario.beginning_at(at),
            None => Ok(scenario),
        };
        let scenario = begun.map_err(ScenarioError::by_knobs)?;
        scenario.check().map_err(ScenarioError::by_knobs)?;
        Ok(scenario)
    }

    /// When all of it begins, where that is not the beginning.
    pub fn at(&self) -> Result<Option<Span>> {
        self.begins_s.map(|at_s| span("begins_s", at_s)).transpose()
    }

    /// The same before it is at its moment.
    pub fn base(&self) -> Result<Scenario> {
        let at = self.at()?;
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
            parse::add_op_at(&mut scenario, op, at)?;
        }
        scenario.playback.replace_ops |= self.replace_ops;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        Ok(scenario)
    }

    /// The scenario with a name for people; `None` where nothing is changed.
    pub fn named(&self) -> Result<Option<NamedScenario>> {
        let name = self.flags().trim_start().to_owned();
        let named = || Ok(NamedScenario { name, scenario: self.scenario()? });
        (!self.is_empty()).then(named).transpose()
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
        typed.extend(self.begins_s.iter().flat_map(|at_s| ["--at".to_owned(), at_s.to_string()]));
        typed.extend(self.replace_ops.then(|| "--replace-ops".to_owned()));
        typed.extend(self.seed.map(|seed| format!("--seed={seed}")));
        typed
    }

    /// The same in one line, with a space before each part.
    pub fn flags(&self) -> String {
        self.typed().iter().map(|part| format!(" {}", shell::word(part))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_knob_is_an_argument_that_is_named() {
        let schema = knobs(&mut SchemaGenerator::default()).to_value();
        let named = schema["description"].as_str().unwrap();
        for knob in &KNOBS {
            let mut names = named.split([' ', ',', '.']);
            assert!(names.any(|name| name == knob.name), "{} is not in {named}", knob.name);
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
