//! When slices count: from the moment at which the client applied them.
//!
//! Enters: slices as they come, the client's reports, what moves the playhead. Leaves: a
//! [`HeardReport`]. What came since the last report waits for the next one: after the last nobody
//! is known to listen. A client that records itself applies what it records. Of a foreign one only
//! its reports tell:
//!
//! - A report that acknowledges fewer bytes than have come says that the slices beyond them are not
//!   applied yet. They count from that report on, at the earliest. An acknowledgement that is the
//!   end of no slice counts something else and is not believed.
//! - Known clients report every 8 to 100 ms, from the thread that applies slices. One that was
//!   silent for longer than the shortest lead of a server and whose position went on meanwhile was
//!   blocked, and applied what had come when it reported again; unless the lead that it reports
//!   (its worst since the report before) fits better to slices that were applied as they came.
//! - A silence after which the position is elsewhere was a pause or a seek. What was heard in it is
//!   not known.
//! - A report that came late by the client's own clock is taken at the moment at which it was made:
//!   what came between that and its arrival waits for the next one.
//! - In all other cases slices count from their arrival.

use std::collections::VecDeque;

use serde::Serialize;

use super::meter::{HeardRule, Meter};
use super::tally::{HeardEpisode, HeardReport};
use super::tape::{self, TapeReport};
use crate::capture::{
    Arrived, Excuses, HeardState, Patch, PlayheadLine, TapeRule, TickReport, Waiting,
};
use crate::time::Nanos;

/// A silence of the client that is longer than this is no cadence: the shortest lead of a server,
/// and more than twice the slowest cadence of a known client.
pub const HITCH_NS: u64 = 250_000_000;
/// All that waits, whenever it came.
const ALL: Nanos = Nanos(u64::MAX);
/// Events that wait for a report at most; a server sheds long before.
const MAX_WAITING: usize = 1 << 14;

/// How it is known when slices were applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AppliedBy {
    /// The recorder is the client.
    Handling,
    /// The client acknowledged them.
    Acknowledgement,
    /// It did not, and they count from their arrival or from the end of a silence.
    Arrival,
}

/// How the playhead goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Steering {
    /// From where, and how fast.
    pub line: PlayheadLine,
    /// It is not where it should have been.
    pub jumped: bool,
    /// It stands still, and nothing is heard.
    pub paused: bool,
}

/// Measures what is heard of one session.
#[derive(Clone, Debug, PartialEq)]
pub struct HeardMeter {
    sample_rate: u32,
    foreign: bool,
    excuses: Excuses,
    meter: Meter,
    waiting: VecDeque<Waiting>,
    /// All that counts so far will be the transient of the start.
    forgives: bool,
    reported_at: Nanos,
    received: u64,
    acknowledged: u64,
    paused: bool,
    held_back: u64,
    /// Of a tape: the end of the newest audio that came, unwrapped.
    arrived: Option<u64>,
}

impl HeardMeter {
    /// The initial buffer came. A foreign client applies slices when its reports say so, and nobody is
    /// known to listen before the first.
    #[must_use]
    pub fn new(at: Nanos, frames: u64, sample_rate: u32, rule: HeardRule, foreign: bool) -> Self {
        let excuses = Excuses::new(at, loop_ns(frames, sample_rate));
        let mut meter = Meter::new(at, frames, sample_rate, rule);
        meter.excuse(at, excuses.until());
        meter.listen(!foreign);
        HeardMeter {
            sample_rate,
            foreign,
            excuses,
            meter,
            waiting: VecDeque::new(),
            forgives: false,
            reported_at: at,
            received: 0,
            acknowledged: 0,
            paused: false,
            held_back: 0,
            arrived: None,
        }
    }

    /// The session only appends. Nothing may have been heard yet.
    #[must_use]
    pub fn on_tape(mut self, rule: TapeRule) -> Self {
        self.meter.set_on_tape(rule);
        self.excuses.set_on_tape(rule);
        self.meter.excuse(self.reported_at, self.excuses.until());
        self.arrived = Some(0);
        self
    }

