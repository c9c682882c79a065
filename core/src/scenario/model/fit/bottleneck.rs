//! What the link to the client let through, as far as arrivals tell.
//!
//! Behind a link that is too thin a slice comes as much later than the one before it as its bytes
//! need. Where slices come as their declared work does, the generator paces them, and of the link
//! only that it was no thinner is known.

use super::super::generations::{Generation, Leading, SHORTEST_TURN_NS, shifted};
use super::super::spell::Spell;
use super::super::trace::Trace;
use super::clues::Clues;
use super::next_look::{FIRST_TURNS, Usual, rest_ns};
use crate::lag::stats::percentile;
use crate::peer::link::websocket_len;
use crate::time::{Nanos, Span};

/// Slices that are looked at together.
const WINDOW: usize = 16;
/// Gaps follow from the bytes where they are off by no more than this share of what they are off
/// from the declared work, typically, …
const AS_BYTES: f64 = 0.3;
/// … and by no more than this share of a gap.
const EXACT_SHARE: f64 = 0.05;
/// Rates that differ by less than this share are one.
const SAME_RATE: f64 = 0.08;
/// A stretch without a queue says something only if it is as long as this.
const TELLING_S: f64 = 1.5;

/// What the loop spends beside its work where nothing shows it, in nanoseconds.
const REST_NS: i64 = 500_000;
/// So long before a slice is sent a link holds it up, in nanoseconds.
const JUST_BEFORE_NS: i64 = 1_000_000;

/// Behind a link that is too thin, or while what it held passes, slices do not come as often as they are
/// made: by at least this share of the time.
const NOT_OF_WORK: f64 = 0.03;
/// The same of a single window, in which lengths of slices make a difference, too.
const NOT_OF_WORK_OF_WINDOW: f64 = 0.1;
/// So many slices that come as they are made come as no link lets them.
const AS_MADE: usize = 4;
/// A slice that comes when the work on it is done is off by no more than this, in nanoseconds.
const OF_WORK_NS: f64 = 4_000_000.0;

/// A slice, and what passed the link from the one before it on.
struct Passed {
    at: Nanos,
    gap_ns: f64,
    bytes: f64,
    /// By how much that is more than the work on it and the usual rest; 0 for the last, whose work
    /// nothing declares.
    beside_work_ns: f64,
}

/// A stretch in which slices waited.
struct Stretch {
    from: usize,
    /// Its last slice.
    to: usize,
    bytes_per_s: f64,
}

/// What a recording tells of its link.
pub(in crate::scenario::model) struct LinkFacts {
    /// Its rate from when on, in bytes a second: each beginning as early as it can have, and as late.
    pub bytes_per_s: [Vec<(Span, f64)>; 2],
    /// When it was busy without a break.
    pub busy: Vec<Spell>,
}

/// What arrivals tell of the link; `None` where nothing waited for it.
pub(super) fn link_facts(clues: &Clues<'_>) -> Option<LinkFacts> {
    let passed = passed(clues);
    let stretches = stretches(&passed);
    let trace = clues.trace;
    // The last one goes on to the end where too few slices follow to say otherwise.
    let until = |of: &Stretch| {
        let is_last = passed.len() - 1 - of.to < WINDOW;
        if is_last { trace.end } else { passed[of.to].at }
    };
    let spell = |of: &Stretch| Spell { from: passed[of.from].at, to: until(of) };
    let bytes_per_s =
        [earliest_onset, latest_onset].map(|onset| rates(&passed, &stretches, trace.origin, onset));
    (!stretches.is_empty())
        .then(|| LinkFacts { bytes_per_s, busy: stretches.iter().map(spell).collect() })
}

/// The rate from when on, each beginning at its onset.
fn rates(
    passed: &[Passed],
    stretches: &[Stretch],
    origin: Nanos,
    onset: fn(&[Passed], usize) -> Nanos,
) -> Vec<(Span, f64)> {
    let since = |at: Nanos| Span(at.0.saturating_sub(origin.0));
    let mut rates: Vec<(Span, f64)> = Vec::new();
    let mut before: Option<&Stretch> = None;
    for stretch in stretches {
        let rate = stretch.bytes_per_s;
        let begins = since(onset(passed, stretch.from));
        match before {
            None if is_freer(&passed[..stretch.from], rate) => {
                rates.extend([(Span(0), f64::INFINITY), (begins, rate)]);
            }
            None => rates.push((Span(0), rate)),
            Some(before) => {
                let between = &passed[before.to + 1..stretch.from];
                if is_freer(between, before.bytes_per_s.min(rate)) {
                    rates.push((since(passed[before.to].at), f64::INFINITY));
                }
                rates.push((begins, rate));
            }
        }
        before = Some(stretch);
    }
    if let Some(last) = before.filter(|last| is_freer(&passed[last.to + 1..], last.bytes_per_s)) {
        rates.push((since(passed[last.to].at), f64::INFINITY));
    }
    rates.dedup_by(|after, before| is_same_rate(after.1, before.1));
    rates
}

