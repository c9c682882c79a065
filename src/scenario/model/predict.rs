//! The closed loop: client and server anew, on the moments that a recording fixed.
//!
//! Enters: a trace, what was fitted to it, what is to be different, and what chance decides
//! ([`Luck`]). Leaves: what the listener's tracker would have recorded. Everything happens in the
//! order of time; at one moment slices come first, then ops and changes, ticks, the server.
//! The server's clock is that of arrivals: the way to the client takes no time beyond what one slice
//! needs more than the fastest, and the way to the server takes both ways' time. Only their sum can
//! be known, and only their sum matters.

use std::collections::VecDeque;

use super::change::{Change, Later};
use super::due::{Due, Event};
use super::fit::Fit;
use super::generations::{Generation, new_frames, shifted};
use super::listener::Listener;
use super::looks::report_ns;
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
    /// By how much ops, and changes during the session, come later than asked, in nanoseconds.
    pub shift_ns: i64,
    /// By how much reports from then on come later than recorded, in nanoseconds.
    pub tick_shift_ns: i64,
    /// By what share more new frames than were recorded cost more than the recording says.
    pub new_frames_cost: f64,
    /// Whether the way to the server takes a different time for each report, like the recorded way
    /// from it.
    pub jitters: bool,
}

impl Luck {
    /// How far the moments of this run are from those asked for.
    pub(super) fn distance_ns(&self) -> u64 {
        self.shift_ns.unsigned_abs().saturating_add(self.tick_shift_ns.unsigned_abs())
    }
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
    loop {
        let (at, event) = run.due.next();
        if at > trace.end {
            break;
        }
        run.handle(at, event);
        run.watch_links();
    }
    Predicted { tracker: run.tracker, transport_peak_s: run.transport_peak_s, shed: run.shed }
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
    /// Length of its message, known once it is sent.
    bytes: u64,
}

/// Where the loop that generates stands.
enum Stage {
    Ticking,
    Decoding([Option<Region>; 2]),
}

struct Run<'a> {
    due: Due,
    trace: &'a Trace,
    fit: &'a Fit,
    change: &'a Change,
    luck: &'a Luck,
    policy: Policy,
    tick_factor: f64,
    acknowledges: Option<bool>,
    apply_delay_s: f64,
    handles_every_s: f64,
    /// What of them changes later, and when.
    later: VecDeque<(Nanos, &'a Later)>,
    /// Before this moment everything is as recorded.
    differs_at: Nanos,
    rng: Rng,
    // The client.
    listener: Listener,
    tracker: LagTracker,
    ops: VecDeque<(Nanos, Marker)>,
    ticks: usize,
    lowest_lead_s: Option<f64>,
    slice_bytes: u64,
    landing: VecDeque<(Nanos, Slice)>,
    client_free: Nanos,
    // The links, and whether the scenario has any.
    has_up: bool,
    has_down: bool,
    changes: VecDeque<(Nanos, bool, LinkOptions)>,
    up: Link<Report>,
    down: Link<Option<Slice>>,
    // The server.
    reports: VecDeque<(Nanos, Report)>,
    report_ns: u64,
    turn: usize,
    stage: Stage,
    clock: PlayheadClock,
    lead: LeadController,
    placement: Placement,
    flow: FlowControl,
    outbox: VecDeque<Slice>,
    last_sent: Option<Region>,
    transport_peak_s: f64,
    shed: u64,
    /// By how much longer than recorded the recorded queue is, in nanoseconds.
    longer_ns: f64,
}

