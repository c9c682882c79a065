//! How well a hypothesis repeats its recording.

use super::super::change::Change;
use super::super::hypothesis::Hypothesis;
use super::super::perturbation::Perturbation;
use super::super::run::predict;
use super::super::trace::Trace;
use crate::lag::stats::{fold_lead, percentile};

/// How well the model repeats the recording from the reports that it makes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct FactualError {
    /// Share of recorded slices that it places exactly.
    pub exact_share: f64,
    /// 95th percentile of the absolute error of their leads, in seconds.
    pub lead_error_p95_s: f64,
    /// Recorded slices that it has no counterpart for, as a share.
    pub missing_share: f64,
}

/// A slice and its counterpart arrive within this of each other, in seconds.
const TOGETHER_S: f64 = 0.000_5;

/// Lets a server repeat the recording, with reports of the model's own making.
#[must_use]
pub fn score(trace: &Trace, server: &Hypothesis) -> FactualError {
    let (nothing, as_asked) = (Change::default(), Perturbation::default());
    let repeated = predict(trace, server, &server.policy, &nothing, &as_asked);
    let mut ours = repeated.tracker.slices().peekable();
    let (mut exact, mut missing, mut errors_s) = (0_u32, 0_u32, Vec::new());
    for slice in &trace.slices {
        let at_s = slice.at.seconds();
        while ours.next_if(|ours| ours.t_s < at_s - TOGETHER_S).is_some() {}
        let Some(ours) = ours.next_if(|ours| ours.t_s <= at_s + TOGETHER_S) else {
            missing += 1;
            continue;
        };
        let off = fold_lead(slice.header.start, u64::from(ours.start), trace.frames);
        exact += u32::from(off == 0);
        errors_s.push(off.unsigned_abs() as f64 / f64::from(trace.sample_rate));
    }
    let count = trace.slices.len().max(1) as f64;
    FactualError {
        exact_share: f64::from(exact) / count,
        lead_error_p95_s: percentile(&mut errors_s, 0.95),
        missing_share: f64::from(missing) / count,
    }
}
