//! The diagnosis: which part of the system was at fault, and what shows it.
//!
//! Enters: the evidence that the engine has gathered, and what was heard. Leaves: a [`Diagnosis`],
//! the same for a recording, its checkpoints and a live session. `docs/DIAGNOSIS.md` has the classes,
//! their signatures and the reasons of every constant.

mod class;
mod finding;

pub use class::{AboutClass, CLASSES, Class, Subsystem};
pub use finding::{
    Ambiguity, ChainLink, Diagnosis, DiagnosisNote, Finding, HealthyPattern, Measure, Proof,
    ToldApart,
};
