//! What the search for a server goes by: what the arrivals of a recording tell, whatever its server.

use super::super::generations::{Generations, Leading, generations};
use super::super::hypothesis::Hypothesis;
use super::super::pacing::Rule;
use super::super::trace::{Trace, TracedSlice};
use crate::lag::stats::percentile;
use crate::peer::policy::{EndRule, Policy};
use crate::peer::server::policy_asked_for;

/// Round trips are shorter than this as a rule, in nanoseconds; where a pong took longer, it may
/// itself have waited.
const LONGEST_PONG_NS: i64 = 250_000_000;

/// What a recording tells.
pub(super) struct Clues<'a> {
    pub trace: &'a Trace,
    /// Upstream's server, with what the config asked for and what the shapes of slices show.
    pub plain: Hypothesis,
    /// The slice of each turn.
    pub leading: Vec<Leading>,
    /// Usual time between two reports, in seconds.
    pub tick_s: f64,
}

impl<'a> Clues<'a> {
    pub fn of(trace: &'a Trace) -> Self {
        let Generations { turns: generations, leading, spills, new_frames } = generations(trace);
        let transits = generations.iter().map(|generation| generation.transit_ns);
        let mean_transit_ns = transits.sum::<i64>() / generations.len().max(1) as i64;
        let plain = Hypothesis {
            policy: policy_of(trace, spills),
            rule: Rule::default(),
            round_trip_ns: 0,
            generations,
            queue: None,
            gate: None,
            link: None,
            new_frames,
            mean_transit_ns,
        };
        Self { trace, plain, leading, tick_s: tick_s(trace) }
    }

    /// A round trip to try: that of pings, or one of some.
    pub fn way_ns(&self, tried_ns: i64) -> i64 {
        let pong_ns = self.trace.shortest_ping_ns.and_then(|ns| i64::try_from(ns).ok());
        pong_ns.filter(|&ns| ns < LONGEST_PONG_NS).map_or(tried_ns, |ns| ns + tried_ns / 16)
    }

    /// The round trip where pings tell it, else the shortest, in nanoseconds.
    pub fn known_way_ns(&self) -> i64 {
        self.way_ns(0)
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
