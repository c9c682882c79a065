//! Generation: what blocks, slows or breaks up the making of slices.

use super::burst;
use super::load::LateSpell;
use super::pace::is_held_up;
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{SliceRow, Stretch, View, quantile};

/// A gap of this length is a stall, in seconds: the shortest lead of a server, so that it can be
/// heard. A busy machine makes gaps of up to 0.16 s.
const STALL_S: f64 = 0.25;
/// A slice this far ahead of the usual lead covers a rebuild, in seconds: more than the stall reserve
/// of an ordinary gap adds at once.
const COVER_S: f64 = 0.4;
/// A cause comes so much before the gap that it makes, in seconds: a report, a tick, and a way each.
const CAUSE_S: f64 = 0.5;
/// A knob is dragged when it is turned so often, per second, …
const DRAG_PER_S: f64 = 3.0;
/// … and at least so many times.
const DRAG_TURNS: usize = 5;
/// How long before and after a gap knobs rest that were dragged all through it, in seconds.
const ASIDE_S: f64 = 1.5;
/// Slices until the pipeline is warm: two rounds of a pipeline of depth 4.
const WARM_SLICES: usize = 8;
/// Slices of so many seconds before a gap tell whether the link is full.
const FULL_FOR_S: f64 = 3.0;
/// Load that fills this share of its time with long intervals is one, and does not come and go.
const STEADY: f64 = 0.6;
/// Slices that are this much of the way back from loaded to usual have not recovered, …
const RECOVERED: f64 = 0.4;
/// … but for so many: those around the onset.
const EXCEPTIONS: f64 = 0.1;
/// A window that takes longer to make than this share of what it plays does not keep up.
const KEEPS_UP: f64 = 0.97;
/// What memory that is paged does to a tick: 2.5 to 3.2 times as long, with a margin.
const PAGING_TIMES: std::ops::RangeInclusive<f64> = 1.7..=4.5;
/// Load that lasts to the end, or so long in seconds, is no passing one.
const LASTS_S: f64 = 8.0;
/// Load has passed when no slice was late for so long, in seconds: longer than a tick that is twenty times as
/// long as usual.
const PASSED_S: f64 = 1.5;

pub fn suspects(view: &View, spells: &[LateSpell], content: &[Suspect]) -> Vec<Suspect> {
    let mut suspects: Vec<Suspect> = burst::suspect(view).into_iter().collect();
    let is_in_bursts = !suspects.is_empty();
    let is_unexplained = |spell: &&LateSpell| {
        let explained_by =
            |it: &Suspect| it.stretch.overlap_s(&spell.stretch) > 0.5 * spell.stretch.len_s();
        !content.iter().chain(&suspects).any(explained_by)
    };
    let spells: Vec<&LateSpell> =
        spells.iter().filter(|it| is_unexplained(it) && !is_not_due(spells, it)).collect();
    let (mut stalls, mut loaded) = (Vec::new(), Vec::new());
    for spell in spells {
        if let Some(suspect) = refit(view, spell) {
            suspects.push(suspect);
        } else if spell.is_gap() {
            match gap(view, spell) {
                Some(Gap::Rebuild(suspect)) => suspects.push(*suspect),
                Some(Gap::Stall) => stalls.push(spell),
                None => {}
            }
        } else if spell.is_work {
            loaded.push(spell);
        }
    }
    suspects.extend(stall(view, &stalls));
    suspects.extend(load(view, &loaded));
    if loaded.is_empty() && !is_in_bursts {
        suspects.extend(always_slow(view));
    }
    suspects
}

/// The silence at the end is no longer than the intervals of the slow slices before it.
fn is_not_due(spells: &[LateSpell], last: &LateSpell) -> bool {
    let is_before = |it: &&LateSpell| it.is_work && it.stretch.to_s >= last.stretch.from_s;
    let before = spells.iter().filter(is_before).find(|it| !it.is_open);
    last.is_open && before.is_some_and(|it| last.longest_s <= it.longest_s)
}

/// What one gap is.
enum Gap {
    Rebuild(Box<Suspect>),
    Stall,
}

fn refit(view: &View, spell: &LateSpell) -> Option<Suspect> {
    let turns = view.turns_in(spell.stretch);
    let is_dragged = is_drag(turns, spell.stretch);
    if !is_dragged || spell.long_s.len() < 3 && !is_as_long_as_its_drag(view, spell) {
        return None;
    }
    let (per_s, stalls) = (turns as f64 / spell.stretch.len_s(), spell.long_s.len());
    let stall_s = spell.usual_long_s;
    let sentence = format!(
        "Knobs were turned {per_s:.0} times a second and slices came only every {stall_s:.2} s: each \
         turn makes the pipeline fit anew."
    );
    let turned = view.reports_in(spell.stretch).iter().filter(|it| it.turned).map(|it| it.seq);
    Some(
        Suspect::new(Class::RefitStorm, spell.stretch, 0.9, sentence)
            .link("A knob is dragged", &[("turns_per_s", per_s)], turned)
            .link(
                "Ticks that see a change block",
                &[("stall_s", stall_s), ("stalls", stalls as f64)],
                spell.records(view),
            )
            .apart(Class::RebuildStall, format!("{stalls} stalls in a row, not one")),
    )
}