    /// A measure that goes on from a state; `None` when that is none of a loop. Where the state is
    /// that of another playhead, the listener goes on along `line`.
    #[must_use]
    pub fn resume(
        state: &HeardState,
        sample_rate: u32,
        rule: HeardRule,
        foreign: bool,
        line: PlayheadLine,
    ) -> Option<Self> {
        let mut meter = HeardMeter {
            sample_rate,
            foreign,
            excuses: state.excuses,
            meter: Meter::resume(&state.meter, sample_rate, rule)?,
            waiting: state.waiting.iter().copied().collect(),
            forgives: state.waiting.contains(&Waiting::Forgive),
            reported_at: state.reported_at,
            received: state.received,
            acknowledged: state.acknowledged,
            paused: state.paused,
            held_back: 0,
            arrived: state.arrived,
        };
        if foreign != state.reported {
            let jumped = true;
            meter.apply_waiting(ALL, None, None);
            meter.steer(line.at, Steering { line, jumped, paused: line.speed == 0.0 });
        }
        Some(meter)
    }

    /// Adds what was heard before a hole in the capture, behind which this measure began.
    pub fn follow(&mut self, mut before: HeardMeter) {
        if before.forgives() {
            before.meter.forgive();
        }
        self.held_back += before.held_back;
        self.meter.follow(before.meter);
    }

    /// All that coming reports depend on.
    #[must_use]
    pub fn state(&self) -> HeardState {
        HeardState {
            reported: self.foreign,
            excuses: self.excuses,
            meter: self.meter.state(),
            waiting: self.waiting.iter().copied().collect(),
            reported_at: self.reported_at,
            received: self.received,
            acknowledged: self.acknowledged,
            paused: self.paused,
            arrived: self.arrived,
        }
    }

    /// A slice came, in a message of so many bytes. Says whether it lies behind the frontier of a tape.
    pub fn on_slice(&mut self, at: Nanos, start: u64, frames: u64, len: u64) -> bool {
        let patch = Patch { start, frames };
        let is_behind = self.append(patch);
        self.received = self.received.saturating_add(len);
        let slice = Arrived { at, patch, received_to: self.received, held_back: false };
        self.waiting.push_back(Waiting::Slice(slice));
        if self.excuses.on_slice(at) {
            self.waiting.push_back(Waiting::Forgive);
            self.forgives = true;
        }
        self.excuse(at);
        is_behind
    }

    fn append(&mut self, patch: Patch) -> bool {
        let Some(frontier) = &mut self.arrived else { return false };
        let (from, to) = tape::unwrapped(*frontier, patch, self.meter.frames());
        let is_behind = tape::is_behind(*frontier, from, self.sample_rate);
        *frontier = to.max(*frontier);
        is_behind
    }

    /// A knob or another command changed what the server renders.
    pub fn on_change(&mut self, at: Nanos) {
        self.excuses.on_change(at);
        self.excuse(at);
    }

    /// The client reported; its playhead goes on like this, if the report says so. A report that came
    /// late is taken at the moment at which the client made it: what came since still waits.
    pub fn on_report(&mut self, at: Nanos, said: &TickReport, steering: Option<Steering>) {
        let at = if self.foreign { at.max(self.reported_at) } else { at };
        let went_on = if self.awaits_listener() {
            let acknowledged = self.acknowledged_by(said.slice_bytes_rx);
            self.apply_waiting(at, None, acknowledged.map(|bytes| (bytes, at)));
            if steering.is_some() {
                self.excuses.on_listener(at);
            }
            true
        } else if self.foreign {
            self.settle(at, said, steering.map(|steering| steering.line.position))
        } else {
            self.apply_waiting(ALL, None, None);
            true
        };
        self.reported_at = at;
        self.meter.reported(at);
        if let Some(steering) = steering {
            self.steer(at, Steering { jumped: steering.jumped || !went_on, ..steering });
        }
    }

