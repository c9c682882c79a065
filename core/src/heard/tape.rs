//! An append-only tape: what of the window is written for the present lap, and where the listener is.
//!
//! Enters: slices in the order in which they are applied, and how the playhead goes on. Leaves: for any
//! stretch of listening whether the tape reached so far. Frames are unwrapped: they go on counting
//! where the window begins anew, the tape's and the listener's alike, so that a listener who is past
//! the frontier is told from one who is nearly a window behind it. A slice that never came leaves a
//! hole for the whole lap.

use serde::Serialize;

use super::path::Span;
use crate::capture::{HeardSpell, Patch, PlayheadLine, TapeRule, TapeState};
use crate::time::Nanos;

/// A position this far beyond the expected one is the next lap's, whatever the tape reaches: a report
/// that came late. In seconds.
const LATE_S: f64 = 2.0;
/// Holes kept at most; the oldest are forgotten first.
const MAX_HOLES: usize = 1 << 10;
/// Slices closer together than this are one burst. A server at work says something 10 times a second.
const BURST_NS: u64 = 500_000_000;

/// Silence beyond the longest between two bursts after which a piece is over. The page waits for 15 s
/// (`minimax.js@83827ba`), which a recording that is stopped before them does not have.
const END_NS: u64 = 1_000_000_000;

/// What a listener is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ground {
    /// Audio of this lap.
    Written,
    /// A hole that a slice left which never came.
    Hole,
    /// Past the frontier: the lap before, or the zeros of the beginning.
    Past,
}

/// The figures of an append-only session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct TapeReport {
    /// The end of the newest audio minus the playhead, both unwrapped, when it was last known; 0 or
    /// less is the lap before, or the initial zeros.
    pub frontier_s: f64,
    /// The least of it that was heard after the first slice; `null` before.
    pub lowest_frontier_s: Option<f64>,
    /// From the initial buffer to the first slice; `null` where none came, or it is not in the capture.
    pub first_audio_s: Option<f64>,
    /// Seconds in which the lap before was heard, for whatever reason.
    pub previous_lap_s: f64,
    /// Seconds in which the zeros of the initial buffer were heard.
    pub initial_zeros_s: f64,
    /// Seconds heard past the frontier while the piece went on.
    pub past_frontier_s: f64,
    /// Holes that slices left which never came.
    pub holes: u64,
    /// Seconds in which they were heard.
    pub hole_s: f64,
    /// Slices that lay behind the frontier by more than their repeat.
    pub behind_frontier: u64,
    /// Bursts of slices.
    pub bursts: u64,
    /// The longest time between two slices, in seconds.
    pub longest_silence_s: f64,
    /// Seconds heard past the frontier since the last slice, which are none of lag: the piece is over.
    pub after_end_s: f64,
    /// When the newest audio ended under the listener and no slice came any more, in seconds from the
    /// initial buffer; `null` while the piece goes on.
    pub ended_s: Option<f64>,
}

/// Sums that a capture which begins later begins anew.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sums {
    /// The first slice was applied before these sums begin.
    begun_before: bool,
    lowest_frames: Option<f64>,
    first_slice: Option<Nanos>,
    last_slice: Option<Nanos>,
    previous_lap_ns: u64,
    zeros_ns: u64,
    past_ns: u64,
    hole_ns: u64,
    holes: u64,
    behind: u64,
    bursts: u64,
    silence_ns: u64,
}

impl Sums {
    fn follow(&mut self, before: &Sums) {
        let lower = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::min);
        *self = Sums {
            begun_before: before.begun_before,
            lowest_frames: lower(before.lowest_frames, self.lowest_frames),
            first_slice: before.first_slice.or(self.first_slice),
            last_slice: self.last_slice.or(before.last_slice),
            previous_lap_ns: before.previous_lap_ns + self.previous_lap_ns,
            zeros_ns: before.zeros_ns + self.zeros_ns,
            past_ns: before.past_ns + self.past_ns,
            hole_ns: before.hole_ns + self.hole_ns,
            holes: before.holes + self.holes,
            behind: before.behind + self.behind,
            bursts: before.bursts + self.bursts,
            silence_ns: before.silence_ns.max(self.silence_ns),
        };
    }
}

/// The tape of one window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct AppendTape {
    state: TapeState,
    frames: u64,
    sample_rate: u32,
    sums: Sums,
}

