//! The verdict: whether a listener heard lag, when, and how bad it was.
//!
//! Two things are lag: audio under the listener that is older than the stale threshold, and slices that
//! land behind the listener for a sustained time. Situations that only look like it are excused: a
//! paused player, the transient after a start, seek, swap or resume, and a server that idles because
//! nothing was changed. Times are seconds of the capture's clock. Memory is constant except for the
//! episodes found.

use serde::Serialize;

use crate::capture::{BehindState, LagDetectorState, StaleState};

/// A slice counts as behind the listener below this lead.
pub const BEHIND_LEAD_S: f64 = -0.05;
/// Slices behind for at least this long are lag.
pub const BEHIND_SUSTAINED_S: f64 = 1.0;
/// A spell of slices behind is over when none landed behind for this long.
pub const BEHIND_CLEAR_S: f64 = 0.25;
/// Stale ticks closer together than this belong to one episode.
pub const STALE_JOIN_S: f64 = 0.5;
/// The range that the server's lead keeps to; bounds the transient after a seek or a swap.
pub const ADVANCE_RANGE_S: (f64, f64) = (0.25, 1.35);
/// What a transient lasts beyond the lead: a round trip and a generation.
pub const SETTLE_MARGIN_S: f64 = 0.5;
/// A server that saw no knob change for this long renders one more loop and then idles.
pub const IDLE_AFTER_S: f64 = 20.0;
/// How far the last slice may lie from the moment at which an idle server stops.
pub const IDLE_TOLERANCE_S: f64 = 2.0;
/// How long an idle server may take to send slices again after a knob change.
pub const IDLE_RESUME_S: f64 = 2.0;
/// Silence between slices from which a stale episode is told as a stop of the slices.
pub const SILENCE_S: f64 = 1.0;
/// Weight of the newest lead in the mean that stands for the server's present lead.
const ADVANCE_WEIGHT: f64 = 0.1;

/// What counts as slices behind the listener.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BehindRule {
    /// A slice with less lead than this is behind.
    pub lead_s: f64,
    /// And it is lag when it lasts so long.
    pub sustained_s: f64,
}

impl Default for BehindRule {
    fn default() -> Self {
        BehindRule { lead_s: BEHIND_LEAD_S, sustained_s: BEHIND_SUSTAINED_S }
    }
}

/// One episode of lag; times are seconds of the capture's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Episode {
    /// When it began.
    pub from_s: f64,
    /// When it was over, or the time of the last look.
    pub to_s: f64,
    /// What was wrong.
    pub what: LagKind,
}

/// What is wrong in an episode.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "mcp", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LagKind {
    /// The audio under the listener was older than the threshold.
    Stale {
        /// Ticks over the threshold.
        ticks: u64,
        /// The oldest audio heard.
        worst_staleness_s: f64,
        /// The longest time without a slice, up to the end of the episode.
        silence_s: f64,
    },
    /// Slices landed behind the listener.
    Behind {
        /// Slices behind.
        slices: u64,
        /// All slices of the spell.
        of: u64,
        /// The lowest lead.
        worst_lead_s: f64,
    },
}

#[derive(Debug, Clone)]
struct StaleSpell {
    episode: Episode,
    last_stale_s: f64,
    over: bool,
}

impl StaleSpell {
    fn resume(state: &StaleState) -> Self {
        let StaleState { from_s, to_s, ticks, worst_staleness_s, silence_s, .. } = *state;
        StaleSpell {
            episode: Episode {
                from_s,
                to_s,
                what: LagKind::Stale { ticks, worst_staleness_s, silence_s },
            },
            last_stale_s: state.last_stale_s,
            over: state.over,
        }
    }

    fn state(&self, threshold_s: f64) -> StaleState {
        let Episode { from_s, to_s, ref what } = self.episode;
        let (ticks, worst_staleness_s, silence_s) = match *what {
            LagKind::Stale { ticks, worst_staleness_s, silence_s } => {
                (ticks, worst_staleness_s, silence_s)
            }
            LagKind::Behind { .. } => (0, 0.0, 0.0),
        };
        StaleState {
            threshold_s,
            from_s,
            to_s,
            ticks,
            worst_staleness_s,
            silence_s,
            last_stale_s: self.last_stale_s,
            over: self.over,
        }
    }
}

