//! Many runs of the model, and the few outcomes that they come to.
//!
//! Enters: a question. Leaves: an [`Answer`]. Members differ in how ops, slices and reports fall
//! between each other, which nobody can ask for, and in the jitter of reports; the first is as asked.
//! Members whose listeners heard much the same are one outcome; means of two worlds are never given.

use super::change::{Change, ChangeError};
use super::fit::Fit;
use super::perturbation::Perturbation;
use super::run::{Predicted, predict};
use super::trace::Trace;
use crate::lag::stats::percentile;
use crate::lag::{LagReport, ReportArgs};
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
/// Two members are alike where no figure differs by more than this, in seconds,
const ALIKE_S: f64 = 0.02;
/// and no count by more than this.
const ALIKE_COUNT: usize = 3;

/// Share by which the length of slices that go elsewhere is unknown: they hold other audio.
const COST_UNKNOWN: f64 = 0.10;

/// What is asked of the model.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What the recording fixes.
    pub trace: &'a Trace,
    /// What was fitted to it.
    pub fit: &'a Fit,
    /// What is to be different.
    pub change: &'a Change,
    /// What the reports cover.
    pub args: ReportArgs,
    /// How many runs, at least 1.
    pub members: usize,
    /// Decides everything random.
    pub seed: u64,
}

/// What the model says.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Answer {
    /// What could have happened, the likeliest first.
    pub outcomes: Vec<Outcome>,
}

/// One thing that could have happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Outcome {
    /// Share of the members that came to it.
    pub share: f64,
    /// The report of the member that is most like all others of the outcome.
    pub lag: LagReport,
    /// Over the members: smallest lead, in seconds.
    pub lead_min_s: Spread,
    /// 5th percentile of the lead.
    pub lead_p5_s: Spread,
    /// Median of the lead.
    pub lead_p50_s: Spread,
    /// 95th percentile of the lead.
    pub lead_p95_s: Spread,
    /// 95th percentile of the staleness.
    pub staleness_p95_s: Spread,
    /// Stale ticks.
    pub stale_ticks: Spread,
    /// Slices behind the playhead.
    pub behind_playhead: Spread,
    /// Most transport lead that the server took, in seconds.
    pub transport_peak_s: Spread,
    /// What chance decided in the member of the report; repeats it with [`predict`].
    #[serde(skip)]
    pub perturbation: Perturbation,
}

/// How far the members of an outcome lie apart.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// 5th percentile.
    pub p5: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

struct Member {
    perturbation: Perturbation,
    lag: LagReport,
    transport_peak_s: f64,
}

/// Runs the ensemble.
///
/// # Errors
/// Where the change names a constant that the policy does not have.
pub fn answer(question: &Question<'_>) -> Result<Answer, ChangeError> {
    let policy = question.change.policy(&question.fit.server.policy)?;
    let members: Vec<Member> = perturbations(question)
        .into_iter()
        .map(|perturbation| run(question, &policy, perturbation))
        .collect();
    let outcomes = clusters(&members, question.fit.tick_s)
        .into_iter()
        .map(|cluster| outcome(&members, &cluster))
        .collect();
    Ok(Answer { outcomes })
}

/// What chance decides for each member. All that is asked for moves as a whole, so that pauses are as
/// long as asked; its moments are spread evenly over one period of slices, the phase of the reports
/// at random.
fn perturbations(question: &Question<'_>) -> Vec<Perturbation> {
    let members = question.members.max(1);
    let period_ns = question.fit.period_ns as f64;
    let tick_ns = question.fit.tick_s * 1e9;
    let mut rng = Rng::new(question.seed, Stream::Client);
    let mut perturbations = vec![Perturbation { seed: question.seed, ..Perturbation::default() }];
    perturbations.extend((1..members).map(|member| {
        let seed = rng.next_u64();
        let even = member as f64 / (members - 1) as f64;
        let shift_ns = ((even - 0.5) * period_ns) as i64;
        let tick_shift_ns = ((rng.unit() - 0.5) * tick_ns) as i64;
        let new_frames_cost = (2.0 * rng.unit() - 1.0) * COST_UNKNOWN;
        Perturbation { seed, shift_ns, tick_shift_ns, new_frames_cost, jitters: true }
    }));
    perturbations
}

