//! The round trip and the lead floor that explain the places of slices best.
//!
//! A recording of a steady listener shows only the floor less the round trip, up to whole periods of
//! the reports. Pings tell the round trip; else upstream's floor tells them apart, and where that does
//! not fit the first slices do.

use std::ops::Range;

use super::super::hypothesis::Hypothesis;
use super::super::pacing_replay::KnownLooks;
use super::clues::Clues;
use super::places::{GOOD_SHARE, Places};

/// Slices that the search for the round trip looks at: the first ones, enough for a half minute.
pub(super) const SEARCHED_SLICES: usize = 600;
/// A slice answers a report by this much later than a pong answers a ping at most, in nanoseconds:
/// jitter, the intake's turn, encoding.
const LATER_THAN_PONG_NS: i64 = 10_000_000;
/// Longest round trip that is looked for, in nanoseconds, and the steps of the search.
const LONGEST_ROUND_TRIP_NS: i64 = 1_000_000_000;
const SEARCH_STEPS_NS: [i64; 3] = [4_000_000, 1_000_000, 250_000];
/// Beside an equal fit a floor nearer to upstream's is likelier: cost of one second.
const FLOOR_PRIOR: f64 = 0.05;

/// The server with the round trip and the lead floor that explain its places best.
pub(super) fn searched(clues: &Clues<'_>, mut server: Hypothesis) -> Hypothesis {
    let range = match clues.trace.shortest_ping_ns.and_then(|ns| i64::try_from(ns).ok()) {
        Some(pong_ns) => pong_ns..pong_ns.saturating_add(LATER_THAN_PONG_NS),
        None => 0..LONGEST_ROUND_TRIP_NS,
    };
    let search = Search { clues, server: &server, usual_s: server.policy.lead.floor_s };
    let mut best = search.round_trips(range.clone());
    if best.exact_share < GOOD_SHARE {
        let either = search.round_trips_and_floors(&range, best);
        if either.cost < best.cost {
            best = either;
        }
    }
    server.round_trip_ns = best.round_trip_ns;
    server.policy.lead.floor_s = best.floor_s;
    server
}

/// A round trip and a floor, and how well they explain the places.
#[derive(Clone, Copy)]
struct Weighed {
    round_trip_ns: i64,
    floor_s: f64,
    exact_share: f64,
    cost: f64,
}

struct Search<'a> {
    clues: &'a Clues<'a>,
    server: &'a Hypothesis,
    usual_s: f64,
}

impl Search<'_> {
    fn round_trips(&self, range: Range<i64>) -> Weighed {
        let mut best = self.that_far(range.start).weigh(self.usual_s);
        let mut near = range.clone();
        for step_ns in SEARCH_STEPS_NS {
            for round_trip_ns in near.step_by(step_ns as usize) {
                let candidate = self.that_far(round_trip_ns).weigh(self.usual_s);
                if candidate.cost < best.cost {
                    best = candidate;
                }
            }
            let least = (best.round_trip_ns - step_ns).max(range.start);
            near = least..(best.round_trip_ns + step_ns).min(range.end);
        }
        best
    }

    fn round_trips_and_floors(&self, range: &Range<i64>, plain: Weighed) -> Weighed {
        let coarse_ns = SEARCH_STEPS_NS[usize::from(range.end - range.start < 50_000_000)];
        let mut best = plain;
        for round_trip_ns in range.clone().step_by(coarse_ns as usize) {
            let there = self.that_far(round_trip_ns);
            let shift_s = there.places(best.floor_s).shift_s();
            let near = there.weigh((best.floor_s + shift_s).clamp(0.0, 5.0));
            if near.cost < best.cost {
                best = near;
            }
        }
        for step_ns in SEARCH_STEPS_NS.into_iter().skip(1) {
            best = self.around(range, best, step_ns);
        }
        best
    }

    /// The best of the round trips and floors near one, in steps of that length and of twice it.
    fn around(&self, range: &Range<i64>, around: Weighed, step_ns: i64) -> Weighed {
        let mut best = around;
        for i in -6..=6_i64 {
            let round_trip_ns = (around.round_trip_ns + i * step_ns).clamp(range.start, range.end);
            let there = self.that_far(round_trip_ns);
            for j in -10..=10_i64 {
                let floor_s = (around.floor_s + (2 * j * step_ns) as f64 / 1e9).max(0.0);
                let near = there.weigh(floor_s);
                if near.cost < best.cost {
                    best = near;
                }
            }
        }
        best
    }

    /// The server that far away.
    fn that_far(&self, round_trip_ns: i64) -> ThatFar<'_> {
        let Hypothesis { rule, policy, generations, .. } = self.server;
        let turns = &generations[..generations.len().min(SEARCHED_SLICES)];
        let known = KnownLooks::of(self.clues.trace, rule, policy, round_trip_ns, turns);
        ThatFar { search: self, round_trip_ns, known }
    }
}

/// A server that far away, with any floor.
struct ThatFar<'a> {
    search: &'a Search<'a>,
    round_trip_ns: i64,
    known: KnownLooks<'a>,
}

impl ThatFar<'_> {
    fn weigh(&self, floor_s: f64) -> Weighed {
        let places = self.places(floor_s);
        let unusual = FLOOR_PRIOR * (floor_s - self.search.usual_s).abs();
        let late = 0.01 * self.round_trip_ns as f64 / 1e9;
        Weighed {
            round_trip_ns: self.round_trip_ns,
            floor_s,
            exact_share: places.exact_share,
            cost: places.cost() + unusual + late,
        }
    }

    fn places(&self, floor_s: f64) -> Places {
        let mut policy = self.search.server.policy.clone();
        policy.lead.floor_s = floor_s;
        Places::of(self.search.clues.trace, &self.known, &policy)
    }
}
