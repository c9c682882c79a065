//! Members of an ensemble that heard much the same, as one outcome.
//!
//! Each figure has its spread over the members. Means of two members are never given: the report of an
//! outcome is that of the one member that lies nearest to the medians of all figures.

use super::perturbation::Perturbation;
use crate::lag::stats::percentile;
use crate::lag::{Figures, LagReport};

/// One thing that could have happened.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ModelOutcome {
    /// Share of the members that came to it.
    pub share: f64,
    /// The report of the member that lies nearest to the medians of all figures below.
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
    /// What chance decided in the member of the report; repeats it with [`predict`](super::predict).
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

/// Figures of a member.
const FIGURES: usize = 8;
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
    /// The outcome of those members.
    pub(super) fn of(members: &[Member], cluster: &[usize]) -> Self {
        let own: Vec<&Member> = cluster.iter().map(|&i| &members[i]).collect();
        let figures: Vec<_> = own.iter().map(|member| member.figures).collect();
        let spreads = spreads(&figures);
        let distances = figures.iter().map(|figures| distance(figures, &spreads));
        let by_distance = own.iter().zip(distances);
        // Of several as near the one that is most as it was asked for.
        let key =
            |(member, distance): &(&&Member, f64)| (*distance, member.perturbation.distance_ns());
        let nearest = by_distance.min_by(|a, b| {
            let (a, b) = (key(a), key(b));
            a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
        });
        let (typical, _) = nearest.expect("an outcome has a member");
        let [
            lead_min_s,
            lead_p5_s,
            lead_p50_s,
            lead_p95_s,
            staleness_p95_s,
            stale_ticks,
            behind_playhead,
            transport_peak_s,
        ] = spreads;
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
            perturbation: typical.perturbation.clone(),
        }
    }
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
        let outcome = ModelOutcome::of(&members, &cluster);
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