/// The earliest moment at which a rate can have begun that this slice was the first to wait for: the one
/// before it came.
fn earliest_onset(passed: &[Passed], first: usize) -> Nanos {
    first.checked_sub(1).map_or(Nanos(0), |before| passed[before].at)
}

/// The latest: just before that slice would have come without a link.
fn latest_onset(passed: &[Passed], first: usize) -> Nanos {
    let Passed { at, beside_work_ns, .. } = passed[first];
    let unhindered = shifted(at, -(beside_work_ns.max(0.0) as i64) - JUST_BEFORE_NS);
    unhindered.max(earliest_onset(passed, first))
}

/// Whether more passed than that rate lets through.
fn is_freer(passed: &[Passed], bytes_per_s: f64) -> bool {
    let ns: f64 = passed.iter().map(|passed| passed.gap_ns).sum();
    let bytes: f64 = passed.iter().map(|passed| passed.bytes).sum();
    ns > TELLING_S * 1e9 && bytes / (ns / 1e9) > bytes_per_s * (1.0 + EXACT_SHARE)
}

fn passed(clues: &Clues<'_>) -> Vec<Passed> {
    let Clues { trace, leading, .. } = clues;
    let usual = Usual::of(leading);
    let bytes = bytes_until(trace, leading);
    let passed = |i: usize| {
        let three = leading.get(i - 1..i + 2);
        let beside_work_ns = three.map_or(0.0, |three| (rest_ns(three) - usual.rest_ns) as f64);
        let gap_ns = leading[i].arrived.0 as f64 - leading[i - 1].arrived.0 as f64;
        Passed { at: leading[i].arrived, gap_ns, bytes: bytes[i], beside_work_ns }
    };
    (1..leading.len()).map(passed).collect()
}

/// Of each leading slice the bytes on the wire since the one before it.
fn bytes_until(trace: &Trace, leading: &[Leading]) -> Vec<f64> {
    let mut slices = trace.slices.iter().peekable();
    let mut texts = 0;
    let until = |leading: &Leading| {
        let mut bytes = 0;
        while let Some(slice) = slices.next_if(|slice| slice.at <= leading.arrived) {
            bytes += u64::from(std::mem::replace(&mut texts, slice.text_bytes));
            bytes += websocket_len(slice.bytes as usize, false);
        }
        bytes as f64
    };
    leading.iter().map(until).collect()
}

/// The turns of a server that worked on without a break while the link was busy, each for as long as
/// those that are known declare, and else as far as arrivals tell.
pub(super) fn turns(clues: &Clues<'_>, busy: &[Spell]) -> Vec<Generation> {
    let Clues { trace, plain, leading, .. } = clues;
    let rest_ns = if busy[0].from > leading[FIRST_TURNS.min(leading.len() - 1)].arrived {
        Usual::of(leading).rest_ns
    } else {
        REST_NS
    };
    let mut handed_over = trace.begins;
    let mut turns: Vec<Generation> = Vec::new();
    let mut now = trace.begins;
    let known: Vec<(Nanos, &Generation, Option<&Spell>)> = plain
        .generations
        .iter()
        .zip(leading)
        .map(|(turn, slice)| {
            handed_over = shifted(handed_over, turn.length_ns());
            (handed_over, turn, busy.iter().find(|spell| spell.contains(slice.arrived)))
        })
        .collect();
    for same in known.chunk_by(|a, b| a.2 == b.2) {
        let Some(spell) = same[0].2 else {
            for (until, turn, _) in same {
                let early_ns = until.0 as i64 - now.0 as i64 - turn.tick_ns - turn.decode_ns;
                let rest_ns = early_ns.max(0);
                turns.push(Generation { rest_ns, transit_ns: 0, ..**turn });
                now = shifted(now, turns[turns.len() - 1].length_ns());
            }
            continue;
        };
        let anew = |turn: &Generation| {
            let tick_ns = turn.tick_ns.max(SHORTEST_TURN_NS);
            Generation { rest_ns, tick_ns, transit_ns: 0, anew: true, ..*turn }
        };
        for turn in same.iter().cycle().map(|(_, turn, _)| anew(turn)) {
            if shifted(now, turn.length_ns()) > spell.to {
                break;
            }
            now = shifted(now, turn.length_ns());
            turns.push(turn);
        }
    }
    turns
}