impl<'a> Run<'a> {
    fn new(
        trace: &'a Trace,
        fit: &'a Fit,
        policy: &Policy,
        change: &'a Change,
        luck: &'a Luck,
    ) -> Self {
        let Trace { origin, begins, sample_rate, .. } = *trace;
        let link = LinkOptions::default;
        let began = fit.queue.map_or(begins, |queue| queue.began);
        let mut run = Run {
            due: Due::default(),
            trace,
            fit,
            change,
            luck,
            policy: policy.clone(),
            tick_factor: change.tick_factor.unwrap_or(1.0),
            acknowledges: change.acknowledges,
            apply_delay_s: change.apply_delay_s,
            handles_every_s: change.handles_every_s,
            later: later_changes(origin, change, luck),
            differs_at: Nanos(0),
            rng: Rng::new(luck.seed, Stream::Client),
            listener: Listener::new(trace, change.quantum_frames),
            tracker: trace.tracker(),
            ops: ops(trace, change, luck),
            ticks: 0,
            lowest_lead_s: None,
            slice_bytes: 0,
            landing: VecDeque::new(),
            client_free: begins,
            has_up: !change.up.is_empty(),
            has_down: !change.down.is_empty(),
            changes: link_changes(origin, change, luck),
            up: Link::new(link(), luck.seed, Stream::Uplink, begins),
            down: Link::new(link(), luck.seed, Stream::Downlink, begins),
            reports: VecDeque::new(),
            report_ns: report_ns(policy),
            turn: 0,
            stage: Stage::Ticking,
            clock: trace.server_clock(&policy.clock, began),
            lead: LeadController::new(&policy.lead, policy.placement.window_s),
            placement: Placement::new(&policy.placement, trace.loop_frames(), sample_rate),
            flow: FlowControl::new(&policy.flow),
            outbox: VecDeque::new(),
            last_sent: None,
            transport_peak_s: 0.0,
            shed: 0,
            longer_ns: 0.0,
        };
        run.differs_at = run.differs_at();
        run.due.set(Event::Command, run.next_command());
        run.due.set(Event::Tick, Some(run.tick_at(0)));
        run.start_generation(began);
        run
    }

    /// The first op or change that the recording has not.
    fn differs_at(&self) -> Nanos {
        let change = self.change;
        let from_the_beginning = Change {
            ops: None,
            up: Vec::new(),
            down: Vec::new(),
            later: Vec::new(),
            ..change.clone()
        };
        if from_the_beginning != Change::default() {
            return self.trace.origin;
        }
        let link = self.changes.front().map(|change| change.0);
        let mut recorded = self.trace.ops.iter();
        let op = self.ops.iter().find(|op| recorded.next() != Some(op)).map(|op| op.0);
        let dropped = recorded.next().map(|op| op.0);
        let later = self.later.front().map(|later| later.0);
        [link, later, op, dropped].into_iter().flatten().min().unwrap_or(Nanos(u64::MAX))
    }

    /// What the links are about to do depends on all that happens.
    fn watch_links(&mut self) {
        if self.has_up {
            self.due.set(Event::ReportPassed, self.up.wake_at());
        }
        if self.has_down {
            self.due.set(Event::Departed, self.down.wake_at());
            let send = self.outbox.front().map(|slice| self.down.accepts_at(slice.made));
            self.due.set(Event::Send, send);
        }
    }

    fn handle(&mut self, now: Nanos, event: Event) {
        match event {
            Event::Command => self.command(now),
            Event::Departed => {
                if let Some((_, Some(slice))) = self.down.poll(now) {
                    self.travel(now, slice);
                }
            }
            Event::Landed => self.land(now),
            Event::Tick => self.tick(now),
            Event::ReportPassed => {
                if let Some((at, report)) = self.up.poll(now) {
                    self.pass_report(at, report);
                }
            }
            Event::Generate => self.generate(now),
            Event::Send => self.send(now),
        }
    }

    /// What somebody wants at this moment: another link, another server, another place to listen at.
    fn command(&mut self, now: Nanos) {
        let due = |at: Option<Nanos>| at.is_some_and(|at| at <= now);
        while due(self.changes.front().map(|change| change.0)) {
            self.change_link();
        }
        while due(self.later.front().map(|later| later.0)) {
            self.change_rest();
        }
        while due(self.ops.front().map(|op| op.0)) {
            if let Some((_, op)) = self.ops.pop_front() {
                self.listener.operate(now, &op);
            }
        }
        self.due.set(Event::Command, self.next_command());
    }

