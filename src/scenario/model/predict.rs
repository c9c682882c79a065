//! The closed loop: client and server anew, on the moments that a recording fixed.
//!
//! Enters: a trace, what was fitted to it, what is to be different, and what chance decides
//! ([`Luck`]). Leaves: what the listener's tracker would have recorded. Everything happens in the
//! order of time; at one moment the links come first, then slices, ops, ticks, reports, the server.
//! The server's clock is that of arrivals: the way to the client takes no time beyond what one slice
//! needs more than the fastest, and the way to the server takes both ways' time. Only their sum can
//! be known, and only their sum matters.

use std::collections::VecDeque;

use super::change::Change;
use super::fit::Fit;
use super::generations::{Generation, shifted};
use super::listener::Listener;
use super::trace::Trace;
use crate::capture::Marker;
use crate::lag::{Arrival, LagTracker};
use crate::peer::client::{MAX_PARAMS_HZ, reported_lead_s};
use crate::peer::link::{Link, LinkOptions, websocket_len};
use crate::peer::pacing::{Fate, FlowControl, LeadController, Placement, PlayheadClock, Region};
use crate::peer::policy::Policy;
use crate::peer::rng::{Rng, Stream};
use crate::time::{Nanos, Span};
use crate::wire::slice::HEADER_LEN;

/// What chance decides in one run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Luck {
    /// Decides jitter.
    pub seed: u64,
    /// By how much each op comes later than asked, in nanoseconds; what is missing is 0.
    pub op_shifts_ns: Vec<i64>,
    /// By how much all reports come later than recorded, in nanoseconds.
    pub tick_shift_ns: i64,
    /// Whether the way to the server takes a different time for each report, like the recorded way
    /// from it.
    pub jitters: bool,
}

/// One run of the model.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// What the listener's tracker recorded.
    pub tracker: LagTracker,
    /// Most transport lead that the server took, in seconds.
    pub transport_peak_s: f64,
    /// Slices made and not sent.
    pub shed: u64,
}

/// Runs the model once. `policy` is that of the counterfactual server.
#[must_use]
pub fn predict(
    trace: &Trace,
    fit: &Fit,
    policy: &Policy,
    change: &Change,
    luck: &Luck,
) -> Predicted {
    let mut run = Run::new(trace, fit, policy, change, luck);
    while let Some((at, event)) = run.next() {
        if at > trace.end {
            break;
        }
        run.handle(at, event);
    }
    Predicted { tracker: run.tracker, transport_peak_s: run.transport_peak_s, shed: run.shed }
}

/// What happens next, in the order in which simultaneous things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    LinkChange,
    Departed,
    Landed,
    Op,
    Tick,
    ReportPassed,
    ReportTaken,
    Generate,
    Send,
}

#[derive(Clone, Copy)]
struct Report {
    position_s: f64,
    client_time: Option<f64>,
    acked: Option<f64>,
    lead_s: Option<f64>,
}

#[derive(Clone, Copy)]
struct Slice {
    turn: usize,
    region: Region,
    made: Nanos,
}

/// Where the loop that generates stands.
enum Stage {
    Ticking,
    Decoding([Option<Region>; 2]),
}

struct Run<'a> {
    trace: &'a Trace,
    fit: &'a Fit,
    change: &'a Change,
    luck: &'a Luck,
    tick_factor: f64,
    rng: Rng,
    // The client.
    listener: Listener,
    tracker: LagTracker,
    ops: VecDeque<(Nanos, Marker)>,
    next_tick: Option<Nanos>,
    ticks: usize,
    lowest_lead_s: Option<f64>,
    slice_bytes: u64,
    landing: VecDeque<(Nanos, Slice)>,
    client_free: Nanos,
    // The links.
    changes: VecDeque<(Nanos, bool, LinkOptions)>,
    up: Link<Report>,
    down: Link<Option<Slice>>,
    // The server.
    reports: VecDeque<(Nanos, Report)>,
    report_ns: u64,
    turn: usize,
    stage: Stage,
    stage_until: Nanos,
    clock: PlayheadClock,
    lead: LeadController,
    placement: Placement,
    flow: FlowControl,
    outbox: VecDeque<Slice>,
    transport_peak_s: f64,
    shed: u64,
}

