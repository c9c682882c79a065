//! What a recording tells of the server that made it.
//!
//! Enters: a trace. Leaves: [`Fit`]: the round trip, the policy where it differs from upstream's
//! and shows in the places of slices, and the model's error on this very recording. Constants that
//! nothing in the recording depends on keep upstream's values, or those that the config asked for.

use std::ops::Range;

use super::change::Change;
use super::generations::{Generation, Generations, Leading, NewFrames, generations};
use super::habits::Displaced;
use super::looks::Looks;
use super::predict::{Luck, predict};
use super::queue::{Queue, ahead_s, behind_queue};
use super::trace::{Trace, TracedSlice};
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::pacing::Placement;
use crate::peer::policy::{EndRule, Policy};
use crate::peer::rng::Rng;
use crate::peer::server::policy_asked_for;
use crate::time::Nanos;

/// A model whose leads are off by more than this in one of twenty slices of the recording itself
/// answers no question about another: one and a half steps of the grid on which slices start.
pub const MAX_LEAD_ERROR_S: f64 = 0.06;

/// A model without a counterpart for more than this share of the slices answers none either.
pub const MAX_MISSING_SHARE: f64 = 0.1;

/// Slices that the search for the round trip looks at: the first ones, enough for a half minute.
const SEARCHED_SLICES: usize = 600;
/// A slice answers a report by this much later than a pong answers a ping at most, in nanoseconds:
/// jitter, the intake's turn, encoding.
const LATER_THAN_PONG_NS: i64 = 10_000_000;
/// Longest round trip that is looked for, in nanoseconds, and the steps of the search.
const LONGEST_ROUND_TRIP_NS: i64 = 1_000_000_000;
const SEARCH_STEPS_NS: [i64; 3] = [4_000_000, 1_000_000, 250_000];
/// One place missed costs as much as a lead that is off by this, in seconds, and no place more.
const MISS_S: f64 = 0.2;
/// With this share of places met upstream's constants are taken as they are.
const GOOD_SHARE: f64 = 0.85;
/// The first places tell the floor and the round trip apart, because no report has come yet or only
/// few have; later a longer way and a higher floor look the same. Each of them missed costs this.
const FIRST_MISS: f64 = 0.03;
const FIRST_SLICES: usize = 8;
/// Round trips that are tried behind a queue, where only the first slices depend on it.
const QUEUED_WAYS_NS: [i64; 6] = [0, 10_000_000, 25_000_000, 50_000_000, 80_000_000, 120_000_000];
/// What a second costs by which a server began before the initial buffer arrived, in spreads.
const AHEAD_COST: f64 = 0.1;
/// Behind a queue a floor further than this from upstream's is as unlikely as each slice made one
/// spread from its likely moment.
const QUEUED_FLOOR_S: f64 = 0.5;
/// Beside an equal fit a floor nearer to upstream's is likelier: cost of one second.
const FLOOR_PRIOR: f64 = 0.05;

/// What was fitted to a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// The server's policy.
    pub policy: Policy,
    /// Both ways and what the server needs to take a report and to hand a slice over, in
    /// nanoseconds.
    pub round_trip_ns: i64,
    /// The turns of the loop that generates.
    pub generations: Vec<Generation>,
    /// The link, where it was too thin for the stream and slices waited for it. Then what was shed
    /// and how long the rest was on its way are facts, and only where slices go is computed anew.
    pub queue: Option<Queue>,
    /// When the server put slices behind the listener, whatever the reports said.
    pub displaced: Vec<Displaced>,
    /// What frames of a slice cost that the slice before did not cover.
    pub new_frames: NewFrames,
    /// Usual time between two slices, in nanoseconds.
    pub period_ns: i64,
    /// Usual time between two reports, in seconds.
    pub tick_s: f64,
    /// How well the model repeats the recording.
    pub factual_error: FactualError,
    pub(super) mean_transit_ns: i64,
    /// Where the slices of the turns began that arrived.
    pub(super) starts: Vec<u32>,
}

