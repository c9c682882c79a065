//! The server of a run: it takes reports, generates, and sends or sheds what it made.

use std::collections::VecDeque;

use super::super::change::{Change, Later};
use super::super::generations::{Covered, Generation, NewFrames, shifted};
use super::super::hypothesis::Hypothesis;
use super::super::pacing::{Intake, Pacing, PacingReport, PacingRule};
use super::super::perturbation::Perturbation;
use super::super::trace::Trace;
use super::NEVER;
use super::gated::GatedWorker;
use super::slice::MadeSlice;
use crate::peer::pacing::{Fate, FlowControl, Placed, Region};
use crate::peer::policy::Policy;
use crate::time::Nanos;
use crate::wire::slice::HEADER_LEN;

/// Slices that wait at most before the socket of a server that only appends (`events.py@778caa4`).
const BUS_SLICES: usize = 256;

/// The server.
pub(super) struct ServerSide<'a> {
    hypothesis: &'a Hypothesis,
    policy: Policy,
    intake: Intake,
    /// Reports that it has not taken yet, each with the moment at which it will.
    reports: VecDeque<(Nanos, PacingReport)>,
    pacing: Pacing<'a>,
    generator: Generator,
    /// In place of the generator, where the server only appends.
    worker: Option<GatedWorker<'a>>,
    flow: FlowControl,
    /// Slices that wait to be sent.
    outbox: VecDeque<MadeSlice<'a>>,
    lengths: Lengths,
    /// A slice of that length was asked for.
    loop_frames: u64,
    pub transport_peak_s: f64,
    pub shed: u64,
}

/// The loop that generates.
struct Generator {
    turn: usize,
    stage: Stage,
    /// Factor on every tick of the model.
    tick_factor: f64,
    /// When the stage is over.
    done_at: Nanos,
}

/// What came of a turn of the loop that generates.
pub(super) enum Generated<'a> {
    Nothing,
    /// The turn is over, and its slices can be sent.
    Turn(&'a Generation, Placed),
    /// Slices of a tape wait to be sent, if any.
    Chunk,
}

/// Where the loop that generates stands.
#[derive(Clone, Copy)]
enum Stage {
    Ticking,
    Decoding(Placed),
}

impl<'a> ServerSide<'a> {
    pub fn new(
        trace: &'a Trace,
        hypothesis: &'a Hypothesis,
        policy: &Policy,
        change: &Change,
        (perturbation, differs_at): (&Perturbation, Nanos),
    ) -> Self {
        let began = hypothesis.began(trace);
        let tick_factor = change.tick_factor.unwrap_or(1.0);
        let generator = Generator { turn: 0, stage: Stage::Ticking, tick_factor, done_at: NEVER };
        let cost = perturbation.new_frames_cost;
        let mut server = Self {
            hypothesis,
            policy: policy.clone(),
            intake: Intake::new(policy),
            reports: VecDeque::new(),
            pacing: hypothesis.rule.pacing(trace, policy, began),
            generator,
            worker: hypothesis.gate.as_ref().map(|gate| {
                GatedWorker::new(trace, hypothesis, gate, (perturbation, differs_at), tick_factor)
            }),
            flow: FlowControl::new(&policy.flow),
            outbox: VecDeque::new(),
            lengths: Lengths {
                new_frames: hypothesis.new_frames,
                unknown: cost,
                sent: Covered::default(),
            },
            loop_frames: trace.frames,
            transport_peak_s: 0.0,
            shed: 0,
        };
        server.begin_turn(began);
        server
    }

    pub fn change(&mut self, later: &Later) {
        self.generator.tick_factor = later.tick_factor.unwrap_or(self.generator.tick_factor);
        if let Some(worker) = &mut self.worker {
            worker.tick_factor = self.generator.tick_factor;
        }
        let policy = later.policy.applied(&self.policy);
        self.pacing.change(&policy);
        self.flow.change(&policy.flow);
        self.policy = policy;
    }

    /// A report arrives.
    #[inline]
    pub fn hear(&mut self, arrives: Nanos, report: PacingReport) {
        let at = self.takes_at(arrives);
        self.reports.push_back((at, report));
        if let Some(worker) = &mut self.worker {
            worker.expect(at);
        }
    }

    /// When the server takes the report that arrives next, at that moment.
    #[inline]
    pub fn takes_at(&mut self, arrives: Nanos) -> Nanos {
        let at = self.intake.taken_at(arrives);
        self.intake.take(at);
        at
    }

    /// The server takes a report.
    #[inline]
    pub fn take(&mut self, at: Nanos, report: &PacingReport) {
        match &mut self.worker {
            Some(worker) => worker.report(report.position_s),
            None => self.pacing.take(at, report),
        }
        report.acked.into_iter().for_each(|acked| self.flow.acknowledge(acked));
    }

