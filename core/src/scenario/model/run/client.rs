//! The client of a run: where its listener is, when it reports, and when it handles what came.

use std::collections::VecDeque;

use super::super::change::{Change, Later};
use super::super::generations::shifted;
use super::super::listener::Listener;
use super::super::pacing::PacingReport;
use super::super::perturbation::Perturbation;
use super::super::spell::Spell;
use super::super::trace::Trace;
use super::NEVER;
use super::emitted::{Emitted, EmittedReport};
use super::slice::MadeSlice;
use crate::capture::Marker;
use crate::lag::{Arrival, LagTracker};
use crate::peer::client::{MAX_PARAMS_HZ, reported_lead_s};
use crate::time::Nanos;

/// The client.
pub(super) struct ClientSide<'a> {
    trace: &'a Trace,
    listener: Listener,
    pub tracker: LagTracker,
    schedule: ReportSchedule<'a>,
    /// Whether reports acknowledge; `None`: as recorded.
    acknowledges: Option<bool>,
    lowest_lead_s: Option<f64>,
    slice_bytes: u64,
    inbox: Inbox<'a>,
    /// What is written down beside the tracker, if anything.
    pub emitted: Option<&'a mut Emitted>,
}

impl<'a> ClientSide<'a> {
    pub fn new(
        trace: &'a Trace,
        change: &'a Change,
        schedule: ReportSchedule<'a>,
        emitted: Option<&'a mut Emitted>,
    ) -> Self {
        Self {
            trace,
            listener: Listener::new(trace, change.quantum_frames),
            tracker: trace.tracker(),
            schedule,
            acknowledges: change.acknowledges,
            lowest_lead_s: None,
            slice_bytes: 0,
            inbox: Inbox::new(change, trace.begins),
            emitted,
        }
    }

    pub fn change(&mut self, later: &Later) {
        self.acknowledges = later.acknowledges.or(self.acknowledges);
        self.inbox.change(later);
    }

    pub fn operate(&mut self, now: Nanos, op: Marker) {
        self.listener.operate(now, &op);
        if let Some(emitted) = &mut self.emitted {
            emitted.ops.push((now, op));
        }
    }

    /// A slice arrives and waits until the client has time for it.
    #[inline]
    pub fn receive(&mut self, arrives: Nanos, slice: MadeSlice<'a>) {
        self.inbox.receive(arrives, slice);
    }

    /// When the client handles the next slice.
    #[inline]
    pub fn lands_at(&self) -> Nanos {
        self.inbox.waiting.front().map_or(NEVER, |waiting| waiting.0)
    }

    /// When it handles the next slice, if it does so before whatever else happens at `now`: what is
    /// made at that moment comes later.
    #[inline]
    pub fn lands_before(&self, now: Nanos) -> Option<Nanos> {
        let (lands_at, slice) = self.inbox.waiting.front()?;
        (*lands_at <= now && slice.made < now).then_some(*lands_at)
    }

    /// The client handles a slice.
    #[inline]
    pub fn land(&mut self, now: Nanos) {
        let Some((_, slice)) = self.inbox.waiting.pop_front() else { return };
        let MadeSlice { generation, region, bytes, .. } = slice;
        let now_s = now.seconds();
        let (playhead, playhead_s) = self.listener.place(now_s);
        let arrival = Arrival {
            start: region.start,
            frames: region.frames,
            playhead,
            tick_ms: f64::from(generation.tick_ms),
            dec_ms: f64::from(generation.dec_ms),
            generations: generation.generations,
        };
        self.slice_bytes += bytes;
        let record = self.tracker.on_slice(now_s, arrival);
        if let Some(emitted) = &mut self.emitted {
            emitted.slices.push((now, record));
        }
        let (frames, sample_rate) = (self.trace.frames, self.trace.sample_rate);
        let lead_s = reported_lead_s(region.start, playhead_s, frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }

    /// The client reports: what, and in how many bytes.
    #[inline(always)]
    pub fn report(&mut self, now: Nanos) -> (PacingReport, u32) {
        let recorded = self.schedule.recorded(now);
        let tick = &self.trace.ticks[recorded];
        let passed_s = now.seconds_since(tick.at);
        let client_time = tick.client_time.map(|time| time + passed_s);
        let position_s = tick.position_s.map(|position_s| position_s + passed_s);
        self.listener.report(now, position_s, client_time);
        let now_s = now.seconds();
        let heard = self.tracker.on_tick(now_s, self.listener.frame(now_s));
        let acknowledges = self.acknowledges.unwrap_or(tick.acked.is_some());
        let modern = tick.client_time.is_some();
        let lowest_lead_s = self.lowest_lead_s.take();
        // What was reported before anything differed is known better than any model makes it.
        let as_recorded = now < self.schedule.differs_at;
        if let Some(emitted) = &mut self.emitted {
            let heard_s = self.listener.reported_s().unwrap_or(heard.playhead_s);
            let position_s = tick.position_s.map(|_| heard_s);
            emitted.reports.push(EmittedReport { t: now, position_s, client_time, acknowledges });
        }
        let acked = acknowledges.then_some(self.slice_bytes as f64);
        let report = PacingReport {
            position_s: self.trace.said(tick, Some(heard.playhead_s)),
            client_time,
            acked: if as_recorded { tick.acked } else { acked },
            lead_s: if as_recorded { tick.lead_s } else { lowest_lead_s.filter(|_| modern) },
        };
        self.schedule.go_on();
        (report, tick.bytes)
    }

    /// When the client reports next.
    #[inline]
    pub fn reports_at(&self) -> Nanos {
        self.schedule.next_at
    }
}

/// When the client reports.
pub(super) struct ReportSchedule<'a> {
    trace: &'a Trace,
    /// Reports a second; `None`: at the recorded moments.
    params_hz: Option<f64>,
    tick_shift_ns: i64,
    /// Before this moment everything is as recorded.
    differs_at: Nanos,
    number: usize,
    /// When the next report is.
    next_at: Nanos,
    /// The recorded tick that the last one was like.
    like: usize,
}

