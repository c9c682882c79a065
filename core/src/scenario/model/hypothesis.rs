//! What the server of a recording may have been like.
//!
//! Everything that a run of the model needs beside the trace. A hypothesis says nothing of how well it
//! repeats its recording; that is what `fit` asks.

use std::borrow::Cow;

use super::bottleneck::LinkAnew;
use super::gate::Gate;
use super::generations::{Generation, NewFrames};
use super::pacing::Rule;
use super::perturbation::Perturbation;
use super::queue::Queue;
use super::trace::Trace;
use crate::peer::policy::Policy;
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;

/// A server, the way to it, and when it worked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hypothesis {
    pub policy: Policy,
    /// The family of its pacing.
    pub rule: Rule,
    /// Both ways and what the server needs to take a report and to hand a slice over, in
    /// nanoseconds.
    pub round_trip_ns: i64,
    /// The turns of the loop that generates.
    pub generations: Vec<Generation>,
    /// The link, where it was too thin for the stream and slices waited for it. Then what was shed
    /// and how long the rest was on its way are facts, and only where slices go is computed anew.
    pub queue: Option<Queue>,
    /// The gate of a server that only appends: its slices follow on each other, wherever the listener is,
    /// and a turn is a recorded slice.
    pub gate: Option<Gate>,
    /// The link to the client, where it is run anew: then what waits for it and what is shed follow from
    /// it, and no way is recorded.
    pub link: Option<LinkAnew>,
    /// What frames of a slice cost that the slice before did not cover.
    pub new_frames: NewFrames,
    pub(super) mean_transit_ns: i64,
}

impl Hypothesis {
    /// When the server began.
    pub(super) fn began(&self, trace: &Trace) -> Nanos {
        let link = self.link.map(|link| link.began);
        link.or(self.queue.map(|queue| queue.began)).unwrap_or(trace.begins)
    }

    /// The server of a run in which chance decided that. Which of the turns that a link hides was when
    /// is not known, so that each spell of them begins with another.
    pub(super) fn of_run(&self, perturbation: &Perturbation) -> Cow<'_, Hypothesis> {
        if self.link.is_none() || !perturbation.jitters {
            return Cow::Borrowed(self);
        }
        let mut rng = Rng::new(perturbation.seed, Stream::Durations);
        let mut server = self.clone();
        for spell in server.generations.chunk_by_mut(|a, b| a.anew == b.anew) {
            if spell[0].anew {
                spell.rotate_left((rng.unit() * spell.len() as f64) as usize);
            }
        }
        Cow::Owned(server)
    }

    /// What the recording knows of a turn. Past its end it begins anew, so that a faster server
    /// finds something to do; the first rest was no rest between turns.
    #[inline]
    pub(super) fn turn(&self, number: usize) -> &Generation {
        let count = self.generations.len();
        let index = if number < count { number } else { 1 + (number - count) % (count - 1) };
        &self.generations[index]
    }

    /// How much longer one report travels than the fitted way: like some slice of the recording.
    pub(super) fn jitter_ns(&self, rng: &mut Rng) -> i64 {
        if self.queue.is_some() {
            return 0;
        }
        let index = (rng.unit() * self.generations.len() as f64) as usize;
        self.generations[index].transit_ns - self.mean_transit_ns
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::scenario::model::queue::Cause;

    /// A server whose slices took this much longer than the fastest, in nanoseconds.
    pub(in crate::scenario::model) fn with_transits(transits_ns: &[i64]) -> Hypothesis {
        let turn = |&transit_ns| Generation { transit_ns, ..Generation::default() };
        let generations: Vec<_> = transits_ns.iter().map(turn).collect();
        let mean_transit_ns = transits_ns.iter().sum::<i64>() / transits_ns.len() as i64;
        Hypothesis {
            policy: Policy::default(),
            rule: Rule::default(),
            round_trip_ns: 1_000,
            generations,
            queue: None,
            gate: None,
            link: None,
            new_frames: NewFrames::default(),
            mean_transit_ns,
        }
    }

    pub(in crate::scenario::model) fn queue() -> Queue {
        Queue { cause: Cause::Link, ns_per_byte: 2.0, began: Nanos(7), waits_ns: 50 }
    }

    fn jitters(server: &Hypothesis) -> BTreeSet<i64> {
        let mut rng = Rng::new(3, Stream::Client);
        (0..200).map(|_| server.jitter_ns(&mut rng)).collect()
    }

    #[test]
    fn reports_jitter_as_slices_did_but_where_those_waited() {
        let server = with_transits(&[0, 10, 50]);
        assert_eq!(jitters(&server), BTreeSet::from([-20, -10, 30]));
        assert_eq!(jitters(&Hypothesis { queue: Some(queue()), ..server }), BTreeSet::from([0]));
    }

    #[test]
    fn turns_begin_anew_with_the_second() {
        let server = with_transits(&[1, 2, 3]);
        let turns: Vec<_> = (0..7).map(|number| server.turn(number).transit_ns).collect();
        assert_eq!(turns, [1, 2, 3, 2, 3, 2, 3]);
    }

    #[test]
    fn a_server_begins_with_the_recording_or_before_its_queue() {
        let trace = Trace { begins: Nanos(9), ..Trace::default() };
        let server = with_transits(&[0]);
        assert_eq!(server.began(&trace), Nanos(9));
        assert_eq!(Hypothesis { queue: Some(queue()), ..server }.began(&trace), Nanos(7));
    }
}
