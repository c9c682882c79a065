//! A recording without some of its faults, as the model runs it, and what would have been heard.
//!
//! Enters: a [`Recording`], and what is to be put right from when to when. Leaves: for each run of
//! the model [`HeardUse`], by the measure that a verdict rests on. A fault that is put right is no
//! scenario: nobody can ask a server to stall no more, but where it stalled is known.

use std::borrow::Cow;

use super::answer::{NoAnswer, Recording};
use super::columns::Columns;
use super::heard_again;
use super::model::{self, Change, Fit, Members, Mend, Mended, Perturbation, Spell};
use crate::heard::HeardRule;
use crate::peer::interval::Interval;
use crate::time::{Nanos, Span};
use crate::verdict::HeardUse;

/// A recording, some of whose faults were put right.
#[derive(Clone, Debug)]
pub struct Without<'a> {
    columns: &'a Columns,
    fit: Cow<'a, Fit>,
    mended: Mended,
    change: Change,
    rule: HeardRule,
}

impl<'a> Without<'a> {
    /// The recording with all of `mends` put right, each in its interval of seconds from the initial
    /// buffer; without any it is what the model makes of the recording itself. A recording that the
    /// model does not repeat is answered by what its slices declare, if nothing of the way stays.
    ///
    /// # Errors
    /// Where the recording cannot be modelled.
    pub fn of(
        recording: &'a Recording,
        mends: &[(Mend, Interval)],
        rule: HeardRule,
    ) -> Result<Without<'a>, NoAnswer> {
        let is_cleared = mends.iter().any(|(mend, _)| matches!(mend, Mend::Link | Mend::Client));
        let (trace, fit) = match recording.model() {
            Err(NoAnswer::Fit(_)) if is_cleared => recording.declared()?,
            modelled => modelled.map(|(trace, fit)| (trace, Cow::Borrowed(fit)))?,
        };
        let spell = |of: &Interval| Spell {
            from: at(trace.origin, of.at_s),
            to: at(trace.origin, of.end_s()),
        };
        let mends: Vec<_> = mends.iter().map(|(mend, interval)| (*mend, spell(interval))).collect();
        let mended = Mended::of(trace, &fit, &mends);
        let mended_from = mended.from.map(|from| Span(from.0.saturating_sub(trace.origin.0)));
        let busy = mended.trace.busy.clone();
        let change = Change { busy, mended_from, ..Change::default() };
        Ok(Without { columns: recording.columns(), fit, mended, change, rule })
    }

    /// Whether there was nothing to put right.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.mended.from.is_none()
    }

    /// What chance decides in each of so many runs; the first has it as recorded.
    #[must_use]
    pub fn perturbations(&self, runs: usize, seed: u64) -> Vec<Perturbation> {
        Members::of(&self.fit, runs, seed).perturbations()
    }

    /// What would have been heard in one run.
    #[must_use]
    pub fn hear(&self, perturbation: &Perturbation) -> HeardUse {
        let Mended { trace, server, .. } = &self.mended;
        let emitted = model::emit(trace, server, &server.policy, &self.change, perturbation);
        heard_again::of_run(self.columns, &emitted, self.rule)
    }
}

/// That many seconds after the initial buffer.
fn at(origin: Nanos, seconds: f64) -> Nanos {
    Nanos(origin.0.saturating_add((seconds.max(0.0) * 1e9) as u64))
}
