//! Servers that take reports one after another, more slowly than they come.

use super::super::generations::{Generation, SHORTEST_TURN_NS};
use super::super::hypothesis::Hypothesis;
use super::super::pacing_replay::KnownLooks;
use super::super::queue::Queue;
use super::alternatives::servers;
use super::clues::Clues;
use super::places::Places;
use crate::lag::stats::percentile;
use crate::peer::policy::Policy;

/// Steps of the search for a backlog: the first of this share of the reports' cadence, over the first
/// slices; each next one finer by this factor, over more slices by the same.
const FIRST_STEP: f64 = 0.005;
const FIRST_SLICES: usize = 64;
const FINER: usize = 4;
/// Least share of the reports that a server takes.
const LEAST_TAKEN: f64 = 0.2;

/// A rest longer than this many turns is the time of turns that were shed.
const SHED_AFTER: f64 = 0.6;

/// Servers with a backlog of reports, with all parts or without some.
pub(super) fn candidates<'a>(clues: &'a Clues<'a>) -> Box<dyn Iterator<Item = Hypothesis> + 'a> {
    Box::new(servers(clues).flat_map(|server| behind_reports(clues, server)))
}

/// The same for a server that is that late; first as if the model knew what it shed for that, then
/// with what was shed kept.
fn behind_reports(clues: &Clues<'_>, mut server: Hypothesis) -> Vec<Hypothesis> {
    if clues.trace.acknowledges() {
        server.generations = with_shed(&server.generations);
    }
    server.round_trip_ns = clues.known_way_ns();
    let cadence = 1.0 / clues.tick_s;
    let mut step = FIRST_STEP * cadence;
    let steps = (LEAST_TAKEN / FIRST_STEP) as i32..(1.0 / FIRST_STEP) as i32;
    let mut tried: Vec<f64> = steps.map(|i| f64::from(i) * step).collect();
    let mut slices = FIRST_SLICES;
    loop {
        let weighed = tried.into_iter().map(|per_s| backlog(clues, &server, per_s, slices));
        let best = weighed.min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, per_s, policy)) = best else { return Vec::new() };
        if slices >= server.generations.len() {
            server.policy = policy;
            break;
        }
        step /= FINER as f64;
        slices *= FINER;
        let around = 2 * FINER as i32;
        tried = (-around..=around).map(|i| per_s + f64::from(i) * step).collect();
    }
    let kept = Queue::of_intake(clues.trace.begins);
    let sheds = server.generations.iter().any(|turn| turn.shed);
    let with_shed = sheds.then(|| Hypothesis { queue: Some(kept), ..server.clone() });
    std::iter::once(server).chain(with_shed).collect()
}

/// What is wrong with a backlog of that many reports a second over the first slices, and the
/// policy with it, its floor where most of them are.
fn backlog(
    clues: &Clues<'_>,
    server: &Hypothesis,
    per_s: f64,
    slices: usize,
) -> (f64, f64, Policy) {
    let mut policy = server.policy.clone();
    policy.intake.backlog_per_s = Some(per_s);
    let turns = &server.generations[..server.generations.len().min(slices)];
    let known = KnownLooks::of(clues.trace, &server.rule, &policy, server.round_trip_ns, turns);
    let plain = Places::of(clues.trace, &known, &policy);
    let cost = plain.cost();
    let mut moved = policy.clone();
    moved.lead.floor_s = (policy.lead.floor_s + plain.shift_s()).clamp(0.0, 5.0);
    let moved_cost = Places::of(clues.trace, &known, &moved).cost();
    if moved_cost < cost { (moved_cost, per_s, moved) } else { (cost, per_s, policy) }
}

/// Fills what lies between slices with the turns that were shed because acknowledgements were
/// late: a server that is paced by its work rests for no whole turn.
fn with_shed(generations: &[Generation]) -> Vec<Generation> {
    let figure = |q: f64, of: fn(&Generation) -> i64| {
        percentile(&mut generations.iter().map(|turn| of(turn) as f64).collect::<Vec<_>>(), q)
    };
    let usual_rest_ns = figure(0.5, |turn| turn.rest_ns) as i64;
    let (tick_ns, decode_ns) =
        (figure(0.5, |turn| turn.tick_ns) as i64, figure(0.5, |turn| turn.decode_ns) as i64);
    let period_ns = (usual_rest_ns + tick_ns + decode_ns).max(SHORTEST_TURN_NS);
    let mut turns = Vec::with_capacity(generations.len());
    for &turn in generations {
        let idle_ns = turn.rest_ns - usual_rest_ns;
        let shed = (idle_ns as f64 / period_ns as f64 + 1.0 - SHED_AFTER).floor();
        if turns.is_empty() || shed < 1.0 {
            turns.push(turn);
            continue;
        }
        let each_ns = idle_ns / shed as i64;
        let tick_ns = each_ns - usual_rest_ns - decode_ns;
        let rest_ns = usual_rest_ns;
        let missed = Generation { rest_ns, tick_ns, decode_ns, shed: true, transit_ns: 0, ..turn };
        turns.extend(std::iter::repeat_n(missed, shed as usize));
        turns.push(Generation { rest_ns: turn.rest_ns - each_ns * shed as i64, ..turn });
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    /// Turns of 40 ms with these rests, and what they become: rest, tick, and whether it was shed.
    #[track_caller]
    fn check_shed(rests_ms: &[i64], expected: &[(i64, i64, bool)]) {
        let turn = |rest_ms: &i64| Generation {
            rest_ns: rest_ms * MS,
            tick_ns: 30 * MS,
            decode_ns: 9 * MS,
            transit_ns: 3,
            ..Generation::default()
        };
        let turns = with_shed(&rests_ms.iter().map(turn).collect::<Vec<_>>());
        let found: Vec<_> =
            turns.iter().map(|turn| (turn.rest_ns / MS, turn.tick_ns / MS, turn.shed)).collect();
        assert_eq!(found, expected);
        assert!(turns.iter().all(|turn| turn.shed == (turn.transit_ns == 0)));
        let length = |turn: &Generation| turn.rest_ns + turn.tick_ns + turn.decode_ns;
        let recorded = rests_ms.iter().map(|rest_ms| (rest_ms + 39) * MS).sum::<i64>();
        assert_eq!(turns.iter().map(length).sum::<i64>(), recorded, "no time is lost");
    }

    #[test]
    fn a_rest_of_whole_turns_was_spent_on_what_was_shed() {
        check_shed(&[1, 1, 1], &[(1, 30, false); 3]);
        let (kept, shed) = ((1, 30, false), (1, 30, true));
        check_shed(&[1, 1, 41, 1], &[kept, kept, shed, kept, kept]);
        check_shed(&[1, 1, 81, 1, 1], &[kept, kept, shed, shed, kept, kept, kept]);
        // The first has no turn before it.
        check_shed(&[41, 1, 1], &[(41, 30, false), kept, kept]);
        check_shed(&[1, 1, 7, 1], &[kept, kept, (7, 30, false), kept]);
    }
}
