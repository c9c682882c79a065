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

#[cfg(test)]
mod tests {
    use super::super::super::hypothesis::tests::{queue, with_transits};
    use super::super::super::queue::Queue;
    use super::*;
    use crate::time::Nanos;

    const ALL: Spell = Spell { from: Nanos(0), to: Nanos(1_000) };

    fn transits(server: &Hypothesis) -> Vec<i64> {
        server.generations.iter().map(|turn| turn.transit_ns).collect()
    }

    /// Turns of 10 ns, of which the third was shed.
    fn waited(queue: Option<Queue>) -> Hypothesis {
        let mut server = Hypothesis { queue, ..with_transits(&[4, 4, 100, 8]) };
        server.generations.iter_mut().for_each(|turn| turn.tick_ns = 10);
        server.generations[2].shed = true;
        server
    }

    #[test]
    fn what_waited_for_that_waits_no_more() {
        let trace = Trace { begins: Nanos(7), ..Trace::default() };
        let mut server = waited(Some(queue()));
        clear(&trace, &mut server, Cause::Link, ALL);
        assert_eq!((transits(&server), server.mean_transit_ns), (vec![0; 4], 0));
        assert!(server.queue.is_none() && server.generations.iter().all(|turn| !turn.shed));
        let mut other = waited(Some(queue()));
        clear(&trace, &mut other, Cause::Client, ALL);
        assert_eq!(other, waited(Some(queue())));
        let mut none = waited(None);
        clear(&trace, &mut none, Cause::Client, ALL);
        assert_eq!(none, waited(None));
    }

    #[test]
    fn without_a_queue_what_was_late_in_the_spell_comes_as_usual() {
        let trace = Trace { begins: Nanos(0), ..Trace::default() };
        let mut server = waited(None);
        clear(&trace, &mut server, Cause::Link, ALL);
        assert_eq!((transits(&server), server.mean_transit_ns), (vec![4, 4, 6, 6], 5));
        // The third is made from 20 on and on its way until 130.
        for (from, to, expected) in [(131, 999, 100), (130, 999, 6), (0, 19, 100), (0, 20, 6)] {
            let mut server = waited(None);
            clear(&trace, &mut server, Cause::Link, Spell { from: Nanos(from), to: Nanos(to) });
            assert_eq!(transits(&server)[2], expected, "{from} {to}");
        }
    }

    #[test]
    fn a_server_that_began_early_begins_with_the_buffer() {
        let trace = Trace { begins: Nanos(32), ..Trace::default() };
        // Began at 7: two turns were over at 27, and of the third five were left when the buffer came.
        let mut server = waited(Some(queue()));
        server.generations.iter_mut().for_each(|turn| (turn.rest_ns, turn.tick_ns) = (6, 4));
        clear(&trace, &mut server, Cause::Link, ALL);
        let rests: Vec<_> = server.generations.iter().map(|turn| turn.rest_ns).collect();
        assert_eq!(rests, [1, 6]);
    }

    #[test]
    fn acknowledgements_that_are_taken_shed_nothing() {
        let intake = Queue { cause: Cause::Intake, ..queue() };
        let mut server = waited(Some(intake));
        take_acknowledgements(&mut server);
        assert!(server.queue.is_none() && server.generations.iter().all(|turn| !turn.shed));
        let mut other = waited(Some(queue()));
        take_acknowledgements(&mut other);
        assert_eq!(other, waited(Some(queue())));
    }
}
