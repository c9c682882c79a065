//! What a recording tells of the server that made it.
//!
//! Constants that nothing in the recording depends on keep upstream's values, or those that the config
//! asked for. Where upstream's server does not repeat the recording, [`GENERATORS`] offer others, the
//! plainest first. None is believed for what it assumes: each is taken only if it repeats the
//! recording, by the bound that holds for all.

mod alternatives;
mod behind_queue;
mod bottleneck;
mod clues;
mod declared;
mod displaced;
mod gated;
mod next_look;
mod places;
mod score;
mod search;
mod slow_intake;
#[cfg(test)]
mod tests;
mod tune;

pub use score::{FactualError, score};

use super::hypothesis::Hypothesis;
use super::trace::{MIN_SLICES, MIN_TICKS, Trace};
use crate::lag::stats::percentile;
use crate::peer::policy::Policy;
pub(super) use bottleneck::LinkFacts;
use clues::Clues;
use places::GOOD_SHARE;

/// A model whose leads are off by more than this in one of twenty slices of the recording itself
/// answers no question about another: one and a half steps of the grid on which slices start.
pub const MAX_LEAD_ERROR_S: f64 = 0.06;

/// A model without a counterpart for more than this share of the slices answers none either.
pub const MAX_MISSING_SHARE: f64 = 0.1;

/// A run over a link anew whose leads are off by more than this at one rank says nothing of another link.
pub const MAX_RANK_ERROR_S: f64 = 0.15;

/// Servers that a recording may come from, the likeliest first.
type Generator = for<'a> fn(&'a Clues<'a>) -> Box<dyn Iterator<Item = Hypothesis> + 'a>;

/// Who offers servers where upstream's does not repeat the recording.
const GENERATORS: [Generator; 5] = [
    behind_queue::candidates,
    alternatives::lacking_parts,
    displaced::candidates,
    alternatives::with_other_constants,
    slow_intake::candidates,
];

/// What was fitted to a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The server that repeats it.
    pub server: Hypothesis,
    /// Usual time between two slices, in nanoseconds.
    pub period_ns: i64,
    /// Usual time between two reports, in seconds.
    pub tick_s: f64,
    /// How well the model repeats the recording.
    pub factual_error: FactualError,
}

/// Why the model is of no use for a recording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The model makes slices at other moments.
    #[error("the model does not know {missing_share:.2} of the slices that arrived")]
    Elsewhere {
        /// Share of slices without a counterpart.
        missing_share: f64,
    },
    /// The model puts slices elsewhere.
    #[error(
        "the model is off by {lead_error_p95_s:.3} s on the recording itself and may be by at most \
         {MAX_LEAD_ERROR_S} s"
    )]
    Unlike { lead_error_p95_s: f64 },
    /// Slices waited for a link, and over none that was tried as many of them come.
    #[error(
        "slices waited for a link, and over the one most like it the model sends {missing_share:.2} \
         more or fewer of them"
    )]
    OtherCount {
        /// By how much their number differs, as a share of the recorded one.
        missing_share: f64,
    },
    /// Slices waited for a link, and over none that was tried they come as they came.
    #[error(
        "slices waited for a link, and over the one most like it the model is off by \
         {lead_error_p95_s:.3} s on the recording itself and may be by at most {MAX_RANK_ERROR_S} s"
    )]
    OtherLink { lead_error_p95_s: f64 },
}

impl Fit {
    /// Fits the model to a recording.
    ///
    /// # Errors
    /// Where the model does not repeat the recording well enough.
    pub fn of(trace: &Trace) -> Result<Self, FitError> {
        let clues = Clues::of(trace);
        if trace.appends() {
            return gated::fit(&clues);
        }
        let (server, factual_error) = server_of(&clues)?;
        let period_ns = period_ns(trace);
        Ok(Self { server, period_ns, tick_s: clues.tick_s, factual_error })
    }