impl<'a> Run<'a> {
    fn new(
        trace: &'a Trace,
        fit: &'a Fit,
        policy: &Policy,
        change: &'a Change,
        luck: &'a Luck,
    ) -> Self {
        let (origin, frames, sample_rate) = (trace.origin, trace.loop_frames(), trace.sample_rate);
        let link = LinkOptions::default;
        let mut run = Run {
            trace,
            fit,
            change,
            luck,
            tick_factor: change.tick_factor.unwrap_or(1.0),
            rng: Rng::new(luck.seed, Stream::Client),
            listener: Listener::new(trace),
            tracker: LagTracker::new(trace.frames, sample_rate, origin.seconds()),
            ops: ops(trace, change, luck),
            next_tick: None,
            ticks: 0,
            lowest_lead_s: None,
            slice_bytes: 0,
            landing: VecDeque::new(),
            client_free: origin,
            changes: link_changes(origin, change),
            up: Link::new(link(), luck.seed, Stream::Uplink, origin),
            down: Link::new(link(), luck.seed, Stream::Downlink, origin),
            reports: VecDeque::new(),
            report_ns: policy
                .intake
                .backlog_per_s
                .map_or(0, |per_s| (1e9 / per_s.max(1e-3)) as u64),
            turn: 0,
            stage: Stage::Ticking,
            stage_until: origin,
            clock: PlayheadClock::new(&policy.clock, frames, sample_rate, origin),
            lead: LeadController::new(&policy.lead, policy.placement.window_s),
            placement: Placement::new(&policy.placement, frames, sample_rate),
            flow: FlowControl::new(&policy.flow),
            outbox: VecDeque::new(),
            transport_peak_s: 0.0,
            shed: 0,
        };
        run.next_tick = run.tick_at(0);
        run.start_generation(origin);
        run
    }

    fn next(&self) -> Option<(Nanos, Event)> {
        let front = |queue: &VecDeque<(Nanos, Slice)>| queue.front().map(|&(at, _)| at);
        let send = self.outbox.front().map(|slice| self.down.accepts_at(slice.made));
        let candidates = [
            (self.changes.front().map(|change| change.0), Event::LinkChange),
            (self.down.wake_at(), Event::Departed),
            (front(&self.landing), Event::Landed),
            (self.ops.front().map(|op| op.0), Event::Op),
            (self.next_tick, Event::Tick),
            (self.up.wake_at(), Event::ReportPassed),
            (self.reports.front().map(|report| report.0), Event::ReportTaken),
            (Some(self.stage_until), Event::Generate),
            (send, Event::Send),
        ];
        let mut next: Option<(Nanos, Event)> = None;
        for (at, event) in candidates {
            if let Some(at) = at
                && next.is_none_or(|(earliest, _)| at < earliest)
            {
                next = Some((at, event));
            }
        }
        next
    }

    fn handle(&mut self, now: Nanos, event: Event) {
        match event {
            Event::LinkChange => self.change_link(),
            Event::Departed => self.travel(now),
            Event::Landed => self.land(now),
            Event::Op => {
                if let Some((_, op)) = self.ops.pop_front() {
                    self.listener.operate(now, &op);
                }
            }
            Event::Tick => self.tick(now),
            Event::ReportPassed => self.pass_report(now),
            Event::ReportTaken => self.take_report(now),
            Event::Generate => self.generate(now),
            Event::Send => self.send(now),
        }
    }

    fn change_link(&mut self) {
        match self.changes.pop_front() {
            Some((_, true, options)) => self.up.change(options),
            Some((_, false, options)) => self.down.change(options),
            None => {}
        }
    }

    /// A slice has passed the link that the scenario describes; the recorded way remains.
    fn travel(&mut self, now: Nanos) {
        let Some((_, Some(slice))) = self.down.poll(now) else { return };
        let arrives = shifted(now, self.generation(slice.turn).transit_ns);
        let busy_ns = (self.change.apply_delay_s.max(0.0) * 1e9) as u64;
        let handled = self.handled_at(arrives.max(self.client_free));
        let done = Nanos(handled.0.saturating_add(busy_ns));
        self.client_free = done;
        self.landing.push_back((done, slice));
    }

