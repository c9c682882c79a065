//! What was heard, added up: seconds, ages, episodes.
//!
//! Enters: stretches of listening over audio of one write. Leaves: a [`HeardReport`]. All sums are
//! whole nanoseconds. What is bad: audio last written more than the threshold ago and not due by
//! then, or never since the buffer came, or for the track before. What is bad while it is excused is counted apart.

use serde::Serialize;

use super::ages::{AgeQuantiles, Ages};
use super::path::Span;
use super::spell::{HeardEpisode, seconds};
use super::tape::Ground;
use crate::capture::{BehindSpell, HeardSpell, WrittenBy};
use crate::time::Nanos;

/// Holes at the beginning of the loop that are too short for an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct SeamHoles {
    /// How many.
    pub count: u64,
    /// How long together, in seconds.
    pub s: f64,
}

/// What was heard of a session.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeardReport {
    /// Seconds of listening.
    pub s: f64,
    /// Seconds of audio older than the threshold.
    pub stale_s: f64,
    /// Seconds of the source: never patched since the buffer came.
    pub raw_s: f64,
    /// Seconds of audio that was placed for the buffer before.
    pub old_track_s: f64,
    /// Seconds of the three that are transients or rest and do not count.
    pub excused_s: f64,
    /// Age of the oldest audio that was not excused, in seconds.
    pub oldest_s: f64,
    /// Ages of all that was heard.
    pub age: AgeQuantiles,
    /// Holes of the loop's beginning.
    pub seam: SeamHoles,
    /// Seconds of bad audio that count.
    pub bad_s: f64,
    /// When the first alarm began, in seconds since the initial buffer.
    pub onset_s: Option<f64>,
    /// All episodes that count, alarms or not, in the order of their beginnings.
    pub episodes: Vec<HeardEpisode>,
}

/// The sums.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    threshold_ns: u64,
    heard_ns: u64,
    bad_ns: [u64; 3],
    excused_ns: u64,
    oldest_ns: u64,
    ages: Ages,
    /// The last one may go on.
    episodes: Vec<HeardSpell>,
    /// The episode that may go on where a part begins. It is none of the part's until it does.
    carried: Option<HeardSpell>,
    /// Bad audio of an episode that went on, from before the part.
    before_ns: u64,
    behind: Vec<BehindSpell>,
}

impl Tally {
    pub fn new(threshold_ns: u64) -> Self {
        Tally {
            threshold_ns,
            heard_ns: 0,
            bad_ns: [0; 3],
            excused_ns: 0,
            oldest_ns: 0,
            ages: Ages::default(),
            episodes: Vec::new(),
            carried: None,
            before_ns: 0,
            behind: Vec::new(),
        }
    }

    /// A tally that begins in the middle of a session, with the episode that may go on there.
    pub fn resume(threshold_ns: u64, carried: Option<HeardSpell>) -> Self {
        Tally { carried, ..Tally::new(threshold_ns) }
    }

    /// Adds what was heard before a hole in the capture. An episode that was going on there and is
    /// known behind it is one.
    pub fn follow(&mut self, before: Tally) {
        self.heard_ns += before.heard_ns;
        for (sum_ns, before_ns) in self.bad_ns.iter_mut().zip(before.bad_ns) {
            *sum_ns += before_ns;
        }
        self.excused_ns += before.excused_ns;
        self.oldest_ns = self.oldest_ns.max(before.oldest_ns);
        self.ages.add_all(&before.ages);
        let own: Vec<_> = self.carried.take().into_iter().chain(self.episodes.drain(..)).collect();
        let goes_on = own.first().map(|episode| episode.from);
        let is_over = |episode: &HeardSpell| goes_on.is_none_or(|from| episode.from < from);
        self.carried = before.carried.filter(is_over);
        self.before_ns = before.before_ns;
        self.episodes.extend(before.episodes.into_iter().filter(is_over).chain(own));
        self.behind.splice(..0, before.behind);
    }

    /// The last episode, which may go on.
    pub fn last_spell(&self) -> Option<HeardSpell> {
        self.episodes.last().copied().or(self.carried)
    }

