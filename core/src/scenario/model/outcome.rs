//! Members of an ensemble that heard much the same, as one outcome.
//!
//! Each figure has its spread over the members. Means of two members are never given: the report of an
//! outcome is that of one member, of the run that came most often. Where that lies at the edge of a
//! figure, it is the member nearest to the medians of all of them.

use super::perturbation::Perturbation;
use super::unknown::PerFigure;
use crate::lag::stats::percentile;
use crate::lag::{Figures, LagReport};
use crate::verdict::{HeardUse, Verdict};

/// One thing that could have happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ModelOutcome {
    /// Share of the members that came to it.
    pub share: f64,
    /// The report of the member that stands for the others.
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
    pub stale_ticks: Spread,
    /// Slices behind the playhead.
    pub behind_playhead: Spread,
    /// Most transport lead that the server took, in seconds.
    pub transport_peak_s: Spread,
    /// What the listener heard in the member of the report; `null` where nobody asked.
    pub heard: Option<HeardUse>,
    /// Whether that is lag.
    pub verdict: Option<Verdict>,
    /// What chance decided in the member of the report; repeats it with [`predict`](super::predict).
    #[serde(skip)]
    pub perturbation: Perturbation,
}

/// How far the members of an outcome lie apart, and what is unknown beside.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Spread {
    /// 5th percentile: what comes is below it once in twenty times.
    pub p5: f64,
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// Figures of a member.
const FIGURES: usize = 8;
/// Those of them that are never below 0: the staleness and the counts.
const NEVER_BELOW_0: [usize; 3] = [4, 5, 6];
/// A member lies at the edge of a figure if it is further from its median than this share of its spread.
const EDGE: f64 = 0.25;
/// Differences of each that nobody hears: in seconds or, of counts, in one.
const STEPS: [f64; FIGURES] = [0.02, 0.02, 0.02, 0.02, 0.02, 3.0, 3.0, 0.02];

/// A run of an ensemble.
pub(super) struct Member {
    pub lag: LagReport,
    pub transport_peak_s: f64,
    perturbation: Perturbation,
    figures: [f64; FIGURES],
}

impl Member {
    pub fn new(perturbation: Perturbation, lag: LagReport, transport_peak_s: f64) -> Self {
        let lead =
            |figure: fn(&Figures) -> f64| lag.slices.lead_s.as_ref().map_or(f64::NAN, figure);
        let figures = [
            lead(|lead| lead.min),
            lead(|lead| lead.p5),
            lead(|lead| lead.p50),
            lead(|lead| lead.p95),
            lag.ticks.staleness_s.as_ref().map_or(f64::NAN, |stale| stale.p95),
            lag.ticks.stale_ticks as f64,
            lag.slices.behind_playhead as f64,
            transport_peak_s,
        ];
        Self { lag, transport_peak_s, perturbation, figures }
    }
}

impl ModelOutcome {
    /// The outcome of those members; its intervals are wider than what they span by what is unknown.
    pub(super) fn of(members: &[Member], cluster: &[usize], unknown: &PerFigure) -> Self {
        let own: Vec<&Member> = cluster.iter().map(|&i| &members[i]).collect();
        let figures: Vec<_> = own.iter().map(|member| member.figures).collect();
        let spreads = spreads(&figures);
        let typical = own[typical(&own, &spreads)];
        let [
            lead_min_s,
            lead_p5_s,
            lead_p50_s,
            lead_p95_s,
            staleness_p95_s,
            stale_ticks,
            behind_playhead,
            transport_peak_s,
        ] = std::array::from_fn(|figure| widened(figure, spreads[figure], unknown[figure]));
        Self {
            share: cluster.len() as f64 / members.len() as f64,
            lag: typical.lag.clone(),
            lead_min_s,
            lead_p5_s,
            lead_p50_s,
            lead_p95_s,
            staleness_p95_s,
            stale_ticks,
            behind_playhead,
            transport_peak_s,
            heard: None,
            verdict: None,
            perturbation: typical.perturbation.clone(),
        }
    }
}

/// The spread of a figure, by so much wider on either side, but not below 0 where nothing is.
fn widened(figure: usize, Spread { p5, p50, p95 }: Spread, by: f64) -> Spread {
    let least = if NEVER_BELOW_0.contains(&figure) { 0.0 } else { f64::NEG_INFINITY };
    Spread { p5: (p5 - by).max(least), p50, p95: p95 + by }
}

