//! When a server that only appends makes its next chunk.
//!
//! Enters: a trace. Leaves: a [`Gate`]: how far ahead of the listener its frontier may be when a chunk
//! is begun, and of every recorded chunk how long it was made from the moment on at which the gate was
//! open. The server takes the listener to be where he last reported, unwrapped as `mrt2/backend.py`
//! @0aa43c8 and `minimax_backend.py`@13e5f84 do it: a position that drops by more than half the window
//! is the next lap's. Where chunks go follows from the tape alone, whatever the listener does.

use std::ops::Range;

use super::generations::{Generation, shifted};
use super::trace::{Trace, TracedSlice};
use crate::capture::Patch;
use crate::family::Family;
use crate::heard::unwrapped;
use crate::lag::stats::percentile;
use crate::peer::pacing::Region;
use crate::time::Nanos;
use crate::wire::slice::{HEADER_LEN, SliceHeader};

/// Slices that come closer together than this are of one chunk, …
const TOGETHER_NS: u64 = 5_000_000;
/// … and so are those that come within this while the gate is shut, since a chunk leaves in parts.
const CHUNK_NS: u64 = 500_000_000;
/// Silence at the end, beyond the longest from one chunk to the next, after which a server that could
/// have gone on did not: the piece is over.
const END_NS: u64 = 1_000_000_000;

/// Chunks on either side by which the time that one takes is known.
const AROUND: usize = 16;

/// Frames that a slice repeats of the one before (`engine/minimax_render.py@6436add`).
const REPEAT_FRAMES: u64 = 1_200;

/// Lead at which the worker of mrt2 makes more, where no knob says another (`mrt2_lead`).
const MRT2_LEAD_S: f64 = 0.75;
/// The same of minimax (`minimax_lead`), which waits for that and one commit.
const MINIMAX_LEAD_S: f64 = 1.0;
const MINIMAX_COMMIT_S: f64 = 4.0;

/// A gate, and what passed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// A chunk is begun while the frontier is no further ahead of the listener than this.
    pub lead_s: f64,
    pub chunks: Vec<Chunk>,
    /// Nothing comes after the last.
    pub ended: bool,
}

/// What a server makes in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct Chunk {
    /// Its slices among those of the trace.
    pub slices: Range<usize>,
    /// From the report that opened the gate until the worker saw that, in nanoseconds; 0 where it did not
    /// wait.
    pub looks_ns: i64,
    /// From then, or from the chunk before, until it arrives.
    pub makes_ns: i64,
    /// Frames by which it moves the frontier.
    pub frames: u64,
    arrived: Nanos,
}

/// Where a server takes the listener to be, and how far its tape is.
#[derive(Clone, Debug)]
pub(super) struct GateClock {
    window: u64,
    sample_rate: f64,
    /// End of the newest audio, unwrapped, in frames.
    pub frontier: u64,
    position_s: f64,
    laps: i64,
}

impl GateClock {
    /// A server where the recording begins.
    pub fn new(trace: &Trace) -> GateClock {
        let stood = trace.stood.as_deref();
        let tape = stood.and_then(|stood| stood.heard.as_ref()?.meter.tape.as_ref());
        GateClock {
            window: trace.frames.max(1),
            sample_rate: f64::from(trace.sample_rate),
            frontier: tape.map_or(0, |tape| tape.frontier),
            position_s: stood.map_or(0.0, |stood| stood.reported.position_s),
            laps: tape.map_or(0, |tape| tape.laps),
        }
    }

    /// The server takes a report, if that says where the listener is.
    pub fn report(&mut self, position_s: Option<f64>) {
        let Some(position_s) = position_s else { return };
        if self.position_s - position_s > self.window as f64 / self.sample_rate / 2.0 {
            self.laps += 1;
        }
        self.position_s = position_s;
    }

    /// How far ahead of the listener the newest audio ends, in seconds.
    pub fn lead_s(&self) -> f64 {
        let laps = self.laps as f64 * self.window as f64;
        (self.frontier as f64 - laps) / self.sample_rate - self.position_s
    }

    /// A slice over that region goes on the tape; returns by how much that moves the frontier.
    pub fn append(&mut self, region: Region) -> u64 {
        let patch = Patch { start: region.start.into(), frames: region.frames.into() };
        let (_, to) = unwrapped(self.frontier, patch, self.window);
        let before = self.frontier;
        self.frontier = before.max(to);
        self.frontier - before
    }