    /// Somebody moved the playhead, which goes on like this.
    pub fn on_op(&mut self, at: Nanos, steering: Steering) {
        self.apply_waiting(ALL, None, None);
        self.steer(at, steering);
    }

    /// Whether the client has yet to say where it plays. A player that is paused was heard before.
    fn awaits_listener(&self) -> bool {
        self.foreign && !self.paused && !self.meter.is_listening()
    }

    fn steer(&mut self, at: Nanos, steering: Steering) {
        self.meter.steer(at, steering.line, steering.jumped);
        let resumed = std::mem::replace(&mut self.paused, steering.paused) && !steering.paused;
        if steering.jumped || resumed {
            self.excuses.unsettle(at);
        }
        self.meter.listen(!steering.paused);
        self.meter.excuse(at, self.excuses.until());
    }

    /// Another buffer came, and its playhead goes on like this.
    pub fn on_swap(&mut self, at: Nanos, frames: u64, line: PlayheadLine) {
        self.apply_waiting(ALL, None, None);
        self.excuses.on_swap(at, loop_ns(frames, self.sample_rate));
        self.arrived = self.arrived.map(|_| 0);
        self.meter.swap(at, frames, self.excuses.until());
        self.meter.steer(at, line, true);
        self.meter.excuse(at, self.excuses.until());
        self.reported_at = at;
    }

    /// What was heard up to the last event that tells; times are seconds from `origin`.
    #[must_use]
    pub fn report(&self, origin: Nanos) -> HeardReport {
        if self.forgives() {
            let mut meter = self.meter.clone();
            meter.forgive();
            return meter.report(origin);
        }
        self.meter.report(origin)
    }

    /// The episodes of it that are alarms.
    #[must_use]
    pub fn alarms(&self, origin: Nanos) -> Vec<HeardEpisode> {
        if self.forgives() { Vec::new() } else { self.meter.alarms(origin) }
    }

    /// The latest alarm of bad audio and that of slices behind, over or not. A spell is known by its
    /// beginning.
    pub fn latest_alarms(&self, origin: Nanos) -> impl Iterator<Item = HeardEpisode> {
        let counts = !self.forgives();
        self.meter.latest(origin).filter(move |_| counts)
    }

    /// The alarms that may yet become longer.
    pub fn open_alarms(&self, origin: Nanos) -> impl Iterator<Item = HeardEpisode> {
        let counts = !self.forgives();
        self.meter.open(origin).filter(move |_| counts)
    }

    /// The alarm that goes on.
    #[must_use]
    pub fn current_alarm(&self, origin: Nanos) -> Option<HeardEpisode> {
        self.meter.current(origin).filter(|_| !self.forgives())
    }

    /// Until when nothing that is wrong counts, what changed last, and the like.
    #[must_use]
    pub(crate) fn excuses(&self) -> &Excuses {
        &self.excuses
    }

    /// Whether nobody listens.
    #[must_use]
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Whether what counts so far is, or may yet turn out to be, the transient of the start.
    fn forgives(&self) -> bool {
        self.forgives || self.excuses.starting(self.reported_at)
    }

    /// How it is known when slices were applied.
    #[must_use]
    pub fn applied_by(&self) -> AppliedBy {
        match (self.foreign, self.acknowledged) {
            (false, _) => AppliedBy::Handling,
            (true, 0) => AppliedBy::Arrival,
            (true, _) => AppliedBy::Acknowledgement,
        }
    }

    /// The figures of a session that only appends; times are seconds from `origin`.
    #[must_use]
    pub fn tape_report(&self, origin: Nanos) -> Option<TapeReport> {
        self.meter.tape_report(origin)
    }

    /// Whether a server that only appends may be silent at `now`: before its first audio, and where a
    /// piece may have ended, which nothing tells.
    #[must_use]
    pub fn may_be_silent(&self, now: Nanos) -> bool {
        let Some(tape) = self.meter.tape() else { return false };
        if tape.begun() { tape.rule().ends } else { self.excuses.starting(now) }
    }

