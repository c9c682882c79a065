//! Why a scenario cannot be.

use super::advice::Advice;

/// What people ask for and nothing can answer: names, why, and what to do instead.
pub(super) const UNANSWERABLE: [(&[&str], &str, Advice); 3] = [
    (
        &["prompt", "prompts", "knobs", "raw", "source", "config", "swap", "loop-band", "lora"],
        "no recording tells what would have been generated",
        Advice::RecordAnother,
    ),
    (
        &["steps", "depth"],
        "no recording tells what would have been generated, nor how long that takes",
        Advice::TurnInstead("tick-factor"),
    ),
    (
        &["emit-trim"],
        "the model knows no slices that are trimmed when they are sent",
        Advice::RecordAnother,
    ),
];

/// What is wrong with a scenario. Keys come with the tables that they stand in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It names something that is not in a scenario.
    #[error("a scenario has no \"{key}\"; {known}")]
    UnknownKey { key: String, known: String },
    /// It changes what no recording tells about, or no model answers.
    #[error("{key} cannot be changed: {why}")]
    Unanswerable {
        key: String,
        why: &'static str,
        /// What to do.
        instead: Advice,
    },
    /// A value that makes no sense, or that contradicts another.
    #[error("{key}: {reason}")]
    Value {
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl ScenarioError {
    pub(super) fn value(key: &str, reason: impl Into<String>) -> ScenarioError {
        ScenarioError::Value { key: key.to_owned(), reason: reason.into() }
    }

    /// The refusal of what people ask for under `name` and nothing can answer, if it is that; `key` is
    /// how it was asked.
    pub(super) fn unanswerable(name: &str, key: &str) -> Option<ScenarioError> {
        let name = name.replace('_', "-");
        let (_, why, instead) = UNANSWERABLE.iter().find(|(names, ..)| names.contains(&&*name))?;
        Some(ScenarioError::Unanswerable { key: key.to_owned(), why, instead: *instead })
    }

    /// What to do, where it is not said already.
    #[must_use]
    pub fn advice(&self) -> Option<Advice> {
        match self {
            ScenarioError::Unanswerable { instead, .. } => Some(*instead),
            _ => None,
        }
    }

    /// Whether the scenario is sound, and no recording can answer it.
    #[must_use]
    pub fn is_unanswerable(&self) -> bool {
        matches!(self, ScenarioError::Unanswerable { .. })
    }
}
