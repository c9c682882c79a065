//! Slices that land behind the listener, and how long that lasts.
//!
//! Enters: where each slice lies against the listener when it is applied. Leaves: spells. A slice
//! is behind only if its end is: a wide window that begins behind the listener and reaches as far
//! ahead as a slice of the usual 0.36 s that is in time serves him.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// A slice that begins behind this lead may be behind, …
pub const BEHIND_LEAD_NS: i64 = -50_000_000;
/// … and is when it does not end so far ahead: the usual window, less that lead.
pub const BEHIND_END_NS: i64 = 310_000_000;
/// Slices behind for at least this long are lag.
pub const BEHIND_SUSTAINED_NS: u64 = 1_000_000_000;
/// A spell is over when a slice is in time and none was behind for this long, or when both were
/// applied at once.
const CLEAR_NS: u64 = 250_000_000;

/// Slices behind the listener, one soon after the other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BehindSpell {
    pub from: Nanos,
    pub to: Nanos,
    pub slices: u64,
    pub worst_lead_ns: i64,
}

impl BehindSpell {
    pub fn counts(&self) -> bool {
        self.to.0.saturating_sub(self.from.0) >= BEHIND_SUSTAINED_NS
    }
}

/// Follows the slices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Behind {
    now: Option<BehindSpell>,
}

impl Behind {
    /// A slice was applied, so far ahead of the listener with its beginning and its end. Returns the
    /// spell that it ended.
    pub fn on_slice(&mut self, at: Nanos, lead_ns: i64, end_ns: i64) -> Option<BehindSpell> {
        if lead_ns >= BEHIND_LEAD_NS || end_ns >= BEHIND_END_NS {
            let since_ns = |spell: BehindSpell| at.0.saturating_sub(spell.to.0);
            let over = self.now.map(since_ns).is_some_and(|ns| ns == 0 || ns > CLEAR_NS);
            return if over { self.end() } else { None };
        }
        let begins = BehindSpell { from: at, to: at, slices: 0, worst_lead_ns: lead_ns };
        let spell = self.now.get_or_insert(begins);
        spell.to = at;
        spell.slices += 1;
        spell.worst_lead_ns = spell.worst_lead_ns.min(lead_ns);
        None
    }

    /// What was behind does not go on: the playhead is elsewhere now.
    pub fn end(&mut self) -> Option<BehindSpell> {
        self.now.take().filter(BehindSpell::counts)
    }

    /// The spell that may go on, if it counts by now.
    pub fn current(&self) -> Option<BehindSpell> {
        self.now.filter(BehindSpell::counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Slices every 50 ms with this lead and this length, in milliseconds.
    #[track_caller]
    fn check(slices: &[(usize, i64, i64)], expected: Option<(u64, u64, u64)>) {
        let mut behind = Behind::default();
        let mut found = None;
        let all = slices.iter().flat_map(|&(n, lead, len)| std::iter::repeat_n((lead, len), n));
        for (i, (lead, len)) in (0..).zip(all) {
            let (lead, end) = (lead * MS as i64, (lead + len) * MS as i64);
            found = behind.on_slice(Nanos(i * 50 * MS), lead, end).or(found);
        }
        let found = found.or(behind.current());
        assert_eq!(found.map(|s| (s.from.0 / MS, s.to.0 / MS, s.slices)), expected);
    }

    #[test]
    fn behind_are_slices_whose_ends_are_and_for_a_second() {
        check(&[(10, 200, 360), (30, -200, 360), (20, 200, 360)], Some((500, 1950, 30)));
        check(&[(10, 200, 360), (20, -200, 360), (20, 200, 360)], None);
        check(&[(60, -40, 360)], None);
        check(&[(60, -5_700, 6_000)], Some((0, 2950, 60)));
        check(&[(60, -5_600, 6_000)], None);
        check(&[(60, -60, 40)], Some((0, 2950, 60)));
        check(&[(20, -200, 360), (4, 200, 360), (10, -200, 360)], Some((0, 1650, 30)));
        check(&[(20, -200, 360), (8, 200, 360), (20, -200, 360)], None);
    }
}
