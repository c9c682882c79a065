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
