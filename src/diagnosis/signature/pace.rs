//! Half seconds of the stream: where slices landed, how many came, and how far generation went.

use crate::diagnosis::view::{SliceRow, Stretch, View, folded, quantile};

/// Length of a step, in seconds: nine slices of a usual server, two of the slowest that keeps up.
const STEP_S: f64 = 0.5;

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
    let lead_s = match last.filter(|_| !moves) {
        Some(last) => last.lead_s + folded(lead_s - last.lead_s, loop_s),
        None => folded(lead_s, loop_s),
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
fn breaks(view: &View, from_s: f64, to_s: f64) -> bool {
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