    /// The last episode if what is bad from this moment on belongs to it.
    fn going_on(&mut self, from: Nanos) -> Option<&mut HeardSpell> {
        if self.episodes.is_empty()
            && let Some(carried) = self.carried.take_if(|spell| spell.goes_on_at(from))
        {
            self.before_ns = carried.total_ns();
            self.episodes.push(carried);
        }
        self.episodes.last_mut().filter(|spell| spell.goes_on_at(from))
    }

    /// Age over which audio is old.
    pub fn threshold_ns(&self) -> u64 {
        self.threshold_ns
    }

    /// Something was heard; what was bad before `excused_until` does not count.
    pub fn add(&mut self, span: &Span, excused_until: Nanos, last_slice: Nanos, at_seam: bool) {
        self.hear(span, excused_until);
        let Span { from, to, write, .. } = *span;
        let old_ns = self.threshold_ns.max(write.due_ns);
        let too_old = Nanos(write.at.0.saturating_add(old_ns));
        let (kind, bad_from) = match write.by {
            WrittenBy::Buffer => (1, from),
            WrittenBy::Slice(_) => (0, from.max(too_old)),
            WrittenBy::OldTrack(_) => (2, from),
        };
        if bad_from >= to {
            return;
        }
        let counted_from = self.excuse(kind, bad_from, to, excused_until);
        if counted_from < to {
            let episode = self.episode(counted_from, to, at_seam);
            episode.add(kind, counted_from, to, write.at, last_slice);
        }
    }

    /// Something was heard on a tape, where `ground` says whether that was written for this lap. What
    /// is past the frontier goes to `pending`, where there is one.
    pub fn add_of_tape(
        &mut self,
        span: &Span,
        ground: Ground,
        excused_until: Nanos,
        last_slice: Nanos,
        pending: Option<&mut Option<HeardSpell>>,
    ) {
        self.hear(span, excused_until);
        let Span { from, to, write, .. } = *span;
        let place = match ground {
            Ground::Written => return,
            Ground::Past => 0,
            Ground::Hole => 1,
        };
        let kind = usize::from(write.by == WrittenBy::Buffer);
        let counted_from = self.excuse(kind, from, to, excused_until);
        if counted_from >= to {
            return;
        }
        let spell = match pending.filter(|_| ground == Ground::Past) {
            Some(pending) => pending.get_or_insert_with(|| HeardSpell::new(counted_from, false)),
            None => self.episode(counted_from, to, false),
        };
        spell.add(kind, counted_from, to, write.at, last_slice);
        spell.tape_ns[place] = spell.tape_ns[place].saturating_add(to.0 - counted_from.0);
    }

    /// So long was something heard, good or bad, and so old it was.
    fn hear(&mut self, span: &Span, excused_until: Nanos) {
        let Span { from, to, write, .. } = *span;
        self.heard_ns += to.0 - from.0;
        self.ages.add(from.0.saturating_sub(write.at.0), to.0 - from.0);
        if to > excused_until {
            self.oldest_ns = self.oldest_ns.max(to.0.saturating_sub(write.at.0));
        }
    }

    /// Adds what was bad, and returns from when on it counts; `to` if it is excused whole.
    fn excuse(&mut self, kind: usize, from: Nanos, to: Nanos, excused_until: Nanos) -> Nanos {
        self.bad_ns[kind] += to.0 - from.0;
        let counted_from = from.max(excused_until.min(to));
        self.excused_ns += counted_from.0 - from.0;
        counted_from
    }

    /// A spell counts that was pending.
    pub fn commit(&mut self, spell: Option<HeardSpell>) {
        let Some(spell) = spell else { return };
        match self.going_on(spell.from) {
            Some(last) => last.join(&spell),
            None => self.episodes.push(spell),
        }
    }

    /// The episode that a bad stretch belongs to.
    fn episode(&mut self, from: Nanos, to: Nanos, at_seam: bool) -> &mut HeardSpell {
        if self.going_on(from).is_none() {
            self.episodes.push(HeardSpell::new(from, at_seam));
        }
        let episode = self.episodes.last_mut().expect("there is one by now");
        episode.to = to;
        episode.at_seam &= at_seam;
        episode
    }

    /// The client reported.
    pub fn on_report(&mut self, at: Nanos) {
        let last = self.episodes.last_mut().or(self.carried.as_mut());
        if let Some(episode) = last.filter(|episode| episode.to == at) {
            episode.ticks = episode.ticks.saturating_add(1);
        }
    }