    /// Whether the server rests because nothing was changed.
    #[must_use]
    pub fn idles(&self, now: Nanos) -> bool {
        self.excuses.idles(now)
    }

    /// Slices that were applied later than they came, as far as is known.
    #[must_use]
    pub fn held_back(&self) -> u64 {
        self.held_back
    }

    /// Bytes of all slices that came.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Puts down what is excused from now on.
    fn excuse(&mut self, at: Nanos) {
        self.waiting.push_back(Waiting::Excuse { at, until: self.excuses.until() });
        if self.waiting.len() > MAX_WAITING {
            self.apply_waiting(ALL, None, None);
        }
    }

    /// Decides when what came since the last report was applied. Says whether the playhead went on
    /// meanwhile, or nobody can tell that it did not.
    fn settle(&mut self, at: Nanos, said: &TickReport, position: Option<f64>) -> bool {
        let silent = at.0.saturating_sub(self.reported_at.0) > HITCH_NS;
        let went_on = !silent || position.is_none_or(|position| self.meter.went_on(at, position));
        if !went_on {
            self.meter.listen(false);
        }
        let late = silent && went_on && !self.applied_in_time(at, said.slice_lead_s);
        let acknowledged = self.acknowledged_by(said.slice_bytes_rx);
        self.apply_waiting(at, late.then_some(at), acknowledged.map(|bytes| (bytes, at)));
        went_on
    }

    /// Whether the client's own worst lead is that of slices applied as they came.
    fn applied_in_time(&self, at: Nanos, lead_s: Option<f64>) -> bool {
        let worst_ns = |late: bool| {
            let slices = self.waiting.iter().filter_map(|waiting| match *waiting {
                Waiting::Slice(slice) if slice.at <= at => {
                    Some(self.meter.lead_ns(if late { at } else { slice.at }, slice.patch).0)
                }
                _ => None,
            });
            slices.min()
        };
        let (Some(lead_s), Some(in_time), Some(late)) = (lead_s, worst_ns(false), worst_ns(true))
        else {
            return false;
        };
        let off_s = |ns: i64| (lead_s - ns as f64 / 1e9).abs();
        off_s(in_time) <= off_s(late)
    }

    /// The acknowledgement, if it is one of slices that came.
    fn acknowledged_by(&mut self, bytes: Option<f64>) -> Option<u64> {
        let bytes = bytes.filter(|bytes| *bytes > 0.0)? as u64;
        let is_end = |waiting: &Waiting| matches!(waiting, Waiting::Slice(slice) if slice.received_to == bytes);
        let known = bytes == self.acknowledged || self.waiting.iter().any(is_end);
        if known {
            self.acknowledged = bytes;
        }
        known.then_some(bytes)
    }

    /// Does what waits up to a report: slices at their time, or all of them at `late`, but for those
    /// beyond what the client acknowledged, which were not applied before that report.
    fn apply_waiting(
        &mut self,
        to: Nanos,
        late: Option<Nanos>,
        acknowledged: Option<(u64, Nanos)>,
    ) {
        let mut late_patches = Vec::new();
        let mut all = std::mem::take(&mut self.waiting);
        let is_later = |waiting: &Waiting| match waiting {
            Waiting::Excuse { at, .. } => *at > to,
            Waiting::Slice(slice) => slice.at > to,
            Waiting::Forgive => false,
        };
        let later = all.split_off(all.iter().position(is_later).unwrap_or(all.len()));
        self.forgives = later.contains(&Waiting::Forgive);
        for waiting in all {
            match waiting {
                Waiting::Excuse { at, until } => self.meter.excuse(at, until),
                Waiting::Forgive => self.meter.forgive(),
                Waiting::Slice(slice) => match acknowledged {
                    Some((bytes, at)) if slice.received_to > bytes => {
                        self.held_back += u64::from(!slice.held_back);
                        self.waiting.push_back(Waiting::Slice(Arrived {
                            at,
                            held_back: true,
                            ..slice
                        }));
                    }
                    _ if late.is_some() => late_patches.push(slice.patch),
                    _ => self.meter.apply(slice.at, slice.patch),
                },
            }
        }
        self.waiting.extend(later);
        self.held_back += late_patches.len() as u64;
        for (patch, at) in late_patches.into_iter().zip(std::iter::repeat(late).flatten()) {
            self.meter.apply(at, patch);
        }
    }
}