fn is_drag(turns: usize, stretch: Stretch) -> bool {
    turns >= DRAG_TURNS && turns as f64 >= DRAG_PER_S * stretch.len_s()
}

/// Knobs began to be turned where the gap begins, and were left alone where it ends: no generation got
/// done between two fits. A generator that stands still by itself knows nothing of the drag.
fn is_as_long_as_its_drag(view: &View, spell: &LateSpell) -> bool {
    let Stretch { from_s, to_s } = spell.stretch;
    let rests = |from_s: f64, to_s: f64| {
        let aside = Stretch { from_s, to_s };
        (view.turns_in(aside) as f64) < DRAG_PER_S * aside.len_s()
    };
    let begins = rests(from_s - CAUSE_S - ASIDE_S, from_s - CAUSE_S);
    begins && rests(to_s + CAUSE_S, to_s + CAUSE_S + ASIDE_S)
}

/// One gap: a rebuild when something asked for it, else a stall.
fn gap(view: &View, spell: &LateSpell) -> Option<Gap> {
    let from_s = spell.stretch.from_s;
    let gap_s = spell.longest_s;
    let is_start = spell.slices.0 < WARM_SLICES && view.from_s <= 0.0 && !view.is_tape;
    let least_s = STALL_S.max(3.0 * view.usual.interval_s);
    let is_made = spell.is_made || ends_in_backlog(view, spell);
    // A tape is written no further than so far ahead of a player that stands still.
    let waits = view.is_tape && view.is_paused(spell.stretch);
    let is_nothing = waits || is_silent_client(view, spell) || is_on_its_way(view, spell);
    if gap_s < least_s || is_start || is_made || is_nothing {
        return None;
    }
    let before = spell.slices.0.checked_sub(1).and_then(|at| view.slices.get(at));
    let cover_s = before.map_or(0.0, |it| it.lead_s - view.usual.lead_s);
    let covered = (COVER_S..4.0).contains(&cover_s) && is_alone(view, spell.slices.0);
    let near = Stretch { from_s: from_s - CAUSE_S, to_s: from_s + CAUSE_S / 2.0 };
    let command = view.commands_in(near).next();
    let turned = view.reports_in(near).iter().find(|it| it.turned).map(|it| (it.t_s, it.seq));
    let is_rebuild = covered || command.is_some() && gap_s >= 0.5;
    let asked = command.or(turned).filter(|_| is_rebuild);
    Some(
        asked.map_or(Gap::Stall, |asked| {
            Gap::Rebuild(Box::new(rebuild(view, spell, asked, cover_s)))
        }),
    )
}

fn rebuild(view: &View, spell: &LateSpell, asked: (f64, u64), cover_s: f64) -> Suspect {
    let gap_s = spell.longest_s;
    let sentence = format!(
        "The pipeline was built anew after a change at {:.2} s: no slice came for {gap_s:.2} s, and the \
         one before lay {cover_s:.2} s ahead of the usual lead.",
        asked.0
    );
    let confidence = if cover_s >= COVER_S { 0.95 } else { 0.7 };
    Suspect::new(Class::RebuildStall, spell.stretch, confidence, sentence)
        .link("A change that needs another pipeline", &[("at_s", asked.0)], [asked.1])
        .link("The server covers ahead, then builds", &[("cover_s", cover_s)], spell.records(view))
        .link("No slices", &[("gap_s", gap_s)], [])
        .apart(Class::GenerationStall, "a change was asked for just before, and covered for")
}