#[derive(Debug, Clone)]
struct BehindSpell {
    from_s: f64,
    last_behind_s: f64,
    slices: u64,
    of: u64,
    of_at_last_behind: u64,
    worst_lead_s: f64,
}

impl BehindSpell {
    fn resume(state: &BehindState) -> Self {
        let BehindState { from_s, last_behind_s, slices, of, of_at_last_behind, worst_lead_s } =
            *state;
        BehindSpell { from_s, last_behind_s, slices, of, of_at_last_behind, worst_lead_s }
    }

    fn state(&self) -> BehindState {
        let BehindSpell { from_s, last_behind_s, slices, of, of_at_last_behind, worst_lead_s } =
            *self;
        BehindState { from_s, last_behind_s, slices, of, of_at_last_behind, worst_lead_s }
    }

    fn episode(&self, rule: &BehindRule) -> Option<Episode> {
        (self.last_behind_s - self.from_s >= rule.sustained_s).then_some(Episode {
            from_s: self.from_s,
            to_s: self.last_behind_s,
            what: LagKind::Behind {
                slices: self.slices,
                of: self.of_at_last_behind,
                worst_lead_s: self.worst_lead_s,
            },
        })
    }
}

/// Finds lag while a session is running.
#[derive(Debug, Clone)]
pub struct LagDetector {
    stale_threshold_s: f64,
    behind_rule: BehindRule,
    loop_s: f64,
    paused: bool,
    settled_at_s: f64,
    advance_s: f64,
    last_knob_s: f64,
    last_slice_s: f64,
    quiet_at_last_slice_s: f64,
    closed: Vec<Episode>,
    stale: Option<StaleSpell>,
    behind: Option<BehindSpell>,
}

impl LagDetector {
    /// Begins with the initial buffer at `now_s`.
    #[must_use]
    pub fn new(stale_threshold_s: f64, loop_s: f64, now_s: f64) -> Self {
        LagDetector {
            stale_threshold_s,
            behind_rule: BehindRule::default(),
            loop_s,
            paused: false,
            settled_at_s: now_s + ADVANCE_RANGE_S.0 + SETTLE_MARGIN_S,
            advance_s: ADVANCE_RANGE_S.0,
            last_knob_s: now_s,
            last_slice_s: now_s,
            quiet_at_last_slice_s: 0.0,
            closed: Vec::new(),
            stale: None,
            behind: None,
        }
    }

    /// Restores a detector from its state. A stale episode continues only under the same threshold.
    #[must_use]
    pub fn resume(state: &LagDetectorState, stale_threshold_s: f64, loop_s: f64) -> Self {
        let stale = state.stale.as_ref().filter(|spell| spell.threshold_s == stale_threshold_s);
        LagDetector {
            stale_threshold_s,
            behind_rule: BehindRule::default(),
            loop_s,
            paused: state.paused,
            settled_at_s: state.settled_at_s,
            advance_s: state.advance_s,
            last_knob_s: state.last_knob_s,
            last_slice_s: state.last_slice_s,
            quiet_at_last_slice_s: state.quiet_at_last_slice_s,
            closed: Vec::new(),
            stale: stale.map(StaleSpell::resume),
            behind: state.behind.as_ref().map(BehindSpell::resume),
        }
    }

    /// Everything that later verdicts depend on; closed episodes are not part of it.
    #[must_use]
    pub fn state(&self) -> LagDetectorState {
        LagDetectorState {
            paused: self.paused,
            settled_at_s: self.settled_at_s,
            advance_s: self.advance_s,
            last_knob_s: self.last_knob_s,
            last_slice_s: self.last_slice_s,
            quiet_at_last_slice_s: self.quiet_at_last_slice_s,
            stale: self.stale.as_ref().map(|spell| spell.state(self.stale_threshold_s)),
            behind: self.behind.as_ref().map(BehindSpell::state),
        }
    }

    /// Replaces the rule for slices behind.
    #[must_use]
    pub fn with_behind_rule(self, behind_rule: BehindRule) -> Self {
        LagDetector { behind_rule, ..self }
    }

    /// A new source buffer.
    pub fn on_swap(&mut self, now_s: f64, loop_s: f64) {
        self.loop_s = loop_s;
        self.last_slice_s = now_s;
        self.last_knob_s = now_s;
        self.unsettle(now_s);
    }

    /// The playhead jumped.
    pub fn on_seek(&mut self, now_s: f64) {
        self.unsettle(now_s);
    }