    /// When the next op or change is due.
    fn next_command(&self) -> Option<Nanos> {
        let link = self.changes.front().map(|change| change.0);
        let later = self.later.front().map(|later| later.0);
        let op = self.ops.front().map(|op| op.0);
        [link, later, op].into_iter().flatten().min()
    }

    fn change_link(&mut self) {
        match self.changes.pop_front() {
            Some((_, true, options)) => self.up.change(options),
            Some((_, false, options)) => self.down.change(options),
            None => {}
        }
    }

    fn change_rest(&mut self) {
        let Some((_, later)) = self.later.pop_front() else { return };
        self.tick_factor = later.tick_factor.unwrap_or(self.tick_factor);
        self.acknowledges = later.acknowledges.or(self.acknowledges);
        self.apply_delay_s = later.apply_delay_s.unwrap_or(self.apply_delay_s);
        self.handles_every_s = later.handles_every_s.unwrap_or(self.handles_every_s);
        let policy = later.policy.applied(&self.policy);
        self.clock.change(&policy.clock);
        self.lead.change(&policy.lead);
        self.flow.change(&policy.flow);
        self.policy = policy;
    }

    /// A slice has passed the link that the scenario describes; the recorded way remains.
    fn travel(&mut self, now: Nanos, slice: Slice) {
        let arrives = shifted(now, self.transit_ns(slice.turn)).max(now);
        let busy_ns = (self.apply_delay_s.max(0.0) * 1e9) as u64;
        let handled = self.handled_at(arrives.max(self.client_free));
        let done = Nanos(handled.0.saturating_add(busy_ns));
        self.client_free = done;
        self.landing.push_back((done, slice));
        self.watch_landing();
    }

    fn watch_landing(&mut self) {
        self.due.set(Event::Landed, self.landing.front().map(|landing| landing.0));
    }

    /// How long the slice of a turn is on its way: as recorded, but for what the recorded queue is
    /// longer or shorter. An empty one is as long as it was.
    fn transit_ns(&mut self, turn: usize) -> i64 {
        let recorded_ns = self.generation(turn).transit_ns;
        let Some(queue) = self.fit.queue else { return recorded_ns };
        if recorded_ns <= queue.waits_ns {
            self.longer_ns = 0.0;
        }
        recorded_ns + self.longer_ns as i64
    }

    /// How long the recorded link takes for that many bytes, where there was a queue.
    fn queued_ns(&self, bytes: u64) -> f64 {
        self.fit.queue.map_or(0.0, |queue| queue.ns_per_byte * bytes as f64)
    }

    fn land(&mut self, now: Nanos) {
        let Some((_, slice)) = self.landing.pop_front() else { return };
        self.watch_landing();
        let generation = self.generation(slice.turn);
        let now_s = now.seconds();
        let (playhead, playhead_s) = self.listener.place(now_s);
        let arrival = Arrival {
            start: slice.region.start,
            frames: slice.region.frames,
            playhead,
            tick_ms: f64::from(generation.tick_ms),
            dec_ms: f64::from(generation.dec_ms),
            generations: generation.generations,
        };
        self.slice_bytes += slice.bytes;
        self.tracker.on_slice(now_s, arrival);
        let (frames, sample_rate) = (self.trace.frames, self.trace.sample_rate);
        let lead_s = reported_lead_s(slice.region.start, playhead_s, frames, sample_rate);
        self.lowest_lead_s = Some(self.lowest_lead_s.map_or(lead_s, |lowest| lowest.min(lead_s)));
    }

