//! Servers that are not as upstream's was in June 2026, as far as a recording tells.
//!
//! Enters: a fit that does not repeat its recording. Leaves: others that may, the plainest first: of a
//! server that leaves something out, of one that put slices behind the listener for a while, of one
//! with other constants, of one that fell behind the reports. None is believed for what it assumes:
//! whoever takes one checks that it repeats the recording, by the bound that holds for all.

use super::fit::Fit;
use super::generations::Generation;
use super::looks::Looks;
use super::queue::Queue;
use super::trace::Trace;
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::policy::{LeadPolicy, Policy};
use crate::time::Nanos;

/// A spell in which the server put slices that far behind where it took the listener to be.
///
/// No lead controller does that, whatever its constants, so it is kept as a fact: in a
/// counterfactual session the server aims there at the same moments. Leads that the client
/// reports of these slices were not heeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Displaced {
    /// The first look.
    pub from: Nanos,
    /// The last look.
    pub to: Nanos,
    /// How far behind, in seconds.
    pub behind_s: f64,
}

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
/// For this long after a spell the leads reported may still be of its slices, in nanoseconds.
const ECHO_NS: u64 = 1_000_000_000;

/// Parts of the policy that servers before those of June 2026 lack, or scripted ones.
const PARTS: [fn(&mut Policy); 3] = [
    |policy| policy.lead.reserve_cap_s = 0.0,
    |policy| policy.lead.transport = None,
    |policy| policy.clock.use_client_time = false,
];

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

/// Steps of the search for a backlog: the first of this share of the reports' cadence, over the first
/// slices; each next one finer by this factor, over more slices by the same.
const FIRST_STEP: f64 = 0.005;
const FIRST_SLICES: usize = 64;
const FINER: usize = 4;
/// Least share of the reports that a server takes.
const LEAST_TAKEN: f64 = 0.2;

/// A rest longer than this many turns is the time of turns that were shed.
const SHED_AFTER: f64 = 0.6;

impl Displaced {
    /// Whether the look at that moment lies in the spell.
    pub(super) fn contains(&self, at: Nanos) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Whether leads taken at that moment may be of its slices.
    pub(super) fn echoes(&self, at: Nanos) -> bool {
        self.from <= at && at.0 <= self.to.0.saturating_add(ECHO_NS)
    }
}

impl Fit {
    /// The plainest server of another kind that repeats the recording.
    pub(super) fn of_another_server(&self, trace: &Trace) -> Option<Fit> {
        let lacking = policies(&self.policy, trace)
            .into_iter()
            .skip(1)
            .map(|policy| Fit { policy, ..self.clone() }.searched(trace));
        let displaced =
            std::iter::once_with(|| self.displaced_spells(trace).searched(trace).aimed(trace));
        let tuned = policies(&self.policy, trace)
            .into_iter()
            .map(|policy| Fit { policy, ..self.clone() }.searched(trace).tuned(trace));
        let late = policies(&self.policy, trace)
            .into_iter()
            .flat_map(|policy| Fit { policy, ..self.clone() }.behind_reports(trace));
        lacking.chain(displaced).chain(tuned).chain(late).find_map(|fit| fit.checked(trace).ok())
    }

    /// The same with those constants of the lead that the places of slices tell: a recording whose
    /// gaps are long shows more of them than the floor.
    pub(super) fn tuned(mut self, trace: &Trace) -> Fit {
        let cost = |fit: &Fit, policy: &Policy| {
            fit.places(trace, policy, fit.round_trip_ns, TUNED_SLICES).cost()
        };
        let mut best = cost(&self, &self.policy);
        for halvings in 0..TUNE_HALVINGS {
            for _ in 0..TUNE_ROUNDS {
                let before = best;
                for (constant, range, step) in CONSTANTS {
                    for way in [-1.0, 1.0] {
                        let mut policy = self.policy.clone();
                        let value = constant(&mut policy.lead);
                        let moved = *value + way * step / f64::from(1 << halvings);
                        *value = moved.clamp(range.0, range.1);
                        let there = cost(&self, &policy);
                        if there < best {
                            (best, self.policy) = (there, policy);
                        }
                    }
                }
                if best == before {
                    break;
                }
            }
        }
        self
    }