    /// The player was paused or resumed.
    pub fn on_pause(&mut self, now_s: f64, paused: bool) {
        if self.paused && !paused {
            self.unsettle(now_s);
        }
        if paused {
            self.end_behind();
        }
        self.paused = paused;
    }

    /// A knob or any other command changed what the server renders.
    pub fn on_knob(&mut self, now_s: f64) {
        self.last_knob_s = now_s;
    }

    /// A slice landed `lead_s` ahead of the listener.
    pub fn on_slice(&mut self, now_s: f64, lead_s: f64) {
        let silence_s = now_s - self.last_slice_s;
        if self.went_idle() && silence_s > SILENCE_S {
            self.settled_at_s = now_s + ADVANCE_RANGE_S.1 + SETTLE_MARGIN_S;
        }
        self.note_silence(silence_s);
        self.last_slice_s = now_s;
        self.quiet_at_last_slice_s = now_s - self.last_knob_s;
        if self.excused(now_s) {
            return;
        }
        if lead_s >= 0.0 {
            self.advance_s += ADVANCE_WEIGHT * (lead_s - self.advance_s);
        }
        self.judge_lead(now_s, lead_s);
    }

    /// The listener heard audio `staleness_s` old.
    pub fn on_tick(&mut self, now_s: f64, staleness_s: f64) {
        let stale =
            staleness_s > self.stale_threshold_s && !self.excused(now_s) && !self.idle(now_s);
        if !stale {
            if let Some(spell) = self.stale.as_mut().filter(|spell| !spell.over) {
                spell.episode.to_s = now_s;
                spell.over = true;
            }
            return;
        }
        if self.stale.as_ref().is_some_and(|spell| now_s - spell.last_stale_s > STALE_JOIN_S) {
            self.closed.extend(self.stale.take().map(|spell| spell.episode));
        }
        let spell = self.stale.get_or_insert(StaleSpell {
            episode: Episode {
                from_s: now_s,
                to_s: now_s,
                what: LagKind::Stale { ticks: 0, worst_staleness_s: 0.0, silence_s: 0.0 },
            },
            last_stale_s: now_s,
            over: false,
        });
        spell.last_stale_s = now_s;
        spell.episode.to_s = now_s;
        spell.over = false;
        if let LagKind::Stale { ticks, worst_staleness_s, .. } = &mut spell.episode.what {
            *ticks += 1;
            *worst_staleness_s = worst_staleness_s.max(staleness_s);
        }
        self.note_silence(now_s - self.last_slice_s);
    }

    /// All episodes up to now, in the order of their beginnings.
    #[must_use]
    pub fn episodes(&self) -> Vec<Episode> {
        let mut episodes = self.closed.clone();
        episodes.extend(self.stale.iter().map(|spell| spell.episode.clone()));
        episodes.extend(self.behind_episode());
        episodes.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        episodes
    }

    /// The spell of lag that goes on at `now_s`, if one does.
    #[must_use]
    pub fn current(&self, now_s: f64) -> Option<Episode> {
        let stale = self.stale.iter().filter(|spell| !spell.over).map(|s| s.episode.clone());
        let goes_on =
            self.behind.as_ref().is_some_and(|s| now_s - s.last_behind_s <= BEHIND_CLEAR_S);
        stale.chain(self.behind_episode().filter(|_| goes_on)).next()
    }

    /// The latest spell of either kind, over or not, as far as it counts by now. An episode is identified
    /// by its beginning.
    pub fn spells(&self) -> impl Iterator<Item = Episode> {
        self.stale.iter().map(|spell| spell.episode.clone()).chain(self.behind_episode())
    }

    fn behind_episode(&self) -> Option<Episode> {
        self.behind.as_ref().and_then(|spell| spell.episode(&self.behind_rule))
    }

    fn judge_lead(&mut self, now_s: f64, lead_s: f64) {
        if self.behind.as_ref().is_some_and(|spell| {
            now_s - spell.last_behind_s > BEHIND_CLEAR_S && lead_s >= self.behind_rule.lead_s
        }) {
            self.end_behind();
        }
        if lead_s < self.behind_rule.lead_s {
            let spell = self.behind.get_or_insert(BehindSpell {
                from_s: now_s,
                last_behind_s: now_s,
                slices: 0,
                of: 0,
                of_at_last_behind: 0,
                worst_lead_s: lead_s,
            });
            spell.of += 1;
            spell.slices += 1;
            spell.last_behind_s = now_s;
            spell.of_at_last_behind = spell.of;
            spell.worst_lead_s = spell.worst_lead_s.min(lead_s);
        } else if let Some(spell) = self.behind.as_mut() {
            spell.of += 1;
        }
    }

