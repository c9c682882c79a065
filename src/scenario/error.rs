//! Why a scenario cannot be.

/// What is wrong with a scenario. Keys come with the tables that they stand in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// It names something that is not in a scenario.
    #[error("a scenario has no \"{key}\"; {known}")]
    UnknownKey { key: String, known: String },
    /// It changes what a recording cannot tell about.
    #[error(
        "\"{key}\" cannot be changed: the recording does not tell what would have been generated"
    )]
    Content { key: String },
    /// It changes what scenarios once had a key for, and no model ever answered.
    #[error("the model cannot change {key}; leave it out")]
    NotModelled { key: String },
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

    /// Whether the scenario is sound, and no recording can answer it.
    #[must_use]
    pub fn is_unanswerable(&self) -> bool {
        matches!(self, ScenarioError::NotModelled { .. })
    }
}
