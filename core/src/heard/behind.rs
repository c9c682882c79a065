//! Slices that land behind the listener, and how long that lasts.
//!
//! Enters: where each slice lies against the listener when it is applied. Leaves: spells. A slice
//! is behind only if its end is: a wide window that begins behind the listener and reaches as far
//! ahead as a slice of the usual 0.36 s that is in time serves him.

use crate::capture::BehindSpell;
use crate::time::Nanos;

/// A slice that begins with less lead than this may be behind the listener, …
pub const BEHIND_LEAD_S: f64 = -0.05;
/// … and is when it does not end as far ahead as the usual window of a slice with that lead.
pub const BEHIND_WINDOW_S: f64 = 0.36;
/// Slices behind for at least this long are lag.
pub const BEHIND_SUSTAINED_S: f64 = 1.0;
/// A spell is over when a slice is in time and none was behind for this long, or when both were
/// applied at once.
const CLEAR_NS: u64 = 250_000_000;

/// What counts as slices behind the listener.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BehindRule {
    /// A slice with less lead than this, which does not reach a window further, is behind.
    pub lead_s: f64,
    /// And it is lag when it lasts so long.
    pub sustained_s: f64,
}

impl Default for BehindRule {
    fn default() -> Self {
        BehindRule { lead_s: BEHIND_LEAD_S, sustained_s: BEHIND_SUSTAINED_S }
    }
}

/// Follows the slices.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Behind {
    lead_ns: i64,
    end_ns: i64,
    sustained_ns: u64,
    pub now: Option<BehindSpell>,
}

impl Behind {
    /// Goes on with a spell, if there is one.
    pub fn new(rule: BehindRule, now: Option<BehindSpell>) -> Self {
        let lead_ns = (rule.lead_s * 1e9).round() as i64;
        Behind {
            lead_ns,
            end_ns: lead_ns.saturating_add((BEHIND_WINDOW_S * 1e9) as i64),
            sustained_ns: (rule.sustained_s * 1e9).round() as u64,
            now,
        }
    }

    /// A slice was applied, so far ahead of the listener with its beginning and its end. Returns the
    /// spell that it ended.
    pub fn on_slice(&mut self, at: Nanos, lead_ns: i64, end_ns: i64) -> Option<BehindSpell> {
        if lead_ns >= self.lead_ns || end_ns >= self.end_ns {
            let since_ns = |spell: &BehindSpell| at.0.saturating_sub(spell.to.0);
            let over = self.now.as_ref().map(since_ns).is_some_and(|ns| ns == 0 || ns > CLEAR_NS);
            if over {
                return self.end();
            }
            if let Some(spell) = &mut self.now {
                spell.of = spell.of.saturating_add(1);
            }
            return None;
        }
        let begins =
            BehindSpell { from: at, to: at, slices: 0, of: 0, of_to: 0, worst_lead_ns: lead_ns };
        let spell = self.now.get_or_insert(begins);
        spell.to = at;
        spell.slices = spell.slices.saturating_add(1);
        spell.of = spell.of.saturating_add(1);
        spell.of_to = spell.of;
        spell.worst_lead_ns = spell.worst_lead_ns.min(lead_ns);
        None
    }

    /// What was behind does not go on: the playhead is elsewhere now.
    pub fn end(&mut self) -> Option<BehindSpell> {
        let spell = self.current();
        self.now = None;
        spell
    }

    /// The spell that may go on, if it counts by now.
    pub fn current(&self) -> Option<BehindSpell> {
        let counts =
            |spell: &BehindSpell| spell.to.0.saturating_sub(spell.from.0) >= self.sustained_ns;
        self.now.filter(counts)
    }

    /// The same, while nothing has been in time for long.
    pub fn going_on(&self, now: Nanos) -> Option<BehindSpell> {
        self.current().filter(|spell| now.0.saturating_sub(spell.to.0) <= CLEAR_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// Slices every 50 ms with this lead and this length, in milliseconds.
    #[track_caller]
    fn check(slices: &[(usize, i64, i64)], expected: Option<(u64, u64, u64)>) {
        let mut behind = Behind::new(BehindRule::default(), None);
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

    fn at(behind: &mut Behind, ms: u64, lead_ms: i64) -> Option<BehindSpell> {
        let lead = lead_ms * MS as i64;
        behind.on_slice(Nanos(ms * MS), lead, lead + 360 * MS as i64)
    }

    #[test]
    fn a_spell_tells_its_lowest_lead_and_all_slices_up_to_its_last() {
        let mut behind = Behind::new(BehindRule::default(), None);
        for (i, lead_ms) in [-200, 100, -900, -300, 100].into_iter().enumerate() {
            assert_eq!(at(&mut behind, i as u64 * 240, lead_ms), None);
        }
        let spell = BehindSpell { from: Nanos(0), ..behind.now.unwrap() };
        assert_eq!((spell.slices, spell.of_to, spell.of), (3, 4, 5));
        assert_eq!(spell.worst_lead_ns, -900 * MS as i64);
    }

    #[test]
    fn a_spell_goes_on_for_a_quarter_of_a_second() {
        let mut behind = Behind::new(BehindRule::default(), None);
        for ms in [0, 500, 1_000] {
            at(&mut behind, ms, -200);
        }
        assert!(behind.going_on(Nanos(1_250 * MS)).is_some());
        assert!(behind.going_on(Nanos(1_251 * MS)).is_none());
        assert!(behind.current().is_some(), "and may still become longer");
    }

    #[test]
    fn what_is_applied_at_once_with_a_slice_in_time_is_over() {
        let mut behind = Behind::new(BehindRule::default(), None);
        for ms in [0, 500, 1_000] {
            at(&mut behind, ms, -200);
        }
        assert!(at(&mut behind, 1_000, 200).is_some());
        assert_eq!(behind.now, None);
    }
}