/// The generator made nothing for a while, once or several times.
fn stall(view: &View, spells: &[&LateSpell]) -> Option<Suspect> {
    let (first, last) = spells.first().zip(spells.last())?;
    let stretch = Stretch { from_s: first.stretch.from_s, to_s: last.stretch.to_s };
    let gap_s = spells.iter().map(|it| it.longest_s).fold(0.0, f64::max);
    let sum_s: f64 = spells.iter().map(|it| it.longest_s).sum();
    let reports: usize = spells.iter().map(|it| view.reports_in(it.stretch).len()).sum();
    let times = match spells.len() {
        1 => String::new(),
        more => format!("{more} times, {sum_s:.2} s together: "),
    };
    let upto = if spells.len() == 1 { "" } else { "up to " };
    let sentence = format!(
        "Generation stood still {times}no slice came for {upto}{gap_s:.2} s while the client went on \
         reporting ({reports} reports); usual is a slice every {:.0} ms.",
        view.usual.interval_s * 1e3
    )
    .replace("still no", "still: no");
    let seen = if spells.iter().any(|it| it.work_s >= 0.7 * it.longest_s) { 0.9 } else { 0.8 };
    let lead_s = view.slices.get(first.slices.0).map_or(0.0, |slice| slice.lead_s);
    let records = spells.iter().flat_map(|spell| spell.records(view));
    let figures = [("gap_s", gap_s), ("gaps", spells.len() as f64), ("sum_s", sum_s)];
    let suspect = Suspect::new(Class::GenerationStall, stretch, seen, sentence)
        .link("The generator makes nothing", &figures, records)
        .link("The next slice is placed where the listener is by then", &[("lead_s", lead_s)], [])
        .apart(Class::BandwidthDeficit, "no backlog of slices came after the gap")
        .apart(Class::ClientSendHitch, "the client went on reporting");
    Some(if last.is_open { suspect.against("no slice came any more", 0.0) } else { suspect })
}

/// Neither slices nor reports came: the client's machine stood still with its recorder, or a client that is
/// gone or paused acknowledged no more and the server sent what it may.
fn is_silent_client(view: &View, spell: &LateSpell) -> bool {
    let Stretch { from_s, to_s } = spell.stretch;
    let inner = Stretch { from_s: from_s + 0.05, to_s: to_s - 0.05 };
    let is_quiet = inner.len_s() > 4.0 * view.usual.report_s;
    let reported = view.reports.first().is_some_and(|first| first.t_s < from_s);
    is_quiet && reported && view.reports_in(inner).is_empty()
}

/// A backlog came after the gap, so that the link was held up and not the generator: many slices at
/// once, the first of them placed for a moment that is long over.
pub fn ends_in_backlog(view: &View, spell: &LateSpell) -> bool {
    let Some(after) = view.slices.get(spell.slices.0..) else { return false };
    let Some(first) = after.first() else { return false };
    let at_once = after.iter().skip(1).take_while(|slice| {
        slice.interval_s.is_some_and(|interval_s| interval_s < 0.4 * view.usual.interval_s)
    });
    at_once.count() >= 3 && first.lead_s < view.usual.lead_s - 0.5 * spell.longest_s.min(1.0)
}

/// The slice after the gap is big, and took as long on a full link as it is big.
fn is_on_its_way(view: &View, spell: &LateSpell) -> bool {
    let Some(after) = view.slices.get(spell.slices.0) else { return false };
    let before = Stretch { from_s: spell.stretch.from_s - FULL_FOR_S, to_s: spell.stretch.from_s };
    let bytes: f64 = view.slices_in(before).iter().map(|it| it.bytes).sum();
    let rate = bytes / FULL_FOR_S;
    is_held_up(view, before) && after.bytes >= 0.7 * rate * spell.longest_s
}

/// Whether the slice before this one is the only one that lies far ahead.
fn is_alone(view: &View, at: usize) -> bool {
    let before = at.checked_sub(3).map_or(&[][..], |from| &view.slices[from..at - 1]);
    before.iter().all(|slice| slice.lead_s < view.usual.lead_s + COVER_S)
}

/// Spells of long ticks: one that stays is slow generation or paging, several that pass are contention.
fn load(view: &View, loaded: &[&LateSpell]) -> Vec<Suspect> {
    let Some((first, last)) = loaded.first().zip(loaded.last()) else { return Vec::new() };
    let long_s: f64 = loaded.iter().map(|it| it.stretch.len_s()).sum();
    let whole = Stretch { from_s: first.stretch.from_s, to_s: last.stretch.to_s };
    let waited_s: f64 = loaded.iter().flat_map(|it| &it.long_s).sum();
    let is_one = loaded.len() == 1 || long_s >= 0.9 * whole.len_s();
    let is_one = is_one && waited_s >= STEADY * whole.len_s() || stays(view, whole, first.work_s);
    let last = if is_one { whole } else { last.stretch };
    let lasts = last.len_s() >= LASTS_S || view.to_s - last.to_s < PASSED_S;
    if is_one && lasts && whole.len_s() >= 1.0 {
        return vec![slowed(view, whole, loaded)];
    }
    if long_s < 0.5 {
        return Vec::new();
    }
    let (work_s, times) = (first.work_s, first.work_s / view.usual.work_s.max(1e-3));
    let sentence = format!(
        "Generation slowed down {} time{} and recovered: {work_s:.2} s for a slice instead of {:.2} s, \
         for {long_s:.1} s together, as when another load shares the GPU.",
        loaded.len(),
        if loaded.len() == 1 { "" } else { "s" },
        view.usual.work_s,
    );
    let records = loaded.iter().flat_map(|spell| spell.records(view));
    vec![
        Suspect::new(Class::GpuContention, whole, 0.85, sentence)
            .link(
                "Ticks and decoding take longer together",
                &[("times", times), ("work_s", work_s), ("spells", loaded.len() as f64)],
                records,
            )
            .apart(Class::SlowGeneration, "it recovered in between")
            .apart(Class::BandwidthDeficit, "the headers tell of the time"),
    ]
}

