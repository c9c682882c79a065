//! The listener over the loop: slices as they are applied, the playhead as it moves.
//!
//! Enters: events in the order of their times. Leaves: the tally. Whatever happens at a moment, the
//! playhead is walked up to it first, so that each stretch is judged by the writes, the line and
//! the excuse that were true while it was heard.

use super::behind::{BEHIND_WINDOW_S, Behind, BehindRule};
use super::excuses::SETTLE_NS;
use super::spell::HeardEpisode;
use super::tally::{HeardReport, Tally};
use super::tape::{self, AppendTape, Ground, TapeReport};
use super::writes::{LastWrites, RegionHint};
use crate::capture::{
    HeardSpell, LastWrite, MeterState, Patch, PlayheadLine, TapeRule, TapeState, WrittenBy,
};
use crate::playhead::JUMP_S;
use crate::time::Nanos;

/// Leads of slices that can have been placed for the present listener: the longest lead with the
/// whole of the transport's share. What lands elsewhere soon after a swap was placed by the
/// positions of the buffer before.
const PLACED_NS: std::ops::RangeInclusive<i64> = -50_000_000..=4_350_000_000;

/// A lead that one stray report after a jump has thrown up decays with this time constant. What is still
/// that far ahead then is kept there because the link needs it.
const THROWN_NS: u64 = 20_000_000_000;
/// The longest lead of a server without the transport's share.
const LONGEST_LEAD_NS: i64 = 1_350_000_000;

/// How old a slice that lands so far ahead is by the time at which it is heard, if that is so long
/// because the server gave the transport its share: the lead with which it begins, and the usual window
/// at most. What is farther ahead than any lead was placed for another moment, and is not due.
fn due_ns(lead_ns: i64, end_ns: i64) -> u64 {
    let is_far = lead_ns > LONGEST_LEAD_NS && PLACED_NS.contains(&lead_ns);
    let window_ns = (BEHIND_WINDOW_S * 1e9) as i64;
    if is_far { end_ns.min(lead_ns + window_ns).unsigned_abs() } else { 0 }
}

/// A listener over the last writes of one loop.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Meter {
    sample_rate: u32,
    writes: LastWrites,
    line: PlayheadLine,
    walked_to: Nanos,
    /// The region that was heard last.
    heard: RegionHint,
    listening: bool,
    excused_until: Nanos,
    /// Until when slices may be on their way that were placed for the buffer before.
    swapping_until: Nanos,
    /// When the playhead jumped, until the server's lead is a settled one again.
    jumped_at: Option<Nanos>,
    slices: u32,
    last_slice: Nanos,
    behind: Behind,
    tally: Tally,
    /// Of a session that only appends.
    tape: Option<AppendTape>,
}

/// By which bounds audio is old and slices are late.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeardRule {
    /// Audio last written more than this ago is stale.
    pub threshold_ns: u64,
    pub behind: BehindRule,
}

impl HeardRule {
    /// A threshold in seconds; what is no number of them counts as none.
    #[must_use]
    pub fn new(stale_threshold_s: f64, behind: BehindRule) -> Self {
        HeardRule { threshold_ns: (stale_threshold_s * 1e9).round() as u64, behind }
    }
}

impl Meter {
    /// A buffer came, and the playhead is at its beginning.
    pub fn new(at: Nanos, frames: u64, sample_rate: u32, rule: HeardRule) -> Self {
        Meter {
            sample_rate,
            writes: LastWrites::new(frames, at),
            line: PlayheadLine { at, position: 0.0, speed: sample_rate.into() },
            walked_to: at,
            heard: RegionHint::default(),
            listening: true,
            excused_until: at,
            swapping_until: at,
            jumped_at: None,
            slices: 0,
            last_slice: at,
            behind: Behind::new(rule.behind, None),
            tally: Tally::new(rule.threshold_ns),
            tape: None,
        }
    }

    /// A listener that goes on from a state; what was heard before is not in the tally. `None` when
    /// the writes are none of a loop.
    pub fn resume(state: &MeterState, sample_rate: u32, rule: HeardRule) -> Option<Self> {
        let is_same = state.threshold_ns == rule.threshold_ns || state.tape.is_some();
        // Captures of version 0.2 and before carry one that is over, too.
        let goes_on = |spell: &HeardSpell| may_go_on(spell, state.walked_to, state.tape.as_ref());
        let spell = state.spell.filter(|spell| is_same && goes_on(spell));
        let tape =
            state.tape.clone().map(|tape| AppendTape::resume(tape, state.frames, sample_rate));
        Some(Meter {
            sample_rate,
            writes: LastWrites::resume(state.frames, &state.writes)?,
            line: state.line,
            walked_to: state.walked_to,
            heard: RegionHint::default(),
            listening: state.listening,
            excused_until: state.excused_until,
            swapping_until: state.swapping_until,
            jumped_at: state.jumped_at,
            slices: state.slices,
            last_slice: state.last_slice,
            behind: Behind::new(rule.behind, state.behind),
            tally: Tally::resume(rule.threshold_ns, spell),
            tape,
        })
    }

