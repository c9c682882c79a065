//! A loop that generates as it usually does.
//!
//! A long turn gives way to as many usual ones as fit into its time, so that what comes after it
//! comes when it came. Usual turns are those of the session itself, in their order.

use super::super::generations::{Generation, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::spell::Spell;
use super::super::trace::Trace;
use crate::lag::stats::percentile;
use crate::peer::generator::GeneratorOptions;
use crate::time::Nanos;

/// A turn this many times as long as a quick one is none of the usual: ticks lie within a quarter of
/// their mean, so that sound ones differ by a factor of 1.25 / 0.75 at most.
const LONG: f64 = 5.0 / 3.0;
/// Of the turns that may be usual this share is quicker than the quick one.
const QUICK: f64 = 0.25;
/// From so few turns outside of a spell nothing is learned.
const FEW: usize = 16;

/// Puts usual turns in the place of long ones in a spell.
pub(super) fn even_out(trace: &Trace, server: &mut Hypothesis, spell: Spell) {
    let began = server.began(trace);
    let mut usual = UsualTurns::of(began, server, spell);
    let mut turns: Vec<Generation> = Vec::with_capacity(server.generations.len());
    let mut now = began;
    for &turn in &server.generations {
        let handed_over = shifted(now, turn.length_ns());
        if spell.meets(now, handed_over) && usual.is_long(&turn) {
            usual.fill(turn.length_ns(), turn.generations, &mut turns);
            if let Some(last) = turns.last_mut() {
                last.transit_ns = turn.transit_ns;
            }
        } else {
            turns.push(turn);
        }
        now = handed_over;
    }
    // The last turn that was recorded is not the last of a loop that went on.
    let rest_ns = spell.to.min(trace.end).0.saturating_sub(now.0);
    if spell.meets(now, trace.end) && rest_ns as f64 > usual.longest_ns {
        let generations = turns.last().map_or(0, |turn| turn.generations);
        usual.fill(i64::try_from(rest_ns).unwrap_or(0), generations, &mut turns);
    }
    server.generations = turns;
}

/// The turns that a session usually has.
struct UsualTurns {
    turns: Vec<Generation>,
    /// A longer one is not usual.
    longest_ns: f64,
    next: usize,
}

impl UsualTurns {
    fn of(began: Nanos, server: &Hypothesis, spell: Spell) -> Self {
        let mut handed_over = began;
        let (inside, outside): (Vec<Generation>, Vec<Generation>) =
            server.generations.iter().skip(1).partition(|turn| {
                let from = handed_over;
                handed_over = shifted(from, turn.length_ns());
                spell.meets(from, handed_over)
            });
        let known = if outside.len() < FEW { [outside, inside].concat() } else { outside };
        let mut lengths: Vec<f64> = known.iter().map(|turn| turn.length_ns() as f64).collect();
        let quick_ns = percentile(&mut lengths, QUICK);
        // A server reckons with no longer gaps, so that one which usually has them has none that
        // would do.
        let cap_ns = server.policy.lead.gap_cap_s * 1e9;
        if !(0.0 < quick_ns && quick_ns <= cap_ns) {
            let turn = upstream(known.first().copied().unwrap_or_default());
            let longest_ns = LONG * turn.length_ns() as f64;
            return UsualTurns { turns: vec![turn], longest_ns, next: 0 };
        }
        let longest_ns = LONG * quick_ns;
        let is_usual =
            |turn: &Generation| turn.length_ns() as f64 <= longest_ns && turn.length_ns() > 0;
        let turns = known.into_iter().filter(is_usual).collect();
        UsualTurns { turns, longest_ns, next: 0 }
    }

    fn is_long(&self, turn: &Generation) -> bool {
        turn.length_ns() as f64 > self.longest_ns
    }

    /// Adds turns that take that long together, as many as there usually are.
    fn fill(&mut self, length_ns: i64, generations: u32, turns: &mut Vec<Generation>) {
        let from = turns.len();
        let mut filled_ns = 0;
        loop {
            let turn = self.turns[self.next % self.turns.len()];
            let overshoots_more = filled_ns + turn.length_ns() / 2 > length_ns;
            if turns.len() > from && overshoots_more {
                break;
            }
            self.next += 1;
            filled_ns += turn.length_ns();
            turns.push(Generation { generations, ..turn });
        }
        let stretch = length_ns as f64 / filled_ns as f64;
        let mut left_ns = length_ns;
        for turn in &mut turns[from..] {
            let stretched = |ns: i64| (ns as f64 * stretch) as i64;
            (turn.rest_ns, turn.decode_ns) = (stretched(turn.rest_ns), stretched(turn.decode_ns));
            turn.tick_ns = stretched(turn.tick_ns);
            left_ns -= turn.length_ns();
        }
        // What rounding left.
        turns.last_mut().into_iter().for_each(|last| last.tick_ns += left_ns);
    }
}

/// A turn as upstream's server usually has them, otherwise like one of this session.
fn upstream(like: Generation) -> Generation {
    let GeneratorOptions { tick_ms, decode_ms, overhead_ms, .. } = GeneratorOptions::default();
    let ns = |ms: f64| (ms * 1e6) as i64;
    Generation {
        rest_ns: ns(overhead_ms),
        tick_ns: ns(tick_ms),
        decode_ns: ns(decode_ms),
        transit_ns: 0,
        tick_ms: tick_ms as f32,
        dec_ms: decode_ms as f32,
        ..like
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn turn(rest_ms: i64, tick_ms: i64) -> Generation {
        let (rest_ns, tick_ns) = (rest_ms * MS, tick_ms * MS);
        Generation { rest_ns, tick_ns, decode_ns: 8 * MS, ..Generation::default() }
    }

    /// Turns of rests and ticks in milliseconds, mended from when to when, and when each is handed
    /// over then.
    #[track_caller]
    fn check(turns: &[(i64, i64)], end_ms: u64, spell_ms: (u64, u64), expected_ms: &[i64]) {
        let at = |ms: u64| Nanos(ms * MS as u64);
        let turns = turns.iter().map(|(rest_ms, tick_ms)| turn(*rest_ms, *tick_ms)).collect();
        let mut server = Hypothesis { generations: turns, ..Hypothesis::default() };
        let trace = Trace { end: at(end_ms), ..Trace::default() };
        let spell = Spell { from: at(spell_ms.0), to: at(spell_ms.1) };
        even_out(&trace, &mut server, spell);
        let handed_over = server.generations.iter().scan(0, |now, turn| {
            *now += turn.length_ns();
            Some(*now / MS)
        });
        assert_eq!(handed_over.collect::<Vec<_>>(), expected_ms);
    }

    #[test]
    fn usual_turns_fill_the_time_of_a_long_one_and_later_ones_stay() {
        let mut turns = vec![(2, 40); 20];
        turns[18].0 = 152;
        let before: Vec<i64> = (1..=18).map(|turn| 50 * turn).collect();
        let mended = [before.clone(), vec![950, 1000, 1050, 1100, 1150]].concat();
        check(&turns, 1_150, (900, 1_100), &mended);
        // Outside of the spell nothing is mended.
        check(&turns, 1_150, (100, 800), &[before, vec![1100, 1150]].concat());
    }

    #[test]
    fn a_loop_that_never_went_on_goes_on_to_the_end() {
        let goes_on: Vec<i64> = (1..=24).map(|turn| 50 * turn).collect();
        check(&[(2, 40); 20], 1_200, (1_000, 1_200), &goes_on);
        check(&[(2, 40); 20], 1_200, (100, 200), &goes_on[..20]);
    }

    #[test]
    fn where_every_turn_is_long_upstream_s_stand_in() {
        let mut server =
            Hypothesis { generations: vec![turn(0, 492); 20], ..Hypothesis::default() };
        let end = Nanos(10_000 * MS as u64);
        let trace = Trace { end, ..Trace::default() };
        even_out(&trace, &mut server, Spell { from: Nanos(0), to: end });
        let lengths = server.generations.iter().map(Generation::length_ns);
        assert_eq!(lengths.clone().sum::<i64>(), 10_000 * MS);
        assert!(lengths.clone().all(|ns| (47 * MS..51 * MS).contains(&ns)), "{:?}", lengths.max());
    }
}