    /// All that counted so far was a transient.
    pub fn forgive(&mut self) {
        self.excused_ns += self.bad_ns_of_episodes();
        self.episodes.clear();
        self.carried = None;
        self.before_ns = 0;
        self.oldest_ns = 0;
    }

    /// A spell of slices behind is over.
    pub fn add_behind(&mut self, spell: Option<BehindSpell>) {
        self.behind.extend(spell);
    }

    /// The latest spell of bad audio, if it is an alarm by now.
    pub fn latest(&self, origin: Nanos) -> Option<HeardEpisode> {
        let spell = self.episodes.last().filter(|spell| spell.is_alarm());
        spell.map(|spell| spell.reported(origin))
    }

    /// All that is an alarm or, if `all`, counts, in the order of its beginning.
    pub fn episodes(
        &self,
        origin: Nanos,
        behind_now: Option<BehindSpell>,
        all: bool,
    ) -> Vec<HeardEpisode> {
        let spells = self.episodes.iter().filter(|spell| all || spell.is_alarm());
        let behind = self.behind.iter().copied().chain(behind_now);
        let mut episodes: Vec<_> = spells
            .map(|spell| spell.reported(origin))
            .chain(behind.map(|spell| spell.reported(origin)))
            .collect();
        episodes.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        episodes
    }

    fn bad_ns_of_episodes(&self) -> u64 {
        let all_ns: u64 = self.episodes.iter().map(HeardSpell::total_ns).sum();
        all_ns.saturating_sub(self.before_ns)
    }