/// Hardly a slice of a stretch was made as quickly as usual: not all are late by as much as counts.
fn stays(view: &View, whole: Stretch, loaded_s: f64) -> bool {
    let quickest_s = quantile(view.slices_in(whole).iter().map(SliceRow::work_s), EXCEPTIONS);
    quickest_s >= view.usual.work_s + RECOVERED * (loaded_s - view.usual.work_s)
}

/// Ticks became longer and stayed so.
fn slowed(view: &View, whole: Stretch, loaded: &[&LateSpell]) -> Suspect {
    let slices = view.slices_in(whole);
    let work_s = quantile(slices.iter().map(SliceRow::work_s), 0.5);
    let interval_s = quantile(slices.iter().filter_map(|it| it.interval_s), 0.5);
    let window_s = quantile(slices.iter().map(|it| it.window_s), 0.5);
    let decode_s = quantile(slices.iter().map(|it| it.decode_s), 0.5);
    let tick_s = quantile(slices.iter().map(|it| it.tick_s), 0.5);
    let before_s = (view.usual.work_s - view.usual.decode_s).max(1e-3);
    let (tick_times, decode_times) = (tick_s / before_s, decode_s / view.usual.decode_s.max(1e-3));
    let pace = window_s / interval_s.max(1e-3);
    let both = PAGING_TIMES.contains(&tick_times) && PAGING_TIMES.contains(&decode_times);
    let records = loaded.first().map_or(Vec::new(), |spell| spell.records(view));
    let figures = [
        ("tick_s", tick_s),
        ("decode_s", decode_s),
        ("tick_times", tick_times),
        ("decode_times", decode_times),
        ("realtime_factor", pace),
    ];
    if both || pace * KEEPS_UP > 1.0 && tick_times < *PAGING_TIMES.end() {
        let sentence = format!(
            "From {:.1} s on every tick took {tick_times:.1} times and decoding {decode_times:.1} times \
             as long as before, and stayed so: {:.0} ms instead of {:.0} ms for a slice.",
            whole.from_s,
            work_s * 1e3,
            view.usual.work_s * 1e3
        );
        let confidence = if both { 0.9 } else { 0.6 };
        return Suspect::new(Class::VramPaging, whole, confidence, sentence)
            .link("Ticks step up once and stay", &figures, records)
            .apart(Class::GpuContention, "it did not recover")
            .apart(Class::SlowGeneration, "tick and decoding grew by one factor at one moment");
    }
    slow(whole, &figures, pace, interval_s, window_s, records)
}

fn slow(
    whole: Stretch,
    figures: &[(&'static str, f64)],
    pace: f64,
    interval_s: f64,
    window_s: f64,
    records: Vec<u64>,
) -> Suspect {
    let sentence = format!(
        "Generation ran at {pace:.2}× real time: a slice of {window_s:.2} s every {interval_s:.2} s, and \
         its header accounts for that time."
    );
    Suspect::new(Class::SlowGeneration, whole, 0.9, sentence)
        .link("A slice takes longer to make than it plays", figures, records)
        .apart(Class::BandwidthDeficit, "the headers tell of the time")
        .apart(Class::StalePlayhead, "the time is in the ticks")
}

/// Slow from the beginning on, so that nothing else is usual.
fn always_slow(view: &View) -> Option<Suspect> {
    let settled = || view.slices.iter().filter(|it| !view.is_settling(it.t_s) && !it.is_reused);
    let interval_s = quantile(settled().filter_map(|it| it.interval_s), 0.5);
    let window_s = view.usual.window_s;
    if interval_s <= 0.0 || settled().count() < 5 || window_s >= KEEPS_UP * interval_s {
        return None;
    }
    let work_s = quantile(settled().map(SliceRow::work_s), 0.5);
    // The first of the long ones, unless that is where what is known begins.
    let is_long = |it: &&SliceRow| it.work_s() >= 0.7 * work_s;
    let first = view.slices.iter().enumerate().find(|(_, it)| is_long(it));
    let first = first.filter(|(at, _)| *at >= WARM_SLICES);
    let from_s = first.map_or(view.from_s, |(_, it)| it.t_s - it.interval_s.unwrap_or(0.0));
    let whole = Stretch { from_s, to_s: view.to_s };
    let figures = [("work_s", work_s), ("realtime_factor", window_s / interval_s)];
    (work_s >= 0.6 * interval_s)
        .then(|| slow(whole, &figures, window_s / interval_s, interval_s, window_s, Vec::new()))
}
