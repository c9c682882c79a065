//! Half seconds of the stream: where slices landed, how many came, and how far generation went.

use crate::diagnosis::view::{SliceRow, Stretch, View, folded, quantile};

/// Length of a step, in seconds: nine slices of a usual server, two of the slowest that keeps up.
const STEP_S: f64 = 0.5;

/// Leads that fall with time are followed from step to step, in seconds. What lies further away is of
/// another kind, as a region that a client asked for.
const FOLLOWED_S: f64 = 1.5;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub at: Stretch,
    /// Median lead, followed over half a loop and on.
    pub lead_s: f64,
    pub slices: usize,
    pub bytes: f64,
    pub work_s: f64,
    /// Time from the last slice before to the last in it, and the generations done in that time.
    pub elapsed_s: f64,
    pub generations: f64,
    pub is_reused: bool,
}

/// The steps that slices came in.
pub fn paces(view: &View) -> Vec<Step> {
    let mut paces: Vec<Step> = Vec::new();
    let mut from = 0;
    while let Some(first) = view.slices.get(from) {
        let step_s = (first.t_s / STEP_S).floor() * STEP_S;
        let at = Stretch { from_s: step_s, to_s: step_s + STEP_S };
        let len = view.slices[from..].iter().take_while(|it| it.t_s < at.to_s).count().max(1);
        let before = from.checked_sub(1).map(|before| &view.slices[before]);
        let pace = pace(view, at, &view.slices[from..from + len], before, paces.last());
        paces.push(pace);
        from += len;
    }
    without_strays(paces)
}

/// A single step whose leads lie elsewhere than those on both sides of it has the leads of these.
fn without_strays(mut paces: Vec<Step>) -> Vec<Step> {
    let is_far = |one_s: f64, two_s: f64| (one_s - two_s).abs() > FOLLOWED_S;
    for at in 1..paces.len().saturating_sub(1) {
        let [before_s, lead_s, after_s] = [at - 1, at, at + 1].map(|at| paces[at].lead_s);
        if is_far(lead_s, before_s) && is_far(lead_s, after_s) && !is_far(before_s, after_s) {
            paces[at].lead_s = (before_s + after_s) / 2.0;
        }
    }
    paces
}

fn pace(
    view: &View,
    at: Stretch,
    slices: &[SliceRow],
    before: Option<&SliceRow>,
    last: Option<&Step>,
) -> Step {
    let loop_s = view.loop_s(at.from_s);
    // Slices in front of the loop's end are clamped to it, so that single leads lie elsewhere.
    let near = slices.first().map_or(0.0, |slice| slice.lead_s);
    let leads = slices.iter().map(|slice| near + folded(slice.lead_s - near, loop_s));
    let lead_s = quantile(leads, 0.5);
    let moves = breaks(view, last.map_or(at.from_s, |last| last.at.from_s), at.to_s);
    let followed = last.filter(|_| !moves).map(|last| {
        let by_s = folded(lead_s - last.lead_s, loop_s);
        (last.lead_s + by_s, by_s.abs() <= FOLLOWED_S)
    });
    let lead_s = match followed {
        Some((lead_s, true)) => lead_s,
        _ => folded(lead_s, loop_s),
    };
    let (elapsed_s, generations) = match (before, slices.last()) {
        (Some(before), Some(to)) if to.generations >= before.generations => {
            (to.t_s - before.t_s, to.generations - before.generations)
        }
        _ => (0.0, 0.0),
    };
    Step {
        at,
        lead_s,
        slices: slices.len(),
        bytes: slices.iter().map(|slice| slice.bytes).sum(),
        work_s: quantile(slices.iter().map(SliceRow::work_s), 0.5),
        elapsed_s,
        generations,
        is_reused: slices.iter().all(|it| it.is_reused),
    }
}

/// Whether the playhead went elsewhere, or another buffer came, in between.
pub fn breaks(view: &View, from_s: f64, to_s: f64) -> bool {
    let within = |t_s: f64| t_s > from_s && t_s <= to_s;
    view.jumps.iter().any(|&(t_s, _)| within(t_s))
        || view.buffers.iter().skip(1).any(|buffer| within(buffer.t_s))
        || view.ops.iter().any(|&(t_s, _)| within(t_s))
}

