//! When a client that acknowledges what it applied applied nothing.
//!
//! Enters: slices as they arrive, and acknowledgements. Leaves: [`Spell`]s, each from the arrival of a
//! slice that a later report did not acknowledge yet to the report that did. An acknowledgement that is
//! the end of no slice counts something else and is not believed, as where it is measured what was
//! heard.

use std::collections::VecDeque;

use super::spell::Spell;
use crate::time::Nanos;

/// Slices that wait at most; a server sheds long before.
const MAX_WAITING: usize = 1 << 14;

/// Finds the spells of one recording.
#[derive(Debug, Default)]
pub(super) struct BusySpells {
    /// Slices that no report acknowledged, each with its arrival and with where it ends.
    waiting: VecDeque<(Nanos, u64)>,
    received: u64,
    acknowledged: u64,
    /// When the first slice arrived that a report has left out.
    since: Option<Nanos>,
    spells: Vec<Spell>,
}

impl BusySpells {
    pub fn arrive(&mut self, at: Nanos, bytes: u32) {
        self.received += u64::from(bytes);
        self.waiting.push_back((at, self.received));
        if self.waiting.len() > MAX_WAITING {
            self.waiting.pop_front();
        }
    }

    pub fn acknowledge(&mut self, at: Nanos, bytes: f64) {
        let is_end = |end: u64| end as f64 == bytes;
        if !is_end(self.acknowledged) && !self.waiting.iter().any(|(_, end)| is_end(*end)) {
            return;
        }
        self.acknowledged = bytes as u64;
        let waited = self.waiting.front().map(|(arrived, _)| *arrived);
        while self.waiting.pop_front_if(|(_, end)| *end <= self.acknowledged).is_some() {}
        let applied_some = self.waiting.front().map(|(arrived, _)| *arrived) != waited;
        if applied_some && let Some(from) = self.since.take() {
            self.spells.push(Spell { from, to: at });
        }
        self.since = self.since.or(self.waiting.front().map(|(arrived, _)| *arrived));
    }

    pub fn finish(self) -> Vec<Spell> {
        self.spells
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slices of ten bytes that arrive then, and what is acknowledged when.
    #[track_caller]
    fn check(arrivals: &[u64], acknowledged: &[(u64, f64)], expected: &[(u64, u64)]) {
        let mut busy = BusySpells::default();
        let mut arrivals = arrivals.iter().peekable();
        for (at, bytes) in acknowledged {
            while let Some(arrived) = arrivals.next_if(|arrived| *arrived < at) {
                busy.arrive(Nanos(*arrived), 10);
            }
            busy.acknowledge(Nanos(*at), *bytes);
        }
        let spells: Vec<_> = busy.finish().iter().map(|spell| (spell.from.0, spell.to.0)).collect();
        assert_eq!(spells, expected);
    }

    #[test]
    fn what_a_report_leaves_out_waits_for_the_one_that_has_it() {
        check(&[1, 3], &[(2, 10.0), (4, 20.0)], &[]);
        check(&[1, 3, 5], &[(2, 10.0), (4, 10.0), (6, 10.0), (8, 30.0)], &[(3, 8)]);
        check(&[1, 3, 5], &[(4, 10.0), (6, 20.0), (8, 30.0)], &[(3, 6), (5, 8)]);
        // Something else is counted.
        check(&[1, 3], &[(2, 7.0), (4, 7.0), (5, 20.0)], &[]);
    }
}