fn loop_ns(frames: u64, sample_rate: u32) -> u64 {
    (frames as f64 / f64::from(sample_rate.max(1)) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::super::behind::BehindRule;
    use super::*;

    const MS: u64 = 1_000_000;
    /// Of a slice message.
    const LEN: u64 = 100;

    /// A foreign client of a loop of 10 s with frames of a millisecond. The server sends a slice of
    /// 300 ms every 50 ms, 200 ms ahead of the listener.
    struct Session {
        meter: HeardMeter,
        now_ms: u64,
        sent: u64,
    }

    impl Session {
        fn new() -> Self {
            let rule = HeardRule::new(3.0, BehindRule::default());
            let meter = HeardMeter::new(Nanos(0), 10_000, 1_000, rule, true);
            Session { meter, now_ms: 0, sent: 0 }
        }

        /// Goes on; `report` says what the client says, if it reports then.
        fn run(
            mut self,
            span_ms: u64,
            mut report: impl FnMut(u64, u64) -> Option<(Option<u64>, Option<f64>)>,
        ) -> Self {
            for _ in 0..span_ms / 50 {
                self.now_ms += 50;
                let at = Nanos(self.now_ms * MS);
                if let Some((bytes, slice_lead_s)) = report(self.now_ms, self.sent) {
                    let said = TickReport {
                        slice_bytes_rx: bytes.map(|bytes| bytes as f64),
                        slice_lead_s,
                        ..TickReport::default()
                    };
                    self.report(at, self.now_ms as f64, &said, false);
                }
                self.sent += LEN;
                self.meter.on_slice(at, (self.now_ms + 200) % 10_000, 300, LEN);
            }
            self
        }

        fn report(&mut self, at: Nanos, position: f64, said: &TickReport, jumped: bool) {
            let line = PlayheadLine { at, position: position % 10_000.0, speed: 1_000.0 };
            self.meter.on_report(at, said, Some(Steering { line, jumped, paused: false }));
        }

        fn sound(self, span_ms: u64) -> Self {
            self.run(span_ms, |_, sent| Some((Some(sent), None)))
        }

        /// Bad seconds and slices that were held back.
        #[track_caller]
        fn check(self, bad_s: f64, held_back: u64, by: AppliedBy) {
            let report = self.meter.report(Nanos(0));
            assert!((report.bad_s - bad_s).abs() < 1e-6, "{report:#?}");
            assert_eq!((self.meter.held_back(), self.meter.applied_by()), (held_back, by));
            assert!(report.episodes.iter().all(|episode| !episode.what.is_behind()));
        }
    }

    #[test]
    fn applied_slices_are_those_that_the_client_acknowledged() {
        Session::new().sound(5_000).check(0.0, 0, AppliedBy::Acknowledgement);
        // For a second it reports and does not apply: what was there reaches 450 ms far.
        Session::new()
            .sound(5_000)
            .run(1_000, |_, _| Some((Some(99 * LEN), None)))
            .sound(2_000)
            .check(0.55, 20, AppliedBy::Acknowledgement);
    }

    #[test]
    fn applied_slices_count_from_arrival_where_nothing_tells() {
        let silent = |_, _| Some((None, None));
        Session::new().run(8_000, silent).check(0.0, 0, AppliedBy::Arrival);
        let stuck = |_, _| Some((Some(7), None));
        Session::new().run(8_000, stuck).check(0.0, 0, AppliedBy::Arrival);
        let beyond = |_, sent: u64| Some((Some(sent + 1_000_000), None));
        Session::new().run(8_000, beyond).check(0.0, 0, AppliedBy::Arrival);
    }

    #[test]
    fn applied_late_is_what_came_while_the_client_was_blocked() {
        let hitch = |lead_s: Option<f64>| {
            Session::new()
                .sound(5_000)
                .run(1_000, move |now_ms, sent| (now_ms == 6_000).then_some((Some(sent), lead_s)))
                .sound(2_000)
        };
        hitch(None).check(0.55, 20, AppliedBy::Acknowledgement);
        hitch(Some(-0.75)).check(0.55, 20, AppliedBy::Acknowledgement);
        hitch(Some(0.2)).check(0.0, 0, AppliedBy::Acknowledgement);
    }

    #[test]
    fn a_silence_that_ends_elsewhere_is_not_heard() {
        // A paused page says nothing, and first says where it stopped when it goes on. What it hears
        // then is old, and a transient.
        let mut session = Session::new().sound(5_000).run(3_000, |_, _| None);
        let said =
            TickReport { slice_bytes_rx: Some(session.sent as f64), ..TickReport::default() };
        session.report(Nanos(8_000 * MS), 5_000.0, &said, false);
        // Nor was anybody before the first report, at 50 ms.
        assert_eq!(session.meter.report(Nanos(0)).s, 4.95);
        session.report(Nanos(8_050 * MS), 5_050.0, &said, false);
        assert_eq!(session.meter.report(Nanos(0)).s, 5.0);
        session.report(Nanos(9_000 * MS), 6_000.0, &said, false);
        session.check(0.0, 0, AppliedBy::Acknowledgement);
        // Nobody is known to listen after the last report.
        let half_open = Session::new().sound(5_000).run(20_000, |_, _| None);
        assert_eq!(half_open.meter.report(Nanos(0)).s, 4.95);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut session = Session::new().sound(1_000);
        for _ in 0..3 * MAX_WAITING {
            session.meter.on_change(Nanos(session.now_ms * MS));
        }
        assert!(session.meter.state().waiting.len() <= MAX_WAITING);
    }

    #[test]
    fn who_reports_first_after_a_swap_was_not_silent_before_it() {
        let mut session = Session::new().sound(5_000);
        session.now_ms += 5_000;
        let line = PlayheadLine { at: Nanos(10_000 * MS), position: 0.0, speed: 1_000.0 };
        session.meter.on_swap(Nanos(10_000 * MS), 10_000, line);
        assert_eq!(session.meter.state().reported_at, Nanos(10_000 * MS));
    }

    #[test]
    fn a_state_of_another_playhead_goes_on_along_the_line() {
        let session = Session::new().sound(5_000);
        let state = session.meter.state();
        let line = PlayheadLine { at: Nanos(5_000 * MS), position: 77.0, speed: 1_000.0 };
        let resume = |foreign| {
            let rule = HeardRule::new(3.0, BehindRule::default());
            HeardMeter::resume(&state, 1_000, rule, foreign, line).unwrap().state().meter.line
        };
        assert_eq!((resume(false), resume(true)), (line, state.meter.line));
    }

    #[test]
    fn a_state_says_whether_the_start_is_forgiven() {
        let rule = HeardRule::new(3.0, BehindRule::default());
        let mut meter = HeardMeter::new(Nanos(0), 10_000, 1_000, rule, true);
        let line = PlayheadLine { at: Nanos(0), position: 0.0, speed: 1_000.0 };
        meter.on_report(Nanos(1_600 * MS), &TickReport::default(), None);
        meter.on_slice(Nanos(1_700 * MS), 2_000, 100, LEN);
        let resumed = HeardMeter::resume(&meter.state(), 1_000, rule, true, line).unwrap();
        assert_eq!(resumed.alarms(Nanos(0)), meter.alarms(Nanos(0)));
        assert!(meter.alarms(Nanos(0)).is_empty(), "the start is forgiven, once it is applied");
    }
}
