//! Until when what is wrong counts as a transient.
//!
//! Enters: what happened to the stream. Leaves: a moment before which bad audio is no fault of
//! anybody. Every bound follows from how the server paces its slices:
//!
//! - After a seek, a swap or a resume the audio under the listener is old until the first slice for
//!   the new place has landed and the listener has crossed the lead with which it was placed. The
//!   lead is 1.35 s at most without the transport's share, which is there to hide a slow link and
//!   which a sound session does not need; a round trip and a generation take at most 0.5 s.
//! - A start begins when somebody listens: with the buffer, or with a foreign client's first report.
//! - A start has that transient from its first slice on, and the pipeline fills before it, which
//!   together is at least the first 2.5 s. A first slice that is not there after 1.85 s is late, and
//!   then all of the wait counts but the first second, which is what a full pipeline with a slow tick
//!   takes.
//! - A paused player hears nothing.
//! - A server that saw no change for 20 s renders one more loop and then rests. What the listener
//!   hears then is finished, not stale, until 2 s after the next change.

use crate::capture::{Excuses, TapeRule};
use crate::time::Nanos;

/// How long the transient of a seek, a swap or a resume lasts: the longest lead of a server, a
/// round trip and a generation.
pub const SETTLE_NS: u64 = 1_850_000_000;
/// What a start takes if its first slice comes in time.
pub const STARTED_NS: u64 = 2_500_000_000;
/// What a start takes in any case.
pub const START_NS: u64 = 1_000_000_000;
/// A server that saw no change for so long renders one more loop and then rests.
pub const IDLE_AFTER_NS: u64 = 20_000_000_000;
/// How far the last slice may lie from the moment at which a resting server stops.
const IDLE_TOLERANCE_NS: u64 = 2_000_000_000;
/// How long a resting server may take to send slices again after a change.
const IDLE_RESUME_NS: u64 = 2_000_000_000;
/// Silence after which slices of a resting server are a new beginning.
const SILENCE_NS: u64 = 1_000_000_000;

impl Excuses {
    /// The initial buffer came.
    #[must_use]
    pub fn new(now: Nanos, loop_ns: u64) -> Self {
        Excuses {
            loop_ns,
            settled_at: after(now, START_NS),
            changed_at: now,
            last_slice: now,
            unchanged_ns: 0,
            starting: Some(now),
            tape: None,
        }
    }

    /// The session only appends: its first audio may take longer. Nothing may have come yet.
    pub fn set_on_tape(&mut self, rule: TapeRule) {
        self.tape = Some(rule);
        if let Some(began) = self.starting {
            self.settled_at = after(began, rule.first_audio_ns.max(START_NS));
        }
    }

    /// Bad audio that was heard before this moment does not count, as far as is known by now.
    #[must_use]
    pub fn until(&self) -> Nanos {
        if !self.rests() {
            return self.settled_at;
        }
        let woken = self.changed_at > self.last_slice;
        if woken {
            after(self.changed_at, IDLE_RESUME_NS).max(self.settled_at)
        } else {
            Nanos(u64::MAX)
        }
    }

    /// Whether the server rests because nothing was changed.
    #[must_use]
    pub fn idles(&self, now: Nanos) -> bool {
        self.rests() && now < self.until()
    }

    /// Whether bad audio so far may yet turn out to be the transient of the start.
    #[must_use]
    pub fn starting(&self, now: Nanos) -> bool {
        let in_time_ns = self.tape.map_or(SETTLE_NS, |tape| tape.first_audio_ns.max(SETTLE_NS));
        self.starting.is_some_and(|began| now < after(began, in_time_ns))
    }

    /// Somebody begins to listen, to a stream that may have begun long before: a start counts from here.
    pub fn on_listener(&mut self, now: Nanos) {
        self.settled_at = after(now, START_NS);
        self.starting = Some(now);
    }

    /// A new source buffer.
    pub fn on_swap(&mut self, now: Nanos, loop_ns: u64) {
        self.loop_ns = loop_ns;
        self.last_slice = now;
        self.changed_at = now;
        self.unchanged_ns = 0;
        self.unsettle(now);
    }

    /// The playhead jumped, or goes on after a pause.
    pub fn unsettle(&mut self, now: Nanos) {
        self.settled_at = after(now, SETTLE_NS);
    }

    /// A knob or another command changed what the server renders.
    pub fn on_change(&mut self, now: Nanos) {
        self.changed_at = now;
    }

    /// A slice came. Says whether all that was bad so far belongs to the start.
    pub fn on_slice(&mut self, now: Nanos) -> bool {
        let silence_ns = now.0.saturating_sub(self.last_slice.0);
        let in_time = self.starting(now);
        if in_time || (self.rests() && silence_ns > SILENCE_NS) {
            self.unsettle(now);
        }
        if let Some(began) = self.starting.take().filter(|_| in_time) {
            self.settled_at = self.settled_at.max(after(began, STARTED_NS));
        }
        self.last_slice = now;
        self.unchanged_ns = now.0.saturating_sub(self.changed_at.0);
        in_time
    }

