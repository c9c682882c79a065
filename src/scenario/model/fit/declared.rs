//! A server as the headers of its slices declare it.

use super::super::generations::{Generation, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::queue::Queue;
use super::behind_queue;
use super::clues::Clues;
use crate::lag::stats::percentile;

/// The rests between turns are those that this share is shorter than, as what waited on the way
/// makes rests longer and none shorter.
const RESTS: f64 = 0.25;
/// Most that the loop spends beside its work, in nanoseconds.
const LONGEST_REST_NS: i64 = 2_000_000;
/// No turn is shorter, whatever its slices say, in nanoseconds.
const SHORTEST_NS: i64 = 1_000_000;

/// Upstream's server with turns as long as they declare, one after another to the end. How many were
/// shed nobody says, so that those that are known come again where they do not suffice.
pub(super) fn server(clues: &Clues<'_>) -> Hypothesis {
    let Clues { trace, plain, .. } = clues;
    let mut rests: Vec<f64> =
        plain.generations.iter().skip(1).map(|turn| turn.rest_ns as f64).collect();
    let rest_ns = (percentile(&mut rests, RESTS) as i64).clamp(0, LONGEST_REST_NS);
    let declared = |turn: &Generation| {
        let tick_ns = turn.tick_ns.max(SHORTEST_NS);
        Generation { rest_ns, tick_ns, transit_ns: 0, shed: false, ..*turn }
    };
    let mut turns = plain.generations.iter().map(declared).cycle();
    let (mut generations, mut now) = (Vec::new(), trace.begins);
    while now < trace.end
        && let Some(turn) = turns.next()
    {
        now = shifted(now, turn.length_ns());
        generations.push(turn);
    }
    let round_trip_ns = clues.known_way_ns();
    let cause = behind_queue::cause(&clues.leading);
    let queue = Some(Queue { cause, ..Queue::of_intake(trace.begins) });
    Hypothesis { generations, round_trip_ns, queue, mean_transit_ns: 0, ..plain.clone() }
}