    fn note_silence(&mut self, silence: f64) {
        if let Some(StaleSpell {
            episode: Episode { what: LagKind::Stale { silence_s, .. }, .. },
            over: false,
            ..
        }) = self.stale.as_mut()
        {
            *silence_s = silence_s.max(silence);
        }
    }

    fn end_behind(&mut self) {
        self.closed.extend(self.behind_episode());
        self.behind = None;
    }

    /// Begins a transient. What was wrong before it does not go on after it.
    fn unsettle(&mut self, now_s: f64) {
        self.end_behind();
        let advance_s = self.advance_s.clamp(ADVANCE_RANGE_S.0, ADVANCE_RANGE_S.1);
        self.settled_at_s = now_s + advance_s + SETTLE_MARGIN_S;
    }

    fn excused(&self, now_s: f64) -> bool {
        self.paused || now_s < self.settled_at_s
    }

    /// Whether the slices stopped just where a server that saw no change stops them.
    fn went_idle(&self) -> bool {
        let stops_at_s = IDLE_AFTER_S + self.loop_s;
        (self.quiet_at_last_slice_s - stops_at_s).abs() <= IDLE_TOLERANCE_S
    }

    /// Whether the server has nothing to do, since nothing was changed for a while.
    #[must_use]
    pub fn idles(&self, now_s: f64) -> bool {
        self.idle(now_s)
    }

