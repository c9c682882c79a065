//! Families that only append: whether the tape is made, sent and begun as fast as it is heard.
//!
//! A tape has no leads to place and headers without work: what tells is how much audio came in how much
//! time, in which portions, and how long a ping took meanwhile.

use super::load::{self, LateSpell};
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{SliceRow, Stretch, View, quantile};

/// Slices further apart than this are of two servings, in seconds: a server at work sends one ten times a
/// second.
const APART_S: f64 = 0.5;
/// A serving that goes on for so long is counted, in seconds: of 100 slices one more or less is 1 %.
const SERVING_S: f64 = 4.0;
/// A slice repeats so much of the one before, in seconds: its cross-fade.
const REPEATS_S: f64 = 0.025;
/// A tape that grows slower than this share of real time does not keep up.
const KEEPS_UP: f64 = 0.97;
/// A serving is overdue when it takes this many times as long as they usually do.
const OVERDUE: f64 = 1.25;
/// Paged memory makes the time between two servings this many times as long: 2.7 were measured.
const PAGING_TIMES: std::ops::RangeInclusive<f64> = 1.7..=4.5;
/// A ping that is under way for longer waits behind slices, in seconds: half of what a listener on a tape
/// has in reserve.
const WAITS_S: f64 = 0.5;
/// A serving that comes so late was heard to be missing, in seconds; so many of them have a reason.
const LATE_S: f64 = 0.3;
const LATE_SERVINGS: usize = 3;

/// Audio that came at once, or without a pause.
#[derive(Clone, Copy, Debug)]
struct Serving {
    /// From its first slice to that of the next one.
    at: Stretch,
    audio_s: f64,
    /// How far ahead of the listener it begins, and its first record.
    lead_s: f64,
    seq: u64,
    slices: usize,
}

impl Serving {
    /// Audio per second.
    fn pace(&self) -> f64 {
        self.audio_s / self.at.len_s().max(1e-6)
    }

    fn is_slow(&self) -> bool {
        self.pace() < KEEPS_UP
    }
}

/// What holds a tape up, and of the suspects that a loop has the standstills that this does not explain.
pub fn suspects(view: &View, mut stalls: Vec<Suspect>) -> Vec<Suspect> {
    let servings = servings(&view.slices);
    let found = slow(view, &servings).or_else(|| begun_late(&servings));
    stalls.retain(|stall| {
        let is_part =
            |it: &Suspect| it.stretch.overlap_s(&stall.stretch) > 0.5 * stall.stretch.len_s();
        stall.class == Class::GenerationStall && !found.as_ref().is_some_and(is_part)
    });
    found.into_iter().chain(stalls).collect()
}

fn servings(slices: &[SliceRow]) -> Vec<Serving> {
    let mut servings: Vec<Serving> = Vec::new();
    let mut before_s = f64::NEG_INFINITY;
    for slice in slices {
        let fresh_s = slice.window_s - REPEATS_S.min(slice.start_s);
        let goes_on = |serving: &&mut Serving| {
            slice.t_s - before_s < APART_S && slice.t_s - serving.at.from_s < SERVING_S
        };
        if let Some(last) = servings.last_mut() {
            last.at.to_s = slice.t_s;
        }
        match servings.last_mut().filter(goes_on) {
            Some(last) => {
                last.audio_s += fresh_s;
                last.slices += 1;
            }
            None => servings.push(Serving {
                at: Stretch { from_s: slice.t_s, to_s: slice.t_s },
                audio_s: fresh_s,
                lead_s: slice.lead_s,
                seq: slice.seq,
                slices: 1,
            }),
        }
        before_s = slice.t_s;
    }
    // How long the last one has to last is not known yet.
    servings.pop();
    servings
}

