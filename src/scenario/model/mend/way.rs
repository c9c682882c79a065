//! A way on which nothing waits.

use super::super::generations::{Generation, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::queue::Cause;
use super::super::spell::Spell;
use super::super::trace::Trace;
use crate::lag::stats::percentile;

/// Slices that waited for nothing are on their way as long as this share of those that took least.
const AS_USUAL: f64 = 0.5;

/// No slice waits any more for what they waited for, and none is shed for it.
pub(super) fn clear(trace: &Trace, server: &mut Hypothesis, cause: Cause, spell: Spell) {
    match server.queue {
        Some(queue) if queue.cause == cause => {
            begin_with_the_buffer(trace, server);
            server.queue = None;
            for turn in &mut server.generations {
                (turn.transit_ns, turn.shed) = (0, false);
            }
        }
        // What is late without a queue was late on the link.
        None if cause == Cause::Link => shorten(trace, server, spell),
        _ => return,
    }
    let transits = server.generations.iter().map(|turn| turn.transit_ns);
    server.mean_transit_ns = transits.sum::<i64>() / server.generations.len().max(1) as i64;
}

/// Nothing is shed any more because the server was late to take acknowledgements.
pub(super) fn take_acknowledgements(server: &mut Hypothesis) {
    server.queue = server.queue.filter(|queue| queue.cause != Cause::Intake);
    if server.queue.is_none() {
        server.generations.iter_mut().for_each(|turn| turn.shed = false);
    }
}

/// A server that began while the initial buffer was still on its way begins when that has arrived:
/// over a way on which nothing waits both are one moment.
fn begin_with_the_buffer(trace: &Trace, server: &mut Hypothesis) {
    let mut handed_over = server.began(trace);
    let mut before = 0;
    for turn in &server.generations {
        let after = shifted(handed_over, turn.length_ns());
        if after > trace.begins {
            break;
        }
        (handed_over, before) = (after, before + 1);
    }
    // As a rule not all of it: the model needs turns.
    before = before.min(server.generations.len().saturating_sub(2));
    server.generations.drain(..before);
    if let Some(first) = server.generations.first_mut() {
        let early_ns = trace.begins.0 as i64 - handed_over.0 as i64;
        first.rest_ns = (first.rest_ns - early_ns.max(0)).max(0);
    }
}

/// In a spell slices are on their way no longer than usual.
fn shorten(trace: &Trace, server: &mut Hypothesis, spell: Spell) {
    let mut transits: Vec<f64> =
        server.generations.iter().map(|turn: &Generation| turn.transit_ns as f64).collect();
    let usual_ns = percentile(&mut transits, AS_USUAL) as i64;
    let mut now = server.began(trace);
    for turn in &mut server.generations {
        let handed_over = shifted(now, turn.length_ns());
        if spell.meets(now, shifted(handed_over, turn.transit_ns)) {
            turn.transit_ns = turn.transit_ns.min(usual_ns);
        }
        now = handed_over;
    }
}