    fn tick(&mut self, now: Nanos) {
        let recorded = self.recorded_tick(now);
        let tick = &self.trace.ticks[recorded];
        let passed_s = now.seconds_since(tick.at);
        self.listener.report(now, tick.position_s.map(|position_s| position_s + passed_s));
        let now_s = now.seconds();
        let heard = self.tracker.on_tick(now_s, self.listener.frame(now_s));
        let acknowledges = self.acknowledges.unwrap_or(tick.acked.is_some());
        let modern = tick.client_time.is_some();
        let lowest_lead_s = self.lowest_lead_s.take();
        let as_recorded = now < self.differs_at;
        let report = Report {
            position_s: if tick.position_s.is_some() { heard.playhead_s } else { 0.0 },
            client_time: tick.client_time.map(|time| time + passed_s),
            acked: if as_recorded {
                tick.acked
            } else {
                acknowledges.then_some(self.slice_bytes as f64)
            },
            // What was reported before anything differed is known better than any model makes it.
            lead_s: if as_recorded { tick.lead_s } else { lowest_lead_s.filter(|_| modern) },
        };
        if self.has_up {
            self.up.send(now, report, u64::from(tick.bytes));
        } else {
            self.pass_report(now, report);
        }
        self.ticks += 1;
        self.due.set(Event::Tick, Some(self.tick_at(self.ticks)));
    }

    /// A report has passed the link that the scenario describes; the recorded way remains.
    fn pass_report(&mut self, at: Nanos, report: Report) {
        let jitters = self.luck.jitters && at >= self.differs_at;
        let jitter_ns = if jitters { self.fit.jitter_ns(&mut self.rng) } else { 0 };
        let arrives = shifted(at, self.fit.round_trip_ns + jitter_ns).max(at);
        let begins = self.reports.back().map_or(arrives, |&(last, _)| arrives.max(last));
        self.reports.push_back((Nanos(begins.0.saturating_add(self.report_ns)), report));
    }

    /// The server takes what has come by now, each report as of its own moment.
    fn take_reports(&mut self, now: Nanos) {
        while let Some((at, report)) = self.reports.pop_front_if(|(at, _)| *at <= now) {
            self.clock.report(at, report.position_s, report.client_time);
            let heeded = report.lead_s.filter(|_| self.fit.heeds_leads(at));
            heeded.into_iter().for_each(|lead_s| self.lead.report(lead_s));
            report.acked.into_iter().for_each(|acked| self.flow.acknowledge(acked));
        }
    }

    fn generate(&mut self, now: Nanos) {
        let generation = *self.generation(self.turn);
        match std::mem::replace(&mut self.stage, Stage::Ticking) {
            Stage::Ticking => {
                self.take_reports(now);
                let estimate = self.clock.look(now);
                let advance_s = self.lead.look(now, false);
                let aimed_s = self.fit.displaced_at(now).map_or(advance_s, |behind_s| -behind_s);
                let placed = self.placement.place(estimate, aimed_s);
                self.transport_peak_s = self.transport_peak_s.max(self.lead.transport_s());
                self.stage = Stage::Decoding([Some(placed.region), placed.spill]);
                self.due.set(Event::Generate, Some(shifted(now, generation.decode_ns)));
            }
            Stage::Decoding(regions) => {
                let turn = self.turn;
                for region in regions.into_iter().flatten() {
                    self.outbox.push_back(Slice { turn, region, made: now, bytes: 0 });
                }
                if !generation.shed {
                    self.longer_ns -= self.queued_ns(u64::from(generation.bytes));
                }
                self.turn += 1;
                self.start_generation(now);
                while !self.has_down && !self.outbox.is_empty() {
                    self.send(now);
                }
            }
        }
    }

    fn start_generation(&mut self, now: Nanos) {
        if self.turn >= self.fit.generations.len() && self.tick_factor >= 1.0 {
            // Whatever kept the server from another turn keeps one that is no faster from it, too.
            return self.due.set(Event::Generate, None);
        }
        let generation = self.generation(self.turn);
        let tick_ns = (generation.tick_ns as f64 * self.tick_factor) as i64;
        self.stage = Stage::Ticking;
        self.due.set(Event::Generate, Some(shifted(now, generation.rest_ns + tick_ns)));
    }