/// How well the model repeats the recording from the reports that it makes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct FactualError {
    /// Share of recorded slices that it places exactly.
    pub exact_share: f64,
    /// 95th percentile of the absolute error of their leads, in seconds.
    pub lead_error_p95_s: f64,
    /// Recorded slices that it has no counterpart for, as a share.
    pub missing_share: f64,
}

/// Why the model is of no use for a recording.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The model makes slices at other moments.
    #[error("the model does not know {missing_share:.2} of the slices that arrived")]
    Elsewhere {
        /// Share of slices without a counterpart.
        missing_share: f64,
    },
    /// The model puts slices elsewhere.
    #[error(
        "the model is off by {lead_error_p95_s:.3} s on the recording itself and may be by at most \
         {MAX_LEAD_ERROR_S} s"
    )]
    Unlike {
        /// Its error.
        lead_error_p95_s: f64,
    },
}

impl Fit {
    /// Fits the model to a recording.
    ///
    /// # Errors
    /// Where the model does not repeat the recording well enough.
    pub fn of(trace: &Trace) -> Result<Self, FitError> {
        let Generations { turns: generations, leading, spills, new_frames } = generations(trace);
        let mut periods: Vec<f64> =
            trace.slices.windows(2).map(|pair| (pair[1].at.0 - pair[0].at.0) as f64).collect();
        let transits = generations.iter().map(|generation| generation.transit_ns);
        let mean_transit_ns = transits.sum::<i64>() / generations.len().max(1) as i64;
        let fit = Self {
            policy: policy_of(trace, spills),
            round_trip_ns: 0,
            generations,
            starts: leading.iter().map(|slice| slice.start).collect(),
            queue: None,
            displaced: Vec::new(),
            new_frames,
            period_ns: percentile(&mut periods, 0.5) as i64,
            tick_s: tick_s(trace),
            factual_error: FactualError::default(),
            mean_transit_ns,
        };
        let plain = fit.clone().searched(trace).checked(trace);
        plain.map(|plain| plain.or_tuned(trace)).or_else(|refused| {
            let queued = fit.clone().behind_queue(trace, &leading);
            queued.or_else(|| fit.of_another_server(trace)).ok_or(refused)
        })
    }

    /// The same, or with constants of the lead that it shows, where they repeat more of it.
    fn or_tuned(self, trace: &Trace) -> Self {
        if self.factual_error.exact_share >= GOOD_SHARE {
            return self;
        }
        match self.clone().tuned(trace).checked(trace) {
            Ok(tuned) if tuned.factual_error.exact_share > self.factual_error.exact_share => tuned,
            _ => self,
        }
    }

    /// The fit, if it repeats the recording well enough.
    pub(super) fn checked(mut self, trace: &Trace) -> Result<Self, FitError> {
        self.factual_error = self.repeat(trace);
        let FactualError { lead_error_p95_s, missing_share, .. } = self.factual_error;
        if missing_share > MAX_MISSING_SHARE {
            return Err(FitError::Elsewhere { missing_share });
        }
        if lead_error_p95_s > MAX_LEAD_ERROR_S || lead_error_p95_s.is_nan() {
            return Err(FitError::Unlike { lead_error_p95_s });
        }
        Ok(self)
    }