    fn land(&mut self, now: Nanos) {
        let Some((_, slice)) = self.landing.pop_front() else { return };
        let generation = self.generation(slice.turn);
        let arrival = Arrival {
            start: slice.region.start,
            frames: slice.region.frames,
            playhead: self.listener.frame(now),
            tick_ms: f64::from(generation.tick_ms),
            dec_ms: f64::from(generation.dec_ms),
            generations: generation.generations,
        };
        self.slice_bytes += message_len(generation, slice.region);
        self.tracker.on_slice(now.seconds(), arrival);
        let (frames, sample_rate) = (self.trace.frames, self.trace.sample_rate);
        let playhead_s = self.listener.seconds(now);
        let lead_s = reported_lead_s(slice.region.start, playhead_s, frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }

    fn tick(&mut self, now: Nanos) {
        let recorded = self.recorded_tick(now);
        let tick = &self.trace.ticks[recorded];
        let passed_s = now.seconds_since(tick.at);
        self.listener.report(now, tick.position_s.map(|position_s| position_s + passed_s));
        let frame = self.listener.frame(now);
        self.tracker.on_tick(now.seconds(), frame);
        let acknowledges = self.change.acknowledges.unwrap_or(tick.acked.is_some());
        let modern = tick.client_time.is_some();
        let report = Report {
            position_s: if tick.position_s.is_some() {
                frame as f64 / f64::from(self.trace.sample_rate)
            } else {
                0.0
            },
            client_time: tick.client_time.map(|time| time + passed_s),
            acked: acknowledges.then_some(self.slice_bytes as f64),
            lead_s: if modern { self.lowest_lead_s.take() } else { None },
        };
        self.up.send(now, report, u64::from(tick.bytes));
        self.ticks += 1;
        self.next_tick = self.tick_at(self.ticks);
    }

    fn pass_report(&mut self, now: Nanos) {
        let Some((at, report)) = self.up.poll(now) else { return };
        let jitter_ns = if self.luck.jitters { self.fit.jitter_ns(&mut self.rng) } else { 0 };
        let arrives = shifted(at, self.fit.round_trip_ns + jitter_ns).max(at);
        let begins = self.reports.back().map_or(arrives, |&(last, _)| arrives.max(last));
        self.reports.push_back((Nanos(begins.0.saturating_add(self.report_ns)), report));
    }

    fn take_report(&mut self, now: Nanos) {
        let Some((_, report)) = self.reports.pop_front() else { return };
        self.clock.report(now, report.position_s, report.client_time);
        report.lead_s.into_iter().for_each(|lead_s| self.lead.report(lead_s));
        report.acked.into_iter().for_each(|acked| self.flow.acknowledge(acked));
    }

    fn generate(&mut self, now: Nanos) {
        let generation = *self.generation(self.turn);
        match std::mem::replace(&mut self.stage, Stage::Ticking) {
            Stage::Ticking => {
                let estimate = self.clock.look(now);
                let placed = self.placement.place(estimate, self.lead.look(now, false));
                self.transport_peak_s = self.transport_peak_s.max(self.lead.transport_s());
                self.stage = Stage::Decoding([Some(placed.region), placed.spill]);
                self.stage_until = shifted(now, generation.decode_ns);
            }
            Stage::Decoding(regions) => {
                let turn = self.turn;
                let slices = regions.into_iter().flatten();
                self.outbox.extend(slices.map(|region| Slice { turn, region, made: now }));
                self.turn += 1;
                self.start_generation(now);
            }
        }
    }

    fn start_generation(&mut self, now: Nanos) {
        let generation = self.generation(self.turn);
        let tick_ns = (generation.tick_ns as f64 * self.tick_factor) as i64;
        self.stage = Stage::Ticking;
        self.stage_until = shifted(now, generation.rest_ns + tick_ns);
    }

    fn send(&mut self, now: Nanos) {
        let Some(slice) = self.outbox.pop_front() else { return };
        let asked_for = u64::from(slice.region.frames) == self.trace.frames;
        if self.flow.fate(now.seconds_since(slice.made), asked_for) != Fate::Send {
            self.shed += 1;
            return;
        }
        let generation = *self.generation(slice.turn);
        let bytes = message_len(&generation, slice.region);
        self.flow.sent(bytes as usize);
        self.down.send(now, Some(slice), websocket_len(bytes as usize, false));
        if generation.text_bytes > 0 {
            self.down.send(now, None, u64::from(generation.text_bytes));
        }
    }

    /// What the recording knows of a turn. Past its end it begins anew, so that a faster server
    /// finds something to do; the first rest was no rest between turns.
    fn generation(&self, turn: usize) -> &'a Generation {
        let generations = &self.fit.generations;
        let count = generations.len();
        let index = if turn < count { turn } else { 1 + (turn - count) % (count - 1) };
        &generations[index]
    }

