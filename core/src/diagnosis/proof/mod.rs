//! The proof of a cause: what is left of the lag once the model has taken the cause away.
//!
//! Enters: a recording, and the classes that are suspected with from when to when. Leaves: for each of
//! them a [`Proof`], or why there is none ([`Unproven`]); for several the same of all together. What
//! counts is bad audio in episodes that are alarms, as in the verdict. A run of the model is the work
//! of one thread, so that the number of threads decides nothing.

mod bad_audio;
mod removal;

pub use bad_audio::BadAudio;
pub use removal::NoRemoval;

use std::fmt;

use serde::Serialize;

use super::class::Class;
use crate::heard::{BehindRule, HeardRule};
use crate::lag::stats::round;
use crate::peer::interval::Interval;
use crate::scenario::Tier;
use crate::scenario::answer::{NoAnswer, Recording};
use crate::scenario::model::{DEFAULT_MEMBERS, Mend, Perturbation};
use crate::scenario::without::Without;
use crate::sweep::{ThreadsError, map_in_order};
pub(super) use removal::Removal;

/// A class that is suspected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim {
    pub class: Class,
    /// From when to when it is said to have been at work, in seconds from the initial buffer.
    pub from_s: f64,
    pub to_s: f64,
}

/// How to prove.
#[derive(Clone, Copy, Debug)]
pub struct ProofOptions {
    /// Runs of the model for each cause, at least 1.
    pub runs: usize,
    pub seed: u64,
    /// Threads; 0: one for each core.
    pub threads: usize,
    /// Audio is stale when it is older, in seconds.
    pub stale_threshold_s: f64,
    /// Count only what was heard in between, in seconds from the initial buffer; `None`: all.
    pub window: Option<(f64, f64)>,
}

/// What the model says of the session without a cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Proof {
    /// What was taken away, such as `the link as fast as needed`.
    pub without: String,
    /// How far it can be trusted; a proof is always the model's.
    pub tier: Tier,
    /// What was heard.
    pub heard: BadAudio,
    /// What would have been heard, in the middle of the runs, …
    pub left: BadAudio,
    /// … in the best of them, and in the worst.
    pub range: (BadAudio, BadAudio),
    pub runs: usize,
    /// What share of the bad seconds goes with it: 1 all, 0 none, less than 0 where it would have
    /// been worse.
    pub share: f64,
    /// How well the model repeats the recording itself; `null` where it does not, and the server is
    /// the one that the slices declare.
    pub repeats: Option<Repeats>,
}

/// What the model makes of a recording from which nothing is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Repeats {
    /// What of the bad audio that was heard.
    pub heard: BadAudio,
    /// 95th percentile of the error of the leads, in seconds.
    pub lead_error_p95_s: f64,
}

/// Proofs of several causes.
#[derive(Debug, Clone, PartialEq)]
pub struct Proofs {
    /// Of each alone, in the order of the claims.
    pub alone: Vec<Result<Proof, Unproven>>,
    /// Of all that can be taken away at once; `None` where that is fewer than two.
    pub together: Option<Proof>,
}

/// Why a cause has no proof.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// Nothing bad was heard.
    #[error("no lag was heard, so there is nothing to explain")]
    NothingHeard,
    /// The model cannot take that cause away.
    #[error(transparent)]
    NoRemoval(#[from] NoRemoval),
    /// The recording cannot be modelled.
    #[error("{0}")]
    NoModel(#[from] NoAnswer),
    /// The model of the recording does not have what is to be taken away.
    #[error("the model finds no {0} in the recording that it could take away")]
    NothingToMend(Class),
    /// The model does not repeat what was heard.
    #[error(
        "the model repeats {repeated_s:.1} s of the {heard_s:.1} s of bad audio that were heard"
    )]
    NotRepeated { heard_s: f64, repeated_s: f64 },
    /// Threads could not be started.
    #[error("{0}")]
    Threads(String),
}

/// The model may repeat so many seconds of bad audio more or less than were heard, …
const REPEATED_WITHIN_S: f64 = 0.5;
/// … or this share.
const REPEATED_WITHIN: f64 = 0.25;
/// A cause was at work up to this long before and after it was noticed, in seconds: evidence is in
/// the slices and reports around it, and the bound on an onset is a second.
const MARGIN_S: f64 = 1.0;

impl Default for ProofOptions {
    fn default() -> Self {
        let stale_threshold_s = crate::lag::ReportArgs::default().stale_threshold_s;
        ProofOptions { runs: DEFAULT_MEMBERS, seed: 0, threads: 0, stale_threshold_s, window: None }
    }
}

impl ProofOptions {
    fn rule(&self) -> HeardRule {
        HeardRule::new(self.stale_threshold_s, BehindRule::default())
    }
}

impl fmt::Display for Proof {
    /// What is left, after the words that name what was taken away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Proof { heard, left, range, runs, share, .. } = self;
        write!(
            f,
            "{} of {} stale ticks ({}–{} in {runs} runs), {:.1} of {:.1} s of bad audio; it \
             explains {:.0} %",
            left.ticks,
            heard.ticks,
            range.0.ticks,
            range.1.ticks,
            left.s,
            heard.s,
            100.0 * share
        )
    }
}

/// Takes each of the claims away, and all of them.
#[must_use]
pub fn prove(recording: &Recording, claims: &[Claim], options: &ProofOptions) -> Proofs {
    if claims.is_empty() {
        return Proofs { alone: Vec::new(), together: None };
    }
    match Trial::of(recording, options) {
        Ok(trial) => trial.proofs(claims),
        Err(why) => {
            Proofs { alone: claims.iter().map(|_| Err(why.clone())).collect(), together: None }
        }
    }
}

