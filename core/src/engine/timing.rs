//! Evidence for and against the times of a capture, and against its audio.
//!
//! Times are doubted by what is in the capture itself: their own steps, civil time beside the clock of
//! the records, and the client's clock beside both. Nothing here changes a time.

use crate::capture::{Clock, Direction, Message, Opcode};
use crate::time::{Nanos, utc_seconds};

/// Times that are multiples of this or more carry no verdict.
pub const COARSE_S: f64 = 0.1;
/// Times may run back by this much, as those of two senders do.
pub const BACK_S: f64 = 0.05;
/// Two clocks that part by more than this at once: one of them was set, or stood still.
pub const CLOCK_STEP_S: f64 = 1.0;
/// Reports that are only late catch up within this time; a clock that was set does not.
const STEP_SETTLED_S: f64 = 3.0;
/// Fewer messages than this of one sender say nothing about the resolution of their times.
const MIN_MESSAGES: u64 = 8;
/// Coarse times are shared by at least so many messages each.
const MIN_SHARED: u64 = 3;

/// What the records say about their times.
#[derive(Debug, Clone, Default)]
pub struct TimeEvidence {
    up: Grid,
    down: Grid,
    latest: Option<Nanos>,
    /// How far times run back at most, in seconds.
    pub back_s: f64,
    civil: Option<(Nanos, f64)>,
    /// The greatest step of civil time against the records' clock: when, and by how many seconds.
    pub civil_step: Option<(Nanos, f64)>,
    client: ClientClock,
    /// Binary messages of the server, …
    pub binaries: u64,
    /// … and how many of them have no data.
    pub empty_binaries: u64,
}

impl TimeEvidence {
    pub(super) fn note_message(&mut self, t: Nanos, message: &Message<'_>) {
        self.note_time(t, message.direction);
        if (message.direction, message.opcode) == (Direction::ServerToClient, Opcode::Binary) {
            self.binaries += 1;
            self.empty_binaries += u64::from(message.is_empty());
        }
    }

    pub(crate) fn note_time(&mut self, t: Nanos, direction: Direction) {
        match direction {
            Direction::ClientToServer => self.up.note(t),
            Direction::ServerToClient => self.down.note(t),
        }
        let latest = self.latest.unwrap_or(t);
        self.back_s = self.back_s.max(latest.seconds_since(t));
        self.latest = Some(latest.max(t));
    }

    pub(super) fn note_clock(&mut self, clock: &Clock) {
        let Some(utc_s) = utc_seconds(&clock.utc) else { return };
        if let Some((before, before_s)) = self.civil {
            let step_s = (utc_s - before_s) - clock.monotonic.seconds_since(before);
            let greatest_s = self.civil_step.map_or(CLOCK_STEP_S, |(_, step_s)| step_s.abs());
            if step_s.abs() > greatest_s {
                self.civil_step = Some((clock.monotonic, step_s));
            }
        }
        self.civil = Some((clock.monotonic, utc_s));
    }

    pub(crate) fn note_client_time(&mut self, t: Nanos, client_time_s: f64) {
        self.client.note(t, client_time_s);
    }

    /// The finer resolution of the two senders' times, in seconds; 0 where all times are one. `None`
    /// where there are too few messages to say.
    #[must_use]
    pub fn resolution_s(&self) -> Option<f64> {
        let resolutions = [&self.up, &self.down].into_iter().filter_map(Grid::resolution_s);
        resolutions.reduce(|a, b| if a == 0.0 || b == 0.0 { a.max(b) } else { a.min(b) })
    }

    /// Whether all times are too coarse, or all one. One sender may well send in bursts.
    #[must_use]
    pub fn is_coarse(&self) -> bool {
        let told =
            || [&self.up, &self.down].into_iter().filter(|grid| grid.resolution_s().is_some());
        told().count() > 0 && told().all(Grid::is_coarse)
    }

    /// Why the times by themselves cannot be right, if they cannot.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        if self.is_coarse() {
            return Some(match self.resolution_s() {
                Some(step_s) if step_s > 0.0 => format!("times have a resolution of {step_s} s"),
                _ => "all messages have the same time".to_owned(),
            });
        }
        (self.back_s > BACK_S)
            .then(|| format!("times run backwards, by up to {:.2} s", self.back_s))
    }

    /// Whether civil time stands beside the clock of the records.
    #[must_use]
    pub fn has_civil(&self) -> bool {
        self.civil.is_some()
    }

    /// Whether the client reports a clock.
    #[must_use]
    pub fn has_client_clock(&self) -> bool {
        self.client.ahead_s.is_some()
    }

    /// The greatest step of the records' clock against the client's: when, and by how many seconds.
    #[must_use]
    pub fn client_step(&self) -> Option<(Nanos, f64)> {
        self.client.step
    }
}