impl<'a> ReportSchedule<'a> {
    pub fn new(
        trace: &'a Trace,
        change: &Change,
        perturbation: &Perturbation,
        differs_at: Nanos,
    ) -> Self {
        let tick_shift_ns = perturbation.tick_shift_ns;
        let params_hz = change.params_hz;
        let next_at = NEVER;
        let mut schedule =
            Self { trace, params_hz, tick_shift_ns, differs_at, number: 0, next_at, like: 0 };
        schedule.next_at = schedule.at();
        schedule
    }

    /// The client has reported.
    #[inline]
    fn go_on(&mut self) {
        self.number += 1;
        self.next_at = self.at();
    }

    /// When the report of that number is.
    #[inline]
    fn at(&self) -> Nanos {
        let at = match self.params_hz {
            None => self.trace.ticks.get(self.number).map_or(NEVER, |tick| tick.at),
            Some(hz) => {
                let period_s = 1.0 / hz.clamp(f64::MIN_POSITIVE, MAX_PARAMS_HZ);
                let first = self.trace.ticks.first().map_or(NEVER, |tick| tick.at);
                Nanos(first.0.saturating_add((self.number as f64 * period_s * 1e9) as u64))
            }
        };
        let shift_ns = if at < self.differs_at { 0 } else { self.tick_shift_ns };
        shifted(at, shift_ns).max(self.trace.begins)
    }

    /// The recorded tick that a tick at `now` is like: the same, or the last one before.
    #[inline]
    fn recorded(&mut self, now: Nanos) -> usize {
        if self.params_hz.is_none() {
            return self.number;
        }
        let ticks = &self.trace.ticks;
        while ticks.get(self.like + 1).is_some_and(|tick| tick.at <= now) {
            self.like += 1;
        }
        // A shift may set the next report before the last one.
        while self.like > 0 && ticks[self.like].at > now {
            self.like -= 1;
        }
        self.like
    }
}

/// Slices that arrived, and when the client has time for them.
struct Inbox<'a> {
    waiting: VecDeque<(Nanos, MadeSlice<'a>)>,
    free_at: Nanos,
    /// How long the client is busy with each slice, in nanoseconds.
    apply_delay_ns: u64,
    /// How often a throttled client handles what came, in nanoseconds; 0: at once.
    handles_every_ns: u64,
    /// Spells in which it handles nothing, those to come.
    busy: &'a [Spell],
}

impl<'a> Inbox<'a> {
    fn new(change: &'a Change, begins: Nanos) -> Self {
        let Change { apply_delay_s, handles_every_s, ref busy, .. } = *change;
        Self {
            waiting: VecDeque::new(),
            free_at: begins,
            apply_delay_ns: whole_ns(apply_delay_s),
            handles_every_ns: whole_ns(handles_every_s),
            busy,
        }
    }

    fn change(&mut self, later: &Later) {
        self.apply_delay_ns = later.apply_delay_s.map_or(self.apply_delay_ns, whole_ns);
        self.handles_every_ns = later.handles_every_s.map_or(self.handles_every_ns, whole_ns);
    }

