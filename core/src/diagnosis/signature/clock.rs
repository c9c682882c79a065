//! The server's clock: which positions it acts on, and how far ahead it places.

use std::ops::Range;

use super::load::LateSpell;
use super::pace::{PaceSum, Step, breaks, is_held_up, slower_than_made, waited_s};
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{STARTED_S, SliceRow, Stretch, View, folded, quantile};

/// Leads this far below the usual one have fallen, in seconds: more than jitter and a stair of 85 ms do.
const FALLEN_S: f64 = 0.15;
/// They fall for so long at least, and so far, in seconds.
const FALLS_FOR_S: f64 = 1.5;
const FALLS_BY_S: f64 = 0.3;
/// A fall slower than this has been one for a while before it shows, in seconds per second.
const SLOW: f64 = 0.2;
/// A fall at once is looked for so close to the onset, in seconds: the half second that a step lies in.
const STEP_WITHIN_S: f64 = 0.5;
/// Of a fall of leads, the link accounts for what slices lack; the server's clock for the rest.
pub const LINK_SHARE: f64 = 0.5;
/// Steps before a fall that tell how many slices came while all was well.
pub const BEFORE_STEPS: usize = 12;
/// A lead of so much more than usual is not the stall reserve but the transport's, in seconds.
const THROWN_S: f64 = 1.0;
/// The longest lead that a server places at: its ceiling and the transport's cap.
const LONGEST_S: f64 = 4.5;
/// What a stall can raise a lead to, in seconds.
const MOST_RESERVE_S: f64 = 1.35;
/// The cap of the transport lead, with a slice more, in seconds.
const CAP_S: f64 = 3.36;
/// The server raises its transport lead below this, …
const TOO_LITTLE_S: f64 = 0.15;
/// … and this is a raised one, in seconds: beyond what it keeps, 0.35 s.
const RAISED_S: f64 = 0.6;
/// Rises of an oscillation at least, and the longest from one to the next, in seconds: held as it
/// should be, a raised lead decays with 20 s.
const RISES: usize = 3;
const PERIOD_S: f64 = 14.0;

pub fn suspects(
    view: &View,
    paces: &[Step],
    spells: &[LateSpell],
    content: &[Suspect],
) -> Vec<Suspect> {
    let mut suspects: Vec<Suspect> = runaways(view, spells, content);
    let swings = oscillation(view, paces, spells);
    // Where the lead swings, it falls because it was let go.
    // A lead that was thrown up on a short loop wraps to one that seems to have fallen.
    let is_swing = |fall: &Fall| {
        let within =
            |it: &Suspect| it.stretch.overlap_s(&fall.stretch) > 0.5 * fall.stretch.len_s();
        swings.iter().chain(&suspects).any(within)
    };
    let falls = falls(view, paces);
    // In a pause the server's estimate runs on, a lap and more, and leads with it.
    let others = falls.iter().filter(|fall| !is_swing(fall) && !view.is_paused(fall.stretch));
    let stale: Vec<Suspect> = others.filter_map(|fall| stale(view, fall, content)).collect();
    suspects.extend(stale);
    suspects.extend(swings);
    suspects
}

/// Leads that fell below the usual one, or that lay there.
#[derive(Clone, Debug, PartialEq)]
pub struct Fall {
    pub stretch: Stretch,
    /// Seconds per second while they fell.
    pub slope: f64,
    pub lowest_s: f64,
    pub sum: PaceSum,
    /// The share of the usual slices that came just before.
    pub before: f64,
    /// How long slices waited on their way, in seconds, and how far leads had fallen for half of the time:
    /// regions that a client asks for by position lie anywhere, so that the lowest lead may be theirs.
    pub waited_s: f64,
    pub mostly_s: f64,
    /// It fell at once, as where the server places by another rule from then on. A position that is read
    /// late grows no faster old than time goes.
    pub is_step: bool,
}

impl Fall {
    /// How many slices are missing, as a share of those that usually come.
    pub fn lacking(&self, view: &View) -> f64 {
        1.0 - self.sum.slice_share(view) / self.before
    }