fn run(question: &Question<'_>, policy: &Policy, perturbation: Perturbation) -> Member {
    let Question { trace, fit, change, args, .. } = question;
    let Predicted { tracker, transport_peak_s, .. } =
        predict(trace, &fit.server, policy, change, &perturbation);
    Member { perturbation, lag: tracker.report(trace.end.seconds(), args), transport_peak_s }
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

fn outcome(members: &[Member], cluster: &[usize]) -> Outcome {
    let lead = |figure: fn(&crate::lag::Figures) -> f64| {
        move |member: &Member| member.lag.slices.lead_s.as_ref().map_or(f64::NAN, figure)
    };
    let stale = |figure: fn(&crate::lag::Figures) -> f64| {
        move |member: &Member| member.lag.ticks.staleness_s.as_ref().map_or(f64::NAN, figure)
    };
    let spread = |figure: &dyn Fn(&Member) -> f64| {
        Spread::of(cluster.iter().map(|&i| figure(&members[i])).collect())
    };
    let outcome = |typical: &Member| Outcome {
        share: cluster.len() as f64 / members.len() as f64,
        lag: typical.lag.clone(),
        lead_min_s: spread(&lead(|lead| lead.min)),
        lead_p5_s: spread(&lead(|lead| lead.p5)),
        lead_p50_s: spread(&lead(|lead| lead.p50)),
        lead_p95_s: spread(&lead(|lead| lead.p95)),
        staleness_p95_s: spread(&stale(|stale| stale.p95)),
        stale_ticks: spread(&|member| member.lag.ticks.stale_ticks as f64),
        behind_playhead: spread(&|member| member.lag.slices.behind_playhead as f64),
        transport_peak_s: spread(&|member| member.transport_peak_s),
        perturbation: typical.perturbation.clone(),
    };
    outcome(&members[typical(members, cluster)])
}

/// Of the largest group of members that are alike the one that is most as it was asked for. Not the
/// nearest to the medians of all: within an outcome a figure may still have two values.
fn typical(members: &[Member], cluster: &[usize]) -> usize {
    let alike = |i: usize| -> Vec<usize> {
        let like = |&j: &usize| is_alike(&members[i].lag, &members[j].lag);
        cluster.iter().copied().filter(like).collect()
    };
    let groups = cluster.iter().rev().map(|&i| alike(i));
    let group = groups.max_by_key(Vec::len).unwrap_or_default();
    group.into_iter().min_by_key(|&i| members[i].perturbation.distance_ns()).unwrap_or_default()
}

fn is_alike(a: &LagReport, b: &LagReport) -> bool {
    let figures = |report: &LagReport| {
        let lead = report.slices.lead_s.map(|lead| [lead.min, lead.p5, lead.p50, lead.p95]);
        (lead.unwrap_or_default(), report.ticks.staleness_s.map_or(0.0, |stale| stale.p95))
    };
    let ((leads_a, stale_a), (leads_b, stale_b)) = (figures(a), figures(b));
    let near = |a: f64, b: f64| (a - b).abs() <= ALIKE_S;
    leads_a.into_iter().zip(leads_b).all(|(a, b)| near(a, b))
        && near(stale_a, stale_b)
        && a.ticks.stale_ticks.abs_diff(b.ticks.stale_ticks) <= ALIKE_COUNT
        && a.slices.behind_playhead.abs_diff(b.slices.behind_playhead) <= ALIKE_COUNT
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        let mut at = |q| percentile(&mut values, q);
        Self { p5: at(0.05), p50: at(0.5), p95: at(0.95) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
