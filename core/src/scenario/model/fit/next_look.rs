//! The likeliest moment at which a server would have put a slice where it is.

use super::super::generations::{Leading, shifted};
use super::super::pacing_replay::{PacingReplay, Peeks};
use super::super::trace::Trace;
use crate::lag::stats::{fold_lead, percentile};
use crate::peer::pacing::Placed;
use crate::time::Nanos;

/// Most turns from one slice that arrived to the next: beyond, the stream stood still.
const MAX_TURNS: i64 = 96;
/// Declared work and the loop's own follow each other this exactly, in nanoseconds.
const CHAIN_NS: i64 = 1_500_000;
/// A place is known up to the grid and the reports' cadence, in nanoseconds.
const PLACE_NS: i64 = 80_000_000;
/// Steps in which moments are tried, in nanoseconds.
const STEP_NS: i64 = 1_000_000;
/// Most that the loop spends beside its work, in nanoseconds.
const LONGEST_REST_NS: i64 = 2_000_000;
/// The first turns know no queue yet.
pub(super) const FIRST_TURNS: usize = 8;
/// A place that no moment explains costs as much as one this many spreads from the likely one.
pub(super) const MISSED_COST: f64 = 20.0;

/// How long turns usually take, in nanoseconds.
pub(super) struct Usual {
    pub decode_ns: i64,
    pub rest_ns: i64,
    pub period_ns: i64,
    /// How far a period is from the usual one, typically.
    pub spread_ns: i64,
}

/// A moment for a look, and how many turns it is from the look before.
#[derive(Clone, Copy)]
pub(super) struct FoundLook {
    pub look: Nanos,
    pub turns: i64,
    pub cost: f64,
}

/// The likeliest look of `next[0]` after a look at `last`.
pub(super) fn next_look(
    server: &PacingReplay<'_>,
    last: Nanos,
    usual: &Usual,
    next: &[Leading],
) -> FoundLook {
    let Usual { decode_ns, rest_ns, period_ns, spread_ns } = *usual;
    let latest = shifted(next[0].arrived, -decode_ns);
    let (tick_before_ns, decode_before_ns) = next[0].before_ns;
    let mut between = server.clone();
    let mut best: Option<FoundLook> = None;
    for turns in 1..=MAX_TURNS {
        let mut consider = |ahead_ns: i64, spread_ns: i64| {
            let found = moment(&between, shifted(last, ahead_ns), spread_ns, latest, next[0].start);
            let found = found.map(|found| FoundLook { turns, ..found });
            if let Some(found) = found
                && best.is_none_or(|best| found.cost < best.cost)
            {
                best = Some(found);
            }
        };
        if turns == 1 {
            // The slice after it declares this turn's tick, if none was shed between them.
            let tick_ns = next.get(1).map(|after| after.before_ns.0);
            let chained = tick_ns.map(|tick_ns| decode_before_ns + rest_ns + tick_ns);
            chained.into_iter().for_each(|ahead_ns| consider(ahead_ns, CHAIN_NS));
            consider(period_ns, spread_ns);
        } else {
            let declared_ns = tick_before_ns + decode_before_ns + rest_ns;
            let unknown = (turns - 1) as f64;
            let spread_ns = (spread_ns as f64 * unknown.sqrt()) as i64;
            consider((turns - 1) * period_ns + declared_ns, spread_ns);
        }
        let ahead = shifted(last, turns * period_ns);
        if shifted(ahead, -PLACE_NS) > latest {
            break;
        }
        between.look(ahead);
    }
    best.unwrap_or(FoundLook {
        look: shifted(last, period_ns).min(latest.max(last)),
        turns: 1,
        cost: MISSED_COST,
    })
}