    /// The fit if slices waited for their link, where that repeats the recording.
    fn behind_queue(mut self, trace: &Trace, leading: &[Leading]) -> Option<Self> {
        // Of the first slices only, so that long recordings take no longer.
        let searched = &leading[..leading.len().min(SEARCHED_SLICES)];
        let usual_s = self.policy.lead.floor_s;
        let begun = ahead_s(trace, &self.policy, searched).into_iter().filter_map(|ahead_s| {
            let way_ns = self.queued_way_ns(trace, QUEUED_WAYS_NS[0]);
            let turns = &self.generations;
            let behind = behind_queue(trace, &self.policy, way_ns, ahead_s, turns, searched)?;
            // A little more than none: beside equal costs the server began when it should.
            Some((behind.cost + AHEAD_COST * ahead_s, ahead_s))
        });
        let (_, ahead_s) = begun.min_by(|a, b| a.0.total_cmp(&b.0))?;
        let weighed = |round_trip_ns: i64, floor_s: f64| {
            let mut policy = self.policy.clone();
            policy.lead.floor_s = floor_s;
            let behind =
                behind_queue(trace, &policy, round_trip_ns, ahead_s, &self.generations, searched)?;
            let cost = behind.cost + (floor_s - usual_s).abs() / QUEUED_FLOOR_S;
            Some((cost, round_trip_ns, floor_s))
        };
        let ways = || QUEUED_WAYS_NS.into_iter().map(|step_ns| self.queued_way_ns(trace, step_ns));
        let floors = (-4..=8).map(|step| usual_s + 0.02 * f64::from(step));
        let candidates = floors.flat_map(|floor_s| ways().map(move |way_ns| (way_ns, floor_s)));
        let costs = candidates.filter_map(|(way_ns, floor_s)| weighed(way_ns, floor_s));
        let best = costs.min_by(|a, b| a.0.total_cmp(&b.0))?;
        (self.round_trip_ns, self.policy.lead.floor_s) = (best.1, best.2);
        let all = behind_queue(trace, &self.policy, best.1, ahead_s, &self.generations, leading)?;
        self.generations = all.turns;
        self.queue = Some(all.queue);
        self.checked(trace).ok()
    }

    /// A round trip to try: that of pings, or one of some.
    fn queued_way_ns(&self, trace: &Trace, tried_ns: i64) -> i64 {
        let pong_ns = trace.shortest_ping_ns.and_then(|ns| i64::try_from(ns).ok());
        // The pongs themselves may have waited.
        pong_ns
            .filter(|&ns| ns < LONGEST_ROUND_TRIP_NS / 4)
            .map_or(tried_ns, |ns| ns + tried_ns / 16)
    }

    /// How much longer one report travels than the fitted way: like some slice of the recording.
    pub(super) fn jitter_ns(&self, rng: &mut Rng) -> i64 {
        if self.queue.is_some() {
            return 0;
        }
        let index = (rng.unit() * self.generations.len() as f64) as usize;
        self.generations[index].transit_ns - self.mean_transit_ns
    }

    /// The round trip where pings tell it, else the shortest, in nanoseconds.
    pub(super) fn known_way_ns(&self, trace: &Trace) -> i64 {
        self.queued_way_ns(trace, QUEUED_WAYS_NS[0])
    }

    /// The fit with the round trip and the lead floor that explain its places best.
    pub(super) fn searched(mut self, trace: &Trace) -> Self {
        self.search(trace);
        self
    }

    /// A recording of a steady listener shows only the floor less the round trip, up to whole
    /// periods of the reports. Pings tell the round trip; else upstream's floor tells them apart, and
    /// where that does not fit the first slices do.
    fn search(&mut self, trace: &Trace) {
        let range = match trace.shortest_ping_ns.and_then(|ns| i64::try_from(ns).ok()) {
            Some(pong_ns) => pong_ns..pong_ns.saturating_add(LATER_THAN_PONG_NS),
            None => 0..LONGEST_ROUND_TRIP_NS,
        };
        let mut best = self.search_round_trip(trace, range.clone(), self.policy.lead.floor_s);
        if best.exact_share < GOOD_SHARE {
            let either = self.search_both(trace, range, best);
            if either.cost < best.cost {
                best = either;
            }
        }
        self.round_trip_ns = best.round_trip_ns;
        self.policy.lead.floor_s = best.floor_s;
    }

    fn search_both(&self, trace: &Trace, range: Range<i64>, plain: Candidate) -> Candidate {
        let usual_s = plain.floor_s;
        let coarse_ns = SEARCH_STEPS_NS[usize::from(range.end - range.start < 50_000_000)];
        let mut best = plain;
        for round_trip_ns in range.clone().step_by(coarse_ns as usize) {
            let shift_s = self.floor_places(trace, round_trip_ns, best.floor_s).shift_s;
            let floor_s = (best.floor_s + shift_s).clamp(0.0, 5.0);
            let near = self.weigh(trace, round_trip_ns, floor_s, usual_s);
            if near.cost < best.cost {
                best = near;
            }
        }
        for step_ns in SEARCH_STEPS_NS.into_iter().skip(1) {
            best = self.search_around(trace, &range, best, step_ns, usual_s);
        }
        best
    }

