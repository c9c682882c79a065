//! From when to when something was wrong.

use crate::time::Nanos;

/// From when to when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spell {
    pub from: Nanos,
    pub to: Nanos,
}

impl Spell {
    /// Whether that moment lies in it.
    pub(super) fn contains(&self, at: Nanos) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// Whether any of what happens from `from` to `to` happens in it.
    #[must_use]
    pub fn meets(&self, from: Nanos, to: Nanos) -> bool {
        from <= self.to && self.from <= to
    }
}