    #[inline]
    fn receive(&mut self, arrives: Nanos, slice: MadeSlice<'a>) {
        let begins = self.after_busy_spell(self.next_turn(arrives.max(self.free_at)));
        self.free_at = Nanos(begins.0.saturating_add(self.apply_delay_ns));
        self.waiting.push_back((self.free_at, slice));
    }

    /// When what could be handled at `at` is handled by a client with busy spells.
    #[inline]
    fn after_busy_spell(&mut self, at: Nanos) -> Nanos {
        while let [first, rest @ ..] = self.busy
            && first.to < at
        {
            self.busy = rest;
        }
        self.busy.first().filter(|spell| spell.contains(at)).map_or(at, |spell| spell.to)
    }

    /// When a client that is busy until its next turn handles what arrives at `at`.
    #[inline]
    fn next_turn(&self, at: Nanos) -> Nanos {
        let turn_ns = self.handles_every_ns;
        if turn_ns == 0 { at } else { Nanos(at.0.div_ceil(turn_ns).saturating_mul(turn_ns)) }
    }
}

/// That many seconds in nanoseconds; 0 where it is less.
fn whole_ns(seconds: f64) -> u64 {
    (seconds.max(0.0) * 1e9) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::pacing::Region;
    use crate::scenario::model::generations::Generation;
    use crate::scenario::model::trace::TracedTick;

    const fn ms(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// When a client that is changed like this handles slices that arrive at these times.
    #[track_caller]
    fn check_inbox(change: &Change, arrive: &[u64], handled: &[u64]) {
        let generation = Generation::default();
        let mut inbox = Inbox::new(change, ms(100));
        for at in arrive {
            let region = Region { start: 0, frames: 1 };
            inbox.receive(ms(*at), MadeSlice::new(&generation, region, ms(0)));
        }
        let found: Vec<_> = inbox.waiting.iter().map(|(at, _)| at.0 / 1_000_000).collect();
        assert_eq!(found, handled, "{change:?}");
    }

    #[test]
    fn slices_are_handled_when_the_client_has_time() {
        check_inbox(&Change::default(), &[90, 200, 200, 317], &[100, 200, 200, 317]);
        let slow = Change { apply_delay_s: 0.03, ..Change::default() };
        check_inbox(&slow, &[200, 210, 300], &[230, 260, 330]);
        check_inbox(&Change { apply_delay_s: -1.0, ..Change::default() }, &[200], &[200]);
        let throttled = Change { handles_every_s: 0.1, ..Change::default() };
        check_inbox(&throttled, &[200, 201, 250, 300], &[200, 300, 300, 300]);
        let busy = vec![Spell { from: ms(150), to: ms(160) }, Spell { from: ms(200), to: ms(260) }];
        let busy = Change { busy, ..Change::default() };
        check_inbox(&busy, &[199, 200, 230, 261, 300], &[199, 260, 260, 261, 300]);
        // What it is busy with goes on behind the spell.
        let both = Change { apply_delay_s: 0.03, ..busy };
        check_inbox(&both, &[190, 190], &[220, 290]);
    }

    #[test]
    fn reports_go_out_as_recorded_or_at_their_own_rate() {
        let tick = |at_ms| TracedTick {
            at: ms(at_ms),
            position_s: None,
            client_time: None,
            acked: None,
            lead_s: None,
            bytes: 0,
        };
        let ticks = vec![tick(110), tick(150), tick(250)];
        let trace = Trace { begins: ms(100), ticks, ..Trace::default() };
        let schedule = |params_hz: Option<f64>, tick_shift_ms: i64| {
            let change = Change { params_hz, ..Change::default() };
            let tick_shift_ns = tick_shift_ms * 1_000_000;
            let perturbation = Perturbation { tick_shift_ns, ..Perturbation::default() };
            let mut schedule = ReportSchedule::new(&trace, &change, &perturbation, ms(150));
            let mut next = || {
                let at = schedule.next_at;
                let like = if at.0 < u64::MAX / 2 { schedule.recorded(at) } else { 99 };
                schedule.go_on();
                (at.0 / 1_000_000, like)
            };
            [next(), next(), next(), next()]
        };
        let never = u64::MAX / 1_000_000;
        assert_eq!(schedule(None, 0), [(110, 0), (150, 1), (250, 2), (never, 99)]);
        // What was before anything differed stays.
        assert_eq!(schedule(None, 5)[..3], [(110, 0), (155, 1), (255, 2)]);
        assert_eq!(schedule(None, -90)[..3], [(110, 0), (100, 1), (160, 2)]);
        assert_eq!(schedule(Some(20.0), 0), [(110, 0), (160, 1), (210, 1), (260, 2)]);
    }
}