/// The times of one sender's messages, as multiples of a step.
#[derive(Debug, Clone, Default)]
struct Grid {
    first: Option<Nanos>,
    last: Nanos,
    messages: u64,
    moments: u64,
    step_ns: u64,
}

impl Grid {
    fn note(&mut self, t: Nanos) {
        self.messages += 1;
        let first = *self.first.get_or_insert(t);
        if self.messages == 1 || t != self.last {
            self.moments += 1;
            // Nothing is finer, and divisions are slow.
            if self.step_ns != 1 {
                self.step_ns = greatest_common_divisor(self.step_ns, t.0.abs_diff(first.0));
            }
        }
        self.last = t;
    }

    fn resolution_s(&self) -> Option<f64> {
        (self.messages >= MIN_MESSAGES).then(|| Nanos(self.step_ns).seconds())
    }

    fn is_coarse(&self) -> bool {
        let is_wide = self.resolution_s().is_some_and(|step_s| step_s == 0.0 || step_s >= COARSE_S);
        is_wide && self.messages >= MIN_SHARED * self.moments
    }
}

fn greatest_common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The client's clock against that of the records.
#[derive(Debug, Clone, Default)]
struct ClientClock {
    ahead_s: Option<f64>,
    apart_since: Option<Nanos>,
    step: Option<(Nanos, f64)>,
}

