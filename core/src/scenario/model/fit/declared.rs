//! A server as the headers of its slices declare it.

use super::super::generations::{Generation, SHORTEST_TURN_NS, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::queue::Queue;
use super::behind_queue;
use super::clues::Clues;
use crate::heard::HITCH_NS;
use crate::lag::stats::percentile;
use crate::time::Nanos;

/// The rests between turns are those that this share is shorter than, as what waited on the way
/// makes rests longer and none shorter.
const RESTS: f64 = 0.25;
/// Most that the loop spends beside its work, in nanoseconds.
const LONGEST_REST_NS: i64 = 2_000_000;
/// Nothing was made in a pause that is longer than this many of those after which slices come
/// together.
const SILENCE: f64 = 2.0;
/// What lies further apart does not come together, in nanoseconds.
const PAUSE_NS: f64 = 100e6;

/// Upstream's server with turns as long as they declare, one after another but for silences. How many
/// were shed nobody says, so that those that are known come again where they do not suffice.
pub(super) fn server(clues: &Clues<'_>) -> Hypothesis {
    let Clues { trace, plain, leading, .. } = clues;
    let mut rests: Vec<f64> =
        plain.generations.iter().skip(1).map(|turn| turn.rest_ns as f64).collect();
    let rest_ns = (percentile(&mut rests, RESTS) as i64).clamp(0, LONGEST_REST_NS);
    let declared = |turn: &Generation| {
        let tick_ns = turn.tick_ns.max(SHORTEST_TURN_NS);
        Generation { rest_ns, tick_ns, transit_ns: 0, shed: false, ..*turn }
    };
    let arrivals: Vec<Nanos> = leading.iter().map(|slice| slice.arrived).collect();
    let (mut generations, mut now, mut known) = (Vec::new(), trace.begins, 0);
    for end in ends(&arrivals) {
        // The turns of one spell without a silence, until its last slice came.
        let until = if end == arrivals.len() { trace.end } else { arrivals[end - 1] };
        let mut turns = plain.generations[known..end].iter().map(declared).cycle();
        if known > 0
            && let Some(first) = turns.next()
        {
            let silent_ns = arrivals[known].0 as i64 - now.0 as i64 - first.length_ns();
            generations.push(Generation { rest_ns: rest_ns + silent_ns.max(0), ..first });
            now = shifted(now, first.length_ns() + silent_ns.max(0));
        }
        while now < until
            && let Some(turn) = turns.next()
        {
            now = shifted(now, turn.length_ns());
            generations.push(turn);
        }
        known = end;
    }
    let (cause, round_trip_ns) = (behind_queue::cause(leading), clues.known_way_ns());
    let queue = Some(Queue { cause, ..Queue::of_intake(trace.begins) });
    Hypothesis { generations, round_trip_ns, queue, mean_transit_ns: 0, ..plain.clone() }
}

/// After how many slices each silence comes, and how many there are.
fn ends(arrivals: &[Nanos]) -> Vec<usize> {
    let gap_ns = |pair: &[Nanos]| pair[1].0.saturating_sub(pair[0].0) as f64;
    let mut pauses: Vec<f64> =
        arrivals.windows(2).map(gap_ns).filter(|gap_ns| *gap_ns > PAUSE_NS).collect();
    let usual_ns = if pauses.is_empty() { PAUSE_NS } else { percentile(&mut pauses, 0.5) };
    let silence_ns = SILENCE * usual_ns + HITCH_NS as f64;
    let silences = arrivals.windows(2).enumerate().filter(|(_, pair)| gap_ns(pair) > silence_ns);
    silences.map(|(before, _)| before + 1).chain([arrivals.len()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_longer_than_the_pauses_between_bursts() {
        let ms = |ms: &[u64]| ms.iter().map(|ms| Nanos(ms * 1_000_000)).collect::<Vec<_>>();
        assert_eq!(ends(&ms(&[0, 50, 100, 150])), [4]);
        let bursts = [1_000, 1_001, 2_000, 2_001, 3_000, 7_000, 7_001, 8_000, 8_001];
        assert_eq!(ends(&ms(&bursts)), [5, 9]);
    }
}