    fn idle(&self, now_s: f64) -> bool {
        let changed_since = self.last_knob_s > self.last_slice_s;
        self.went_idle() && !(changed_since && now_s - self.last_knob_s > IDLE_RESUME_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream in the making: a slice every 50 ms and a tick every 25 ms.
    struct Stream {
        detector: LagDetector,
        now_s: f64,
    }

    impl Stream {
        fn new(loop_s: f64) -> Self {
            Stream { detector: LagDetector::new(3.0, loop_s, 0.0), now_s: 0.0 }
        }

        /// Goes on for `span_s` with slices of `lead_s`, or none, and audio `staleness_s` old.
        fn run(mut self, span_s: f64, lead_s: Option<f64>, staleness_s: f64) -> Self {
            for step in 0..(span_s / 0.025).round() as u64 {
                self.now_s += 0.025;
                self.detector.on_tick(self.now_s, staleness_s);
                if let Some(lead_s) = lead_s.filter(|_| step % 2 == 0) {
                    self.detector.on_slice(self.now_s, lead_s);
                }
            }
            self
        }

        fn then(mut self, command: impl FnOnce(&mut LagDetector, f64)) -> Self {
            command(&mut self.detector, self.now_s);
            self
        }

        fn healthy(self, span_s: f64) -> Self {
            self.run(span_s, Some(0.2), 0.1)
        }

        /// Each episode as kind, beginning and end.
        #[track_caller]
        fn check(self, expected: &[(&str, f64, f64)]) {
            let found: Vec<_> = self
                .detector
                .episodes()
                .iter()
                .map(|episode| {
                    let kind = match episode.what {
                        LagKind::Stale { .. } => "stale",
                        LagKind::Behind { .. } => "behind",
                    };
                    let rounded = |s: f64| (s * 1e3).round() / 1e3;
                    (kind, rounded(episode.from_s), rounded(episode.to_s))
                })
                .collect();
            assert_eq!(found, expected);
        }
    }

    #[track_caller]
    fn check_current(stream: &Stream, expected: Option<&str>) {
        let current = stream.detector.current(stream.now_s).map(|episode| match episode.what {
            LagKind::Stale { .. } => "stale",
            LagKind::Behind { .. } => "behind",
        });
        assert_eq!(current, expected);
    }

    #[test]
    fn what_is_wrong_now() {
        let mut stream = Stream::new(8.0).healthy(3.0);
        check_current(&stream, None);
        stream = stream.run(0.5, None, 5.0);
        check_current(&stream, Some("stale"));
        stream = stream.healthy(0.1);
        check_current(&stream, None);
        stream = stream.run(0.9, Some(-0.5), 0.1);
        check_current(&stream, None);
        stream = stream.run(0.5, Some(-0.5), 0.1);
        check_current(&stream, Some("behind"));
        stream = stream.healthy(0.5);
        check_current(&stream, None);
    }

    #[test]
    fn stale_audio_is_lag_until_it_is_fresh_again() {
        Stream::new(24.0)
            .healthy(2.0)
            .run(1.0, None, 3.5)
            .healthy(2.0)
            .check(&[("stale", 2.025, 3.025)]);
        Stream::new(24.0).healthy(2.0).run(1.0, None, 3.0).check(&[]);
    }

    #[test]
    fn stale_spells_close_together_are_one() {
        let spell = |pause_s| {
            Stream::new(24.0).healthy(2.0).run(0.5, Some(0.2), 4.0).healthy(pause_s).run(
                0.5,
                Some(0.2),
                4.0,
            )
        };
        spell(0.25).check(&[("stale", 2.025, 3.25)]);
        spell(1.0).check(&[("stale", 2.025, 2.525), ("stale", 3.525, 4.0)]);
    }

    #[test]
    fn slices_behind_are_lag_when_it_lasts() {
        Stream::new(24.0)
            .healthy(2.0)
            .run(1.2, Some(-0.3), 0.1)
            .healthy(1.0)
            .check(&[("behind", 2.025, 3.175)]);
        Stream::new(24.0).healthy(2.0).run(0.9, Some(-0.3), 0.1).healthy(1.0).check(&[]);
        Stream::new(24.0).healthy(2.0).run(3.0, Some(-0.04), 0.1).check(&[]);
    }

    #[test]
    fn a_paused_player_hears_nothing() {
        Stream::new(24.0)
            .healthy(2.0)
            .then(|detector, now_s| detector.on_pause(now_s, true))
            .run(5.0, Some(-2.0), 5.0)
            .then(|detector, now_s| detector.on_pause(now_s, false))
            .run(0.5, Some(0.2), 5.0)
            .healthy(1.0)
            .check(&[]);
    }

    #[test]
    fn slices_behind_before_and_after_a_pause_or_a_seek_are_two_spells() {
        let one_behind = |stream: Stream| stream.run(0.05, Some(-0.1), 0.1);
        one_behind(
            one_behind(Stream::new(24.0).healthy(2.0))
                .then(|detector, now_s| detector.on_pause(now_s, true))
                .run(60.0, None, 0.1)
                .then(|detector, now_s| detector.on_pause(now_s, false))
                .run(1.0, None, 0.1),
        )
        .healthy(1.0)
        .check(&[]);
        one_behind(
            one_behind(Stream::new(24.0).healthy(2.0))
                .then(LagDetector::on_seek)
                .run(1.2, None, 0.1),
        )
        .healthy(1.0)
        .check(&[]);
    }

    #[test]
    fn transients_of_seek_and_swap_are_healthy_and_what_outlasts_them_is_not() {
        for command in [LagDetector::on_seek, |detector: &mut LagDetector, now_s| {
            detector.on_swap(now_s, 24.0)
        }] {
            Stream::new(24.0)
                .healthy(2.0)
                .then(command)
                .run(0.7, Some(-5.0), 9.0)
                .healthy(1.0)
                .check(&[]);
        }
        Stream::new(24.0)
            .healthy(2.0)
            .then(LagDetector::on_seek)
            .run(2.0, Some(3.2), 9.0)
            .check(&[("stale", 2.775, 4.0)]);
    }

    #[test]
    fn an_idle_server_is_healthy_and_one_that_stopped_at_another_time_is_not() {
        let idles = |after_s| Stream::new(4.0).healthy(after_s).run(10.0, None, 5.0);
        idles(24.0).check(&[]);
        idles(30.0).check(&[("stale", 30.025, 40.0)]);
        idles(12.0).check(&[("stale", 12.025, 22.0)]);
        // A knob wakes it; the first slices land far ahead, and old audio is heard until then.
        idles(24.0)
            .then(LagDetector::on_knob)
            .run(1.0, None, 5.0)
            .run(1.5, Some(1.35), 5.0)
            .healthy(1.0)
            .check(&[]);
        // One that does not wake is stuck.
        idles(24.0)
            .then(LagDetector::on_knob)
            .run(4.0, None, 5.0)
            .check(&[("stale", 36.025, 38.0)]);
    }
}