    fn send(&mut self, now: Nanos) {
        let Some(mut slice) = self.outbox.pop_front() else { return };
        self.take_reports(now);
        let asked_for = u64::from(slice.region.frames) == self.trace.frames;
        let generation = *self.generation(slice.turn);
        // Behind a queue both are facts: what was shed, and how long the rest was on its way.
        let is_shed = if self.fit.queue.is_some() {
            generation.shed
        } else {
            self.flow.fate(now.seconds_since(slice.made), asked_for) != Fate::Send
        };
        if is_shed {
            self.shed += 1;
            return;
        }
        slice.bytes = self.message_len(&generation, slice.region);
        self.longer_ns += self.queued_ns(slice.bytes);
        self.last_sent = Some(slice.region);
        self.flow.sent(slice.bytes as usize);
        if !self.has_down {
            return self.travel(now, slice);
        }
        self.down.send(now, Some(slice), websocket_len(slice.bytes as usize, false));
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

    /// Length of the message of a slice over that region, if it is sent next.
    fn message_len(&self, generation: &Generation, region: Region) -> u64 {
        let cost = |new| self.fit.new_frames.cost(new, region.frames);
        let new_bytes = cost(new_frames(region, self.last_sent));
        // Of a slice that goes where it went nothing is unknown.
        let unknown_bytes = (new_bytes - cost(generation.new_frames)) * self.luck.new_frames_cost;
        let bytes =
            generation.bytes_per_frame * f64::from(region.frames) + new_bytes + unknown_bytes;
        HEADER_LEN as u64 + bytes as u64
    }

    /// When the tick of that number goes out.
    fn tick_at(&self, number: usize) -> Nanos {
        let never = Nanos(u64::MAX);
        let at = match self.change.params_hz {
            None => self.trace.ticks.get(number).map_or(never, |tick| tick.at),
            Some(hz) => {
                let period_s = 1.0 / hz.clamp(f64::MIN_POSITIVE, MAX_PARAMS_HZ);
                let first = self.trace.ticks.first().map_or(never, |tick| tick.at);
                Nanos(first.0.saturating_add((number as f64 * period_s * 1e9) as u64))
            }
        };
        let shift_ns = if at < self.differs_at { 0 } else { self.luck.tick_shift_ns };
        shifted(at, shift_ns).max(self.trace.begins)
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
        let turn_ns = (self.handles_every_s * 1e9) as u64;
        if turn_ns == 0 { at } else { Nanos(at.0.div_ceil(turn_ns).saturating_mul(turn_ns)) }
    }
}

/// The ops in their order, each at its moment or as much later as luck has it.
pub(super) fn ops(trace: &Trace, change: &Change, luck: &Luck) -> VecDeque<(Nanos, Marker)> {
    let Some(scripted) = &change.ops else { return trace.ops.iter().cloned().collect() };
    let at = |span: Span| trace.origin.checked_add(span).unwrap_or(Nanos(u64::MAX));
    let mut scripted: Vec<_> = scripted.iter().collect();
    scripted.sort_by_key(|op| op.at);
    let moment = |span| shifted(at(span), luck.shift_ns).max(trace.begins);
    scripted.into_iter().map(|op| (moment(op.at), op.op.clone())).collect()
}

/// The changes of both links (`true`: of the one to the server) in their order.
fn link_changes(
    origin: Nanos,
    change: &Change,
    luck: &Luck,
) -> VecDeque<(Nanos, bool, LinkOptions)> {
    let at = |span: Span| later_moment(origin, span, luck);
    let up = change.up.iter().map(|(span, options)| (at(*span), true, options.clone()));
    let down = change.down.iter().map(|(span, options)| (at(*span), false, options.clone()));
    let mut changes: Vec<_> = up.chain(down).collect();
    changes.sort_by_key(|change| change.0);
    changes.into()
}

fn later_changes<'a>(
    origin: Nanos,
    change: &'a Change,
    luck: &Luck,
) -> VecDeque<(Nanos, &'a Later)> {
    let at = |span: Span| later_moment(origin, span, luck);
    change.later.iter().map(|(span, later)| (at(*span), later)).collect()
}

/// When something changes: at the beginning, or about when it was asked to.
pub(super) fn later_moment(origin: Nanos, span: Span, luck: &Luck) -> Nanos {
    let at = origin.checked_add(span).unwrap_or(Nanos(u64::MAX));
    if span == Span(0) { at } else { shifted(at, luck.shift_ns).max(origin) }
}
