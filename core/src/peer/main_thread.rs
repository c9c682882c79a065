//! When the main thread of a client is free: what arrives meanwhile waits, and audio plays on.

use crate::peer::interval::{Interval, Pulses};
use crate::time::Nanos;

/// When a client is busy. The default: never.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MainThread {
    /// A throttled client handles what came only at multiples of this many seconds; 0: at once.
    pub turns_every_s: f64,
    /// It also reports only then.
    pub reports_in_turns: bool,
    /// Spells in which it does neither.
    pub hitches: Option<Hitches>,
}

/// Spells in which the main thread is blocked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hitches {
    /// In seconds from the initial buffer; the first one begins with it.
    pub interval: Interval,
    pub pulses: Pulses,
}

impl MainThread {
    /// When a client whose initial buffer came at `origin` handles what arrives at `at`.
    #[must_use]
    pub fn handles_at(&self, at: Nanos, origin: Option<Nanos>) -> Nanos {
        self.next_turn(self.unblocked(at, origin))
    }

    /// When it does what it means to do at `at`.
    #[must_use]
    pub fn acts_at(&self, at: Nanos, origin: Option<Nanos>) -> Nanos {
        let unblocked = self.unblocked(at, origin);
        if self.reports_in_turns { self.next_turn(unblocked) } else { unblocked }
    }

    fn next_turn(&self, at: Nanos) -> Nanos {
        if self.turns_every_s <= 0.0 || at == NEVER {
            return at;
        }
        let turn_ns = ((self.turns_every_s * 1e9) as u64).max(1);
        Nanos(at.0.div_ceil(turn_ns).saturating_mul(turn_ns))
    }

    fn unblocked(&self, at: Nanos, origin: Option<Nanos>) -> Nanos {
        let Some((Hitches { interval, pulses }, origin)) = self.hitches.zip(origin) else {
            return at;
        };
        let at_s = at.seconds_since(origin);
        match pulses.end_s(at_s - interval.at_s).filter(|_| interval.contains(at_s)) {
            None => at,
            Some(end_s) if end_s.is_infinite() => NEVER,
            Some(end_s) => {
                let free_ns = ((interval.at_s + end_s) * 1e9).ceil();
                Nanos(origin.0.saturating_add(free_ns as u64)).max(at)
            }
        }
    }
}

/// The end of the clock.
pub const NEVER: Nanos = Nanos(u64::MAX);

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn hitches(at_s: f64, for_s: f64, every_s: f64, hitch_s: f64) -> Option<Hitches> {
        let interval = Interval { at_s, for_s };
        Some(Hitches { interval, pulses: Pulses { every_s, for_s: hitch_s } })
    }

    #[track_caller]
    fn check(thread: &MainThread, at_ms: u64, handled_ms: u64, acted_ms: u64) {
        let origin = Some(Nanos(S));
        let at = Nanos(at_ms * 1_000_000);
        let found = [thread.handles_at(at, origin), thread.acts_at(at, origin)];
        assert_eq!(found.map(|at| at.0 / 1_000_000), [handled_ms, acted_ms]);
    }

    #[test]
    fn turns_and_hitches_hold_a_client_up() {
        check(&MainThread::default(), 1_234, 1_234, 1_234);
        let turns = MainThread { turns_every_s: 0.5, ..MainThread::default() };
        check(&turns, 1_234, 1_500, 1_234);
        check(&MainThread { reports_in_turns: true, ..turns }, 1_234, 1_500, 1_500);
        let blocked = MainThread { hitches: hitches(2.0, 8.0, 5.0, 1.0), ..turns };
        check(&blocked, 2_900, 3_000, 2_900);
        check(&blocked, 3_200, 4_000, 4_000);
        check(&blocked, 8_100, 9_000, 9_000);
        check(&blocked, 13_100, 13_500, 13_100);
    }

    #[test]
    fn a_client_that_is_gone_never_comes_back() {
        let gone = hitches(2.0, f64::INFINITY, f64::INFINITY, f64::INFINITY);
        let gone = MainThread { hitches: gone, ..MainThread::default() };
        assert_eq!(gone.handles_at(Nanos(4 * S), Some(Nanos(S))), NEVER);
        assert_eq!(gone.acts_at(Nanos(4 * S), None), Nanos(4 * S));
    }
}