    /// Whether it only appends, and goes on when it hears of a listener who went on.
    pub fn appends(&self) -> bool {
        self.worker.is_some()
    }

    /// The server takes what has come by now, each report as of its own moment.
    #[inline]
    fn take_reports(&mut self, now: Nanos) {
        while let Some((at, report)) = self.reports.pop_front_if(|(at, _)| *at <= now) {
            self.take(at, &report);
        }
    }

    /// When the loop that generates goes on.
    #[inline]
    pub fn generates_at(&self) -> Nanos {
        match &self.worker {
            Some(worker) => worker.wakes_at().unwrap_or(NEVER),
            None => self.generator.done_at,
        }
    }

    /// The loop that generates goes on.
    #[inline]
    pub fn generate(&mut self, now: Nanos) -> Generated<'a> {
        if self.worker.is_some() {
            self.append(now);
            return Generated::Chunk;
        }
        let generation = self.hypothesis.turn(self.generator.turn);
        match self.generator.stage {
            Stage::Ticking => {
                self.take_reports(now);
                let placed = self.pacing.look(now);
                self.transport_peak_s = self.transport_peak_s.max(self.pacing.transport_s());
                self.generator.stage = Stage::Decoding(placed);
                self.generator.done_at = shifted(now, generation.decode_ns);
                Generated::Nothing
            }
            Stage::Decoding(placed) => {
                self.generator.turn += 1;
                self.generator.stage = Stage::Ticking;
                self.begin_turn(now);
                Generated::Turn(generation, placed)
            }
        }
    }

    /// The worker of a tape goes on. The queue before the socket loses its oldest slices when it is full.
    fn append(&mut self, now: Nanos) {
        self.take_reports(now);
        let reports_at = self.reports.front().map(|(at, _)| *at);
        let Some(worker) = &mut self.worker else { return };
        self.outbox.extend(worker.go_on(now, reports_at));
        while self.outbox.len() > BUS_SLICES {
            self.outbox.pop_front();
            self.shed += 1;
        }
    }

    fn begin_turn(&mut self, now: Nanos) {
        let Generator { turn, tick_factor, .. } = self.generator;
        // Whatever kept the server from another turn keeps one that is no faster from it, too.
        let is_over = turn >= self.hypothesis.generations.len() && tick_factor >= 1.0;
        let done_at = || {
            let generation = self.hypothesis.turn(turn);
            let tick_ns = (generation.tick_ns as f64 * tick_factor) as i64;
            shifted(now, generation.rest_ns + tick_ns)
        };
        self.generator.done_at = if is_over { NEVER } else { done_at() };
    }

    /// When the slice was made that waits to be sent next.
    pub fn sends_next(&self) -> Option<Nanos> {
        self.outbox.front().map(|slice| slice.made)
    }

    /// A slice waits to be sent.
    pub fn queue(&mut self, slice: MadeSlice<'a>) {
        self.outbox.push_back(slice);
    }

    /// The slice that waits to be sent next.
    pub fn unqueue(&mut self) -> Option<MadeSlice<'a>> {
        self.outbox.pop_front()
    }

    /// The server sends a slice, in so many bytes, or sheds it.
    #[inline]
    pub fn send(&mut self, now: Nanos, slice: &MadeSlice<'_>) -> Option<u64> {
        self.take_reports(now);
        let asked_for = u64::from(slice.region.frames) == self.loop_frames;
        // Behind a queue both are facts: what was shed, and how long the rest was on its way. Of a
        // tape nothing is shed.
        let is_shed = if self.hypothesis.queue.is_some() {
            slice.generation.shed
        } else if self.worker.is_some() {
            false
        } else {
            self.flow.fate(now.seconds_since(slice.made), asked_for) != Fate::Send
        };
        if is_shed {
            self.shed += 1;
            return None;
        }
        let bytes = self.lengths.send(slice.generation, slice.region);
        self.flow.sent(bytes as usize);
        Some(bytes)
    }
}

/// How long the messages of slices are.
struct Lengths {
    new_frames: NewFrames,
    /// By what share more new frames cost more than the recording says.
    unknown: f64,
    sent: Covered,
}

impl Lengths {
    /// Length of the message of a slice over that region, which is sent next.
    #[inline]
    fn send(&mut self, generation: &Generation, region: Region) -> u64 {
        let cost = |coverage| self.new_frames.cost(coverage, region.frames);
        let new_bytes = cost(self.sent.send(region));
        // Of a slice that goes where it went nothing is unknown.
        let unknown_bytes = (new_bytes - cost(generation.coverage)) * self.unknown;
        let bytes =
            generation.bytes_per_frame * f64::from(region.frames) + new_bytes + unknown_bytes;
        HEADER_LEN as u64 + bytes as u64
    }
}