    /// Whether longer ticks account for what is missing.
    pub fn is_work(&self, view: &View) -> bool {
        let interval_s = self.sum.elapsed_s / self.sum.slices.max(1.0);
        let lacks_s = interval_s - view.usual.interval_s;
        lacks_s > 0.01 && self.sum.work_s - view.usual.work_s >= 0.5 * lacks_s
    }

    /// Whether the link accounts for the fall: slices are missing, and those that came had waited for as
    /// long as they lie too near. Of a server that reads acknowledgements late slices are missing as well,
    /// but fresh ones come.
    pub fn is_link(&self, view: &View) -> bool {
        if is_held_up(view, self.stretch) {
            return true;
        }
        let least = LINK_SHARE * self.slope.abs().min(1.0);
        let lacking = self.lacking(view);
        let is_slower = slower_than_made(view, self.stretch) >= least;
        is_slower && lacking >= least && lacking > 0.02 && self.has_waited(view)
    }

    fn has_waited(&self, view: &View) -> bool {
        view.usual.generations_per_s <= 0.0 || self.waited_s >= LINK_SHARE * self.mostly_s
    }
}

/// All falls of the leads.
pub fn falls(view: &View, paces: &[Step]) -> Vec<Fall> {
    let least_s = view.usual.lead_s - FALLEN_S;
    let mut falls = Vec::new();
    let mut from = 0;
    while from < paces.len() {
        let low = paces[from..].iter().take_while(|it| it.lead_s < least_s).count();
        if low == 0 {
            from += 1;
            continue;
        }
        falls.extend(fall(view, paces, from..from + low));
        from += low;
    }
    falls
}

fn fall(view: &View, paces: &[Step], low: Range<usize>) -> Option<Fall> {
    let begins = low.start;
    let earlier = &paces[low.start.saturating_sub(BEFORE_STEPS)..low.start];
    // A link whose lead had been raised fills its queue before leads are too low.
    let filling = &paces[low.start.saturating_sub(BEFORE_STEPS)..low.end];
    let low = &paces[low];
    let begin = low.first().filter(|it| it.at.from_s < view.from_s + STARTED_S);
    let settled = low.iter().position(|it| !view.is_settling(it.at.from_s))?;
    let low = &low[settled..];
    let (first, last) = (low.first()?, low.last()?);
    let lowest = low.iter().min_by(|a, b| a.lead_s.total_cmp(&b.lead_s))?;
    let lasts_s = last.at.to_s - first.at.from_s;
    let fell_s = view.usual.lead_s - lowest.lead_s;
    if lasts_s < FALLS_FOR_S || fell_s < FALLS_BY_S || lowest.lead_s > TOO_LITTLE_S {
        return None;
    }
    let falling = low.iter().position(|it| it == lowest).map_or(low, |at| &low[..=at]);
    let takes_s = lowest.at.from_s - first.at.from_s;
    let falls_by_s = lowest.lead_s - first.lead_s;
    let slope = if falling.len() >= 3 { falls_by_s / takes_s.max(0.5) } else { 0.0 };
    // A server that begins places far ahead, and never too near.
    let near_s = first_near(view, begin.unwrap_or(first).at).unwrap_or(first.at.from_s);
    let is_slow = (-SLOW..0.0).contains(&slope);
    let declines_s = is_slow.then(|| declines_from(&paces[..=begins], slope).max(view.from_s));
    let from_s = declines_s.map_or(near_s, |declines_s| declines_s.min(near_s));
    let stretch = Stretch { from_s, to_s: last.at.to_s.min(view.to_s) };
    let lowest_s = lowest.lead_s;
    let before = PaceSum::of(earlier).slice_share(view);
    let before = if (0.8..1.2).contains(&before) { before } else { 1.0 };
    let falling = if falling.len() >= 3 { falling } else { low };
    let waited_s = waited_s(filling, view.usual.generations_per_s);
    let mostly_s = view.usual.lead_s - quantile(low.iter().map(|it| it.lead_s), 0.5);
    let is_step = falls_at_once(view, from_s);
    let sum = PaceSum::of(falling);
    Some(Fall { stretch, slope, lowest_s, sum, before, waited_s, mostly_s, is_step })
}

