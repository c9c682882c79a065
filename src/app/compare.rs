//! `compare`: two captures, or a capture and what would have been, figure by figure.

use std::path::Path;

use anyhow::{Context, Result};

use super::{AnalyzeOptions, WhatIfVerb, analyze, what_if};
use crate::lag::ReportArgs;
use crate::report::Analysis;
use crate::report::side_by_side::{Comparison, Side};
use crate::report::what_if::WhatIf;

/// Compares two captures.
pub fn compare(a: &Path, b: &Path, report: ReportArgs) -> Result<Comparison> {
    let options = AnalyzeOptions { report, ..AnalyzeOptions::default() };
    let [a, b] = [a, b].map(|path| analyze(path, &options).and_then(side));
    Ok(Comparison::of(a?, b?))
}

/// Compares a capture with what would have been; the answer says how far that can be trusted.
pub fn compare_what_if(path: &Path, verb: &WhatIfVerb) -> Result<(Comparison, WhatIf)> {
    let answer = what_if(path, verb)?;
    let side = |name: &str, lag: &crate::lag::LagReport| Side {
        name: name.to_owned(),
        lag_s: None,
        lag: lag.clone(),
    };
    let factual = side("recorded", &answer.factual.lag);
    let counterfactual = side("with the change", &answer.counterfactual.lag);
    Ok((Comparison::of(factual, counterfactual), answer))
}

fn side(analysis: Analysis) -> Result<Side> {
    let lag = analysis.lag.with_context(|| {
        format!("{} has no report: no usable initial buffer came", analysis.capture)
    })?;
    Ok(Side { name: analysis.capture, lag_s: Some(analysis.verdict.lag_s), lag })
}