/// Spells in which a tape stood still: where its portions have pauses in between, those that are longer.
pub fn standstills(view: &View) -> Vec<LateSpell> {
    let pauses = || view.slices.iter().filter_map(|it| it.interval_s).filter(|&s| s >= APART_S);
    let servings = servings(&view.slices);
    if 2 * pauses().count() < servings.len() {
        return load::spells(view);
    }
    // While the lead fills they come faster than they are heard.
    let heard_s = servings.iter().map(|it| it.audio_s).fold(0.0, f64::max);
    let most_s = OVERDUE * quantile(pauses(), 0.5).max(heard_s);
    let slices = view.slices.iter().enumerate();
    let late = slices.filter_map(|(at, it)| Some((at, it.interval_s.filter(|&s| s > most_s)?)));
    let mut found: Vec<LateSpell> =
        late.map(|(at, s)| load::spell(view, (at, at), vec![s])).collect();
    let last = view.slices.last().filter(|last| view.to_s - last.t_s > most_s);
    found.extend(last.map(|last| load::silence(view, last.t_s)));
    found
}

/// The longest run of servings that grow the tape slower than it is heard: of a single one the generator
/// stood still.
fn slow(view: &View, servings: &[Serving]) -> Option<Suspect> {
    let runs = servings.chunk_by(|one, two| one.is_slow() && two.is_slow());
    let slow_runs = runs.filter(|run| run.len() >= 2 && run[0].is_slow());
    let run = slow_runs.max_by(|one, two| len_s(one).total_cmp(&len_s(two)))?;
    let (first, last) = (run.first()?, run.last()?);
    let audio_s: f64 = run.iter().map(|it| it.audio_s).sum();
    let pace = audio_s / len_s(run);
    let every_s = quantile(run.iter().map(|it| it.at.len_s()), 0.5);
    // The next one may just not be due.
    let is_due = view.to_s - last.at.to_s > OVERDUE * every_s;
    let to_s = if is_due { last.at.to_s } else { view.to_s };
    let stretch = Stretch { from_s: onset(view, first), to_s };
    let before = servings.iter().take_while(|it| it.at.from_s < first.at.from_s);
    let usual_s = before.map(|it| it.at.len_s()).fold(f64::INFINITY, f64::min);
    let times = every_s / usual_s;
    let is_whole = run.iter().all(|it| it.at.len_s() > 1.5 * APART_S && it.slices > 1);
    let figures = [
        ("pace", pace),
        ("every_s", every_s),
        ("times", if times.is_finite() { times } else { 0.0 }),
        ("longest_ping_s", view.longest_ping_s.unwrap_or(0.0)),
    ];
    let records = [first.seq, last.seq];
    if is_link(view, run) {
        return Some(link(view, stretch, pace, &figures, records));
    }
    let ping = match view.longest_ping_s {
        Some(s) => format!("a ping took {:.0} ms at most", s * 1e3),
        None => "each serving came at once".to_owned(),
    };
    let is_paging = is_whole && PAGING_TIMES.contains(&times);
    let suspect = if is_paging {
        let sentence = format!(
            "From {:.1} s on a serving came every {every_s:.1} s instead of every {usual_s:.1} s, with as \
             much audio as before, and stayed so: all that is generated takes {times:.1} times as long.",
            stretch.from_s
        );
        Suspect::new(Class::VramPaging, stretch, 0.85, sentence)
            .link("Generation slows down at once and stays so", &figures, records)
            .apart(Class::SlowGeneration, "it kept up before, and slowed down by a multiple")
    } else {
        let sentence = format!(
            "The tape grew at {pace:.2}× real time from {:.1} s on: less audio is made than is heard.",
            stretch.from_s
        );
        Suspect::new(Class::SlowGeneration, stretch, 0.85, sentence)
            .link("Less audio is made than is heard", &figures, records)
            .apart(Class::BurstProduction, "the tape falls ever further behind")
    };
    let suspect = suspect.link("The playhead passes the frontier", &[], []);
    Some(if view.longest_ping_s.is_some() || is_whole {
        suspect.apart(Class::BandwidthDeficit, ping)
    } else {
        suspect.against("no ping tells whether the link was idle", 0.35)
    })
}