impl AppendTape {
    /// A window of zeros.
    pub fn new(rule: TapeRule, frames: u64, sample_rate: u32) -> Self {
        let state = TapeState {
            rule,
            frontier: 0,
            begun: false,
            holes: Vec::new(),
            laps: 0,
            pending: None,
        };
        Self::resume(state, frames, sample_rate)
    }

    pub fn resume(mut state: TapeState, frames: u64, sample_rate: u32) -> Self {
        let frontier = state.frontier;
        state.holes.retain(|&(from, to)| from < to && to <= frontier);
        state.holes.sort_unstable();
        state.holes.truncate(MAX_HOLES);
        let sums = Sums { begun_before: state.begun, ..Sums::default() };
        AppendTape { state, frames: frames.max(1), sample_rate: sample_rate.max(1), sums }
    }

    pub fn state(&self) -> TapeState {
        self.state.clone()
    }

    /// Adds what was before a hole in the capture, behind which this tape was known again.
    pub fn follow(&mut self, before: &AppendTape) {
        self.sums.follow(&before.sums);
    }

    pub fn rule(&self) -> TapeRule {
        self.state.rule
    }

    /// Whether a slice was applied.
    pub fn begun(&self) -> bool {
        self.state.begun
    }

    /// Whether the listener is in the first window.
    pub fn is_first_lap(&self) -> bool {
        self.state.laps == 0
    }

    /// Another window, of which nothing is written.
    pub fn swap(&mut self, frames: u64) {
        let sums = std::mem::take(&mut self.sums);
        *self = AppendTape { sums, ..AppendTape::new(self.state.rule, frames, self.sample_rate) };
    }

    /// A slice is applied while the playhead goes on like this. Returns what was heard past the
    /// frontier since the last one, which is lag now that the tape goes on.
    pub fn apply(&mut self, at: Nanos, patch: Patch, line: &PlayheadLine) -> Option<HeardSpell> {
        self.note_lead(at, line);
        let sums = &mut self.sums;
        if !sums.begun_before {
            sums.first_slice.get_or_insert(at);
        }
        let since_ns = sums.last_slice.replace(at).map(|last| at.0.saturating_sub(last.0));
        sums.bursts += u64::from(since_ns.is_none_or(|ns| ns >= BURST_NS));
        sums.silence_ns = sums.silence_ns.max(since_ns.unwrap_or_default());
        self.write(patch);
        self.state.begun = true;
        self.state.pending.take()
    }

    fn write(&mut self, patch: Patch) {
        let (from, to) = unwrapped(self.state.frontier, patch, self.frames);
        let TapeState { frontier, holes, .. } = &mut self.state;
        if from > *frontier {
            holes.push((*frontier, from));
            self.sums.holes += 1;
            if holes.len() > MAX_HOLES {
                holes.remove(0);
            }
        } else if holes.iter().any(|&(start, end)| from < end && start < to) {
            let old = std::mem::take(holes);
            let left = |&(start, end): &(u64, u64)| [(start, end.min(from)), (start.max(to), end)];
            holes.extend(old.iter().flat_map(left).filter(|(start, end)| start < end));
        }
        self.sums.behind += u64::from(is_behind(*frontier, from, self.sample_rate));
        *frontier = (*frontier).max(to);
        // What lies a window back is written over.
        let oldest = frontier.saturating_sub(self.frames);
        holes.retain(|&(_, end)| end > oldest);
    }

    /// The listener goes on along another line.
    pub fn steer(&mut self, at: Nanos, old: &PlayheadLine, new: &PlayheadLine, jumped: bool) {
        let frames = self.frames as f64;
        let (was, is) = (self.unwrapped(at, old), new.walked(at));
        let ahead = (is - was).rem_euclid(frames);
        let (onwards, back) = (was + ahead, was + ahead - frames);
        let near = LATE_S * f64::from(self.sample_rate);
        let is_onwards = if !jumped {
            ahead <= frames / 2.0
        } else if ahead <= near || frames - ahead <= near {
            ahead <= near
        } else {
            // A position that dropped is one of the next lap only where the tape reaches so far.
            let dropped = is.rem_euclid(frames) < was.rem_euclid(frames);
            !dropped || onwards < self.state.frontier as f64
        };
        let there = if is_onwards { onwards } else { back };
        self.state.laps = ((there - is) / frames).round() as i64;
    }

