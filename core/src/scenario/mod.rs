//! What-ifs: what would have been different, and how far an answer can be trusted.
//!
//! A [`Scenario`] is plain data, from a file, from flags or from an agent; without changes it is the
//! recording itself. [`knobs`] is the table of all that can be turned, by which [`parse`]
//! and documents are read. [`askable`] says beforehand which questions a recording can answer, as [`answer`]
//! decides it, which chooses how a scenario is answered: by [`open_loop`], where the
//! recorded slices stay, or by the [`model`] of the server; [`mod@derive`] writes what would have been
//! as a capture; [`without`] takes the faults of a recording away. What a recording fixes, its prompts and its audio, no scenario changes.

pub mod advice;
pub mod answer;
pub mod askable;
mod bucket_index;
mod cadence;
mod check;
pub mod columns;
mod definition;
pub mod derive;
mod document;
mod error;
mod heard_again;
pub mod knobs;
pub mod model;
pub mod open_loop;
pub mod parse;
mod playhead_plan;
pub mod quiet;
mod refusal;
#[cfg(test)]
pub(crate) mod tests;
pub mod without;

pub use definition::{Conditions, NamedScenario, Need, Playback, Scenario, Tier, TimedChange};
pub use error::ScenarioError;