    /// When the tick of that number goes out.
    fn tick_at(&self, number: usize) -> Option<Nanos> {
        let at = match self.change.params_hz {
            None => self.trace.ticks.get(number)?.at,
            Some(hz) => {
                let period_s = 1.0 / hz.clamp(f64::MIN_POSITIVE, MAX_PARAMS_HZ);
                let first = self.trace.ticks.first()?.at;
                Nanos(first.0.saturating_add((number as f64 * period_s * 1e9) as u64))
            }
        };
        Some(shifted(at, self.luck.tick_shift_ns).max(self.trace.origin))
    }

    /// The recorded tick that a tick at `now` is like: the same, or the last one before.
    fn recorded_tick(&self, now: Nanos) -> usize {
        match self.change.params_hz {
            None => self.ticks,
            Some(_) => self.trace.ticks.partition_point(|tick| tick.at <= now).saturating_sub(1),
        }
    }

    /// When a client that is busy until its next turn handles what arrives at `at`.
    fn handled_at(&self, at: Nanos) -> Nanos {
        let turn_ns = (self.change.handles_every_s * 1e9) as u64;
        if turn_ns == 0 { at } else { Nanos(at.0.div_ceil(turn_ns).saturating_mul(turn_ns)) }
    }
}

/// Length of the message of a slice over that region.
fn message_len(generation: &Generation, region: Region) -> u64 {
    HEADER_LEN as u64 + (generation.bytes_per_frame * f64::from(region.frames)) as u64
}

/// The ops in their order, each at its moment or as much later as luck has it.
pub(super) fn ops(trace: &Trace, change: &Change, luck: &Luck) -> VecDeque<(Nanos, Marker)> {
    let Some(scripted) = &change.ops else { return trace.ops.iter().cloned().collect() };
    let at = |span: Span| trace.origin.checked_add(span).unwrap_or(Nanos(u64::MAX));
    let shifts = luck.op_shifts_ns.iter().copied().chain(std::iter::repeat(0));
    let mut scripted: Vec<_> = scripted.iter().collect();
    scripted.sort_by_key(|op| op.at);
    let mut ops = VecDeque::with_capacity(scripted.len());
    let mut earliest = trace.origin;
    for (op, shift_ns) in scripted.into_iter().zip(shifts) {
        earliest = earliest.max(shifted(at(op.at), shift_ns));
        ops.push_back((earliest, op.op.clone()));
    }
    ops
}

/// The changes of both links (`true`: of the one to the server) in their order.
fn link_changes(origin: Nanos, change: &Change) -> VecDeque<(Nanos, bool, LinkOptions)> {
    let at = |span: Span| origin.checked_add(span).unwrap_or(Nanos(u64::MAX));
    let up = change.up.iter().map(|(span, options)| (at(*span), true, options.clone()));
    let down = change.down.iter().map(|(span, options)| (at(*span), false, options.clone()));
    let mut changes: Vec<_> = up.chain(down).collect();
    changes.sort_by_key(|change| change.0);
    changes.into()
}