fn link(
    view: &View,
    stretch: Stretch,
    pace: f64,
    figures: &[(&'static str, f64)],
    records: [u64; 2],
) -> Suspect {
    let bytes: f64 = view.slices_in(stretch).iter().map(|slice| slice.bytes).sum();
    let rate = bytes / stretch.len_s().max(1e-6);
    let waits = match view.longest_ping_s {
        Some(s) => format!("a ping waited for up to {s:.1} s"),
        None => "slices that are made at once came one by one".to_owned(),
    };
    let sentence = format!(
        "The link carried {:.0} KB/s and the tape needs more: it grew at {pace:.2}× real time from \
         {:.1} s on, and {waits}.",
        rate / 1e3,
        stretch.from_s
    );
    Suspect::new(Class::BandwidthDeficit, stretch, 0.9, sentence)
        .link("The link is slower than the tape", &[("bytes_per_s", rate)], [])
        .link("Slices wait in its queue", figures, records)
        .link("The playhead passes the frontier", &[], [])
        .apart(Class::SlowGeneration, waits)
}

fn len_s(run: &[Serving]) -> f64 {
    run.iter().map(|it| it.at.len_s()).sum()
}

/// Pings wait behind the slices; or these were made at once, and come one by one.
fn is_link(view: &View, run: &[Serving]) -> bool {
    let waits = view.longest_ping_s.is_some_and(|s| s > WAITS_S);
    let is_apart = run.iter().all(|it| it.slices == 1) && run.len() >= 4;
    waits || is_apart && view.usual.window_s > 1.0
}

/// When the tape was furthest ahead before it fell back: from then on less came than was heard.
fn onset(view: &View, first: &Serving) -> f64 {
    let near = Stretch { from_s: first.at.from_s - SERVING_S, to_s: first.at.to_s };
    let mut ahead_s = 0.0;
    let mut furthest = (f64::NEG_INFINITY, first.at.from_s);
    let mut before_s = near.from_s;
    for slice in view.slices_in(near) {
        ahead_s += slice.window_s - REPEATS_S.min(slice.start_s) - (slice.t_s - before_s);
        before_s = slice.t_s;
        // Of equals the later one: a tape in step neither gains nor loses.
        if ahead_s >= furthest.0 - REPEATS_S {
            furthest = (ahead_s.max(furthest.0), slice.t_s);
        }
    }
    furthest.1
}

/// Servings that keep the pace, and are each begun when the one before has been heard to its end.
fn begun_late(servings: &[Serving]) -> Option<Suspect> {
    let is_late =
        |it: &Serving| it.lead_s < -LATE_S && (KEEPS_UP..2.0 - KEEPS_UP).contains(&it.pace());
    let runs = servings.chunk_by(|one, two| is_late(one) && is_late(two));
    let run = runs.filter(|run| run.len() >= LATE_SERVINGS && is_late(&run[0]));
    let run = run.max_by_key(|run| run.len())?;
    let (first, last) = (run.first()?, run.last()?);
    let late_s = -quantile(run.iter().map(|it| it.lead_s), 0.5);
    let every_s = quantile(run.iter().map(|it| it.at.len_s()), 0.5);
    // The silence before the first of them was one already.
    let before = servings.iter().rev().find(|it| it.at.from_s < first.at.from_s);
    let stretch =
        Stretch { from_s: before.map_or(first.at.from_s, |it| it.at.from_s), to_s: last.at.to_s };
    let sentence = format!(
        "A serving came every {every_s:.1} s with as much audio, {} times, each {late_s:.1} s after the one \
         before had been heard to its end: each is begun too late.",
        run.len()
    );
    let figures = [("every_s", every_s), ("late_s", late_s), ("servings", run.len() as f64)];
    Some(
        Suspect::new(Class::BurstProduction, stretch, 0.85, sentence)
            .link(
                "The next serving is begun once the lead is used up",
                &figures,
                [first.seq, last.seq],
            )
            .link("What was there before is heard in between", &[("late_s", late_s)], [])
            .apart(Class::SlowGeneration, "as much audio came as was heard")
            .apart(Class::BandwidthDeficit, "servings came whole, at an even pace"),
    )
}
