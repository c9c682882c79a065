//! The listener and the measure of what is heard: all that a verdict rests on.
//!
//! Enters: what happens to a stream, in its order. Whoever drives it, the engine record by record or
//! a what-if over columns, gets the same to the bit. Knows no audio and no message.

use super::listener::Listener;
use crate::capture::{HeardState, Marker, TapeRule, TickReport};
use crate::heard::{HeardMeter, HeardRule};
use crate::playhead::PlayheadSource;
use crate::time::Nanos;
use crate::verdict::HeardUse;

/// A listener, and the measure of what he hears.
#[derive(Clone, Debug, PartialEq)]
pub struct Hearing {
    pub(super) playhead: Listener,
    pub(super) meter: HeardMeter,
    sample_rate: u32,
    late: LateReports,
    /// Where it went on from, if it did not begin with the initial buffer.
    resumed: Option<Box<Resumed>>,
}

/// Reports that came later than others did, by the client's own clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LateReports {
    pub reports: u64,
    /// Runs of them, without one in between that came in time.
    pub bursts: u64,
    pub first: Option<Nanos>,
    /// How late the latest was.
    pub worst_ns: u64,
    in_burst: bool,
}

impl LateReports {
    fn note(&mut self, t: Nanos, late_ns: u64) {
        let is_late = late_ns > 0;
        let goes_on = std::mem::replace(&mut self.in_burst, is_late);
        self.bursts += u64::from(is_late && !goes_on);
        self.reports += u64::from(is_late);
        self.worst_ns = self.worst_ns.max(late_ns);
        if is_late {
            self.first.get_or_insert(t);
        }
    }

    fn follow(&mut self, before: LateReports) {
        *self = LateReports {
            reports: before.reports + self.reports,
            bursts: before.bursts + self.bursts,
            first: before.first.or(self.first),
            worst_ns: before.worst_ns.max(self.worst_ns),
            in_burst: self.in_burst,
        };
    }
}

/// A listener and a measure that went on from a state.
#[derive(Clone, Debug, PartialEq)]
struct Resumed {
    playhead: Listener,
    at: Nanos,
    state: HeardState,
}

impl Hearing {
    /// The initial buffer came.
    #[must_use]
    pub fn new(
        source: PlayheadSource,
        at: Nanos,
        frames: u64,
        sample_rate: u32,
        rule: HeardRule,
    ) -> Hearing {
        let foreign = source == PlayheadSource::Reported;
        Hearing {
            playhead: Listener::new(source, frames, sample_rate, at.seconds()),
            meter: HeardMeter::new(at, frames, sample_rate, rule, foreign),
            sample_rate,
            late: LateReports::default(),
            resumed: None,
        }
    }

    /// The session only appends. Nothing may have been heard yet.
    #[must_use]
    pub fn on_tape(self, rule: TapeRule) -> Hearing {
        Hearing { meter: self.meter.on_tape(rule), ..self }
    }

    /// Goes on from the state of a measure, from `at` on; `None` when that is none of a loop.
    pub(super) fn resume(
        playhead: Listener,
        at: Nanos,
        state: HeardState,
        sample_rate: u32,
        rule: HeardRule,
    ) -> Option<Hearing> {
        let resumed = Resumed { playhead: playhead.clone(), at, state };
        let meter = resumed.meter(sample_rate, rule)?;
        let (late, resumed) = (LateReports::default(), Some(Box::new(resumed)));
        Some(Hearing { playhead, meter, sample_rate, late, resumed })
    }

    /// One that begins like this one, or goes on from the state that this one went on from, by
    /// another rule. Of a listener who began with the initial buffer, nothing may have been heard yet.
    #[must_use]
    pub fn anew(&self, at: Nanos, rule: HeardRule) -> Hearing {
        let resumed = self.resumed.as_deref().cloned().unwrap_or_else(|| {
            let (playhead, state) = (self.playhead.clone(), self.meter.state());
            Resumed { playhead, at, state }
        });
        let meter = resumed.meter(self.sample_rate, rule);
        let meter = meter.expect("the state of a measure is that of a loop");
        let (playhead, sample_rate) = (resumed.playhead, self.sample_rate);
        Hearing { playhead, meter, sample_rate, late: LateReports::default(), resumed: None }
    }