    /// Adds what was heard before a hole in the capture, behind which this meter began.
    pub fn follow(&mut self, mut before: Meter) {
        let goes_on = self.behind.now.map(|spell| spell.from);
        if before.behind.now.map(|spell| spell.from) != goes_on {
            before.end_behind();
        }
        if let (Some(tape), Some(before)) = (&mut self.tape, &before.tape) {
            tape.follow(before);
        }
        self.tally.follow(before.tally);
    }

    pub fn state(&self) -> MeterState {
        let tape = self.tape.as_ref().map(AppendTape::state);
        let goes_on = |spell: &HeardSpell| may_go_on(spell, self.walked_to, tape.as_ref());
        MeterState {
            frames: self.writes.frames(),
            writes: self.writes.state(),
            line: self.line,
            walked_to: self.walked_to,
            listening: self.listening,
            excused_until: self.excused_until,
            swapping_until: self.swapping_until,
            jumped_at: self.jumped_at,
            slices: self.slices,
            last_slice: self.last_slice,
            behind: self.behind.now,
            threshold_ns: self.tally.threshold_ns(),
            spell: self.tally.last_spell().filter(goes_on),
            tape,
        }
    }

    /// Listens up to a moment.
    pub fn advance(&mut self, to: Nanos) {
        let from = self.walked_to;
        self.walked_to = to.max(from);
        if !self.listening {
            return;
        }
        if self.tape.is_some() {
            return self.advance_on_tape(from, to);
        }
        // A hole of the loop's beginning lies within the usual window.
        let window = (BEHIND_WINDOW_S * f64::from(self.sample_rate)) as u64;
        let last_slice = self.last_slice;
        let (tally, excused_until) = (&mut self.tally, self.excused_until);
        self.line.walk((from, to), &self.writes, &mut self.heard, |span| {
            tally.add(&span, excused_until, last_slice, span.region < window);
        });
    }

    fn advance_on_tape(&mut self, from: Nanos, to: Nanos) {
        let Some(tape) = &mut self.tape else { return };
        let grounds = tape.grounds(&self.line, from, to);
        let (tally, excused_until, last_slice) =
            (&mut self.tally, self.excused_until, self.last_slice);
        self.line.walk((from, to), &self.writes, &mut self.heard, |span| {
            tape::each(&span, &grounds, |span, ground| {
                if ground != Ground::Written {
                    tape.heard(&span, ground, span.write.by == WrittenBy::Buffer);
                }
                tally.add_of_tape(&span, ground, excused_until, last_slice, tape.pending());
            });
        });
    }

    /// Length of the loop, or of the window.
    pub fn frames(&self) -> u64 {
        self.writes.frames()
    }

    /// A slice is applied.
    pub fn apply(&mut self, at: Nanos, patch: Patch) {
        self.advance(at);
        if let Some(tape) = &mut self.tape {
            let late = tape.apply(at, patch, &self.line);
            self.tally.commit(late);
        }
        let (lead_ns, end_ns) = self.lead_ns(at, patch);
        let foreign = at < self.swapping_until && !PLACED_NS.contains(&lead_ns);
        let by =
            if foreign { WrittenBy::OldTrack(self.slices) } else { WrittenBy::Slice(self.slices) };
        let due_ns = if self.is_settled(at, lead_ns) { due_ns(lead_ns, end_ns) } else { 0 };
        self.writes.write(patch.start, patch.frames, LastWrite { at, by, due_ns });
        self.slices = self.slices.wrapping_add(1);
        self.last_slice = self.last_slice.max(at);
        if self.listening && at >= self.excused_until && self.tape.is_none() {
            let over = self.behind.on_slice(at, lead_ns, end_ns);
            self.tally.add_behind(over);
        }
    }