    pub fn report(&self, origin: Nanos, behind_now: Option<BehindSpell>) -> HeardReport {
        let episodes = self.episodes(origin, behind_now, true);
        let holes = self.episodes.iter().filter(|e| e.at_seam && !e.is_alarm());
        let [stale_s, raw_s, old_track_s] = self.bad_ns.map(seconds);
        HeardReport {
            s: seconds(self.heard_ns),
            stale_s,
            raw_s,
            old_track_s,
            excused_s: seconds(self.excused_ns),
            oldest_s: seconds(self.oldest_ns),
            age: self.ages.quantiles(),
            seam: SeamHoles {
                count: holes.clone().count() as u64,
                s: seconds(holes.map(HeardSpell::total_ns).sum()),
            },
            bad_s: seconds(self.bad_ns_of_episodes()),
            onset_s: episodes.iter().find(|e| e.alarm).map(|e| e.from_s),
            episodes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::LastWrite;
    use crate::heard::spell::LagKind;

    const MS: u64 = 1_000_000;
    const THRESHOLD_MS: u64 = 3_000;

    /// Stretches from and to these milliseconds, of audio written by whom and when, at the seam or not.
    fn tally(stretches: &[(u64, u64, WrittenBy, u64, bool)]) -> Tally {
        let mut tally = Tally::new(THRESHOLD_MS * MS);
        for &(from, to, by, at, at_seam) in stretches {
            let write = LastWrite { at: Nanos(at * MS), by, due_ns: 0 };
            let span = Span { from: Nanos(from * MS), to: Nanos(to * MS), write, region: 0 };
            tally.add(&span, Nanos(0), Nanos(at * MS), at_seam);
        }
        tally
    }

    fn report(tally: &Tally) -> HeardReport {
        tally.report(Nanos(0), None)
    }

    const OLD: WrittenBy = WrittenBy::Slice(0);
    const FOREIGN: WrittenBy = WrittenBy::OldTrack(0);

    /// What stretches of stale, raw and foreign audio of these lengths are together.
    #[track_caller]
    fn check_kind(stale_ms: u64, raw_ms: u64, foreign_ms: u64, expected: &str) {
        let (raw_from, foreign_from) = (9_000 + stale_ms, 9_000 + stale_ms + raw_ms);
        let tally = tally(&[
            (9_000, raw_from, OLD, 0, false),
            (raw_from, foreign_from, WrittenBy::Buffer, 0, false),
            (foreign_from, foreign_from + foreign_ms, FOREIGN, 8_000, false),
        ]);
        let found = match report(&tally).episodes[0].what {
            LagKind::Stale(_) => "stale",
            LagKind::Raw(_) => "raw",
            LagKind::OldTrack(_) => "old track",
            LagKind::Behind { .. } => "behind",
            LagKind::PastFrontier(_) | LagKind::Hole(_) => "of a tape",
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_spell_is_what_most_of_it_was() {
        check_kind(300, 200, 100, "stale");
        check_kind(200, 300, 100, "raw");
        check_kind(100, 200, 300, "old track");
        check_kind(100, 300, 200, "raw");
        check_kind(200, 200, 200, "stale");
    }

    #[test]
    fn bad_moments_half_a_second_apart_are_one_spell() {
        let apart = |ms: u64| {
            let tally =
                tally(&[(9_000, 9_200, OLD, 0, false), (9_200 + ms, 9_300 + ms, OLD, 0, false)]);
            report(&tally).episodes.len()
        };
        assert_eq!((apart(260), apart(500), apart(501)), (1, 1, 2));
    }

    #[test]
    fn only_short_holes_at_the_beginning_alone_are_of_the_seam() {
        let seam = |ms: u64, first, second| {
            let whole = tally(&[
                (9_000, 9_000 + ms, OLD, 0, first),
                (9_000 + ms, 9_010 + ms, OLD, 0, second),
            ]);
            report(&whole).seam.count
        };
        assert_eq!((seam(100, true, true), seam(140, true, true)), (1, 0));
        assert_eq!((seam(100, false, true), seam(100, true, false)), (0, 0));
    }

    #[test]
    fn reports_count_while_it_is_heard_and_silences_are_the_longest() {
        let mut tally = tally(&[
            (9_000, 9_400, OLD, 0, false),
            // Raw, with a slice elsewhere just before.
            (9_400, 9_500, WrittenBy::Buffer, 9_400, false),
        ]);
        tally.on_report(Nanos(9_500 * MS));
        tally.on_report(Nanos(9_501 * MS));
        let found = report(&tally);
        let old = found.episodes[0].what.old_audio().unwrap();
        assert_eq!((old.ticks, old.silence_s, old.worst_staleness_s), (1, 9.4, 9.4));
    }

    #[test]
    fn spells_of_both_sorts_stand_in_the_order_of_their_beginnings() {
        let mut tally = tally(&[(9_000, 9_400, OLD, 0, false)]);
        let behind = |from: u64| BehindSpell {
            from: Nanos(from * MS),
            to: Nanos((from + 2_000) * MS),
            slices: 1,
            of: 1,
            of_to: 1,
            worst_lead_ns: -1,
        };
        tally.add_behind(Some(behind(5_000)));
        let begins: Vec<_> =
            tally.report(Nanos(0), Some(behind(7_000))).episodes.iter().map(|e| e.from_s).collect();
        assert_eq!(begins, [5.0, 7.0, 9.0]);
    }

    #[test]
    fn what_was_before_a_hole_stands_first_and_what_went_on_is_one() {
        let before = || tally(&[(9_000, 9_400, OLD, 0, false), (20_000, 20_400, OLD, 0, false)]);
        let begins = |tally: &Tally| -> Vec<_> {
            report(tally).episodes.iter().map(|episode| episode.from_s).collect()
        };
        let mut another =
            tally(&[(30_000, 30_400, OLD, 0, false), (40_000, 40_400, OLD, 0, false)]);
        another.follow(before());
        assert_eq!(begins(&another), [9.0, 20.0, 30.0, 40.0]);
        // The episode that went on is known behind the hole, from its beginning.
        let mut same = Tally::resume(THRESHOLD_MS * MS, before().last_spell());
        same.follow(before());
        assert_eq!(begins(&same), [9.0, 20.0]);
    }

    #[test]
    fn raw_audio_of_a_tape_is_told_from_old_audio() {
        let heard = |by, ground| {
            let mut tally = Tally::new(THRESHOLD_MS * MS);
            let write = LastWrite { at: Nanos(0), by, due_ns: 0 };
            let span = Span { from: Nanos(9_000 * MS), to: Nanos(9_400 * MS), write, region: 0 };
            tally.add_of_tape(&span, ground, Nanos(0), Nanos(0), None);
            tally.bad_ns
        };
        assert_eq!(heard(WrittenBy::Buffer, Ground::Past), [0, 400 * MS, 0]);
        assert_eq!(heard(OLD, Ground::Hole), [400 * MS, 0, 0]);
        assert_eq!(heard(OLD, Ground::Written), [0; 3]);
    }
}