impl ClientClock {
    fn note(&mut self, t: Nanos, client_time_s: f64) {
        let ahead_s = t.seconds() - client_time_s;
        if !ahead_s.is_finite() {
            return;
        }
        let before_s = *self.ahead_s.get_or_insert(ahead_s);
        let step_s = ahead_s - before_s;
        if step_s.abs() <= CLOCK_STEP_S {
            self.ahead_s = Some(ahead_s);
            self.apart_since = None;
            return;
        }
        let since = *self.apart_since.get_or_insert(t);
        if t.seconds_since(since) >= STEP_SETTLED_S {
            if self.step.is_none_or(|(_, greatest_s)| step_s.abs() > greatest_s.abs()) {
                self.step = Some((since, step_s));
            }
            self.ahead_s = Some(ahead_s);
            self.apart_since = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(times_ms: &[u64]) -> TimeEvidence {
        let mut evidence = TimeEvidence::default();
        for t_ms in times_ms {
            evidence.note_time(Nanos(t_ms * 1_000_000), Direction::ServerToClient);
        }
        evidence
    }

    #[test]
    fn times_are_coarse_when_messages_share_wide_steps() {
        let whole_seconds: Vec<_> = (0..40).map(|n| 250 + n / 10 * 1000).collect();
        assert_eq!(evidence(&whole_seconds).resolution_s(), Some(1.0));
        assert!(evidence(&whole_seconds).is_coarse());
        assert!(evidence(&[7; 20]).is_coarse(), "all one");
        assert!(!evidence(&[7; 7]).is_coarse(), "too few to say");
        assert!(evidence(&[7; 8]).is_coarse());
        assert!(!evidence(&[]).is_coarse());
        let steps = |step_ms: u64, shared: u64| -> Vec<u64> {
            (0..36).map(|n| n / shared * step_ms).collect()
        };
        assert!(evidence(&steps(100, 4)).is_coarse() && !evidence(&steps(99, 4)).is_coarse());
        assert!(evidence(&steps(200, 3)).is_coarse() && !evidence(&steps(200, 2)).is_coarse());
        let regular: Vec<_> = (0..40).map(|n| n * 1000).collect();
        assert!(!evidence(&regular).is_coarse(), "each has a time of its own");
        let fine: Vec<_> = (0..40).map(|n| n / 4 * 13).collect();
        assert!(!evidence(&fine).is_coarse());
    }

    #[test]
    fn one_sender_may_send_in_bursts() {
        let mut bursts = evidence(&(0..40).map(|n| n * 13).collect::<Vec<_>>());
        for n in 0..40 {
            bursts.note_time(Nanos(n / 10 * 1_000_000_000), Direction::ClientToServer);
        }
        assert!(!bursts.is_coarse());
        assert_eq!(bursts.resolution_s(), Some(0.013));
        let mut at_once = evidence(&(0..40).map(|n| n * 13).collect::<Vec<_>>());
        (0..40).for_each(|_| at_once.note_time(Nanos(7), Direction::ClientToServer));
        assert_eq!(at_once.resolution_s(), Some(0.013), "one moment has no step");
    }

    #[test]
    fn times_that_run_back_are_measured() {
        assert_eq!(evidence(&[0, 500, 480, 900]).back_s, 0.02);
        assert_eq!(evidence(&[0, 5_000, 1_000, 2_000]).back_s, 4.0);
    }

    #[track_caller]
    fn check_client(ticks_s: &[(f64, f64)], expected: Option<f64>) {
        let mut clock = ClientClock::default();
        for &(t_s, client_s) in ticks_s {
            clock.note(Nanos((t_s * 1e9) as u64), client_s);
        }
        assert_eq!(clock.step.map(|(_, step_s)| step_s.round()), expected);
    }

    #[test]
    fn a_step_of_the_client_is_one_from_a_second_on_and_for_three() {
        let step = |by_s: f64, for_s: f64| {
            [(0.0, 0.0), (5.0, 5.0 + by_s), (5.0 + for_s, 5.0 + for_s + by_s)]
        };
        check_client(&step(1.0, 4.0), None);
        check_client(&step(1.1, 3.0), Some(-1.0));
        check_client(&step(1.1, 2.9), None);
        // The greatest is kept.
        let twice = [&step(9.0, 3.0)[..], &[(20.0, 26.0), (23.0, 29.0)]].concat();
        check_client(&twice, Some(-9.0));
    }

    #[test]
    fn a_clock_that_was_set_is_told_from_late_reports() {
        check_client(&[(0.0, 100.0), (1.0, 101.0), (2.0, 102.0)], None);
        check_client(
            &[(0.0, 0.0), (5.0, 1.0), (5.0, 2.0), (5.0, 5.0), (6.0, 6.0), (9.0, 9.0)],
            None,
        );
        check_client(&[(0.0, 0.0), (60.0, 0.1), (62.0, 2.1), (64.0, 4.1)], Some(60.0));
    }

    #[test]
    fn civil_time_may_step_against_the_records() {
        let mut evidence = TimeEvidence::default();
        for (t_s, utc) in [
            (0, "2026-11-22T15:00:00Z"),
            (60, "2026-11-22T15:01:00.2Z"),
            (120, "2026-11-22T16:02:00.2Z"),
            (180, "2026-11-22T16:03:00.1Z"),
        ] {
            let monotonic = Nanos(t_s * 1_000_000_000);
            evidence.note_clock(&Clock { monotonic, utc: utc.to_owned() });
        }
        let (at, step_s) = evidence.civil_step.unwrap();
        assert_eq!((at.seconds(), step_s.round()), (120.0, 3600.0));
        let step = |utc: &str| {
            let mut evidence = TimeEvidence::default();
            for (monotonic, utc) in [(Nanos(0), "2026-11-22T15:00:00Z"), (Nanos(0), utc)] {
                evidence.note_clock(&Clock { monotonic, utc: utc.to_owned() });
            }
            evidence.civil_step.is_some()
        };
        assert!(!step("2026-11-22T15:00:00.9Z") && step("2026-11-22T15:00:01.1Z"));
    }

    #[test]
    fn the_finer_of_two_resolutions_counts() {
        let both = |up_ms: u64, down_ms: u64| {
            let mut evidence = TimeEvidence::default();
            for n in 0..20 {
                evidence.note_time(Nanos(n * up_ms * 1_000_000), Direction::ClientToServer);
                evidence.note_time(Nanos(n * down_ms * 1_000_000), Direction::ServerToClient);
            }
            evidence.resolution_s()
        };
        assert_eq!((both(20, 50), both(50, 20)), (Some(0.02), Some(0.02)));
        // Times that are all one tell nothing of a step.
        assert_eq!((both(0, 50), both(50, 0), both(0, 0)), (Some(0.05), Some(0.05), Some(0.0)));
    }

    #[test]
    fn the_first_message_is_a_moment_too() {
        // Eight messages at three moments, of which the first is the beginning of time: none is shared by three.
        assert!(!evidence(&[0, 0, 0, 1_000, 1_000, 1_000, 2_000, 2_000]).is_coarse());
        assert!(evidence(&[0, 0, 0, 1_000, 1_000, 1_000, 2_000, 2_000, 2_000]).is_coarse());
    }
}