/// When the first slice came that was too near: it tells the moment better than the step that it lies in.
fn first_near(view: &View, step: Stretch) -> Option<f64> {
    let slices = view.slices_in(Stretch { from_s: step.from_s - 1.0, to_s: step.to_s });
    let is_near = |lead_s: f64| lead_s < view.usual.lead_s - 0.5 * FALLEN_S;
    let first = slices.iter().rposition(|it| !is_near(it.lead_s)).map_or(0, |at| at + 1);
    slices.get(first).map(|it| it.t_s)
}

/// Since when the leads of steps go down by a good part of the slope, up to the last of them.
fn declines_from(steps: &[Step], slope: f64) -> f64 {
    let declines = |pair: &&[Step]| pair[1].lead_s - pair[0].lead_s < 0.25 * slope * STEP_WITHIN_S;
    let count = steps.windows(2).rev().take_while(declines).count();
    steps.get(steps.len() - 1 - count).map_or(0.0, |step| step.at.to_s)
}

/// Whether the leads of neighbouring slices around a moment fell by more than the time between them
/// allows, without the playhead having gone elsewhere. Of three on each side the middle one counts: a
/// region that a client asked for lies anywhere.
fn falls_at_once(view: &View, at_s: f64) -> bool {
    let near = view.slices_in(Stretch { from_s: at_s - STEP_WITHIN_S, to_s: at_s + STEP_WITHIN_S });
    let middle = |three: &[SliceRow]| quantile(three.iter().map(|it| it.lead_s), 0.5);
    near.windows(6).any(|six| {
        let (before, after) = six.split_at(3);
        let elapsed_s = after[1].t_s - before[1].t_s;
        let fell_s = folded(middle(before) - middle(after), view.loop_s(at_s));
        fell_s - elapsed_s > FALLS_BY_S && !breaks(view, before[0].t_s, after[2].t_s)
    })
}

/// Leads fall, slices and reports come as usual: the server acts on positions that are long over.
fn stale(view: &View, fall: &Fall, content: &[Suspect]) -> Option<Suspect> {
    let is_content = content.iter().any(|it| it.stretch.overlap_s(&fall.stretch) > 0.0);
    let blocked = longest_report_gap_s(view, fall.stretch);
    if fall.is_link(view) || fall.is_work(view) || fall.is_step || is_content {
        return None;
    }
    if view.reports_in(fall.stretch).is_empty() || blocked > 0.5 * fall.stretch.len_s() {
        return None;
    }
    let stretch = fall.stretch;
    let tick_s = quantile(view.slices_in(stretch).iter().map(|it| it.tick_s), 0.95);
    let per_s = view.reports_in(stretch).len() as f64 / stretch.len_s().max(0.5);
    let age_s = view.usual.lead_s - fall.lowest_s;
    let sentence = format!(
        "The server acts on positions up to {age_s:.1} s old: leads fall {:.2} s per second while \
         generation is normal (tick {:.0} ms p95) and the client reports fresh positions {per_s:.0} times \
         a second.",
        -fall.slope,
        tick_s * 1e3
    );
    let slices = view.slices_in(stretch);
    let records = [slices.first(), slices.last()].into_iter().flatten().map(|slice| slice.seq);
    let share = fall.sum.slice_share(view);
    let suspect = Suspect::new(Class::StalePlayhead, stretch, 0.9, sentence)
        .link("Reports wait in the server's intake", &[("reports_per_s", per_s)], [])
        .link(
            "It acts on older and older positions",
            &[("slope", fall.slope), ("position_age_s", age_s)],
            records,
        )
        .link("Slices land behind the listener", &[("lowest_lead_s", fall.lowest_s)], [])
        .apart(Class::SlowGeneration, format!("ticks took {:.0} ms", tick_s * 1e3))
        .apart(Class::BandwidthDeficit, format!("{:.0} % of the usual slices came", share * 100.0));
    let short = stretch.len_s() < 3.0 && fall.slope > -0.1;
    Some(if short { suspect.against("it lasted for a moment only", 0.4) } else { suspect })
}

