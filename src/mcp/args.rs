//! What tools take, and the parts that several of them share.

use anyhow::{Result, bail, ensure};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::lag::{DEFAULT_STALE_THRESHOLD_S, ReportArgs};
use crate::playhead::PlayheadSource;
use crate::scenario::{Scenario, words};
use crate::time::{Offset, Span};

/// Longest length of time that is accepted, in seconds: more than a year.
const MAX_SECONDS: f64 = 1e8;

/// How much an answer says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// What is needed to decide what to do next.
    #[default]
    Concise,
    /// With everything that is known, as far as it fits.
    Detailed,
}

/// Which playhead reports measure against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Playhead {
    /// The reference's, moved by the capture's own seeks, pauses and rates.
    Simulated,
    /// What the client reported.
    Reported,
}

impl From<Playhead> for PlayheadSource {
    fn from(playhead: Playhead) -> Self {
        match playhead {
            Playhead::Simulated => PlayheadSource::Simulated,
            Playhead::Reported => PlayheadSource::Reported,
        }
    }
}

/// The words of a change: what-if, comparison, counterfactual audio.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub struct ChangeArgs {
    /// What is different from the beginning on, by the words of `lagtape what-if`: rate, skew-ppm,
    /// start-offset, quantum, params-hz, down, up, latency, jitter, buffer, apply-delay,
    /// handles-every, acks, lead-floor, lead-ceiling, transport, flow-window,
    /// staleness-compensation, tick-factor. Example: {"lead-floor": 0.6, "down": "200KB/s"}
    #[serde(default)]
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

impl ChangeArgs {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.ops.is_empty() && !self.replace_ops
    }

    /// The scenario that the words stand for.
    pub fn scenario(&self) -> Result<Scenario> {
        let mut scenario = Scenario::default();
        for (word, value) in &self.set {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => bail!("{word}: write a number, a text with a unit, or true or false"),
            };
            words::assign(&mut scenario, &word.replace('_', "-"), &value)?;
        }
        for op in &self.ops {
            words::add_op(&mut scenario, op)?;
        }
        scenario.playback.replace_ops |= self.replace_ops;
        scenario.seed = self.seed.unwrap_or(scenario.seed);
        scenario.check()?;
        Ok(scenario)
    }

    /// The same as words of a command line.
    pub fn typed(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (word, value) in &self.set {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            words.extend([format!("--{}", word.replace('_', "-")), value]);
        }
        for op in &self.ops {
            words.extend(["--op".to_owned(), op.clone()]);
        }
        words.extend(self.replace_ops.then(|| "--replace-ops".to_owned()));
        words.extend(self.seed.map(|seed| format!("--seed={seed}")));
        words
    }

    /// The same in one line, each word after a space.
    pub fn words(&self) -> String {
        self.typed().iter().map(|word| format!(" {word}")).collect()
    }
}

/// A report's arguments out of those of a tool.
pub fn report_args(
    window_s: Option<f64>,
    stale_threshold_s: Option<f64>,
    timeline_step_s: Option<f64>,
) -> Result<ReportArgs> {
    for (name, value) in [("window_s", window_s), ("stale_threshold_s", stale_threshold_s)] {
        if let Some(value) = value {
            ensure!(value >= 0.0, "{name} is {value}; give 0 or more seconds");
        }
    }
    let args = ReportArgs {
        window_s,
        stale_threshold_s: stale_threshold_s.unwrap_or(DEFAULT_STALE_THRESHOLD_S),
        timeline_step_s,
    };
    args.check(0.0)?;
    Ok(args)
}

/// A length of time.
pub fn span(name: &str, seconds: f64) -> Result<Span> {
    ensure!(
        (0.0..=MAX_SECONDS).contains(&seconds),
        "{name} is {seconds}; give seconds from 0 to {MAX_SECONDS}"
    );
    Ok(Span((seconds * 1e9).round() as u64))
}

/// A moment from the initial buffer on, or before it.
pub fn offset(name: &str, seconds: f64) -> Result<Offset> {
    ensure!(
        (-MAX_SECONDS..=MAX_SECONDS).contains(&seconds),
        "{name} is {seconds}; give seconds from the initial buffer"
    );
    Ok(Offset((seconds * 1e9).round() as i64))
}

/// A number of items, at least one.
pub fn limit(given: Option<u64>, usual: usize, most: usize) -> usize {
    given.map_or(usual, |given| usize::try_from(given).unwrap_or(most).clamp(1, most))
}

/// A number within bounds.
pub fn within(name: &str, value: f64, least: f64, most: f64) -> Result<f64> {
    ensure!((least..=most).contains(&value), "{name} is {value}; give from {least} to {most}");
    Ok(value)
}