    /// Whether the slices stopped just where a server that saw no change stops them.
    fn rests(&self) -> bool {
        let stops_ns = IDLE_AFTER_NS.saturating_add(self.loop_ns);
        // The last burst may have come so long before the server stopped.
        let burst_ns = self.tape.map_or(0, |tape| tape.burst_ns);
        self.unchanged_ns.abs_diff(stops_ns) <= IDLE_TOLERANCE_NS + burst_ns
    }
}

fn after(now: Nanos, ns: u64) -> Nanos {
    Nanos(now.0.saturating_add(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn sound(until_s: u64, loop_s: u64) -> Excuses {
        let mut excuses = Excuses::new(Nanos(0), loop_s * S);
        for tick in 1..=until_s * 20 {
            excuses.on_slice(Nanos(tick * S / 20));
        }
        excuses
    }

    #[test]
    fn excuses_of_a_start_begin_with_its_first_slice() {
        let mut excuses = Excuses::new(Nanos(0), 24 * S);
        assert_eq!(excuses.until(), Nanos(S));
        assert!(excuses.starting(Nanos(S)));
        assert!(excuses.on_slice(Nanos(S)));
        assert_eq!(excuses.until(), Nanos(S + SETTLE_NS));
        assert!(!excuses.on_slice(Nanos(2 * S)));
        assert_eq!(excuses.until(), Nanos(S + SETTLE_NS));
        let mut soon = Excuses::new(Nanos(0), 24 * S);
        assert!(soon.on_slice(Nanos(S / 10)));
        assert_eq!(soon.until(), Nanos(STARTED_NS));
        let mut late = Excuses::new(Nanos(0), 24 * S);
        assert!(!late.on_slice(Nanos(5 * S)));
        assert_eq!(late.until(), Nanos(S));
    }

    #[test]
    fn excuses_of_jumps_and_swaps_last_as_long_as_a_lead_and_a_round_trip() {
        let mut excuses = sound(5, 24);
        excuses.unsettle(Nanos(6 * S));
        assert_eq!(excuses.until(), Nanos(6 * S + SETTLE_NS));
        excuses.on_swap(Nanos(8 * S), 24 * S);
        assert_eq!(excuses.until(), Nanos(8 * S + SETTLE_NS));
    }

    #[test]
    fn excuses_of_a_resting_server_end_two_seconds_after_it_is_woken() {
        let mut excuses = sound(24, 4);
        assert_eq!(excuses.until(), Nanos(u64::MAX));
        excuses.on_change(Nanos(40 * S));
        assert_eq!(excuses.until(), Nanos(42 * S));
        excuses.on_slice(Nanos(41 * S));
        assert_eq!(excuses.until(), Nanos(41 * S + SETTLE_NS));
        // Slices that stop at another time have no excuse.
        assert!(sound(12, 4).until() < Nanos(12 * S));
        assert!(sound(30, 4).until() < Nanos(30 * S));
    }

    #[test]
    fn a_swap_begins_the_rest_anew() {
        // 20 s and a loop of 4 s without a change: a server that saw the swap as none would rest.
        let mut excuses = sound(20, 4);
        excuses.on_swap(Nanos(20 * S), 4 * S);
        for tick in 1..=80 {
            excuses.on_slice(Nanos(20 * S + tick * S / 20));
        }
        assert_eq!(excuses.until(), Nanos(20 * S + SETTLE_NS));
        // It rests once it has rendered a loop of the new length, and not before its first slice.
        let mut excuses = sound(24, 4);
        assert!(excuses.idles(Nanos(25 * S)));
        excuses.on_swap(Nanos(25 * S), 10 * S);
        assert!(!excuses.idles(Nanos(26 * S)));
        for tick in 1..=600 {
            excuses.on_slice(Nanos(25 * S + tick * S / 20));
        }
        assert!(excuses.idles(Nanos(56 * S)));
    }

    #[test]
    fn a_transient_after_the_change_that_woke_a_server_outlasts_it() {
        let mut excuses = sound(24, 4);
        excuses.on_change(Nanos(40 * S));
        excuses.unsettle(Nanos(41 * S));
        assert_eq!(excuses.until(), Nanos(41 * S + SETTLE_NS));
    }

    #[test]
    fn slices_that_go_on_while_a_server_may_rest_excuse_nothing() {
        let mut excuses = sound(23, 4);
        excuses.on_change(Nanos(23 * S));
        let before = Excuses { changed_at: Nanos(0), ..excuses };
        let mut excuses = before;
        excuses.on_slice(Nanos(23 * S + S / 20));
        assert_eq!(excuses.settled_at, before.settled_at);
        excuses.on_slice(Nanos(25 * S));
        assert_eq!(excuses.settled_at, Nanos(25 * S + SETTLE_NS));
    }
}