    /// A slice came, in a message of so many bytes. Says whether it lies behind the frontier of a tape.
    pub fn slice(&mut self, t: Nanos, start: u32, frames: u32, len: u32) -> bool {
        self.meter.on_slice(t, start.into(), frames.into(), len.into())
    }

    /// The client reported, with other knobs than before if they were turned.
    pub fn report(&mut self, t: Nanos, report: &TickReport, turned: bool) {
        if turned {
            self.meter.on_change(t);
        }
        let steering = self.playhead.report(report, t);
        // What came late was said when the client says that it was.
        let said_at = steering.map_or(t, |steering| steering.line.at);
        self.late.note(t, t.0.saturating_sub(said_at.0));
        self.meter.on_report(said_at, report, steering);
    }

    /// The client sent another command.
    pub fn command(&mut self, t: Nanos) {
        self.meter.on_change(t);
    }

    /// The listener did this, which moves only a simulated playhead.
    pub fn operate(&mut self, t: Nanos, op: &Marker) {
        let steering = self.playhead.operate(op, t);
        let moves = !matches!(op, Marker::Point { .. });
        if let Some(steering) = steering.filter(|_| moves) {
            self.meter.on_op(t, steering);
        }
    }

    /// Another buffer came.
    pub fn swap(&mut self, t: Nanos, frames: u64) {
        self.playhead.reset(frames, t.seconds());
        self.meter.on_swap(t, frames, self.playhead.line(t));
    }

    /// The position of the playhead, in seconds from the start of the loop.
    #[must_use]
    pub fn seconds(&self, t: Nanos) -> f64 {
        self.playhead.seconds(t.seconds())
    }

    /// Adds what was heard and reported before a hole in the capture, behind which this listener is known
    /// again.
    pub(super) fn follow(&mut self, before: Hearing) {
        self.meter.follow(before.meter);
        self.late.follow(before.late);
    }

    /// Reports that were held up on their way.
    #[must_use]
    pub fn late_reports(&self) -> LateReports {
        self.late
    }

    /// Bytes of all slices that came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.meter.received()
    }

    /// What was heard; times are seconds from `origin`.
    #[must_use]
    pub fn heard(&self, origin: Nanos) -> HeardUse {
        HeardUse::of(&self.meter, origin)
    }
}

impl Resumed {
    fn meter(&self, sample_rate: u32, rule: HeardRule) -> Option<HeardMeter> {
        let foreign = self.playhead.source() == PlayheadSource::Reported;
        let line = self.playhead.line(self.at);
        HeardMeter::resume(&self.state, sample_rate, rule, foreign, line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_reports_are_counted_one_by_one_and_in_bursts() {
        let mut late = LateReports::default();
        for (t, late_ns) in [(1, 0), (2, 5), (3, 9), (4, 0), (5, 7), (6, 0)] {
            late.note(Nanos(t), late_ns);
        }
        let LateReports { reports, bursts, first, worst_ns, in_burst } = late;
        assert_eq!((reports, bursts, first, worst_ns), (3, 2, Some(Nanos(2)), 9));
        assert!(!in_burst);
    }

    /// Whether old audio counts that is heard while the server has not yet rendered what was changed.
    #[track_caller]
    fn check_excused(change: impl FnOnce(&mut Hearing), expected: bool) {
        const S: u64 = 1_000_000_000;
        let (second, frames) = (Nanos(S), 48_000 * 60);
        let rule = HeardRule::new(3.0, crate::heard::BehindRule::default());
        let mut hearing = Hearing::new(PlayheadSource::Simulated, Nanos(0), frames, 48_000, rule);
        hearing.slice(second, 0, frames as u32, 9);
        hearing.report(Nanos(10 * S), &TickReport::default(), false);
        let before = *hearing.meter.excuses();
        change(&mut hearing);
        assert_eq!(*hearing.meter.excuses() != before, expected);
    }

    #[test]
    fn a_command_or_a_turned_knob_excuses_and_a_report_does_not() {
        let at = Nanos(11_000_000_000);
        check_excused(|hearing| hearing.command(at), true);
        check_excused(|hearing| hearing.report(at, &TickReport::default(), true), true);
        check_excused(|hearing| hearing.report(at, &TickReport::default(), false), false);
    }
}