/// The longest that slices waited on their way, in seconds: how far the generations that came were behind
/// those that a generator finishes meanwhile at a rate per second. 0 where the rate is.
pub fn waited_s(steps: &[Step], generations_per_s: f64) -> f64 {
    if generations_per_s <= 0.0 {
        return 0.0;
    }
    let waits = steps.iter().scan(0.0_f64, |waited_s, step| {
        *waited_s = (*waited_s + step.elapsed_s - step.generations / generations_per_s).max(0.0);
        Some(*waited_s)
    });
    waits.fold(0.0, f64::max)
}

/// Slices that come by such a share slower than they are made are held up: a server needs some 2 % between
/// two.
const HELD_UP: f64 = 0.13;
/// The rates at which the slices of a full link come lie so many times apart at most, for this share of the
/// time.
const FULL_WITHIN: f64 = 1.5;
const FULL_SHARE: f64 = 0.8;

/// A slice took as long as it was big, one after the other: the link was never empty.
fn is_full(view: &View, stretch: Stretch) -> bool {
    let slices = view.slices_in(stretch).iter();
    let timed: Vec<(f64, f64)> = slices.filter_map(|it| Some((it.bytes, it.interval_s?))).collect();
    let rate = |&(bytes, interval_s): &(f64, f64)| bytes / interval_s.max(1e-6);
    let usual = quantile(timed.iter().map(rate), 0.5);
    let is_near = |it: &&(f64, f64)| {
        let times = rate(it) / usual;
        (1.0 / FULL_WITHIN..FULL_WITHIN).contains(&times)
    };
    let sum_s = |of: &mut dyn Iterator<Item = &(f64, f64)>| of.map(|it| it.1).sum::<f64>();
    let near_s = sum_s(&mut timed.iter().filter(is_near));
    near_s >= FULL_SHARE * sum_s(&mut timed.iter())
}

/// By what share slices come slower than their headers say that they were made: on a link that sends them in
/// their order, leads fall by as much a second. 1 where headers do not tell.
pub fn slower_than_made(view: &View, stretch: Stretch) -> f64 {
    let sum = |of: fn(&SliceRow) -> f64| view.slices_in(stretch).iter().map(of).sum::<f64>();
    1.0 - sum(SliceRow::work_s) / sum(|it| it.interval_s.unwrap_or(0.0)).max(1e-6)
}

/// Slices come slower than they were made, and through a full link: it tells where nothing is known of better
/// times.
pub fn is_held_up(view: &View, stretch: Stretch) -> bool {
    let slower = slower_than_made(view, stretch);
    (HELD_UP..1.0).contains(&slower) && is_full(view, stretch)
}

/// What several steps have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PaceSum {
    pub elapsed_s: f64,
    pub slices: f64,
    pub bytes: f64,
    pub generations: f64,
    pub work_s: f64,
}

impl PaceSum {
    pub fn of(paces: &[Step]) -> PaceSum {
        let sum = |of: fn(&Step) -> f64| paces.iter().map(of).sum::<f64>();
        PaceSum {
            elapsed_s: sum(|it| it.elapsed_s),
            slices: sum(|it| it.slices as f64),
            bytes: sum(|it| it.bytes),
            generations: sum(|it| it.generations),
            work_s: quantile(paces.iter().map(|it| it.work_s), 0.75),
        }
    }

    /// Slices against the usual number, as a share.
    pub fn slice_share(&self, view: &View) -> f64 {
        self.slices * view.usual.interval_s / self.elapsed_s.max(1e-6)
    }

    /// Generations against the usual number, as a share.
    pub fn generation_share(&self, view: &View) -> f64 {
        self.generations / (self.elapsed_s * view.usual.generations_per_s).max(1e-6)
    }

    pub fn bytes_per_s(&self) -> f64 {
        self.bytes / self.elapsed_s.max(1e-6)
    }
}