    /// The best of the round trips and floors near one, in steps of that length and of twice it.
    fn search_around(
        &self,
        trace: &Trace,
        range: &Range<i64>,
        around: Candidate,
        step_ns: i64,
        usual_s: f64,
    ) -> Candidate {
        let mut best = around;
        for (i, j) in (-6..=6_i64).flat_map(|i| (-10..=10_i64).map(move |j| (i, j))) {
            let floor_s = (around.floor_s + (2 * j * step_ns) as f64 / 1e9).max(0.0);
            let round_trip_ns = (around.round_trip_ns + i * step_ns).clamp(range.start, range.end);
            let near = self.weigh(trace, round_trip_ns, floor_s, usual_s);
            if near.cost < best.cost {
                best = near;
            }
        }
        best
    }

    fn search_round_trip(&self, trace: &Trace, range: Range<i64>, floor_s: f64) -> Candidate {
        let mut best = self.weigh(trace, range.start, floor_s, floor_s);
        let mut near = range.clone();
        for step_ns in SEARCH_STEPS_NS {
            for round_trip_ns in near.step_by(step_ns as usize) {
                let candidate = self.weigh(trace, round_trip_ns, floor_s, floor_s);
                if candidate.cost < best.cost {
                    best = candidate;
                }
            }
            let least = (best.round_trip_ns - step_ns).max(range.start);
            near = least..(best.round_trip_ns + step_ns).min(range.end);
        }
        best
    }

    fn weigh(&self, trace: &Trace, round_trip_ns: i64, floor_s: f64, usual_s: f64) -> Candidate {
        let places = self.floor_places(trace, round_trip_ns, floor_s);
        let unusual = FLOOR_PRIOR * (floor_s - usual_s).abs();
        let late = 0.01 * round_trip_ns as f64 / 1e9;
        Candidate {
            round_trip_ns,
            floor_s,
            exact_share: places.exact_share,
            cost: places.cost() + unusual + late,
        }
    }

    fn floor_places(&self, trace: &Trace, round_trip_ns: i64, floor_s: f64) -> Places {
        let mut policy = self.policy.clone();
        policy.lead.floor_s = floor_s;
        self.places(trace, &policy, round_trip_ns, SEARCHED_SLICES)
    }

    /// How the pacing places the first slices of the recording when it is fed with its reports.
    pub(super) fn places(
        &self,
        trace: &Trace,
        policy: &Policy,
        round_trip_ns: i64,
        slices: usize,
    ) -> Places {
        let (frames, sample_rate) = (trace.loop_frames(), trace.sample_rate);
        let placement = Placement::new(&policy.placement, frames, sample_rate);
        let mut starts = trace.slices.iter().map(|slice| slice.header.start);
        let (mut exact, mut errors_s) = (0, Vec::new());
        for look in Looks::new(self, trace, policy, round_trip_ns).take(slices) {
            if look.shed {
                continue;
            }
            let placed = placement.place(look.estimate, look.advance_s);
            let Some(start) = starts.next() else { break };
            if placed.spill.is_some() {
                starts.next();
            }
            // How far behind the listener it went is not known before the round trip is.
            if self.displaced_at(look.at).is_some() {
                continue;
            }
            let off = fold_lead(start, u64::from(placed.region.start), trace.frames);
            exact += usize::from(off == 0);
            errors_s.push(off as f64 / f64::from(sample_rate));
        }
        let first_missed = errors_s.iter().take(FIRST_SLICES).filter(|&&off| off != 0.0).count();
        let count = errors_s.len().max(1) as f64;
        let error_s = errors_s.iter().map(|error| error.abs().min(MISS_S)).sum::<f64>() / count;
        let shift_s = percentile(&mut errors_s, 0.5);
        Places { exact_share: exact as f64 / count, error_s, shift_s, first_missed }
    }

