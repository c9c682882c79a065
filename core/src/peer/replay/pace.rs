//! The clock of a replay: converts between the driver's clock and the tape's.
//!
//! Rate, pauses and jumps change nothing that was before them.

use crate::time::Nanos;

/// How late a message may be before the clock is delayed: less is a hiccup, and what follows catches
/// up; more means that client or machine cannot keep up, and everything slows in proportion.
pub const MAX_LATE_NS: u64 = 100_000_000;

/// Where the tape is.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    tape: Nanos,
    now: Nanos,
    rate: f64,
    is_paused: bool,
}

impl Pace {
    /// A clock on which it is `tape` at `now`, and which runs at `rate`.
    #[must_use]
    pub fn new(tape: Nanos, now: Nanos, rate: f64) -> Pace {
        Pace { tape, now, rate, is_paused: false }
    }

    /// Seconds of the tape in a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Whether the clock stands still.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// The moment of the tape at `now`.
    #[must_use]
    pub fn tape_at(&self, now: Nanos) -> Nanos {
        if self.is_paused {
            return self.tape;
        }
        let elapsed = now.0.saturating_sub(self.now.0) as f64 * self.rate;
        Nanos(self.tape.0.saturating_add(elapsed as u64))
    }

    /// When the tape will be, or was, at `tape`; `None` while the clock stands still.
    #[must_use]
    pub fn now_at(&self, tape: Nanos) -> Option<Nanos> {
        if self.is_paused {
            return None;
        }
        let ahead = (i128::from(tape.0) - i128::from(self.tape.0)) as f64 / self.rate;
        let now = self.now.0 as f64 + ahead;
        // Whole nanoseconds beyond 2^53 are not those of a session.
        Some(Nanos(now.clamp(0.0, u64::MAX as f64).ceil() as u64))
    }

    /// Runs at another rate from `now` on.
    pub fn set_rate(&mut self, now: Nanos, rate: f64) {
        self.rebase(now);
        self.rate = rate;
    }

    /// Stands still from `now` on.
    pub fn pause(&mut self, now: Nanos) {
        self.rebase(now);
        self.is_paused = true;
    }

    /// Goes on from `now`.
    pub fn resume(&mut self, now: Nanos) {
        self.rebase(now);
        self.is_paused = false;
    }

    /// Is at `tape` from `now` on, running or not.
    pub fn jump(&mut self, now: Nanos, tape: Nanos) {
        self.tape = tape;
        self.now = now;
    }

    /// Everything from here on comes later by this much.
    pub fn delay(&mut self, by_ns: u64) {
        self.now = Nanos(self.now.0.saturating_add(by_ns));
    }

    fn rebase(&mut self, now: Nanos) {
        self.tape = self.tape_at(now);
        self.now = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    /// What is done to a clock that begins at tape 10 s, now 100 s, and then where the tape is.
    #[track_caller]
    fn check(rate: f64, act: impl FnOnce(&mut Pace), now_s: u64, tape_s: f64) {
        let mut pace = Pace::new(Nanos(10 * S), Nanos(100 * S), rate);
        act(&mut pace);
        let tape = pace.tape_at(Nanos(now_s * S));
        assert!((tape.seconds() - tape_s).abs() < 1e-6, "{tape:?}, expected {tape_s} s");
        if !pace.is_paused() {
            let back = pace.now_at(tape).unwrap();
            assert!((back.seconds() - now_s as f64).abs() < 1e-6, "{back:?} and back");
        }
    }

    #[test]
    fn one_clock_owns_rate_pauses_and_jumps() {
        let at = |s: u64| Nanos(s * S);
        check(1.0, |_| (), 104, 14.0);
        check(0.5, |_| (), 104, 12.0);
        check(1.0, |pace| pace.set_rate(at(102), 2.0), 104, 16.0);
        check(1.0, |pace| pace.pause(at(102)), 104, 12.0);
        check(
            2.0,
            |pace| {
                pace.pause(at(102));
                pace.resume(at(103));
            },
            104,
            16.0,
        );
        check(1.0, |pace| pace.jump(at(101), at(30)), 104, 33.0);
        check(
            1.0,
            |pace| {
                pace.pause(at(102));
                pace.jump(at(103), at(5));
            },
            104,
            5.0,
        );
        // A clock that is held stands for as long as it is held, and runs on.
        check(1.0, |pace| pace.delay(2 * S), 104, 12.0);
    }

    #[test]
    fn a_clock_that_stands_reaches_nothing() {
        let mut pace = Pace::new(Nanos(0), Nanos(0), 1.0);
        pace.pause(Nanos(S));
        assert_eq!(pace.now_at(Nanos(2 * S)), None);
        assert_eq!(pace.tape_at(Nanos(9 * S)), Nanos(S));
    }
}