/// The longest time without a report in a stretch.
pub fn longest_report_gap_s(view: &View, stretch: Stretch) -> f64 {
    let times = view.reports_in(stretch).iter().map(|it| it.t_s).chain([stretch.to_s]);
    let mut before_s = stretch.from_s;
    let mut longest_s = 0.0_f64;
    for t_s in times {
        longest_s = longest_s.max(t_s - before_s);
        before_s = t_s;
    }
    longest_s
}

/// After a jump, slices land seconds ahead, and further than a gap near it would have raised the lead.
fn runaways(view: &View, spells: &[LateSpell], content: &[Suspect]) -> Vec<Suspect> {
    let seeks = view.ops.iter().filter(|(_, op)| matches!(op, crate::capture::Marker::Seek { .. }));
    let mut moments: Vec<f64> = view.jumps.iter().map(|&(t_s, _)| t_s).collect();
    moments.extend(seeks.map(|&(t_s, _)| t_s));
    moments.extend(view.buffers.iter().skip(1).map(|buffer| buffer.t_s));
    // In a pause the server's estimate runs on, and what is reported by a client that stands still is not.
    moments.extend(view.pauses.iter().map(|pause| pause.to_s));
    moments.sort_by(f64::total_cmp);
    moments.dedup_by(|later, earlier| *later - *earlier < 1.0);
    let near = |t_s: f64| Stretch { from_s: t_s - 0.5, to_s: t_s + 1.5 };
    let usable = |&t_s: &f64| !content.iter().any(|it| it.stretch.overlap_s(&near(t_s)) > 0.0);
    let reserve_s = |t_s: f64| {
        let gaps = spells.iter().filter(|it| it.stretch.overlap_s(&near(t_s)) > 0.0);
        let longest_s = gaps.map(|it| it.longest_s).fold(0.0, f64::max);
        // What the reserve leaves to the window is not worth a lead.
        if longest_s > 0.5 { longest_s.min(MOST_RESERVE_S) } else { 0.0 }
    };
    let at = moments.into_iter().filter(usable);
    at.filter_map(|t_s| runaway(view, t_s, reserve_s(t_s))).collect()
}

fn runaway(view: &View, at_s: f64, reserve_s: f64) -> Option<Suspect> {
    let loop_s = view.loop_s(at_s);
    let threshold_s = view.usual.lead_s + reserve_s + THROWN_S;
    // On a short loop the longest leads wrap to behind the listener.
    let unwrapped = |lead_s: f64| {
        let is_wrapped = lead_s < 0.0 && lead_s + loop_s <= view.usual.lead_s + CAP_S;
        if is_wrapped { lead_s + loop_s } else { lead_s }
    };
    let is_thrown = |lead_s: f64| (threshold_s..LONGEST_S).contains(&unwrapped(lead_s));
    let soon = view.slices_in(Stretch { from_s: at_s + 0.3, to_s: at_s + 2.0 });
    let thrown = soon.iter().filter(|slice| is_thrown(slice.lead_s)).count();
    if soon.len() < 4 || (thrown as f64) < 0.8 * soon.len() as f64 {
        return None;
    }
    let after = view.slices_in(Stretch { from_s: at_s + 0.3, to_s: view.to_s });
    let last = after.iter().take_while(|slice| is_thrown(slice.lead_s)).last()?;
    let stretch = Stretch { from_s: at_s, to_s: last.t_s };
    let lead_s = quantile(soon.iter().map(|slice| unwrapped(slice.lead_s)), 0.5);
    let near = view.reports_in(Stretch { from_s: at_s - 0.2, to_s: at_s + 1.5 });
    let stray = near
        .iter()
        .filter_map(|report| Some((report.lead_s?, report.seq)))
        .min_by(|one, two| one.0.total_cmp(&two.0))
        .filter(|(lead_s, _)| *lead_s < -0.3);
    let sentence = format!(
        "After the jump at {at_s:.2} s slices landed {lead_s:.2} s ahead: {} threw the transport lead up, \
         and about so much audio was heard before the first of them.",
        match stray {
            Some((lead_s, _)) => format!("one stray report of {lead_s:.1} s"),
            None => "something".to_owned(),
        }
    );
    let confidence = if stray.is_some() { 0.95 } else { 0.7 };
    let suspect = Suspect::new(Class::SeekLeadRunaway, stretch, confidence, sentence)
        .link(
            "A slice in flight at the jump is reported as far behind",
            &[("reported_lead_s", stray.map_or(0.0, |(lead_s, _)| lead_s))],
            stray.map(|(_, seq)| seq),
        )
        .link(
            "The server raises its transport lead",
            &[("lead_s", lead_s)],
            soon.first().map(|it| it.seq),
        )
        .link("What lies before it is not rendered", &[("until_s", last.t_s)], [last.seq])
        .apart(Class::GenerationStall, "no gap that would raise the stall reserve so far");
    Some(if stray.is_some() {
        suspect
    } else {
        suspect.against("no report of a far lead is known", 0.0)
    })
}

