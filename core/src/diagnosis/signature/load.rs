//! Spells in which slices came less often than usual, and who made them wait.

use crate::diagnosis::view::{SliceRow, Stretch, View, quantile};

/// An interval is long when it is this many times the usual one, …
pub const LONG_TIMES: f64 = 1.8;
/// … and this much longer, in seconds: a busy machine delays a message by some 50 ms.
pub const LONG_BY_S: f64 = 0.06;
/// Long intervals this close to one another are one spell, in seconds: more than a burst of a
/// generator without gap-fill lasts, less than a loaded GPU recovers for.
const JOIN_S: f64 = 0.4;
/// The generator made the slices wait when it accounts for this share of the time that is too much.
const MADE_BY: f64 = 0.5;

/// Slices that came less often than usual.
#[derive(Clone, Debug, PartialEq)]
pub struct LateSpell {
    /// From the last slice before to the last that was late.
    pub stretch: Stretch,
    /// The long intervals, in seconds.
    pub long_s: Vec<f64>,
    /// Index of the first slice after the first long interval, and of the last.
    pub slices: (usize, usize),
    /// Median of the long intervals, and the longest.
    pub usual_long_s: f64,
    pub longest_s: f64,
    /// The work that headers tell of, of those that worked long.
    pub work_s: f64,
    pub decode_s: f64,
    /// The generator accounts for it.
    pub is_work: bool,
    /// Generations went on meanwhile, so that slices were made and left out or held up.
    pub is_made: bool,
    /// It goes on at the end of what is known.
    pub is_open: bool,
}

impl LateSpell {
    /// One gap, and not a time of slow slices.
    pub fn is_gap(&self) -> bool {
        self.long_s.len() <= 2 && self.longest_s >= 0.6 * self.stretch.len_s()
    }

    /// Numbers of the records on both sides of the first long interval, and of the last.
    pub fn records(&self, view: &View) -> Vec<u64> {
        let (first, last) = self.slices;
        let before = first.checked_sub(1).map(|before| view.slices[before].seq);
        let mut records: Vec<u64> = before.into_iter().collect();
        records.extend([first, last].into_iter().filter_map(|at| Some(view.slices.get(at)?.seq)));
        records.dedup();
        records
    }
}

/// All spells, in their order.
pub fn spells(view: &View) -> Vec<LateSpell> {
    let usual_s = view.usual.interval_s;
    let Some(last) = view.slices.last().filter(|_| usual_s > 0.0) else { return Vec::new() };
    let least_s = (LONG_TIMES * usual_s).max(usual_s + LONG_BY_S);
    let mut found: Vec<(usize, usize, Vec<f64>)> = Vec::new();
    for (at, slice) in view.slices.iter().enumerate() {
        let Some(interval_s) = slice.interval_s.filter(|&interval_s| interval_s > least_s) else {
            continue;
        };
        let begins_s = slice.t_s - interval_s;
        match found.last_mut() {
            Some((_, to, long)) if begins_s - view.slices[*to].t_s <= JOIN_S => {
                *to = at;
                long.push(interval_s);
            }
            _ => found.push((at, at, vec![interval_s])),
        }
    }
    let mut spells: Vec<_> =
        found.into_iter().map(|(from, to, long_s)| spell(view, (from, to), long_s)).collect();
    if view.to_s - last.t_s > least_s.max(OPEN_S) {
        spells.push(silence(view, last.t_s));
    }
    spells.retain(|spell| !view.is_idle(spell.stretch));
    spells
}

/// Generations over a gap, as a share of the usual number, from which on the generator was at work.
const MADE: f64 = 0.6;

/// Whether generations went on over the interval before a slice.
fn made(view: &View, at: usize) -> bool {
    let pair =
        at.checked_sub(1).and_then(|before| view.slices.get(before).zip(view.slices.get(at)));
    let Some((before, after)) = pair else { return false };
    let elapsed_s = after.t_s - before.t_s;
    let done = after.generations - before.generations;
    done >= 2.0 && done >= MADE * view.usual.generations_per_s * elapsed_s
}

/// A silence at the end of what is known is one after this time, in seconds.
const OPEN_S: f64 = 0.5;

/// The silence since the last slice.
pub fn silence(view: &View, from_s: f64) -> LateSpell {
    let end = view.slices.len();
    let mut open = spell(view, (end, end), vec![view.to_s - from_s]);
    open.stretch = Stretch { from_s, to_s: view.to_s };
    open.is_open = true;
    open
}

/// The spell from one late slice to another, with its long intervals.
pub fn spell(view: &View, (from, to): (usize, usize), long_s: Vec<f64>) -> LateSpell {
    let usual = &view.usual;
    let after = (to + 3).min(view.slices.len());
    let slices = &view.slices[from.min(after)..after];
    let within = &view.slices[from.min(after)..(to + 1).min(after)];
    let share = if slices.len() >= 8 { 0.85 } else { 1.0 };
    let work_s = quantile(slices.iter().map(SliceRow::work_s), share);
    let usual_long_s = quantile(long_s.iter().copied(), 0.5);
    let longest_s = long_s.iter().copied().fold(0.0, f64::max);
    let is_work = work_s - usual.work_s >= MADE_BY * (usual_long_s - usual.interval_s);
    let begins_s = within.first().map_or(0.0, |it| it.t_s - it.interval_s.unwrap_or(0.0));
    LateSpell {
        stretch: Stretch { from_s: begins_s, to_s: within.last().map_or(0.0, |it| it.t_s) },
        usual_long_s,
        longest_s,
        work_s,
        decode_s: quantile(slices.iter().map(|it| it.decode_s), share),
        is_work,
        is_made: made(view, from),
        is_open: false,
        slices: (from, to),
        long_s,
    }
}