/// The moment nearest to a likely one at which the server would have put a slice there; the likely
/// one itself, at a price, where none near would have.
fn moment(
    server: &PacingReplay<'_>,
    likely: Nanos,
    spread_ns: i64,
    latest: Nanos,
    start: u32,
) -> Option<FoundLook> {
    let reach_ns = PLACE_NS + 3 * spread_ns;
    if shifted(likely, -reach_ns) > latest {
        return None;
    }
    let at_best = likely.min(latest);
    let mut peeks = Peeks::of(server);
    let mut off_at = |at| early_ns(server.trace(), peeks.at(at), start);
    let off_ns = off_at(at_best);
    let cost = |at: Nanos| at.0.abs_diff(likely.0) as f64 / spread_ns.max(STEP_NS) as f64;
    if off_ns == 0 {
        return Some(FoundLook { look: at_best, turns: 1, cost: cost(at_best) });
    }
    let missed = FoundLook {
        look: at_best,
        turns: 1,
        cost: cost(at_best) + MISSED_COST + off_ns.unsigned_abs() as f64 / 1e6,
    };
    if off_ns.abs() > reach_ns {
        return Some(missed);
    }
    let way = off_ns.signum();
    let found = (1..=reach_ns / STEP_NS)
        .map(|step| shifted(at_best, way * step * STEP_NS))
        .take_while(|&at| at <= latest)
        .find(|&at| off_at(at) == 0);
    let exact = |look| FoundLook { look, turns: 1, cost: cost(look) };
    Some(found.map_or(missed, exact))
}

/// By how many nanoseconds of the loop a look came too early that put a slice there.
fn early_ns(trace: &Trace, placed: Placed, start: u32) -> i64 {
    let off = fold_lead(start, u64::from(placed.region.start), trace.frames);
    (off as f64 / f64::from(trace.sample_rate) * 1e9) as i64
}

impl Usual {
    pub fn of(known: &[Leading]) -> Self {
        let of_all = |pick: fn(&Leading) -> i64| -> Vec<f64> {
            known.iter().skip(1).map(|known| pick(known) as f64).collect()
        };
        let mut decodes = of_all(|known| known.before_ns.1);
        let works = of_all(|known| known.before_ns.0 + known.before_ns.1);
        let mut rests: Vec<f64> =
            known.windows(3).take(FIRST_TURNS).map(|three| rest_ns(three) as f64).collect();
        let rest_ns = (percentile(&mut rests, 0.1) as i64).clamp(0, LONGEST_REST_NS);
        let count = works.len().max(1) as f64;
        let mean = works.iter().sum::<f64>() / count;
        let variance = works.iter().map(|work| (work - mean).powi(2)).sum::<f64>() / count;
        Self {
            decode_ns: percentile(&mut decodes, 0.5) as i64,
            rest_ns,
            period_ns: (mean as i64 + rest_ns).max(STEP_NS),
            spread_ns: (variance.sqrt() as i64).max(STEP_NS),
        }
    }
}

/// What lies between the arrivals of the first two of three slices beside the second one's work.
pub(super) fn rest_ns(three: &[Leading]) -> i64 {
    let gap_ns = three[1].arrived.0 as i64 - three[0].arrived.0 as i64;
    let (tick_ns, decode_ns) = three[2].before_ns;
    gap_ns - tick_ns - decode_ns
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) const MS: i64 = 1_000_000;

    /// Slices that came at these times and declare these ticks and decodes of the turn before, in ms.
    pub(in super::super) fn known(slices: &[(u64, i64, i64)]) -> Vec<Leading> {
        let leading = |&(at, tick, decode): &(u64, i64, i64)| Leading {
            start: 0,
            arrived: Nanos(at * MS as u64),
            before_ns: (tick * MS, decode * MS),
        };
        slices.iter().map(leading).collect()
    }

    #[test]
    fn what_is_usual_of_turns() {
        // Each turn takes 30 and 8 ms, and 1 ms besides.
        let even: Vec<_> = (0..12).map(|turn| (1_000 + 39 * turn, 30, 8)).collect();
        let Usual { decode_ns, rest_ns, period_ns, spread_ns } = Usual::of(&known(&even));
        assert_eq!((decode_ns, rest_ns, period_ns, spread_ns), (8 * MS, MS, 39 * MS, STEP_NS));
        // The first declares a turn before all of them.
        let uneven = [(0, 900, 90), (39, 20, 8), (78, 40, 8), (117, 20, 8), (156, 40, 8)];
        let Usual { decode_ns, period_ns, spread_ns, .. } = Usual::of(&known(&uneven));
        assert_eq!((decode_ns, spread_ns), (8 * MS, 10 * MS));
        assert!((38 * MS..=40 * MS).contains(&period_ns), "{period_ns}");
    }

    #[test]
    fn a_rest_is_what_work_leaves_between_two_arrivals() {
        assert_eq!(rest_ns(&known(&[(100, 0, 0), (145, 7, 7), (190, 30, 8)])), 7 * MS);
    }
}
