//! The proof of what `diagnose` found, in which the model takes each cause away, and what to ask next.

use std::path::Path;

use super::recording;
use crate::diagnosis::proof::ProofOptions;
use crate::report::Analysis;

/// Puts the audible findings of a capture's analysis to the proof, and suggests the questions of all
/// findings that it answers. A capture that cannot be read as a whole has no proof, and its findings say
/// so.
pub fn prove(path: &Path, analysis: &mut Analysis, threads: usize) {
    if !analysis.diagnosis.findings.iter().any(|finding| finding.audible) {
        analysis.diagnosis.give_reasons();
        return suggest(path, analysis);
    }
    match recording::read(path, true) {
        Ok(recording) => {
            let options = ProofOptions { threads, ..ProofOptions::default() };
            analysis.diagnosis.prove(&recording, &options);
            analysis.diagnosis.suggest(&recording, &analysis.capture);
        }
        Err(error) => {
            let why = format!("{:#}", error.root_cause());
            let audible = analysis.diagnosis.findings.iter_mut().filter(|finding| finding.audible);
            audible.for_each(|finding| finding.unproven = Some(why.clone()));
            analysis.diagnosis.give_reasons();
        }
    }
}

/// Suggests the questions of the findings that the capture answers, without a proof.
pub fn suggest(path: &Path, analysis: &mut Analysis) {
    if analysis.diagnosis.has_questions()
        && let Ok(recording) = recording::read(path, true)
    {
        analysis.diagnosis.suggest(&recording, &analysis.capture);
    }
}