    /// Whether the server's lead is one that it keeps, and not one that a jump has thrown it to.
    fn is_settled(&mut self, at: Nanos, lead_ns: i64) -> bool {
        let over = |jumped_at: &mut Nanos| {
            let since_ns = at.0.saturating_sub(jumped_at.0);
            let is_usual = (0..=LONGEST_LEAD_NS).contains(&lead_ns) && since_ns > SETTLE_NS;
            is_usual || since_ns > THROWN_NS
        };
        self.jumped_at.take_if(over);
        self.jumped_at.is_none()
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
        if let Some(tape) = &mut self.tape {
            tape.steer(at, &self.line, &line, jumped);
        }
        self.line = line;
        if jumped {
            self.jumped_at = Some(at);
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

    /// Whether somebody is known to listen.
    pub fn is_listening(&self) -> bool {
        self.listening
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
        self.last_slice = at;
        self.swapping_until = settles_at;
        self.jumped_at = Some(at);
        if let Some(tape) = &mut self.tape {
            tape.swap(frames);
        }
    }

    /// The client reported, up to which the listener has listened.
    pub fn reported(&mut self, at: Nanos) {
        self.advance(at);
        self.tally.on_report(at);
    }

    /// The session only appends. Nothing may have been heard yet.
    pub fn set_on_tape(&mut self, rule: TapeRule) {
        self.tape = Some(AppendTape::new(rule, self.writes.frames(), self.sample_rate));
    }

    /// Whether the listener stands where a tape begins whose first audio may take long.
    pub fn waits_for_audio(&self) -> bool {
        let takes_long = |tape: &AppendTape| tape.rule().first_audio_ns > 0 && tape.is_first_lap();
        let stands = self.line.speed == 0.0 && self.line.position == 0.0;
        stands && self.tape.as_ref().is_some_and(takes_long)
    }

    /// The tape, of a session that only appends.
    pub fn tape(&self) -> Option<&AppendTape> {
        self.tape.as_ref()
    }

    /// Its figures.
    pub fn tape_report(&self, origin: Nanos) -> Option<TapeReport> {
        Some(self.tape.as_ref()?.report(origin, self.walked_to, &self.line))
    }

    pub fn report(&self, origin: Nanos) -> HeardReport {
        let mut report = self.tally.report(origin, self.behind.current());
        // What is heard after the end of a piece is nobody's fault.
        let after_end = self.tape.as_ref().and_then(AppendTape::after_end);
        report.excused_s += after_end.map_or(0.0, |spell| spell.total_ns() as f64 / 1e9);
        report
    }

    /// All alarms.
    pub fn alarms(&self, origin: Nanos) -> Vec<HeardEpisode> {
        self.tally.episodes(origin, self.behind.current(), false)
    }

    /// The latest alarm of each sort, over or not.
    pub fn latest(&self, origin: Nanos) -> impl Iterator<Item = HeardEpisode> {
        let behind = self.behind.current().map(|spell| spell.reported(origin));
        self.tally.latest(origin).into_iter().chain(behind)
    }

    /// The alarms that may yet become longer.
    pub fn open(&self, origin: Nanos) -> impl Iterator<Item = HeardEpisode> {
        let goes_on = |spell: &HeardSpell| spell.goes_on_at(self.walked_to);
        let heard = self.tally.last_spell().filter(goes_on).and(self.tally.latest(origin));
        let behind = self.behind.current().map(|spell| spell.reported(origin));
        heard.into_iter().chain(behind)
    }

    /// The alarm that is heard now, or lands now.
    pub fn current(&self, origin: Nanos) -> Option<HeardEpisode> {
        let heard = self.tally.last_spell().filter(|spell| spell.to == self.walked_to);
        let behind = self.behind.going_on(self.walked_to).map(|spell| spell.reported(origin));
        self.tally.latest(origin).filter(|_| heard.is_some()).or(behind)
    }

    fn end_behind(&mut self) {
        let over = self.behind.end();
        self.tally.add_behind(over);
    }
}

/// Whether bad audio that comes next belongs to this spell: what is heard from `walked_to` on, or what was
/// heard past the end of a tape and may yet count.
fn may_go_on(spell: &HeardSpell, walked_to: Nanos, tape: Option<&TapeState>) -> bool {
    let pending = tape.and_then(|tape| tape.pending.as_ref());
    let next = pending.map_or(walked_to, |pending| pending.from.min(walked_to));
    spell.goes_on_at(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn rule(threshold_s: f64) -> HeardRule {
        HeardRule::new(threshold_s, BehindRule::default())
    }

    /// A loop of 10 s with frames of a millisecond, of which nothing was ever patched.
    fn meter() -> Meter {
        Meter::new(Nanos(0), 10_000, 1_000, rule(3.0))
    }

    fn at(ms: u64) -> Nanos {
        Nanos(ms * MS)
    }

    /// Slices every 100 ms in this stretch, half a second behind the listener.
    fn land_behind(meter: &mut Meter, from_ms: u64, to_ms: u64) {
        for ms in (from_ms..=to_ms).step_by(100) {
            meter.apply(at(ms), Patch { start: (ms + 9_500) % 10_000, frames: 100 });
        }
    }

    #[test]
    fn an_alarm_is_heard_up_to_the_moment_and_open_for_half_a_second() {
        let mut meter = meter();
        meter.apply(at(900), Patch { start: 1_000, frames: 5_000 });
        meter.advance(at(1_000));
        assert!(meter.current(Nanos(0)).is_some());
        meter.advance(at(1_500));
        assert!(meter.current(Nanos(0)).is_none() && meter.open(Nanos(0)).count() == 1);
        meter.advance(at(1_501));
        assert_eq!(meter.open(Nanos(0)).count(), 0);
    }

    #[test]
    fn who_jumps_leaves_the_slices_behind() {
        let spells = |jumped| {
            let mut meter = meter();
            land_behind(&mut meter, 5_000, 5_900);
            let line = PlayheadLine { at: at(5_900), position: 5_900.0, speed: 1_000.0 };
            meter.steer(at(5_900), line, jumped);
            land_behind(&mut meter, 6_000, 6_500);
            meter.report(Nanos(0)).episodes.iter().filter(|e| e.what.is_behind()).count()
        };
        assert_eq!((spells(false), spells(true)), (1, 0));
    }

    #[test]
    fn nobody_who_is_paused_has_slices_behind() {
        let mut meter = meter();
        meter.listen(false);
        land_behind(&mut meter, 5_000, 7_000);
        assert!(meter.report(Nanos(0)).episodes.is_empty());
    }

    /// The longest silence up to the end of what is bad.
    fn silence_s(meter: &Meter) -> f64 {
        meter.report(Nanos(0)).episodes[0].what.old_audio().unwrap().silence_s
    }

    #[test]
    fn a_silence_begins_with_the_latest_slice_or_the_buffer() {
        let mut late = meter();
        late.apply(at(900), Patch { start: 9_000, frames: 1 });
        late.apply(at(400), Patch { start: 9_000, frames: 1 });
        late.excuse(at(900), at(900));
        late.advance(at(2_000));
        assert_eq!(silence_s(&late), 1.1);
        let mut swapped = meter();
        swapped.excuse(Nanos(0), at(5_000));
        swapped.swap(at(5_000), 10_000, at(5_000));
        swapped.advance(at(6_000));
        assert_eq!(silence_s(&swapped), 1.0);
    }

    #[test]
    fn holes_are_of_the_seam_within_a_window_of_the_beginning() {
        let seam = |start| {
            let mut meter = meter();
            meter.apply(Nanos(0), Patch { start: 0, frames: 10_000 });
            meter.swap(Nanos(0), 10_000, Nanos(0));
            meter.apply(Nanos(0), Patch { start: 0, frames: start });
            meter.apply(Nanos(0), Patch { start: start + 100, frames: 10_000 });
            meter.advance(at(2_000));
            meter.report(Nanos(0)).seam.count
        };
        assert_eq!((seam(300), seam(600)), (1, 0));
    }

    #[test]
    fn a_spell_goes_on_only_by_the_threshold_that_it_began_with() {
        let mut meter = meter();
        meter.advance(at(1_000));
        let resumed = |threshold_s| {
            let mut meter = Meter::resume(&meter.state(), 1_000, rule(threshold_s)).unwrap();
            meter.advance(at(1_100));
            meter.latest(Nanos(0)).count()
        };
        assert_eq!((resumed(3.0), resumed(2.0)), (1, 0));
    }

    #[test]
    fn a_part_has_what_of_a_spell_was_heard_in_it_and_nothing_of_one_that_was_over() {
        let mut meter = meter();
        meter.apply(at(900), Patch { start: 1_000, frames: 9_000 });
        let mut of_part = |from_ms: u64| {
            meter.advance(at(from_ms));
            let mut part = Meter::resume(&meter.state(), 1_000, rule(3.0)).unwrap();
            part.advance(at(2_000));
            let report = part.report(Nanos(0));
            (report.episodes.len(), report.bad_s, report.onset_s)
        };
        // The first second is raw.
        assert_eq!(of_part(950), (1, 0.05, Some(0.0)));
        assert_eq!(of_part(1_000), (0, 0.0, None), "it might have gone on");
        assert_eq!(of_part(1_800), (0, 0.0, None));
    }

    #[test]
    fn a_slice_is_due_where_the_transport_has_its_share() {
        let window_ns = (BEHIND_WINDOW_S * 1e9) as i64;
        let lead = |lead_ms: i64| lead_ms * MS as i64;
        assert_eq!(due_ns(lead(1_350), i64::MAX), 0);
        assert_eq!(due_ns(lead(1_351), i64::MAX), (lead(1_351) + window_ns) as u64);
        assert_eq!(due_ns(lead(1_351), lead(1_400)), lead(1_400) as u64);
        assert_eq!(due_ns(lead(4_350), lead(4_400)), lead(4_400) as u64);
        for other in [lead(4_351), lead(0), lead(-40), lead(-9_000)] {
            assert_eq!(due_ns(other, lead(9_000)), 0);
        }
    }
}
