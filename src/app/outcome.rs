//! The outcome of a run, which is its exit code.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::lag::ReportArgsError;
use crate::parse::Misuse;
use crate::peer::server::TooLong;
use crate::report::Analysis;
use crate::report::compare::Comparison;
use crate::scenario::ScenarioError;
use crate::sweep::axis::AxisError;
use crate::sweep::rows::PredicateError;

/// The outcomes in the order of their weight: a run with several has the first of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Outcome {
    /// The command line was wrong. Exit code 2.
    Usage,
    /// lagtape could not do it, or can give no verdict. Exit code 1.
    Failed,
    /// A capture is damaged; it was used as far as it is intact. Exit code 3.
    Damaged,
    /// The verdict is lag. Exit code 4.
    Lag,
    /// Two captures differ, a client did something else than the recorded one, or a text that was to
    /// be removed is left. Exit code 4.
    Differs,
    /// A session ended as it should not, and was healthy until then. Exit code 5.
    EndedAbnormally,
    /// Done, and healthy. Exit code 0.
    Healthy,
}

impl Outcome {
    /// The exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Outcome::Healthy => 0,
            Outcome::Failed => 1,
            Outcome::Usage => 2,
            Outcome::Damaged => 3,
            Outcome::Lag | Outcome::Differs => 4,
            Outcome::EndedAbnormally => 5,
        }
    }

    /// What an analysis comes to.
    #[must_use]
    pub fn of_analysis(analysis: &Analysis) -> Outcome {
        match (&analysis.damage, analysis.verdict.lag) {
            (Some(_), _) => Outcome::Damaged,
            (None, Some(true)) => Outcome::Lag,
            (None, _) if analysis.ending.abnormal => Outcome::EndedAbnormally,
            (None, Some(false)) => Outcome::Healthy,
            // In another protocol there is nothing to judge, and the first line says so.
            (None, None) if analysis.arrivals.is_some() && !analysis.audio_is_missing => {
                Outcome::Healthy
            }
            (None, None) => Outcome::Failed,
        }
    }

    /// What a comparison comes to.
    #[must_use]
    pub fn of_comparison(comparison: &Comparison) -> Outcome {
        match (&comparison.a.damage, &comparison.b.damage) {
            (None, None) if comparison.judgement.same => Outcome::Healthy,
            (None, None) => Outcome::Differs,
            _ => Outcome::Damaged,
        }
    }

    /// What an error comes to: wrong usage where the command line is to blame, and else a failure. A
    /// scenario that is sound and has no answer is no wrong usage.
    #[must_use]
    pub fn of_error(error: &anyhow::Error) -> Outcome {
        let is_usage = error.chain().any(|cause| {
            let scenario = cause.downcast_ref::<ScenarioError>();
            scenario.is_some_and(|scenario| !scenario.is_unanswerable())
                || cause.is::<Misuse>()
                || cause.is::<AxisError>()
                || cause.is::<PredicateError>()
                || cause.is::<ReportArgsError>()
                || cause.is::<TooLong>()
        });
        if is_usage { Outcome::Usage } else { Outcome::Failed }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> ExitCode {
        ExitCode::from(outcome.code())
    }
}
