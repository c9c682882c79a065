//! When a client that takes nothing is given up.
//!
//! The real server looks every 2 s at the send queue of a socket, and gives a client up whose queue has
//! made no progress for 30 s (PR 295). Enters: what the other end has taken and whether more waits.

use crate::time::{Nanos, Span};

/// How long the real server lets a client take nothing (`DEMON_DEAD_CLIENT_STALL_S`).
pub const STALLS_FOR: Span = Span(30_000_000_000);
/// From one look to the next.
const LOOK_EVERY: Span = Span(2_000_000_000);

/// The watch over what one client takes.
#[derive(Debug)]
pub struct StallWatch {
    /// How long it may take nothing; `None`: for ever.
    stalls_for: Option<Span>,
    looked: Nanos,
    taken: u64,
    moved: Nanos,
}

impl StallWatch {
    /// A watch that begins at `now`.
    #[must_use]
    pub fn new(stalls_for: Option<Span>, now: Nanos) -> Self {
        StallWatch { stalls_for, looked: now, taken: 0, moved: now }
    }

    /// Looks, if it is time to. Whether the client is given up, which has taken so many bytes.
    pub fn is_stalled(&mut self, now: Nanos, taken: u64, is_waiting: bool) -> bool {
        let Some(stalls_for) = self.stalls_for else { return false };
        if self.next_look(stalls_for) > now {
            return false;
        }
        self.looked = now;
        if taken != self.taken || !is_waiting {
            (self.taken, self.moved) = (taken, now);
        }
        now.0.saturating_sub(self.moved.0) >= stalls_for.0
    }

    /// When to look again.
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        self.stalls_for.map(|stalls_for| self.next_look(stalls_for))
    }

    fn next_look(&self, stalls_for: Span) -> Nanos {
        Nanos(self.looked.0.saturating_add(LOOK_EVERY.0.min(stalls_for.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    /// The second in which a client is given up that has taken so much by each second.
    #[track_caller]
    fn check(taken: impl Fn(u64) -> u64, is_waiting: bool, expected: Option<u64>) {
        let mut watch = StallWatch::new(Some(STALLS_FOR), s(0));
        let given_up =
            (0..200).find(|&second| watch.is_stalled(s(second), taken(second), is_waiting));
        assert_eq!(given_up, expected);
    }

    #[test]
    fn a_client_that_takes_nothing_is_given_up_after_30_s() {
        check(|_| 0, true, Some(30));
        check(|second| second.min(11), true, Some(42));
        check(|second| second / 25, true, None);
        check(|_| 0, false, None);
    }

    #[test]
    fn nobody_is_given_up_unless_asked() {
        let mut watch = StallWatch::new(None, s(0));
        assert!(!watch.is_stalled(s(3_600), 0, true));
        assert_eq!(watch.wake_at(), None);
    }
}
