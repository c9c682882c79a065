//! Servers that put slices behind the listener for a while.

use super::super::hypothesis::Hypothesis;
use super::super::pacing::{Displaced, Rule};
use super::super::pacing_replay::KnownLooks;
use super::clues::Clues;
use super::search::searched;
use crate::lag::stats::{fold_lead, percentile};
use crate::time::Nanos;

/// A slice further behind the server's own estimate than this is no rounding and no way that was
/// taken too short, in seconds.
const SURELY_BEHIND_S: f64 = 0.1;
/// Fewest slices of a spell, most spells, and the most of all slices that may lie in them: what is
/// odd more often has another reason.
const LEAST_SLICES: usize = 8;
const MOST_SPELLS: usize = 4;
const MOST_DISPLACED: f64 = 0.5;
/// With less than this of its slices at one distance a spell is none.
const AT_ONE_DISTANCE: f64 = 0.9;
/// Steps in which that distance is looked for, in seconds.
const DISTANCE_STEP_S: f64 = 0.001;

/// Upstream's server, but for the spells in which slices surely went behind the listener.
pub(super) fn candidates<'a>(clues: &'a Clues<'a>) -> Box<dyn Iterator<Item = Hypothesis> + 'a> {
    let displaced = || Hypothesis { rule: Rule::Displaced(spells(clues)), ..clues.plain.clone() };
    Box::new(std::iter::once_with(move || aimed(clues, searched(clues, displaced()))))
}

/// The spells, not yet aimed.
fn spells(clues: &Clues<'_>) -> Vec<Displaced> {
    let mut spells: Vec<Displaced> = Vec::new();
    let (mut run, mut displaced, mut count) = (Vec::new(), 0, 0);
    let mut end = |run: &mut Vec<Nanos>| {
        if run.len() >= LEAST_SLICES {
            displaced += run.len();
            spells.push(Displaced { from: run[0], to: run[run.len() - 1], behind_s: 0.0 });
        }
        run.clear();
    };
    for (at, distance_s) in distances(clues, &clues.plain, clues.known_way_ns()) {
        count += 1;
        if distance_s < -SURELY_BEHIND_S {
            run.push(at);
        } else {
            end(&mut run);
        }
    }
    end(&mut run);
    if spells.len() > MOST_SPELLS || displaced as f64 > MOST_DISPLACED * f64::from(count) {
        spells.clear();
    }
    spells
}

/// The same with the distance of each spell; without those that have none.
fn aimed(clues: &Clues<'_>, mut server: Hypothesis) -> Hypothesis {
    let distances: Vec<_> = distances(clues, &server, server.round_trip_ns).collect();
    let grid = f64::from(server.policy.placement.grid_frames);
    let grid_s = grid.max(1.0) / f64::from(clues.trace.sample_rate);
    let mut spells = server.rule.displaced().to_vec();
    spells.retain_mut(|spell| {
        let of_spell = distances.iter().filter(|(at, _)| spell.contains(*at));
        let own: Vec<f64> = of_spell.map(|(_, distance_s)| -distance_s).collect();
        let (behind_s, share) = common_distance(own, grid_s);
        spell.behind_s = behind_s;
        share >= AT_ONE_DISTANCE
    });
    server.rule = Rule::Displaced(spells);
    server
}

/// Of each look how far ahead of the server's estimate its slice was put, in seconds.
fn distances<'a>(
    clues: &'a Clues<'a>,
    server: &'a Hypothesis,
    round_trip_ns: i64,
) -> impl Iterator<Item = (Nanos, f64)> + 'a {
    let (trace, policy) = (clues.trace, &server.policy);
    let known = KnownLooks::of(trace, &server.rule, policy, round_trip_ns, &server.generations);
    let sent = known.into_looks().filter(|look| !look.turn.shed);
    sent.zip(&clues.leading).map(move |(look, leading)| {
        let ahead = fold_lead(leading.start, look.estimate as u64, trace.frames);
        (look.at, ahead as f64 / f64::from(trace.sample_rate))
    })
}

/// The distance from which rounding down to the grid makes most of these, and of which share.
fn common_distance(mut own_s: Vec<f64>, grid_s: f64) -> (f64, f64) {
    let median_s = percentile(&mut own_s, 0.5);
    let steps = (grid_s / DISTANCE_STEP_S).ceil() as i32;
    let agree = |behind_s: f64| {
        let made = own_s.iter().filter(|&&own_s| (behind_s..behind_s + grid_s).contains(&own_s));
        made.count()
    };
    let tried: Vec<(usize, f64)> = (0..=steps)
        .map(|step| median_s - grid_s + f64::from(step) * DISTANCE_STEP_S)
        .map(|behind_s| (agree(behind_s), behind_s))
        .collect();
    let most = tried.iter().map(|(count, _)| *count).max().unwrap_or(0);
    // Of all that make as many the middle one.
    let best: Vec<f64> =
        tried.into_iter().filter(|(count, _)| *count == most).map(|(_, at)| at).collect();
    (best[best.len() / 2], most as f64 / own_s.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(own_s: &[f64], expected_s: f64, expected_share: f64) {
        let (behind_s, share) = common_distance(own_s.to_vec(), 0.04);
        assert!((behind_s - expected_s).abs() < 0.002, "{behind_s}");
        assert_eq!(share, expected_share);
    }

    #[test]
    fn slices_at_one_distance_differ_by_the_grid() {
        check(&[0.801, 0.815, 0.820, 0.838], 0.800, 1.0);
        check(&[0.801, 0.815, 0.820, 0.838, 2.0], 0.800, 0.8);
    }
}
