//! When to ping a client, and when to give it up.
//!
//! A ping that cannot be sent counts as one that is not answered.

use crate::peer::stall::STALLS_FOR;
use crate::time::{Nanos, Span};

/// When silent clients are given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveOptions {
    /// From the start or a pong to the next ping.
    pub ping_every: Span,
    /// From a ping to giving up, if there is no pong.
    pub pong_within: Span,
    /// How long a client may take nothing of what waits for it; `None`: for ever.
    pub stalls_for: Option<Span>,
}

impl Default for KeepaliveOptions {
    /// The times of the real server: 20 s, 90 s and 30 s.
    fn default() -> Self {
        let s = |seconds: u64| Span(seconds * 1_000_000_000);
        Self { ping_every: s(20), pong_within: s(90), stalls_for: Some(STALLS_FOR) }
    }
}

/// The pings of one connection.
#[derive(Debug)]
pub struct Keepalive {
    options: KeepaliveOptions,
    ping_due: Nanos,
    is_pinged: bool,
}

impl Keepalive {
    /// The pings of a connection that began at `now`.
    #[must_use]
    pub fn new(options: KeepaliveOptions, now: Nanos) -> Self {
        Self { options, ping_due: later(now, options.ping_every), is_pinged: false }
    }

    /// Whether a ping is to be sent now; `true` once for each ping.
    pub fn take_ping(&mut self, now: Nanos) -> bool {
        let is_due = !self.is_pinged && now >= self.ping_due;
        self.is_pinged |= is_due;
        is_due
    }

    /// Takes a pong; an unsolicited one changes nothing.
    pub fn on_pong(&mut self, now: Nanos) {
        if self.is_pinged {
            *self = Self::new(self.options, now);
        }
    }

    /// Whether the client is to be given up.
    #[must_use]
    pub fn is_lost(&self, now: Nanos) -> bool {
        now >= self.lost_at()
    }

    /// When the next ping or the end is due. While nothing can be sent, only the end is.
    #[must_use]
    pub fn wake_at(&self, can_send: bool) -> Nanos {
        if can_send && !self.is_pinged { self.ping_due } else { self.lost_at() }
    }

    fn lost_at(&self) -> Nanos {
        later(self.ping_due, self.options.pong_within)
    }
}

fn later(at: Nanos, span: Span) -> Nanos {
    Nanos(at.0.saturating_add(span.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_client_that_answers_is_asked_again() {
        let mut keepalive = Keepalive::new(KeepaliveOptions::default(), s(1));
        assert_eq!(keepalive.wake_at(true), s(21));
        assert!(!keepalive.take_ping(s(20)));
        keepalive.on_pong(s(20));
        assert!(keepalive.take_ping(s(21)) && !keepalive.take_ping(s(21)));
        assert_eq!(keepalive.wake_at(true), s(111));
        keepalive.on_pong(s(22));
        assert_eq!(keepalive.wake_at(true), s(42));
        assert!(!keepalive.is_lost(s(131)));
    }

    #[test]
    fn a_silent_client_is_lost_whether_or_not_the_ping_went_out() {
        for can_send in [true, false] {
            let mut keepalive = Keepalive::new(KeepaliveOptions::default(), s(0));
            assert_eq!(keepalive.wake_at(can_send), if can_send { s(20) } else { s(110) });
            assert!(!can_send || keepalive.take_ping(s(20)));
            assert_eq!(keepalive.wake_at(can_send), s(110));
            assert!(!keepalive.is_lost(Nanos(s(110).0 - 1)) && keepalive.is_lost(s(110)));
        }
    }
}