    /// Upstream's server, which worked for as long as the headers of its slices declare and rested no
    /// longer than it usually did. It repeats a recording only where nothing waited and nothing was
    /// shed: of one that no model repeats it is what is known beside the way.
    #[must_use]
    pub fn of_declared_work(trace: &Trace) -> Self {
        let clues = Clues::of(trace);
        let server = declared::server(&clues);
        let mut lengths: Vec<f64> =
            server.generations.iter().map(|turn| turn.length_ns() as f64).collect();
        let period_ns = percentile(&mut lengths, 0.5) as i64;
        let factual_error = score(trace, &server);
        Self { server, period_ns, tick_s: clues.tick_s, factual_error }
    }

    /// The constants of the server.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.server.policy
    }
}

/// The server of a recording whose slices waited for a link, and what that let through; `None` where
/// nothing waited. Its turns are those that it really took, those included whose slices were shed. How
/// well it repeats the recording is not said.
pub(super) fn behind_link(trace: &Trace) -> Option<(Fit, LinkFacts)> {
    if trace.appends() {
        return None;
    }
    let clues = Clues::of(trace);
    let link = bottleneck::link_facts(&clues)?;
    let before = before_queue(trace, &link);
    let (policy, round_trip_ns) = match before.as_ref().map(Clues::of) {
        Some(before) => {
            let server = search::searched(&before, before.plain.clone());
            (server.policy, server.round_trip_ns)
        }
        None => (clues.plain.policy.clone(), clues.known_way_ns()),
    };
    let generations = bottleneck::turns(&clues, &link.busy);
    let plain = clues.plain.clone();
    let server = Hypothesis { policy, round_trip_ns, generations, mean_transit_ns: 0, ..plain };
    let factual_error = FactualError::default();
    Some((Fit { server, period_ns: period_ns(trace), tick_s: clues.tick_s, factual_error }, link))
}

/// What came before anything waited for the link, if that is enough to learn from.
fn before_queue(trace: &Trace, link: &LinkFacts) -> Option<Trace> {
    let until = link.busy.first()?.from;
    let mut before = trace.clone();
    before.slices.retain(|slice| slice.at < until);
    before.ticks.retain(|tick| tick.at < until);
    before.ops.retain(|(at, _)| *at < until);
    before.end = until;
    (before.slices.len() >= MIN_SLICES && before.ticks.len() >= MIN_TICKS).then_some(before)
}

/// Usual time between two slices, in nanoseconds.
fn period_ns(trace: &Trace) -> i64 {
    let mut periods: Vec<f64> =
        trace.slices.windows(2).map(|pair| (pair[1].at.0 - pair[0].at.0) as f64).collect();
    percentile(&mut periods, 0.5) as i64
}

/// A server that repeats its recording, and how well.
type Checked = (Hypothesis, FactualError);

fn server_of(clues: &Clues<'_>) -> Result<Checked, FitError> {
    match checked(clues, search::searched(clues, clues.plain.clone())) {
        Ok(plain) => Ok(or_tuned(clues, plain)),
        Err(refused) => {
            let mut others = GENERATORS.into_iter().flat_map(|generator| generator(clues));
            others.find_map(|server| checked(clues, server).ok()).ok_or(refused)
        }
    }
}

/// The same, or with constants of the lead that it shows, where they repeat more of it.
fn or_tuned(clues: &Clues<'_>, plain: Checked) -> Checked {
    if plain.1.exact_share >= GOOD_SHARE {
        return plain;
    }
    match checked(clues, tune::tuned(clues, plain.0.clone())) {
        Ok(tuned) if tuned.1.exact_share > plain.1.exact_share => tuned,
        _ => plain,
    }
}

/// The server, if it repeats the recording well enough.
fn checked(clues: &Clues<'_>, server: Hypothesis) -> Result<Checked, FitError> {
    let error = score(clues.trace, &server);
    let FactualError { lead_error_p95_s, missing_share, .. } = error;
    if missing_share > MAX_MISSING_SHARE {
        return Err(FitError::Elsewhere { missing_share });
    }
    if lead_error_p95_s > MAX_LEAD_ERROR_S || lead_error_p95_s.is_nan() {
        return Err(FitError::Unlike { lead_error_p95_s });
    }
    Ok((server, error))
}