    /// The same with the spells in which slices surely went behind the listener, not yet aimed.
    fn displaced_spells(&self, trace: &Trace) -> Fit {
        let mut spells: Vec<Displaced> = Vec::new();
        let (mut run, mut displaced, mut count) = (Vec::new(), 0, 0);
        let mut end = |run: &mut Vec<Nanos>| {
            if run.len() >= LEAST_SLICES {
                displaced += run.len();
                spells.push(Displaced { from: run[0], to: run[run.len() - 1], behind_s: 0.0 });
            }
            run.clear();
        };
        for (at, distance_s) in self.distances(trace, self.known_way_ns(trace)) {
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
        Fit { displaced: spells, ..self.clone() }
    }

    /// The same with the distance of each spell; without those that have none.
    fn aimed(mut self, trace: &Trace) -> Fit {
        let distances: Vec<_> = self.distances(trace, self.round_trip_ns).collect();
        let grid = f64::from(self.policy.placement.grid_frames);
        let grid_s = grid.max(1.0) / f64::from(trace.sample_rate);
        self.displaced.retain_mut(|spell| {
            let of_spell = distances.iter().filter(|(at, _)| spell.contains(*at));
            let own: Vec<f64> = of_spell.map(|(_, distance_s)| -distance_s).collect();
            let (behind_s, share) = common_distance(own, grid_s);
            spell.behind_s = behind_s;
            share >= AT_ONE_DISTANCE
        });
        self
    }

    /// Of each look how far ahead of the server's estimate its slice was put, in seconds.
    fn distances<'a>(
        &'a self,
        trace: &'a Trace,
        round_trip_ns: i64,
    ) -> impl Iterator<Item = (Nanos, f64)> + 'a {
        let sent = Looks::new(self, trace, &self.policy, round_trip_ns).filter(|look| !look.shed);
        sent.zip(&self.starts).map(|(look, start)| {
            let ahead = fold_lead(*start, look.estimate as u64, trace.frames);
            (look.at, ahead as f64 / f64::from(trace.sample_rate))
        })
    }

    /// The same for a server that takes reports one after another, slower than they come; first
    /// as if the model knew what it shed for that, then with what was shed kept.
    fn behind_reports(mut self, trace: &Trace) -> Vec<Fit> {
        if trace.acknowledges() {
            self.find_shed();
        }
        self.round_trip_ns = self.known_way_ns(trace);
        let cadence = 1.0 / self.tick_s;
        let mut step = FIRST_STEP * cadence;
        let steps = (LEAST_TAKEN / FIRST_STEP) as i32..(1.0 / FIRST_STEP) as i32;
        let mut tried: Vec<f64> = steps.map(|i| f64::from(i) * step).collect();
        let mut slices = FIRST_SLICES;
        loop {
            let weighed = tried.into_iter().map(|per_s| self.backlog(trace, per_s, slices));
            let best = weighed.min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((_, per_s, policy)) = best else { return Vec::new() };
            if slices >= self.generations.len() {
                self.policy = policy;
                break;
            }
            step /= FINER as f64;
            slices *= FINER;
            let around = 2 * FINER as i32;
            tried = (-around..=around).map(|i| per_s + f64::from(i) * step).collect();
        }
        let kept = Queue::of_intake(trace.begins);
        let sheds = self.generations.iter().any(|turn| turn.shed);
        let with_shed = sheds.then(|| Fit { queue: Some(kept), ..self.clone() });
        std::iter::once(self).chain(with_shed).collect()
    }

    /// What is wrong with a backlog of that many reports a second over the first slices, and the
    /// policy with it, its floor where most of them are.
    fn backlog(&self, trace: &Trace, per_s: f64, slices: usize) -> (f64, f64, Policy) {
        let mut policy = self.policy.clone();
        policy.intake.backlog_per_s = Some(per_s);
        let places = |policy: &Policy| self.places(trace, policy, self.round_trip_ns, slices);
        let plain = places(&policy);
        let mut moved = policy.clone();
        moved.lead.floor_s = (policy.lead.floor_s + plain.shift_s).clamp(0.0, 5.0);
        let (cost, moved_cost) = (plain.cost(), places(&moved).cost());
        if moved_cost < cost { (moved_cost, per_s, moved) } else { (cost, per_s, policy) }
    }

    /// Fills what lies between slices with the turns that were shed because acknowledgements were
    /// late: a server that is paced by its work rests for no whole turn.
    fn find_shed(&mut self) {
        let figure = |q: f64, of: fn(&Generation) -> i64| {
            percentile(
                &mut self.generations.iter().map(|turn| of(turn) as f64).collect::<Vec<_>>(),
                q,
            )
        };
        let usual_rest_ns = figure(0.5, |turn| turn.rest_ns) as i64;
        let (tick_ns, decode_ns) =
            (figure(0.5, |turn| turn.tick_ns) as i64, figure(0.5, |turn| turn.decode_ns) as i64);
        let period_ns = (usual_rest_ns + tick_ns + decode_ns).max(1);
        let mut turns = Vec::with_capacity(self.generations.len());
        for &turn in &self.generations {
            let idle_ns = turn.rest_ns - usual_rest_ns;
            let shed = (idle_ns as f64 / period_ns as f64 + 1.0 - SHED_AFTER).floor();
            if turns.is_empty() || shed < 1.0 {
                turns.push(turn);
                continue;
            }
            let each_ns = idle_ns / shed as i64;
            let tick_ns = each_ns - usual_rest_ns - decode_ns;
            let rest_ns = usual_rest_ns;
            let missed =
                Generation { rest_ns, tick_ns, decode_ns, shed: true, transit_ns: 0, ..turn };
            turns.extend(std::iter::repeat_n(missed, shed as usize));
            turns.push(Generation { rest_ns: turn.rest_ns - each_ns * shed as i64, ..turn });
        }
        self.generations = turns;
    }
}

/// Upstream's policy, and those that lack some of its parts, the fewer the sooner. What the client
/// never said cannot be heeded, so that its lack does not show.
fn policies(policy: &Policy, trace: &Trace) -> Vec<Policy> {
    let reports_leads = trace.ticks.iter().any(|tick| tick.lead_s.is_some());
    let shown = [true, reports_leads, trace.is_modern()];
    let mut lacks: Vec<usize> = (0..1 << PARTS.len())
        .filter(|lacks| (0..PARTS.len()).all(|part| lacks >> part & 1 == 0 || shown[part]))
        .collect();
    lacks.sort_by_key(|lacks| lacks.count_ones());
    let without = |lacks: usize| {
        let mut policy = policy.clone();
        let lacking = PARTS.iter().enumerate().filter(|(part, _)| lacks >> part & 1 == 1);
        lacking.for_each(|(_, leave_out)| leave_out(&mut policy));
        policy
    };
    lacks.into_iter().map(without).collect()
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