    /// A region of that length where the tape goes on, as far as the window reaches.
    pub fn place(&self, region: Region) -> Region {
        let at = self.frontier % self.window;
        let start = at - REPEAT_FRAMES.min(at);
        let frames = u64::from(region.frames).min(self.window - start);
        Region { start: start as u32, frames: frames as u32 }
    }
}

impl Gate {
    /// The gate that explains a recording best, of those that its family may have had.
    pub(super) fn of(trace: &Trace, round_trip_ns: i64) -> Gate {
        let gates =
            leads_s(trace).into_iter().map(|lead_s| Gate::with(trace, lead_s, round_trip_ns));
        let least = gates.min_by(|a, b| a.unevenness().total_cmp(&b.unevenness()));
        least.expect("a family has a gate")
    }

    fn with(trace: &Trace, lead_s: f64, round_trip_ns: i64) -> Gate {
        let mut watch = Watch {
            clock: GateClock::new(trace),
            reports: Reports { trace, round_trip_ns, taken: 0 },
            lead_s,
        };
        let mut chunks: Vec<Chunk> = Vec::new();
        let mut last = trace.begins;
        for (number, slice) in trace.slices.iter().enumerate() {
            let since_ns = slice.at.0.saturating_sub(last.0);
            let opened = if since_ns < TOGETHER_NS { None } else { watch.opens(last, slice.at) };
            let joins = since_ns < TOGETHER_NS || opened.is_none() && since_ns < CHUNK_NS;
            let SliceHeader { start, frames, .. } = slice.header;
            let frames = watch.clock.append(Region { start, frames });
            match chunks.last_mut().filter(|_| joins) {
                Some(chunk) => {
                    (chunk.slices.end, chunk.frames) = (number + 1, chunk.frames + frames);
                }
                None => {
                    let from = opened.unwrap_or(slice.at);
                    let took_ns = slice.at.0 as i64 - from.0 as i64;
                    let (looks_ns, makes_ns) =
                        if from > last { (took_ns, 0) } else { (0, took_ns) };
                    let slices = number..number + 1;
                    let arrived = slice.at;
                    chunks.push(Chunk { slices, looks_ns, makes_ns, frames, arrived });
                }
            }
            last = slice.at;
        }
        let mut gate = Gate { lead_s, chunks: with_looks_apart(&chunks), ended: false };
        let opened = watch.opens(last, trace.end);
        let waited_ns = opened.map_or(0, |from| trace.end.0.saturating_sub(from.0));
        gate.ended = waited_ns > gate.longest_making_ns() + END_NS;
        gate
    }

    /// The chunk of a number. Past the end of the recording it begins anew after the first, which took
    /// longer than any other.
    pub(super) fn chunk(&self, number: usize) -> Option<&Chunk> {
        let count = self.chunks.len();
        if number < count {
            return self.chunks.get(number);
        }
        (!self.ended && count > 1).then(|| &self.chunks[1 + (number - count) % (count - 1)])
    }

    /// Usual time from one chunk to the next, in nanoseconds.
    pub(super) fn period_ns(&self) -> i64 {
        let pairs = self.chunks.windows(2);
        let mut periods: Vec<f64> =
            pairs.map(|pair| (pair[1].arrived.0 - pair[0].arrived.0) as f64).collect();
        if periods.is_empty() { 0 } else { percentile(&mut periods, 0.5) as i64 }
    }

    fn longest_making_ns(&self) -> u64 {
        let later = self.chunks.iter().skip(1);
        later.map(|chunk| chunk.took_ns().unsigned_abs()).max().unwrap_or_default()
    }

    /// How much the time that a frame takes differs from chunk to chunk, the first aside: a server that
    /// is kept waiting by another gate seems to work at another speed each time.
    fn unevenness(&self) -> f64 {
        let mut speeds: Vec<f64> = self.chunks.iter().skip(1).map(Chunk::ns_per_frame).collect();
        if speeds.is_empty() {
            return 0.0;
        }
        let [low, middle, high] = [0.1, 0.5, 0.9].map(|share| percentile(&mut speeds, share));
        (high - low) / middle.max(1.0)
    }
}

impl Chunk {
    fn took_ns(&self) -> i64 {
        self.looks_ns + self.makes_ns
    }