/// The claims by what each explains alone, the most first; those without a proof come last, in
/// their order.
#[must_use]
pub fn ranked(claims: &[Claim], proofs: &Proofs) -> Vec<(Claim, Option<f64>)> {
    let shares = proofs.alone.iter().map(|proof| proof.as_ref().ok().map(|proof| proof.share));
    let mut ranked: Vec<_> = claims.iter().copied().zip(shares).collect();
    let key = |share: Option<f64>| share.unwrap_or(f64::NEG_INFINITY);
    ranked.sort_by(|a, b| key(b.1).total_cmp(&key(a.1)));
    ranked
}

/// A recording in which causes are taken away.
struct Trial<'a> {
    recording: &'a Recording,
    options: &'a ProofOptions,
    heard: BadAudio,
    repeats: Option<Repeats>,
}

/// A session without something, and what that was.
struct Case<'a> {
    without: String,
    session: Without<'a>,
}

impl<'a> Trial<'a> {
    fn of(recording: &'a Recording, options: &'a ProofOptions) -> Result<Self, Unproven> {
        let bad = |heard| BadAudio::of(&heard, options.window);
        let heard = bad(recording.heard(options.rule()));
        if heard.is_none() {
            return Err(Unproven::NothingHeard);
        }
        let repeats = match recording.model() {
            // Some causes are taken away all the same.
            Err(NoAnswer::Fit(_)) => None,
            Err(why) => return Err(why.into()),
            Ok((_, fit)) => {
                let as_it_was = Without::of(recording, &[], options.rule())?;
                let repeated = bad(as_it_was.hear(&Perturbation::default()));
                let lead_error_p95_s = fit.factual_error.lead_error_p95_s;
                Some(Repeats { heard: repeated, lead_error_p95_s })
            }
        };
        if let Some(Repeats { heard: repeated, .. }) = repeats
            && (repeated.s - heard.s).abs() > REPEATED_WITHIN_S.max(REPEATED_WITHIN * heard.s)
        {
            let (heard_s, repeated_s) = (heard.s, repeated.s);
            return Err(Unproven::NotRepeated { heard_s, repeated_s });
        }
        Ok(Trial { recording, options, heard, repeats })
    }

    fn proofs(&self, claims: &[Claim]) -> Proofs {
        let alone: Vec<_> = claims.iter().map(|claim| self.without(&[*claim])).collect();
        let removable = || claims.iter().zip(&alone).filter(|(_, case)| case.is_ok());
        let all: Vec<Claim> = removable().map(|(claim, _)| *claim).collect();
        let together = (all.len() > 1).then(|| self.without(&all).ok()).flatten();
        let cases: Vec<&Case<'_>> = alone.iter().flatten().chain(&together).collect();
        let proofs = match self.all_proved(&cases) {
            Ok(proofs) => proofs,
            Err(why) => {
                let why = Unproven::Threads(why.to_string());
                return Proofs { alone: vec![Err(why); claims.len()], together: None };
            }
        };
        let mut proofs = proofs.into_iter();
        let mut proved = |case: Result<Case<'_>, Unproven>| {
            case.map(|_| proofs.next().expect("every case has its proof"))
        };
        let alone = alone.into_iter().map(&mut proved).collect();
        Proofs { alone, together: together.and_then(|case| proved(Ok(case)).ok()) }
    }

    /// The session without these claims.
    fn without(&self, claims: &[Claim]) -> Result<Case<'a>, Unproven> {
        let mut mends: Vec<(Mend, Interval)> = Vec::new();
        let mut sentences: Vec<&str> = Vec::new();
        for Claim { class, from_s, to_s } in claims {
            let Removal { mends: own, sentence } = Removal::of(*class)?;
            let at_s = (from_s - MARGIN_S).max(0.0);
            let interval = Interval { at_s, for_s: to_s + MARGIN_S - at_s };
            mends.extend(own.iter().map(|mend| (*mend, interval)));
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let session = Without::of(self.recording, &mends, self.options.rule())?;
        if session.is_recording() {
            return Err(Unproven::NothingToMend(claims[0].class));
        }
        Ok(Case { without: sentences.join(", and "), session })
    }

    /// The proofs of cases, all of whose runs share the threads.
    fn all_proved(&self, cases: &[&Case<'_>]) -> Result<Vec<Proof>, ThreadsError> {
        let ProofOptions { runs, seed, threads, window, .. } = *self.options;
        let runs = runs.max(1);
        let all: Vec<(&Case<'_>, Perturbation)> = cases
            .iter()
            .flat_map(|case| {
                case.session.perturbations(runs, seed).into_iter().map(|run| (*case, run))
            })
            .collect();
        let left = map_in_order(&all, threads, |(case, run)| {
            BadAudio::of(&case.session.hear(run), window)
        })?;
        Ok(cases.iter().zip(left.chunks(runs)).map(|(case, left)| self.proof(case, left)).collect())
    }

    fn proof(&self, case: &Case<'_>, left: &[BadAudio]) -> Proof {
        let Trial { heard, repeats, .. } = *self;
        let mut by_badness = left.to_vec();
        by_badness.sort_by(|a, b| a.compare(b));
        let middle = by_badness[(by_badness.len() - 1) / 2];
        let range = (by_badness[0], by_badness[by_badness.len() - 1]);
        let (was, is) =
            if heard.s > 0.0 { (heard.s, middle.s) } else { (heard.lag_s, middle.lag_s) };
        let share = round((was - is) / was, 4);
        let (without, tier, runs) = (case.without.clone(), Tier::Model, left.len());
        Proof { without, tier, heard, left: middle, range, runs, share, repeats }
    }
}