    /// What the listener is on between two moments: the first stands at `from`.
    pub fn grounds(&self, line: &PlayheadLine, from: Nanos, to: Nanos) -> Vec<(Nanos, Ground)> {
        let holes = self.state.holes.iter();
        let mut edges: Vec<(u64, Ground, Ground)> = holes
            .flat_map(|&(start, end)| {
                [(start, Ground::Written, Ground::Hole), (end, Ground::Hole, Ground::Written)]
            })
            .collect();
        edges.push((self.state.frontier, Ground::Written, Ground::Past));
        if line.speed < 0.0 {
            edges.reverse();
        }
        let backwards = line.speed < 0.0;
        let first = edges.first().map_or(Ground::Written, |edge| edge.1);
        let first = if backwards { Ground::Past } else { first };
        let laps = self.state.laps as f64 * self.frames as f64;
        let mut grounds = vec![(from, first)];
        for (frame, below, above) in edges {
            let Some(at) = line.crosses(frame as f64 - laps) else { continue };
            let ground = if backwards { below } else { above };
            if at <= from {
                grounds[0].1 = ground;
            } else if at < to {
                grounds.push((at, ground));
            }
        }
        grounds
    }

    /// Something was heard that the tape did not reach.
    pub fn heard(&mut self, span: &Span, ground: Ground, is_zeros: bool) {
        let ns = span.to.0 - span.from.0;
        let Sums { previous_lap_ns, zeros_ns, past_ns, hole_ns, .. } = &mut self.sums;
        *(if is_zeros { zeros_ns } else { previous_lap_ns }) += ns;
        match ground {
            Ground::Written => {}
            Ground::Hole => *hole_ns += ns,
            Ground::Past => *past_ns += ns,
        }
    }

    /// What was heard past the frontier since the last slice, where that may be the end of the piece.
    pub fn pending(&mut self) -> Option<&mut Option<HeardSpell>> {
        (self.state.rule.ends && self.state.begun).then_some(&mut self.state.pending)
    }

    /// The same, to look at.
    pub fn after_end(&self) -> Option<&HeardSpell> {
        self.state.pending.as_ref()
    }

    pub fn report(&self, origin: Nanos, at: Nanos, line: &PlayheadLine) -> TapeReport {
        let frontier_s = self.lead_frames(at, line) / f64::from(self.sample_rate);
        let lowest = self.sums.lowest_frames.map(|frames| frames / f64::from(self.sample_rate));
        let after_end_ns = self.after_end().map_or(0, HeardSpell::total_ns);
        let s = |ns: u64| ns as f64 / 1e9;
        TapeReport {
            frontier_s,
            lowest_frontier_s: self
                .state
                .begun
                .then(|| lowest.map_or(frontier_s, |s| s.min(frontier_s))),
            first_audio_s: self.sums.first_slice.map(|first| first.seconds_since(origin)),
            previous_lap_s: s(self.sums.previous_lap_ns),
            initial_zeros_s: s(self.sums.zeros_ns),
            past_frontier_s: s(self.sums.past_ns.saturating_sub(after_end_ns)),
            holes: self.sums.holes,
            hole_s: s(self.sums.hole_ns),
            behind_frontier: self.sums.behind,
            bursts: self.sums.bursts,
            longest_silence_s: s(self.sums.silence_ns),
            after_end_s: s(after_end_ns),
            ended_s: self.ended().map(|spell| spell.from.seconds_since(origin)),
        }
    }

    /// The same, where the silence is longer than any between two bursts: the piece is over.
    fn ended(&self) -> Option<&HeardSpell> {
        let is_over = |spell: &&HeardSpell| spell.silence_ns > self.state.rule.burst_ns + END_NS;
        self.after_end().filter(is_over)
    }

    fn note_lead(&mut self, at: Nanos, line: &PlayheadLine) {
        if self.state.begun {
            let lead = self.lead_frames(at, line);
            let lowest = &mut self.sums.lowest_frames;
            *lowest = Some(lowest.map_or(lead, |lowest| lowest.min(lead)));
        }
    }

    fn lead_frames(&self, at: Nanos, line: &PlayheadLine) -> f64 {
        self.state.frontier as f64 - self.unwrapped(at, line)
    }

    fn unwrapped(&self, at: Nanos, line: &PlayheadLine) -> f64 {
        line.walked(at) + self.state.laps as f64 * self.frames as f64
    }
}

