//! The constants of the lead that the places of slices tell.
//!
//! A recording whose gaps are long shows more of them than the floor.

use super::super::hypothesis::Hypothesis;
use super::super::pacing_replay::KnownLooks;
use super::clues::Clues;
use super::places::Places;
use crate::peer::policy::{LeadPolicy, Policy};

/// A constant of the lead controller, the range in which it may lie and the first step of its search.
type Constant = (fn(&mut LeadPolicy) -> &mut f64, (f64, f64), f64);

const CONSTANTS: [Constant; 6] = [
    (|lead| &mut lead.floor_s, (0.0, 5.0), 0.04),
    (|lead| &mut lead.reserve_tau_s, (0.5, 4.0), 0.4),
    (|lead| &mut lead.gain, (1.0, 2.2), 0.1),
    (|lead| &mut lead.margin_s, (0.0, 0.15), 0.02),
    (|lead| &mut lead.gap_weight, (0.04, 0.25), 0.02),
    (|lead| &mut lead.gap_seed_s, (0.03, 0.12), 0.01),
];
/// How often the steps are halved, and how often all constants have their turn with each.
const TUNE_HALVINGS: u32 = 4;
const TUNE_ROUNDS: usize = 4;
/// Slices that this search looks at: the first ones, enough for some minutes.
const TUNED_SLICES: usize = 4_000;

/// The server with those constants of the lead that put most slices where they are.
pub(super) fn tuned(clues: &Clues<'_>, server: Hypothesis) -> Hypothesis {
    let Hypothesis { rule, policy, round_trip_ns, generations, .. } = &server;
    let turns = &generations[..generations.len().min(TUNED_SLICES)];
    let known = KnownLooks::of(clues.trace, rule, policy, *round_trip_ns, turns);
    let cost = |policy: &Policy| Places::of(clues.trace, &known, policy).cost();
    let mut tuned = policy.clone();
    let mut best = cost(&tuned);
    for halvings in 0..TUNE_HALVINGS {
        for _ in 0..TUNE_ROUNDS {
            let before = best;
            let ways =
                CONSTANTS.into_iter().flat_map(|constant| [(constant, -1.0), (constant, 1.0)]);
            for ((constant, range, step), way) in ways {
                let mut policy = tuned.clone();
                let value = constant(&mut policy.lead);
                let moved = *value + way * step / f64::from(1 << halvings);
                *value = moved.clamp(range.0, range.1);
                let there = cost(&policy);
                if there < best {
                    (best, tuned) = (there, policy);
                }
            }
            if best == before {
                break;
            }
        }
    }
    Hypothesis { policy: tuned, ..server }
}
