//! The worker of a server that only appends: it waits before its gate, and makes chunks.

use super::super::gate::{Chunk, Gate, GateClock};
use super::super::generations::shifted;
use super::super::hypothesis::Hypothesis;
use super::super::perturbation::Perturbation;
use super::super::trace::{Trace, TracedSlice};
use super::slice::MadeSlice;
use crate::peer::pacing::Region;
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;

/// Where chance decides, a chunk takes as long as one of so many before or behind it did.
const ALIKE: i64 = 3;

/// The worker.
pub(super) struct GatedWorker<'a> {
    hypothesis: &'a Hypothesis,
    gate: &'a Gate,
    slices: &'a [TracedSlice],
    clock: GateClock,
    /// The number of the chunk that is made next.
    next: usize,
    stage: Stage,
    /// The gate was shut for the chunk that is next.
    has_waited: bool,
    rng: Rng,
    /// From then on chance decides how long a chunk takes.
    varies_from: Nanos,
    pub tick_factor: f64,
}

/// What it is at.
#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The gate is to be looked at, then.
    Looks(Nanos),
    /// The gate is shut, until a report says that the listener went on.
    Waits,
    /// A chunk is ready then.
    Makes(Nanos),
    /// The piece is over.
    Rests,
}

impl<'a> GatedWorker<'a> {
    pub fn new(
        trace: &'a Trace,
        hypothesis: &'a Hypothesis,
        gate: &'a Gate,
        (perturbation, differs_at): (&Perturbation, Nanos),
        tick_factor: f64,
    ) -> Self {
        GatedWorker {
            hypothesis,
            gate,
            slices: &trace.slices,
            clock: GateClock::new(trace),
            next: 0,
            stage: Stage::Looks(trace.begins),
            has_waited: false,
            rng: Rng::new(perturbation.seed, Stream::Durations),
            varies_from: if perturbation.jitters { differs_at } else { Nanos(u64::MAX) },
            tick_factor,
        }
    }

    /// When it goes on by itself.
    pub fn wakes_at(&self) -> Option<Nanos> {
        match self.stage {
            Stage::Looks(at) | Stage::Makes(at) => Some(at),
            Stage::Waits | Stage::Rests => None,
        }
    }

    /// A report is on its way, and the server will take it then.
    pub fn expect(&mut self, at: Nanos) {
        if self.stage == Stage::Waits {
            self.stage = Stage::Looks(at);
        }
    }

    /// The server takes a report.
    pub fn report(&mut self, position_s: Option<f64>) {
        self.clock.report(position_s);
    }

    /// It goes on; `reports_at` is when the server takes the next report that is on its way. Hands over
    /// the slices of a chunk that is ready.
    pub fn go_on(&mut self, now: Nanos, reports_at: Option<Nanos>) -> Vec<MadeSlice<'a>> {
        let mut made = Vec::new();
        if let Stage::Makes(at) = self.stage
            && at <= now
        {
            made = self.append(now);
            self.next += 1;
        }
        let Some(chunk) = self.gate.chunk(self.next) else {
            self.stage = Stage::Rests;
            return made;
        };
        let is_open = self.clock.lead_s() <= self.gate.lead_s;
        self.stage = match (is_open, reports_at) {
            (true, _) => Stage::Makes(shifted(now, self.takes_ns(now, chunk))),
            (false, Some(at)) => Stage::Looks(at.max(now)),
            (false, None) => Stage::Waits,
        };
        self.has_waited = !is_open;
        made
    }

    /// How long a chunk takes: as recorded, or like one of its neighbours.
    fn takes_ns(&mut self, now: Nanos, chunk: &Chunk) -> i64 {
        let like = if now < self.varies_from || self.next == 0 {
            chunk
        } else {
            let off = (self.rng.unit() * (2 * ALIKE + 1) as f64) as i64 - ALIKE;
            let other = (self.next as i64 + off).max(1) as usize;
            self.gate.chunks.get(other).unwrap_or(chunk)
        };
        let frames = chunk.frames as f64 / like.frames.max(1) as f64;
        let looks_ns = if self.has_waited { like.looks_ns } else { 0 };
        looks_ns + (like.makes_ns as f64 * frames * self.tick_factor) as i64
    }

    /// The slices of the chunk: as long as those of the recording, where the tape is by now.
    fn append(&mut self, now: Nanos) -> Vec<MadeSlice<'a>> {
        let Some(chunk) = self.gate.chunk(self.next) else { return Vec::new() };
        let is_recorded = self.next < self.gate.chunks.len();
        let slices = chunk.slices.clone();
        let made = |turn: usize| {
            let header = self.slices[turn].header;
            let region = Region { start: header.start, frames: header.frames };
            let region = if is_recorded { region } else { self.clock.place(region) };
            self.clock.append(region);
            MadeSlice::new(self.hypothesis.turn(turn), region, now)
        };
        slices.map(made).collect()
    }
}
