//! Many runs of the model, and the few outcomes that they come to.
//!
//! Enters: a question. Leaves: an [`EnsembleAnswer`]. Members differ in how ops, slices and reports fall
//! between each other, which nobody can ask for, and in the jitter of reports; the first is as asked.
//! Members whose listeners heard much the same are one outcome; means of two worlds are never given.

use super::change::Change;
use super::fit::Fit;
use super::outcome::{Member, ModelOutcome};
use super::perturbation::Perturbation;
use super::run::{Predicted, predict};
use super::trace::Trace;
use super::unknown::unknown;
use crate::lag::ReportArgs;
use crate::peer::policy::Policy;
use crate::peer::rng::{Rng, Stream};

/// Members, unless a caller says otherwise.
pub const DEFAULT_MEMBERS: usize = 64;
/// Most outcomes in an answer; of more the two that are most alike count as one.
pub const MAX_OUTCOMES: usize = 6;
/// Members are one outcome if a chain of members joins them whose figures differ by less than this:
/// transport lead, in seconds,
const SAME_TRANSPORT_S: f64 = 0.5;
/// median lead, in seconds,
const SAME_LEAD_S: f64 = 0.02;
/// and time that stale audio was heard, in seconds.
const SAME_STALE_S: f64 = 1.0;
/// Share by which the length of slices that go elsewhere is unknown: they hold other audio.
const COST_UNKNOWN: f64 = 0.05;

/// What is asked of the model.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub trace: &'a Trace,
    /// What was fitted to it.
    pub fit: &'a Fit,
    /// What is to be different.
    pub change: &'a Change,
    pub args: ReportArgs,
    /// How many runs, at least 1.
    pub members: usize,
    pub seed: u64,
}

/// The members of an ensemble; the first is as it was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Members {
    count: usize,
    seed: u64,
    /// Usual time between two slices, in nanoseconds.
    period_ns: i64,
    /// Usual time between two reports, in seconds.
    tick_s: f64,
}

/// What the model says.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EnsembleAnswer {
    /// What could have happened, the likeliest first.
    pub outcomes: Vec<ModelOutcome>,
}

/// Runs the ensemble.
#[must_use]
pub fn answer(question: &Question<'_>) -> EnsembleAnswer {
    let policy = question.change.policy(question.fit.policy());
    let members: Vec<Member> = Members::of(question.fit, question.members, question.seed)
        .perturbations()
        .into_iter()
        .map(|perturbation| run(question, &policy, perturbation))
        .collect();
    let unknown = unknown(question.fit, question.change);
    let outcomes = clusters(&members, question.fit.tick_s)
        .into_iter()
        .map(|cluster| ModelOutcome::of(&members, &cluster, &unknown))
        .collect();
    EnsembleAnswer { outcomes }
}

impl Members {
    /// How many of a recording.
    #[must_use]
    pub fn of(fit: &Fit, count: usize, seed: u64) -> Members {
        Members { count: count.max(1), seed, period_ns: fit.period_ns, tick_s: fit.tick_s }
    }

    /// What chance decides for each member. All that is asked for moves as a whole, so that pauses are
    /// as long as asked; its moments are spread evenly over one period of slices, the phase of the
    /// reports at random.
    #[must_use]
    pub fn perturbations(&self) -> Vec<Perturbation> {
        let Members { count, seed, period_ns, tick_s } = *self;
        let mut rng = Rng::new(seed, Stream::Client);
        let mut perturbations = vec![Perturbation { seed, ..Perturbation::default() }];
        perturbations.extend((1..count).map(|member| {
            let seed = rng.next_u64();
            let even = member as f64 / (count - 1) as f64;
            let shift_ns = ((even - 0.5) * period_ns as f64) as i64;
            let tick_shift_ns = ((rng.unit() - 0.5) * tick_s * 1e9) as i64;
            let new_frames_cost = (2.0 * rng.unit() - 1.0) * COST_UNKNOWN;
            Perturbation { seed, shift_ns, tick_shift_ns, new_frames_cost, jitters: true }
        }));
        perturbations
    }
}

fn run(question: &Question<'_>, policy: &Policy, perturbation: Perturbation) -> Member {
    let Question { trace, fit, change, args, .. } = question;
    let Predicted { tracker, transport_peak_s, .. } =
        predict(trace, &fit.server, policy, change, &perturbation);
    Member::new(perturbation, tracker.report(trace.end.seconds(), args), transport_peak_s)
}