/// The stretches in which slices waited, in their order; neighbours of one rate are one.
fn stretches(passed: &[Passed]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for (from, window) in passed.windows(WINDOW).enumerate() {
        let Some(bytes_per_s) = rate_of(window) else { continue };
        match stretches.last_mut() {
            Some(last) if from <= last.to && is_same_rate(bytes_per_s, last.bytes_per_s) => {
                last.to = from + WINDOW - 1;
            }
            // Windows over the change from one rate to the next are of neither.
            Some(last) if from <= last.to => {}
            _ => stretches.push(Stretch { from, to: from + WINDOW - 1, bytes_per_s }),
        }
    }
    for stretch in &mut stretches {
        let own = &passed[stretch.from..=stretch.to];
        let ofs: Vec<&Passed> = own.iter().filter(|one| is_of(one, stretch.bytes_per_s)).collect();
        let (ns, bytes) =
            ofs.iter().fold((0.0, 0.0), |(ns, bytes), one| (ns + one.gap_ns, bytes + one.bytes));
        stretch.bytes_per_s = bytes / (ns / 1e9);
    }
    stretches.retain_mut(|stretch| stretch.bytes_per_s.is_finite() && waits(passed, stretch));
    let mut earliest = 0;
    for stretch in &mut stretches {
        stretch.from = begins(passed, earliest, stretch.from);
        earliest = stretch.to + 1;
    }
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if is_same_rate(stretch.bytes_per_s, last.bytes_per_s) => {
                last.to = stretch.to;
            }
            _ => joined.push(stretch),
        }
    }
    joined
}

/// Where a stretch begins that was found from `found` on: after the last slices that came as they were
/// made.
fn begins(passed: &[Passed], earliest: usize, found: usize) -> usize {
    let came_as_made = |from: usize| {
        let some = passed.get(from..from + AS_MADE);
        some.is_some_and(|some| some.iter().all(|one| one.beside_work_ns.abs() < OF_WORK_NS))
    };
    let last = (earliest..found + WINDOW / 2).rev().find(|&from| came_as_made(from));
    last.map_or(earliest, |from| from + AS_MADE)
}

/// Whether slices came more seldom or more often than they were made, in all of a stretch or in a part of
/// it, of which then only that part is left.
fn waits(passed: &[Passed], stretch: &mut Stretch) -> bool {
    let beside = |some: &[Passed]| {
        let ns: f64 = some.iter().map(|one| one.gap_ns).sum();
        some.iter().map(|one| one.beside_work_ns).sum::<f64>().abs() / ns
    };
    let own = &passed[stretch.from..=stretch.to];
    if beside(own) > NOT_OF_WORK {
        return true;
    }
    let waiting = |window: &&[Passed]| beside(window) > NOT_OF_WORK_OF_WINDOW;
    let windows = || own.windows(WINDOW).enumerate().filter(|(_, window)| waiting(window));
    let (Some((first, _)), Some((last, _))) = (windows().next(), windows().next_back()) else {
        return false;
    };
    (stretch.from, stretch.to) = (stretch.from + first, stretch.from + last + WINDOW - 1);
    true
}

fn is_same_rate(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < SAME_RATE
}

/// By how much a gap is off from what its bytes need, in nanoseconds.
fn off_bytes_ns(passed: &Passed, bytes_per_s: f64) -> f64 {
    (passed.gap_ns - passed.bytes / bytes_per_s * 1e9).abs()
}

/// Whether that rate explains the gap before a slice.
fn is_of(passed: &Passed, bytes_per_s: f64) -> bool {
    off_bytes_ns(passed, bytes_per_s) < EXACT_SHARE * passed.gap_ns
}

/// The rate of the link that such slices waited for, if they did.
fn rate_of(window: &[Passed]) -> Option<f64> {
    let mut rates: Vec<f64> = window.iter().map(|one| one.bytes / (one.gap_ns / 1e9)).collect();
    let bytes_per_s = percentile(&mut rates, 0.5);
    let mut by_bytes: Vec<f64> = window.iter().map(|one| off_bytes_ns(one, bytes_per_s)).collect();
    let mut by_work: Vec<f64> = window.iter().map(|one| one.beside_work_ns.abs()).collect();
    let mut gaps: Vec<f64> = window.iter().map(|one| one.gap_ns).collect();
    let off_ns = percentile(&mut by_bytes, 0.5);
    let is_of = off_ns < AS_BYTES * percentile(&mut by_work, 0.5)
        && off_ns < EXACT_SHARE * percentile(&mut gaps, 0.5);
    (bytes_per_s.is_finite() && bytes_per_s > 0.0 && is_of).then_some(bytes_per_s)
}