    fn ns_per_frame(&self) -> f64 {
        self.took_ns() as f64 / self.frames.max(1) as f64
    }
}

/// The chunks, in which that of which the worker waited for the gate is told apart from what it took to
/// make them: as much as the chunks around it for which it did not wait, or the least of all of them.
fn with_looks_apart(chunks: &[Chunk]) -> Vec<Chunk> {
    let apart = |(number, chunk): (usize, &Chunk)| {
        let took_ns = chunk.took_ns();
        if number == 0 || chunk.looks_ns == 0 {
            return Chunk { looks_ns: 0, makes_ns: took_ns, ..chunk.clone() };
        }
        let around = number.saturating_sub(AROUND).max(1)..(number + AROUND).min(chunks.len());
        let around = &chunks[around];
        let at_once = around.iter().filter(|other| other.looks_ns == 0);
        let mut speeds: Vec<f64> = at_once.map(Chunk::ns_per_frame).collect();
        let ns_per_frame = if speeds.is_empty() {
            around.iter().map(Chunk::ns_per_frame).fold(f64::INFINITY, f64::min)
        } else {
            percentile(&mut speeds, 0.5)
        };
        let makes_ns = ((ns_per_frame * chunk.frames as f64) as i64).min(took_ns);
        Chunk { looks_ns: took_ns - makes_ns, makes_ns, ..chunk.clone() }
    };
    chunks.iter().enumerate().map(apart).collect()
}

/// The leads at which the worker of a family may begin, the likeliest first, in seconds.
fn leads_s(trace: &Trace) -> Vec<f64> {
    let mrt2 = trace.gate_lead_s.unwrap_or(MRT2_LEAD_S);
    let minimax = trace.gate_lead_s.unwrap_or(MINIMAX_LEAD_S) + MINIMAX_COMMIT_S;
    match trace.family.name {
        Family::Mrt2 => vec![mrt2],
        Family::Minimax => vec![minimax],
        _ => vec![mrt2, minimax],
    }
}

/// A server that takes the recorded reports.
struct Watch<'a> {
    clock: GateClock,
    reports: Reports<'a>,
    lead_s: f64,
}

struct Reports<'a> {
    trace: &'a Trace,
    round_trip_ns: i64,
    taken: usize,
}

impl Watch<'_> {
    /// When the gate was open first between two moments. Takes the reports of that time.
    fn opens(&mut self, from: Nanos, to: Nanos) -> Option<Nanos> {
        let mut opened = None;
        self.take(from);
        loop {
            let at = self.reports.next_at().filter(|at| *at <= to);
            if opened.is_none() && self.clock.lead_s() <= self.lead_s {
                opened = Some(self.reports.last_at().max(from));
            }
            let Some(at) = at else { return opened };
            self.take(at);
        }
    }

    fn take(&mut self, until: Nanos) {
        while self.reports.next_at().is_some_and(|at| at <= until) {
            let trace = self.reports.trace;
            self.clock.report(trace.position_s(&trace.ticks[self.reports.taken]));
            self.reports.taken += 1;
        }
    }
}

impl Reports<'_> {
    fn arrival(&self, number: usize) -> Option<Nanos> {
        Some(shifted(self.trace.ticks.get(number)?.at, self.round_trip_ns))
    }

    fn next_at(&self) -> Option<Nanos> {
        self.arrival(self.taken)
    }

    fn last_at(&self) -> Nanos {
        let last = self.taken.checked_sub(1).and_then(|last| self.arrival(last));
        last.unwrap_or(self.trace.begins)
    }
}

/// What a recording tells of the slices of a tape: what their messages were like. When they are made
/// is for the gate to say.
pub(super) fn appended(slices: &[TracedSlice]) -> Vec<Generation> {
    let turn = |slice: &TracedSlice| {
        let audio_len = slice.bytes.saturating_sub(HEADER_LEN as u32);
        Generation {
            bytes_per_frame: f64::from(audio_len) / f64::from(slice.header.frames.max(1)),
            text_bytes: slice.text_bytes,
            tick_ms: slice.header.tick_ms,
            dec_ms: slice.header.dec_ms,
            generations: slice.header.generations,
            bytes: slice.bytes,
            ..Generation::default()
        }
    };
    slices.iter().map(turn).collect()
}