/// The figures by which outcomes differ, in units of what still counts as the same.
fn place(member: &Member, tick_s: f64) -> [f64; 3] {
    let lead_s = member.lag.slices.lead_s.map_or(0.0, |lead_s| lead_s.p50);
    [
        member.transport_peak_s / SAME_TRANSPORT_S,
        lead_s / SAME_LEAD_S,
        member.lag.ticks.stale_ticks as f64 * tick_s / SAME_STALE_S,
    ]
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// Members by outcome, the most frequent first, members in their order.
fn clusters(members: &[Member], tick_s: f64) -> Vec<Vec<usize>> {
    let places: Vec<_> = members.iter().map(|member| place(member, tick_s)).collect();
    let nearest = |cluster: &[usize], place: [f64; 3]| {
        cluster.iter().map(|&i| distance(places[i], place)).fold(f64::INFINITY, f64::min)
    };
    let mut clusters: Vec<Vec<usize>> = Vec::new();
    for (i, &at) in places.iter().enumerate() {
        let (near, far): (Vec<_>, Vec<_>) =
            clusters.into_iter().partition(|cluster| nearest(cluster, at) < 1.0);
        clusters = far;
        clusters.push(near.into_iter().flatten().chain([i]).collect());
    }
    while clusters.len() > MAX_OUTCOMES
        && let Some((a, b)) = closest(&clusters, &places)
    {
        let merged = clusters.swap_remove(b);
        clusters[a].extend(merged);
    }
    by_size(&mut clusters);
    clusters
}

/// The two clusters with the narrowest gap between them, the later one second.
fn closest(clusters: &[Vec<usize>], places: &[[f64; 3]]) -> Option<(usize, usize)> {
    let gap = |a: &[usize], b: &[usize]| {
        let pairs = a.iter().flat_map(|&i| b.iter().map(move |&j| (i, j)));
        pairs.map(|(i, j)| distance(places[i], places[j])).fold(f64::INFINITY, f64::min)
    };
    let count = clusters.len();
    let pairs = (0..count).flat_map(|a| (a + 1..count).map(move |b| (a, b)));
    pairs
        .map(|(a, b)| (gap(&clusters[a], &clusters[b]), (a, b)))
        .min_by(|x, y| x.0.total_cmp(&y.0))
        .map(|(_, pair)| pair)
}

fn by_size(clusters: &mut [Vec<usize>]) {
    clusters.iter_mut().for_each(|cluster| cluster.sort_unstable());
    clusters.sort_by_key(|cluster| (std::cmp::Reverse(cluster.len()), cluster[0]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::LagReport;
    use crate::scenario::model::FactualError;
    use crate::scenario::model::hypothesis::tests::with_transits;

    #[track_caller]
    fn check(gaps: &[f64], expected: (usize, usize)) {
        let mut at = 0.0;
        let places: Vec<[f64; 3]> = gaps
            .iter()
            .map(|gap| {
                at += gap;
                [at, 0.0, 0.0]
            })
            .collect();
        let clusters: Vec<Vec<usize>> = (0..places.len()).map(|i| vec![i]).collect();
        assert_eq!(closest(&clusters, &places), Some(expected));
    }

    #[test]
    fn the_two_outcomes_most_alike_are_found() {
        check(&[0.0, 5.0, 2.0, 9.0], (1, 2));
        check(&[0.0, 1.5, 2.0], (0, 1));
        assert_eq!(closest(&[vec![0]], &[[0.0; 3]]), None);
    }

    #[test]
    fn what_is_asked_for_comes_at_moments_spread_over_one_period() {
        let fit = Fit {
            server: with_transits(&[0]),
            period_ns: 40_000_000,
            tick_s: 0.05,
            factual_error: FactualError::default(),
        };
        let question = |members| Members::of(&fit, members, 7).perturbations();
        let all = question(5);
        let shifts: Vec<_> = all.iter().map(|one| (one.shift_ns, one.jitters)).collect();
        let ms = 1_000_000;
        assert_eq!(shifts[0], (0, false), "the first is as asked");
        assert_eq!(shifts[1..], [(-10 * ms, true), (0, true), (10 * ms, true), (20 * ms, true)]);
        for one in &all[1..] {
            assert!(one.tick_shift_ns.abs() <= 25 * ms && one.tick_shift_ns != 0, "{one:?}");
            assert!(one.new_frames_cost.abs() <= COST_UNKNOWN, "{one:?}");
        }
        assert_eq!(question(0).len(), 1);
        assert_eq!(question(1), all[..1]);
    }

    #[test]
    fn members_who_heard_much_the_same_came_to_one_outcome() {
        let member = |peak_s: f64| {
            let none = LagReport::of(1.0, [].iter(), [].iter(), 2.0, &ReportArgs::default());
            Member::new(Perturbation::default(), none, peak_s)
        };
        let outcomes = |peaks_s: &[f64]| {
            let members: Vec<_> = peaks_s.iter().map(|peak_s| member(*peak_s)).collect();
            clusters(&members, 0.05)
        };
        let s = SAME_TRANSPORT_S;
        // The second and the fourth are alike, and so the first is like the fourth.
        assert_eq!(outcomes(&[0.0, 0.9 * s, 5.0 * s, 1.8 * s]), [vec![0, 1, 3], vec![2]]);
        assert_eq!(outcomes(&[0.0, s]), [vec![0], vec![1]]);
        assert_eq!(outcomes(&[0.0, 9.0 * s, 9.1 * s]), [vec![1, 2], vec![0]]);
        // As many as are told; of more the two that are closest are one.
        let most: Vec<_> = (0..MAX_OUTCOMES).map(|n| 3.0 * s * n as f64).collect();
        assert_eq!(outcomes(&most).len(), MAX_OUTCOMES);
        let more = [&most[..], &[1.2 * s]].concat();
        assert_eq!(outcomes(&more)[0], [0, MAX_OUTCOMES]);
        assert_eq!(outcomes(&more).len(), MAX_OUTCOMES);
    }
}
