//! Turns that count as shed and cannot have been.
//!
//! Behind a queue, and behind a server that is late to take acknowledgements, a time without slices counts
//! as turns that were shed. A server sheds only while much is on its way, so that where little is, there
//! was no turn: the loop that generates stood still.

use super::super::generations::{Generation, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::pacing::Intake;
use super::super::trace::Trace;
use crate::heard::HITCH_NS;

/// With less than this share on its way of what makes the server shed, it sheds nothing. What is on its
/// way is known to some slices.
const SHEDS_FROM: f64 = 0.5;

/// Makes one rest of each spell of such turns that is long enough for a stall.
pub(super) fn leave_out(trace: &Trace, server: &mut Hypothesis) {
    let unmade = unmade(trace, server);
    let mut turns: Vec<Generation> = Vec::with_capacity(server.generations.len());
    let mut rest_ns = 0;
    let spells = server.generations.chunk_by({
        let mut number = 0;
        let unmade = &unmade;
        move |_, _| {
            number += 1;
            unmade[number - 1] == unmade[number]
        }
    });
    let mut number = 0;
    for spell in spells {
        let length_ns: i64 = spell.iter().map(Generation::length_ns).sum();
        let is_stall = unmade[number] && length_ns > HITCH_NS as i64;
        number += spell.len();
        if is_stall && number < unmade.len() {
            rest_ns = length_ns;
            continue;
        }
        let first = turns.len();
        turns.extend_from_slice(spell);
        turns[first].rest_ns += std::mem::take(&mut rest_ns);
    }
    server.generations = turns;
}

/// Of each turn whether it counts as shed and cannot have been.
fn unmade(trace: &Trace, server: &Hypothesis) -> Vec<bool> {
    let flow = &server.policy.flow;
    let sheds_from = SHEDS_FROM * flow.window_bytes as f64;
    let waits_ns = (SHEDS_FROM * flow.max_wait_s * 1e9) as i64;
    let acknowledges = trace.acknowledges();
    let mut intake = Intake::new(&server.policy);
    let mut reports = trace.ticks.iter().map(|tick| {
        let taken = intake.taken_at(shifted(tick.at, server.round_trip_ns));
        intake.take(taken);
        (taken, tick.acked)
    });
    let mut next = reports.next();
    let (mut now, mut sent, mut acked, mut waited_ns) = (server.began(trace), 0.0, 0.0, 0);
    let turns = server.generations.iter().map(|turn| {
        now = shifted(now, turn.length_ns());
        while let Some((_, report)) = next.filter(|(taken, _)| *taken <= now) {
            acked = report.unwrap_or(acked);
            next = reports.next();
        }
        if !turn.shed {
            (sent, waited_ns) = (sent + f64::from(turn.bytes), turn.transit_ns);
        }
        let sheds = if acknowledges { sent - acked > sheds_from } else { waited_ns > waits_ns };
        turn.shed && !sheds
    });
    turns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::model::trace::TracedTick;
    use crate::time::Nanos;

    const MS: i64 = 1_000_000;

    /// Turns of 100 ms each: `.` for one that was made, `x` for one that counts as shed. What was made was
    /// on its way for so long.
    fn server(turns: &str, transit_ns: i64) -> Hypothesis {
        let turn = |kind| Generation {
            rest_ns: 10 * MS,
            tick_ns: 90 * MS,
            transit_ns,
            bytes: 1_000,
            shed: kind == 'x',
            ..Generation::default()
        };
        Hypothesis { generations: turns.chars().map(turn).collect(), ..Hypothesis::default() }
    }

    /// The turns that are left, and the rests that are longer than before, in ms.
    #[track_caller]
    fn check(trace: &Trace, mut server: Hypothesis, left: &str, rests_ms: &[i64]) {
        let before: i64 = server.generations.iter().map(Generation::length_ns).sum();
        leave_out(trace, &mut server);
        let turns = &server.generations;
        let kinds: String = turns.iter().map(|turn| if turn.shed { 'x' } else { '.' }).collect();
        assert_eq!(kinds, left);
        let longer = turns.iter().map(|turn| turn.rest_ns / MS - 10).filter(|ms| *ms != 0);
        assert_eq!(longer.collect::<Vec<_>>(), rests_ms);
        assert_eq!(turns.iter().map(Generation::length_ns).sum::<i64>(), before, "no time is lost");
    }

    #[test]
    fn nothing_is_shed_where_nothing_is_on_its_way() {
        let trace = Trace::default();
        check(&trace, server("..xxx..", 0), "....", &[300]);
        check(&trace, server("..xxx.xxxx.", 0), "....", &[300, 400]);
        // That is no stall, and nobody knows what comes after the end.
        check(&trace, server("..xx..", 0), "..xx..", &[]);
        check(&trace, server("..xxx", 0), "..xxx", &[]);
        // Slices that waited for half of what makes a server shed, and for more.
        check(&trace, server("..xxx..", 1_000 * MS), "....", &[300]);
        check(&trace, server("..xxx..", 1_000 * MS + 1), "..xxx..", &[]);
    }

    #[test]
    fn a_client_that_acknowledges_tells_what_is_on_its_way() {
        let tick = |at_ms: u64, acked: f64| TracedTick {
            at: Nanos(at_ms * MS as u64),
            position_s: None,
            client_time: None,
            acked: Some(acked),
            lead_s: None,
            bytes: 0,
        };
        let of = |window_bytes: u64, acked: f64| {
            let trace = Trace { ticks: vec![tick(200, acked)], ..Trace::default() };
            let mut server = server("..xxx..", 9_000 * MS);
            server.policy.flow.window_bytes = window_bytes;
            (trace, server)
        };
        // 2,000 bytes were sent.
        let (trace, server) = of(2_000, 1_000.0);
        check(&trace, server, "....", &[300]);
        let (trace, server) = of(1_999, 1_000.0);
        check(&trace, server, "..xxx..", &[]);
        let (trace, server) = of(1_999, 2_000.0);
        check(&trace, server, "....", &[300]);
    }
}
