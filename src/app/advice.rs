//! Errors of the core with what to do, in the words of a door.

use crate::scenario::ScenarioError;
use crate::scenario::advice::{Advice, Wording};
use crate::scenario::answer::NoAnswer;
use crate::scenario::derive::Quantised;

/// An error with its causes in one sentence, and what to do where the core knows that.
#[must_use]
pub fn worded(error: &anyhow::Error, wording: Wording) -> String {
    let sentence = format!("{error:#}");
    match advice(error) {
        Some(advice) => advice.after(&sentence, wording),
        None => sentence,
    }
}

fn advice(error: &anyhow::Error) -> Option<Advice> {
    let no_answer = error.downcast_ref().and_then(NoAnswer::advice);
    let scenario = || error.downcast_ref().and_then(ScenarioError::advice);
    let quantised = || error.downcast_ref().map(|quantised: &Quantised| quantised.advice());
    no_answer.or_else(scenario).or_else(quantised)
}
