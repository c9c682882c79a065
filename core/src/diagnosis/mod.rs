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
mod figures;
mod finding;
pub mod proof;
mod question;
mod settle;
mod signature;
mod suspect;
mod view;

pub use class::{AboutClass, CLASSES, Class, Subsystem};
pub use figures::Estimates;
pub use finding::{
    Ambiguity, ChainLink, Diagnosis, DiagnosisNote, Finding, HealthyPattern, MeasuredFigure,
    ToldApart,
};
pub use proof::Proof;

use crate::engine::Engine;
use crate::family::Family;
use crate::time::Nanos;
use view::View;

/// A finding that ended no longer ago than this is a present one, in seconds: what it raised or left
/// unwritten is still heard.
const PRESENT_S: f64 = 5.0;
/// What a live session is judged by, in seconds: enough to know what is usual.
const LATELY_S: f64 = 120.0;

impl Diagnosis {
    /// What an engine tells up to `at`. `capture` is what the next commands are to name.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, capture: &str) -> Diagnosis {
        Diagnosis::over(engine, at, f64::INFINITY, capture)
    }

    /// The worst finding of a live session that is at work, or just was. Only the last minutes are looked
    /// at, so that it costs the same at any time.
    #[must_use]
    pub fn present(engine: &Engine, at: Nanos) -> Option<Finding> {
        let at_s = at.seconds_since(engine.origin()?);
        let findings = Diagnosis::over(engine, at, LATELY_S, "").findings;
        findings.into_iter().find(|finding| finding.to_s >= at_s - PRESENT_S)
    }

    fn over(engine: &Engine, at: Nanos, window_s: f64, capture: &str) -> Diagnosis {
        let Some(view) = View::of(engine, at, window_s) else { return Diagnosis::default() };
        let measured = signature::SharedMeasures::of(&view);
        let (mut suspects, notes) = signature::all(&view, &measured);
        let family = engine.family();
        // Others have windows of their own.
        let is_usual = matches!(family.name, Family::Acestep | Family::Unknown);
        suspects.retain(|it| is_usual || it.class != Class::OversizeWindow);
        if is_over(engine) {
            suspects.retain(|it| it.class != Class::GenerationStall || it.stretch.to_s < view.to_s);
        }
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
        let fall = signature::deepest_fall(&view, &measured.paces);
        Diagnosis {
            ambiguity: ambiguity::of(engine, &view, &findings, &unexplained),
            findings,
            notes,
            ended_as: class,
            together: None,
            question: None,
            estimates: Estimates::of(&view, fall, measured.clock),
        }
    }
}

/// The piece that a tape holds has been played to its end.
fn is_over(engine: &Engine) -> bool {
    let tape = engine.heard_meter().zip(engine.origin());
    let tape = tape.and_then(|(meter, origin)| meter.tape_report(origin));
    tape.is_some_and(|tape| tape.ended_s.is_some())
}
