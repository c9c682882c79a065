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
use super::spell::HeardEpisode;
use super::tally::HeardReport;
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
        // Whoever stands at the beginning until the first audio comes has not paused.
        let waited = self.meter.waits_for_audio();
        self.meter.steer(at, steering.line, steering.jumped);
        let resumed = std::mem::replace(&mut self.paused, steering.paused) && !steering.paused;
        if steering.jumped || resumed && !waited {
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
        let (mut late_patches, mut held_back) = (Vec::new(), Vec::new());
        let is_later = |waiting: &Waiting| match waiting {
            Waiting::Excuse { at, .. } => *at > to,
            Waiting::Slice(slice) => slice.at > to,
            Waiting::Forgive => false,
        };
        let due = self.waiting.iter().position(is_later).unwrap_or(self.waiting.len());
        self.forgives = self.waiting.range(due..).any(|waiting| *waiting == Waiting::Forgive);
        for waiting in self.waiting.drain(..due) {
            match waiting {
                Waiting::Excuse { at, until } => self.meter.excuse(at, until),
                Waiting::Forgive => self.meter.forgive(),
                Waiting::Slice(slice) => match acknowledged {
                    Some((bytes, at)) if slice.received_to > bytes => {
                        self.held_back += u64::from(!slice.held_back);
                        held_back.push(Waiting::Slice(Arrived { at, held_back: true, ..slice }));
                    }
                    _ if late.is_some() => late_patches.push(slice.patch),
                    _ => self.meter.apply(slice.at, slice.patch),
                },
            }
        }
        for waiting in held_back.into_iter().rev() {
            self.waiting.push_front(waiting);
        }
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
mod tests;