/// The lead rises and sinks again and again although generation is even.
fn oscillation(view: &View, paces: &[Step], spells: &[LateSpell]) -> Option<Suspect> {
    if view.reports.iter().all(|report| report.lead_s.is_none()) {
        return None;
    }
    let loaded = |t_s: f64| {
        spells.iter().any(|it| {
            let recovery = Stretch { from_s: it.stretch.from_s, to_s: it.stretch.to_s + 3.6 };
            (it.is_work || it.is_gap() && it.longest_s > 0.45) && recovery.contains(t_s)
        })
    };
    let (mut is_low, mut rises): (bool, Vec<f64>) = (false, Vec::new());
    let mut lows = Vec::new();
    for pace in paces.iter().filter(|pace| !view.is_settling(pace.at.from_s)) {
        if pace.lead_s < TOO_LITTLE_S {
            if !is_low {
                lows.push(pace.at.from_s);
            }
            is_low = true;
        } else if pace.lead_s > RAISED_S && pace.lead_s < LONGEST_S && is_low {
            is_low = false;
            if !loaded(pace.at.from_s) {
                rises.push(pace.at.from_s);
            }
        }
    }
    let (first, last) = (rises.first()?, rises.last()?);
    let period_s = (last - first) / (rises.len() - 1).max(1) as f64;
    if rises.len() < RISES || period_s > PERIOD_S {
        return None;
    }
    let from_s = lows.first().copied().unwrap_or(*first).min(*first);
    let low = Stretch { from_s: from_s - 0.5, to_s: from_s + 1.0 };
    let is_near = |lead_s: f64| lead_s < TOO_LITTLE_S;
    let from_s =
        view.slices_in(low).iter().find(|it| is_near(it.lead_s)).map_or(from_s, |it| it.t_s);
    let to_s = view.to_s.min(lows.last().copied().unwrap_or(*last).max(*last) + period_s);
    let highest_s = paces.iter().map(|pace| pace.lead_s).fold(0.0, f64::max);
    let lowest_s = paces.iter().map(|pace| pace.lead_s).fold(0.0, f64::min);
    let sentence = format!(
        "The lead swung {} times between {lowest_s:.2} and {highest_s:.2} s, every {period_s:.1} s: the \
         server lets its transport lead decay while the link still needs it.",
        rises.len()
    );
    let figures = [("rises", rises.len() as f64), ("period_s", period_s)];
    Some(
        Suspect::new(Class::TransportLeadOscillation, Stretch { from_s, to_s }, 0.85, sentence)
            .link("The transport lead is raised, and decays at once", &figures, [])
            .link("Leads swing", &[("lowest_s", lowest_s), ("highest_s", highest_s)], [])
            .apart(Class::GpuContention, "ticks stayed as they were")
            .apart(Class::BandwidthDeficit, "a lead that is kept would have settled higher"),
    )
}
