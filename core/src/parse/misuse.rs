//! Wrong usage that only shows once the arguments are read.

/// What was asked for cannot be: no file and no server is to blame, and another command line helps.
/// Doors tell it apart from what failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Misuse(pub String);

impl Misuse {
    /// The error of this sentence.
    #[must_use]
    pub fn new(sentence: impl Into<String>) -> Misuse {
        Misuse(sentence.into())
    }
}