/// Where a slice lies on the tape: at most half a window from the frontier.
#[must_use]
pub fn unwrapped(frontier: u64, patch: Patch, frames: u64) -> (u64, u64) {
    let frames = frames.max(1);
    let start = patch.start.min(frames);
    let ahead = (start + frames - frontier % frames) % frames;
    let from = if ahead <= frames / 2 {
        frontier + ahead
    } else {
        // Before the first frame of the tape there is nothing.
        (frontier + ahead).checked_sub(frames).unwrap_or(frontier + ahead)
    };
    (from, from.saturating_add(patch.frames.min(frames - start)))
}

/// Whether a slice begins behind the frontier by more than what a slice repeats of the one before:
/// 1,200 frames at 48 kHz (`mrt2/backend.py@0aa43c8`), and as much again for rounding.
pub(super) fn is_behind(frontier: u64, from: u64, sample_rate: u32) -> bool {
    const REPEAT_S: f64 = 0.025;
    from.saturating_add((2.0 * REPEAT_S * f64::from(sample_rate)) as u64) < frontier
}

/// Cuts a span where the ground changes.
pub(super) fn each(span: &Span, grounds: &[(Nanos, Ground)], mut heard: impl FnMut(Span, Ground)) {
    let first = grounds.partition_point(|&(at, _)| at <= span.from).max(1) - 1;
    for (number, &(at, ground)) in grounds.iter().enumerate().skip(first) {
        let until = grounds.get(number + 1).map_or(span.to, |next| next.0).min(span.to);
        let from = at.max(span.from);
        if from >= span.to {
            return;
        }
        if from < until {
            heard(Span { from, to: until, ..*span }, ground);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{LastWrite, WrittenBy};

    /// How a span from 100 to 200 is cut by grounds that begin at these times.
    #[track_caller]
    fn check_cut(grounds: &[(u64, Ground)], expected: &[(u64, u64, Ground)]) {
        let grounds: Vec<_> = grounds.iter().map(|&(at, ground)| (Nanos(at), ground)).collect();
        let write = LastWrite { at: Nanos(0), by: WrittenBy::Buffer, due_ns: 0 };
        let span = Span { from: Nanos(100), to: Nanos(200), write, region: 0 };
        let mut found = Vec::new();
        each(&span, &grounds, |span, ground| found.push((span.from.0, span.to.0, ground)));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_span_is_cut_where_the_ground_changes() {
        use Ground::{Hole, Past, Written};
        check_cut(&[(0, Written)], &[(100, 200, Written)]);
        check_cut(&[(0, Hole), (100, Written)], &[(100, 200, Written)]);
        check_cut(
            &[(0, Hole), (50, Past), (150, Written)],
            &[(100, 150, Past), (150, 200, Written)],
        );
        check_cut(
            &[(0, Written), (120, Hole), (140, Written), (180, Past), (300, Hole)],
            &[(100, 120, Written), (120, 140, Hole), (140, 180, Written), (180, 200, Past)],
        );
        check_cut(&[(0, Written), (200, Hole)], &[(100, 200, Written)]);
        check_cut(&[(150, Hole)], &[(150, 200, Hole)]);
    }

    #[test]
    fn a_slice_lies_at_most_half_a_window_from_the_frontier() {
        let place = |frontier, start, len| unwrapped(frontier, Patch { start, frames: len }, 1_000);
        assert_eq!(place(2_300, 300, 50), (2_300, 2_350));
        assert_eq!(place(2_300, 800, 50), (2_800, 2_850), "half a window ahead");
        assert_eq!(place(2_300, 801, 50), (1_801, 1_851), "behind");
        assert_eq!(place(2_900, 100, 50), (3_100, 3_150), "around the end of the window");
        assert_eq!(place(2_300, 980, 50), (1_980, 2_000), "cut at the end of the window");
        assert_eq!(place(0, 900, 50), (900, 950), "nothing lies before the tape");
    }

    #[test]
    fn a_slice_is_behind_from_twice_its_usual_overlap_on() {
        assert!(!is_behind(48_000, 48_000 - 2_400, 48_000));
        assert!(is_behind(48_000, 48_000 - 2_401, 48_000));
    }

    const RULE: TapeRule = TapeRule { first_audio_ns: 0, burst_ns: 0, ends: false };

    /// A tape of a window of 10,000 frames of a millisecond, whose newest audio ends there.
    fn tape(frontier: u64) -> AppendTape {
        let state = TapeState { frontier, ..AppendTape::new(RULE, 10_000, 1_000).state() };
        AppendTape::resume(state, 10_000, 1_000)
    }

    fn line(position: f64) -> PlayheadLine {
        PlayheadLine { at: Nanos(0), position, speed: 1_000.0 }
    }

    /// In which window a listener is who was at 3,000 of the third one and goes on at `to`.
    #[track_caller]
    fn check_steer(frontier: u64, to: f64, jumped: bool, expected: i64) {
        let mut tape = tape(frontier);
        tape.state.laps = 2;
        tape.steer(Nanos(0), &line(3_000.0), &line(to), jumped);
        assert_eq!(tape.state.laps, expected, "{to} {jumped}");
    }

    #[test]
    fn a_listener_who_goes_on_stays_within_half_a_window() {
        check_steer(23_500, 3_100.0, false, 2);
        check_steer(23_500, 2_900.0, false, 2);
        check_steer(23_500, 8_000.0, false, 2);
        check_steer(23_500, 8_001.0, false, 1);
    }

    #[test]
    fn a_listener_who_jumps_is_where_the_tape_reaches() {
        let near = LATE_S * 1_000.0;
        check_steer(23_500, 3_000.0 + near, true, 2);
        check_steer(23_500, 3_000.0 - near, true, 2);
        // Ahead is in this window, and what dropped in the next one if there is audio.
        check_steer(23_500, 9_000.0, true, 2);
        check_steer(23_500, 100.0, true, 2);
        check_steer(31_000, 100.0, true, 3);
        check_steer(30_100, 100.0, true, 2);
        check_steer(30_101, 100.0, true, 3);
    }

    #[test]
    fn the_least_lead_is_that_of_any_slice_after_the_first() {
        let mut tape = tape(0);
        let mut apply = |at_ms: u64, start: u64| {
            let at = Nanos(at_ms * 1_000_000);
            tape.apply(at, Patch { start, frames: 2_000 }, &line(0.0));
            let report = tape.report(Nanos(0), at, &line(0.0));
            (report.frontier_s, report.lowest_frontier_s)
        };
        assert_eq!(apply(500, 0), (1.5, Some(1.5)));
        // Half a second of it was left.
        assert_eq!(apply(1_500, 2_000), (2.5, Some(0.5)));
        assert_eq!(apply(2_500, 4_000), (3.5, Some(0.5)));
        let report = tape.report(Nanos(0), Nanos(0), &line(0.0));
        assert_eq!((report.bursts, report.longest_silence_s, report.holes), (3, 1.0, 0));
        assert_eq!(report.first_audio_s, Some(0.5));
    }

    #[test]
    fn grounds_change_at_holes_and_at_the_frontier() {
        let mut tape = tape(0);
        for (at, start) in [(0, 0), (1, 1_500), (2, 3_000)] {
            tape.apply(Nanos(at), Patch { start, frames: 1_000 }, &line(0.0));
        }
        assert_eq!(tape.state.holes, [(1_000, 1_500), (2_500, 3_000)]);
        let ms = |grounds: Vec<(Nanos, Ground)>| -> Vec<(u64, Ground)> {
            grounds.into_iter().map(|(at, ground)| (at.0.div_ceil(1_000_000), ground)).collect()
        };
        use Ground::{Hole, Past, Written};
        let from = |from_ms: u64, to_ms: u64| {
            ms(tape.grounds(&line(0.0), Nanos(from_ms * 1_000_000), Nanos(to_ms * 1_000_000)))
        };
        let all = [
            (0, Written),
            (1_000, Hole),
            (1_500, Written),
            (2_500, Hole),
            (3_000, Written),
            (4_000, Past),
        ];
        assert_eq!(from(0, 9_000), all);
        assert_eq!(from(1_200, 2_500), [(1_200, Hole), (1_500, Written)]);
        let backwards = PlayheadLine { position: 5_000.0, speed: -1_000.0, ..line(0.0) };
        let back = ms(tape.grounds(&backwards, Nanos(0), Nanos(9_000_000_000)));
        assert_eq!(back[..3], [(0, Past), (1_000, Written), (2_000, Hole)]);
        // A slice that comes late fills a hole, or a part of it.
        let mut filled = tape.clone();
        filled.apply(Nanos(3), Patch { start: 1_200, frames: 100 }, &line(0.0));
        assert_eq!(filled.state.holes.len(), 3);
        assert_eq!(filled.sums.holes, 2);
    }
}