/// Of the largest group of members that nobody can tell apart the one that is most as it was asked for,
/// unless a figure of it lies at an edge; then the one nearest to the medians.
fn typical(members: &[&Member], spreads: &[Spread; FIGURES]) -> usize {
    let asked = |&i: &usize| members[i].perturbation.distance_ns();
    let alike = |i: usize| -> Vec<usize> {
        let like = |&j: &usize| is_alike(&members[i].figures, &members[j].figures);
        (0..members.len()).filter(like).collect()
    };
    let groups = (0..members.len()).rev().map(alike);
    let group = groups.max_by_key(Vec::len).unwrap_or_default();
    let usual = group.into_iter().min_by_key(asked).unwrap_or_default();
    let off = |i: usize| distance(&members[i].figures, spreads);
    if off(usual) <= EDGE {
        return usual;
    }
    let nearer = |&a: &usize, &b: &usize| off(a).total_cmp(&off(b)).then(asked(&a).cmp(&asked(&b)));
    (0..members.len()).min_by(nearer).unwrap_or(usual)
}

/// The transport lead is the server's own and not heard.
fn is_alike(a: &[f64; FIGURES], b: &[f64; FIGURES]) -> bool {
    a.iter().zip(b).zip(STEPS).take(FIGURES - 1).all(|((a, b), step)| {
        let both_lack_it = a.is_nan() && b.is_nan();
        both_lack_it || (a - b).abs() <= step
    })
}

fn spreads(figures: &[[f64; FIGURES]]) -> [Spread; FIGURES] {
    std::array::from_fn(|figure| Spread::of(figures.iter().map(|all| all[figure]).collect()))
}

/// How far a member lies from the medians: the furthest of its figures, as a share of its spread. What
/// nobody hears is no distance.
fn distance(figures: &[f64; FIGURES], spreads: &[Spread; FIGURES]) -> f64 {
    let shares = figures.iter().zip(spreads).zip(STEPS).map(|((figure, spread), step)| {
        let off = (figure - spread.p50).abs();
        if spread.p50.is_nan() || off <= step {
            0.0
        } else if off.is_nan() {
            // The others have this figure, and the member has none.
            f64::INFINITY
        } else {
            off / (spread.p95 - spread.p5).max(step)
        }
    });
    shares.fold(0.0, f64::max)
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
    use crate::lag::{LagTracker, ReportArgs};

    /// Members with these leads and staleness; the rest of their figures is the same.
    #[track_caller]
    fn check(members: &[(f64, f64)], expected: usize) {
        let lag = LagTracker::new(480_000, 48_000, 0.0).report(1.0, &ReportArgs::default());
        let member = |(i, (lead_s, stale_s)): (usize, &(f64, f64))| {
            let (seed, shift_ns) = (i as u64, i as i64);
            let perturbation = Perturbation { seed, shift_ns, ..Perturbation::default() };
            let mut member = Member::new(perturbation, lag.clone(), 0.0);
            (member.figures[2], member.figures[4]) = (*lead_s, *stale_s);
            member
        };
        let members: Vec<Member> = members.iter().enumerate().map(member).collect();
        let cluster: Vec<usize> = (0..members.len()).collect();
        let outcome = ModelOutcome::of(&members, &cluster, &[0.0; FIGURES]);
        assert_eq!(outcome.perturbation.seed, expected as u64);
    }

    #[test]
    fn the_report_is_of_the_member_nearest_to_the_medians_of_all_figures() {
        // Most are alike, and lie at the edge of what is stale; their lead is the usual one.
        check(
            &[
                (0.3, 2.28),
                (0.3, 2.28),
                (0.3, 2.29),
                (0.305, 1.82),
                (0.305, 2.0),
                (0.305, 1.9),
                (0.3, 1.85),
            ],
            4,
        );
        // One is in the middle of each figure, the others at an edge of one.
        check(&[(0.0, 2.0), (1.0, 1.0), (0.5, 0.0), (0.5, 1.0), (0.5, 1.9)], 3);
        // Of several that nobody can tell apart the first, which is as it was asked for.
        check(&[(0.3, 2.01), (0.3, 2.0), (0.3, 2.0), (0.3, 1.0)], 0);
        check(&[(f64::NAN, 2.0), (0.3, 2.0), (0.3, 2.0), (0.3, 2.0), (0.3, 2.0)], 1);
    }
}
