//! The listener over the loop: slices as they are applied, the playhead as it moves.
//!
//! Enters: events in the order of their times. Leaves: the tally. Whatever happens at a moment, the
//! playhead is walked up to it first, so that each stretch is judged by the writes, the line and
//! the excuse that were true while it was heard.

use serde::{Deserialize, Serialize};

use super::behind::Behind;
use super::path::PlayheadLine;
use super::tally::{Episode, HeardReport, Tally};
use super::writes::{LastWrite, LastWrites, WrittenBy};
use crate::playhead::JUMP_S;
use crate::time::Nanos;

/// Length of the usual window. A hole of the loop's beginning lies within it.
const WINDOW_S: f64 = 0.36;
/// Leads of slices that can have been placed for the present listener: the longest lead with the
/// whole of the transport's share. What lands elsewhere soon after a swap was placed by the
/// positions of the buffer before.
const PLACED_NS: std::ops::RangeInclusive<i64> = -50_000_000..=4_350_000_000;

/// The region that a slice patches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Patch {
    pub start: u64,
    pub frames: u64,
}

/// A listener over the last writes of one loop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meter {
    sample_rate: u32,
    writes: LastWrites,
    line: PlayheadLine,
    walked_to: Nanos,
    listening: bool,
    excused_until: Nanos,
    /// Until when slices may be on their way that were placed for the buffer before.
    swapping_until: Nanos,
    slices: u32,
    behind: Behind,
    tally: Tally,
}

/// What coming spans depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct MeterState {
    frames: u64,
    writes: Vec<(u64, LastWrite)>,
    line: PlayheadLine,
    walked_to: Nanos,
    listening: bool,
    excused_until: Nanos,
    swapping_until: Nanos,
    slices: u32,
    behind: Behind,
    episode: Option<Episode>,
}

impl Meter {
    /// A buffer came, and the playhead is at its beginning.
    pub fn new(at: Nanos, frames: u64, sample_rate: u32, threshold_ns: u64) -> Self {
        Meter {
            sample_rate,
            writes: LastWrites::new(frames, at),
            line: PlayheadLine { at, position: 0.0, speed: sample_rate.into() },
            walked_to: at,
            listening: true,
            excused_until: at,
            swapping_until: at,
            slices: 0,
            behind: Behind::default(),
            tally: Tally::new(threshold_ns),
        }
    }

    /// A listener that goes on from a state; what was heard before is not in the tally. `None` when
    /// the writes are none of a loop.
    pub fn resume(state: &MeterState, sample_rate: u32, threshold_ns: u64) -> Option<Self> {
        Some(Meter {
            sample_rate,
            writes: LastWrites::resume(state.frames, &state.writes)?,
            line: state.line,
            walked_to: state.walked_to,
            listening: state.listening,
            excused_until: state.excused_until,
            swapping_until: state.swapping_until,
            slices: state.slices,
            behind: state.behind.clone(),
            tally: Tally::resume(threshold_ns, state.episode),
        })
    }

    pub fn state(&self) -> MeterState {
        MeterState {
            frames: self.writes.frames(),
            writes: self.writes.state(),
            line: self.line,
            walked_to: self.walked_to,
            listening: self.listening,
            excused_until: self.excused_until,
            swapping_until: self.swapping_until,
            slices: self.slices,
            behind: self.behind.clone(),
            episode: self.tally.last_episode(),
        }
    }

    /// Listens up to a moment.
    pub fn advance(&mut self, to: Nanos) {
        let from = self.walked_to;
        self.walked_to = to.max(from);
        if !self.listening {
            return;
        }
        let window = (WINDOW_S * f64::from(self.sample_rate)) as u64;
        let (tally, excused_until) = (&mut self.tally, self.excused_until);
        self.line.walk(from, to, &self.writes, |span| {
            tally.add(&span, excused_until, span.region < window);
        });
    }

    /// A slice is applied.
    pub fn apply(&mut self, at: Nanos, patch: Patch) {
        self.advance(at);
        let (lead_ns, end_ns) = self.lead_ns(at, patch);
        let foreign = at < self.swapping_until && !PLACED_NS.contains(&lead_ns);
        let by =
            if foreign { WrittenBy::OldTrack(self.slices) } else { WrittenBy::Slice(self.slices) };
        self.writes.write(patch.start, patch.frames, LastWrite { at, by });
        self.slices = self.slices.wrapping_add(1);
        if self.listening && at >= self.excused_until {
            let over = self.behind.on_slice(at, lead_ns, end_ns);
            self.tally.add_behind(over);
        }
    }

    /// Whether a playhead that was at the beginning of the present line and played since would be at
    /// this position by now.
    pub fn went_on(&self, at: Nanos, position: f64) -> bool {
        let played = PlayheadLine { speed: self.sample_rate.into(), ..self.line };
        let loop_frames = self.writes.frames() as f64;
        let off =
            (position - played.frame(at, self.writes.frames()) as f64).rem_euclid(loop_frames);
        off.min(loop_frames - off) <= JUMP_S * f64::from(self.sample_rate)
    }

    /// How far ahead of the listener a slice begins and ends, folded to half a lap.
    pub fn lead_ns(&self, at: Nanos, patch: Patch) -> (i64, i64) {
        let loop_frames = self.writes.frames();
        let playhead = self.line.frame(at, loop_frames);
        let start = patch.start % loop_frames;
        let ahead =
            if start >= playhead { start - playhead } else { start + loop_frames - playhead };
        let lead = if ahead >= loop_frames.div_ceil(2) {
            -((loop_frames - ahead) as f64)
        } else {
            ahead as f64
        };
        let len = patch.frames.min(loop_frames - start) as f64;
        let ns = |frames: f64| (frames * 1e9 / f64::from(self.sample_rate.max(1))) as i64;
        (ns(lead), ns(lead + len))
    }

    /// The playhead goes on like this. One that is somewhere else now has no slices behind it.
    pub fn steer(&mut self, at: Nanos, line: PlayheadLine, jumped: bool) {
        self.advance(at);
        self.line = line;
        if jumped {
            self.end_behind();
        }
    }

    /// Somebody listens, or nobody does, from the last moment walked to.
    pub fn listen(&mut self, listening: bool) {
        if self.listening && !listening {
            self.end_behind();
        }
        self.listening = listening;
    }

    /// What is bad from now on counts only after this moment.
    pub fn excuse(&mut self, at: Nanos, until: Nanos) {
        self.advance(at);
        self.excused_until = until;
    }

    /// All that counted so far was the transient of the start.
    pub fn forgive(&mut self) {
        self.tally.forgive();
    }

    /// Another buffer, and the playhead is at its beginning.
    pub fn swap(&mut self, at: Nanos, frames: u64, settles_at: Nanos) {
        self.advance(at);
        self.end_behind();
        self.writes = LastWrites::new(frames, at);
        self.swapping_until = settles_at;
    }

    pub fn report(&self, origin: Nanos) -> HeardReport {
        self.tally.report(origin, self.behind.current())
    }

    fn end_behind(&mut self) {
        let over = self.behind.end();
        self.tally.add_behind(over);
    }
}