    /// How far behind the listener the server put slices at that moment, in seconds.
    pub(super) fn displaced_at(&self, at: Nanos) -> Option<f64> {
        self.displaced.iter().find(|spell| spell.contains(at)).map(|spell| spell.behind_s)
    }

    /// Whether the server took leads seriously that it was told of at that moment.
    pub(super) fn heeds_leads(&self, at: Nanos) -> bool {
        !self.displaced.iter().any(|spell| spell.echoes(at))
    }

    /// Lets the model repeat the recording, with reports of its own making.
    fn repeat(&self, trace: &Trace) -> FactualError {
        let nothing = Change::default();
        let repeated = predict(trace, self, &self.policy, &nothing, &Luck::default());
        let mut ours = repeated.tracker.slices().peekable();
        let (mut exact, mut missing, mut errors_s) = (0_u32, 0_u32, Vec::new());
        for slice in &trace.slices {
            let at_s = slice.at.seconds();
            while ours.next_if(|ours| ours.t_s < at_s - 0.000_5).is_some() {}
            let Some(ours) = ours.next_if(|ours| ours.t_s <= at_s + 0.000_5) else {
                missing += 1;
                continue;
            };
            let off = fold_lead(slice.header.start, u64::from(ours.start), trace.frames);
            exact += u32::from(off == 0);
            errors_s.push(off.unsigned_abs() as f64 / f64::from(trace.sample_rate));
        }
        let count = trace.slices.len().max(1) as f64;
        FactualError {
            exact_share: f64::from(exact) / count,
            lead_error_p95_s: percentile(&mut errors_s, 0.95),
            missing_share: f64::from(missing) / count,
        }
    }
}

#[derive(Clone, Copy)]
struct Candidate {
    round_trip_ns: i64,
    floor_s: f64,
    exact_share: f64,
    cost: f64,
}

/// How well a pacing puts slices where they are.
pub(super) struct Places {
    exact_share: f64,
    error_s: f64,
    pub shift_s: f64,
    first_missed: usize,
}

impl Places {
    /// What is wrong with them; 0 for none.
    pub fn cost(&self) -> f64 {
        let Places { exact_share, error_s, first_missed, .. } = self;
        1.0 - exact_share + error_s / MISS_S + FIRST_MISS * *first_missed as f64
    }
}

/// Upstream's policy, with what the config asked for and what the shapes of slices show.
fn policy_of(trace: &Trace, spills: bool) -> Policy {
    let mut policy = policy_asked_for(&trace.config, &Policy::default());
    let window = usual_frames(&trace.slices);
    policy.placement.window_s = f64::from(window) / f64::from(trace.sample_rate);
    let grid = policy.placement.grid_frames;
    let off_grid =
        trace.slices.iter().filter(|slice| !slice.header.start.is_multiple_of(grid)).count();
    if off_grid * 10 > trace.slices.len() {
        policy.placement.grid_frames = 1;
    }
    let clamped = u64::from(window) <= trace.frames
        && trace.slices.iter().all(|slice| slice.header.frames >= window);
    if spills {
        policy.placement.at_end = EndRule::Spill;
    } else if clamped && passes_end(trace) {
        policy.placement.at_end = EndRule::Clamp;
    }
    policy
}

/// Whether the recording saw the end of the loop at all.
fn passes_end(trace: &Trace) -> bool {
    let half = trace.frames / 2;
    trace
        .slices
        .windows(2)
        .any(|pair| u64::from(pair[0].header.start) > half + u64::from(pair[1].header.start))
}

fn tick_s(trace: &Trace) -> f64 {
    let steps = trace.ticks.windows(2).map(|pair| pair[1].at.seconds_since(pair[0].at));
    percentile(&mut steps.collect::<Vec<f64>>(), 0.5)
}

/// The most frequent length of a slice.
fn usual_frames(slices: &[TracedSlice]) -> u32 {
    let mut lengths: Vec<u32> = slices.iter().map(|slice| slice.header.frames).collect();
    lengths.sort_unstable();
    let runs = lengths.chunk_by(|a, b| a == b);
    runs.max_by_key(|run| run.len()).and_then(|run| run.first()).copied().unwrap_or(1)
}
