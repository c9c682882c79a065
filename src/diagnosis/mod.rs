//! The diagnosis: which part of the system was at fault, and what shows it.
//!
//! Enters: the evidence that the engine has gathered, and what was heard. Leaves: a [`Diagnosis`],
//! the same for a recording, its checkpoints and a live session. `docs/DIAGNOSIS.md` has the classes,
//! their signatures and the reasons of every constant.

mod ambiguity;
mod attribution;
mod class;
mod ending;
mod estimates;
mod finding;
mod signature;
mod suspect;
mod view;

pub use class::{AboutClass, CLASSES, Class, Subsystem};
pub use estimates::Estimates;
pub use finding::{
    Ambiguity, ChainLink, Diagnosis, DiagnosisNote, Finding, HealthyPattern, Measure, Proof,
    ToldApart,
};

use crate::engine::Engine;
use crate::time::Nanos;
use view::View;

/// A finding that ended no longer ago than this is a present one, in seconds: what it raised or left
/// unwritten is still heard.
const PRESENT_S: f64 = 5.0;

impl Diagnosis {
    /// The worst finding of those that are at work at a moment, or just were.
    #[must_use]
    pub fn present(&self, at_s: f64) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.to_s >= at_s - PRESENT_S)
    }

    /// What an engine tells up to `at`. `capture` is what the next commands are to name.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, capture: &str) -> Diagnosis {
        let Some(view) = View::of(engine, at) else { return Diagnosis::default() };
        let (mut suspects, notes) = signature::all(&view);
        let ending = ending::suspect(engine, &view, at);
        if let Some(end) = &ending {
            // What led to the end without more is part of it.
            suspects.retain(|it| {
                it.stretch.from_s < end.stretch.from_s - 0.5 || it.class != Class::GenerationStall
            });
        }
        let class = ending.as_ref().map(|suspect| suspect.class);
        suspects.extend(ending);
        let origin = engine.origin().unwrap_or_default();
        let episodes = engine
            .heard_meter()
            .filter(|_| engine.doubts().sentence().is_none())
            .map_or_else(Vec::new, |meter| meter.report(origin).episodes);
        let (findings, unexplained) = attribution::findings(&view, suspects, &episodes, capture);
        let fall = signature::deepest_fall(&view);
        Diagnosis {
            ambiguity: ambiguity::of(engine, &view, &findings, &unexplained),
            findings,
            notes,
            ended_as: class,
            estimates: Estimates::of(&view, fall),
        }
    }
}
