//! The proof of what `diagnose` found: the model takes each cause away.

use std::path::Path;

use super::recording;
use crate::diagnosis::proof::ProofOptions;
use crate::report::Analysis;

/// Puts the audible findings of a capture's analysis to the proof. A capture that cannot be read as a
/// whole has none, and its findings say so.
pub fn prove(path: &Path, analysis: &mut Analysis, threads: usize) {
    if !analysis.diagnosis.findings.iter().any(|finding| finding.audible) {
        return analysis.diagnosis.give_reasons();
    }
    match recording::read(path, true) {
        Ok(recording) => {
            let options = ProofOptions { threads, ..ProofOptions::default() };
            analysis.diagnosis.prove(&recording, &options);
        }
        Err(error) => {
            let why = format!("{:#}", error.root_cause());
            let audible = analysis.diagnosis.findings.iter_mut().filter(|finding| finding.audible);
            audible.for_each(|finding| finding.unproven = Some(why.clone()));
            analysis.diagnosis.give_reasons();
        }
    }
}
