//! What was heard, added up: seconds, ages, episodes.
//!
//! Enters: stretches of listening over audio of one write. Leaves: a [`HeardReport`]. All sums are
//! whole nanoseconds. What is bad: audio last written more than the threshold ago, or never since
//! the buffer came, or for the track before. What is bad while it is excused is counted apart.

use serde::{Deserialize, Serialize};

use super::ages::{AgeQuantiles, Ages};
use super::behind::BehindSpell;
use super::path::Span;
use super::writes::WrittenBy;
use crate::time::Nanos;

/// Bad moments closer together than this belong to one episode.
pub const JOIN_NS: u64 = 500_000_000;
/// An episode with less bad audio than this is counted and no alarm: every lap of the server has a
/// hole of up to one slice interval at its beginning, up to 0.12 s with sound ticks.
pub const ALARM_NS: u64 = 150_000_000;

/// What is wrong in an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadKind {
    /// Audio older than the threshold.
    Stale,
    /// Audio that was never patched since the buffer came.
    Raw,
    /// Audio that was placed for the buffer before.
    OldTrack,
    /// Slices landed behind the listener.
    Behind,
}

/// A spell of bad audio or of slices behind; times are seconds since the initial buffer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HeardEpisode {
    /// When it began.
    pub from_s: f64,
    /// When the last bad moment was over.
    pub to_s: f64,
    /// Seconds of bad audio in between; 0 for slices behind, whose audio is counted where it is
    /// heard.
    pub bad_s: f64,
    /// What most of it was.
    pub kind: BadKind,
    /// Age of the oldest audio, in seconds; for slices behind how far they were, at the worst.
    pub worst_s: f64,
    /// Whether it is long enough to be an alarm.
    pub alarm: bool,
}

/// Holes at the beginning of the loop that are too short for an alarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
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

/// An episode in the making.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Episode {
    from: Nanos,
    to: Nanos,
    /// Stale, raw, old track.
    bad_ns: [u64; 3],
    oldest_ns: u64,
    /// All of it lies at the loop's beginning.
    at_seam: bool,
}

impl Episode {
    fn total_ns(&self) -> u64 {
        self.bad_ns.iter().sum()
    }

    fn reported(&self, origin: Nanos) -> HeardEpisode {
        let [stale, raw, old_track] = self.bad_ns;
        let kind = if old_track > stale.max(raw) {
            BadKind::OldTrack
        } else if raw > stale {
            BadKind::Raw
        } else {
            BadKind::Stale
        };
        HeardEpisode {
            from_s: self.from.seconds_since(origin),
            to_s: self.to.seconds_since(origin),
            bad_s: seconds(self.total_ns()),
            kind,
            worst_s: seconds(self.oldest_ns),
            alarm: self.total_ns() >= ALARM_NS,
        }
    }
}

/// The sums.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tally {
    threshold_ns: u64,
    heard_ns: u64,
    /// Stale, raw, old track.
    bad_ns: [u64; 3],
    excused_ns: u64,
    oldest_ns: u64,
    ages: Ages,
    /// The last one may go on.
    episodes: Vec<Episode>,
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
            behind: Vec::new(),
        }
    }

    /// A tally that begins in the middle of a session, with the episode that may go on there.
    pub fn resume(threshold_ns: u64, episode: Option<Episode>) -> Self {
        Tally { episodes: episode.into_iter().collect(), ..Tally::new(threshold_ns) }
    }

    /// The last episode, which may go on.
    pub fn last_episode(&self) -> Option<Episode> {
        self.episodes.last().copied()
    }

    /// Something was heard; what was bad before `excused_until` does not count.
    pub fn add(&mut self, span: &Span, excused_until: Nanos, at_seam: bool) {
        let Span { from, to, write, .. } = *span;
        let age_ns = from.0.saturating_sub(write.at.0);
        self.heard_ns += to.0 - from.0;
        self.ages.add(age_ns, to.0 - from.0);
        if to > excused_until {
            self.oldest_ns = self.oldest_ns.max(to.0.saturating_sub(write.at.0));
        }
        let too_old = Nanos(write.at.0.saturating_add(self.threshold_ns));
        let (kind, bad_from) = match write.by {
            WrittenBy::Buffer => (1, from),
            WrittenBy::Slice(_) => (0, from.max(too_old)),
            WrittenBy::OldTrack(_) => (2, from),
        };
        if bad_from >= to {
            return;
        }
        self.bad_ns[kind] += to.0 - bad_from.0;
        let counted_from = bad_from.max(excused_until.min(to));
        self.excused_ns += counted_from.0 - bad_from.0;
        if counted_from < to {
            let oldest_ns = to.0.saturating_sub(write.at.0);
            self.count((counted_from, to), kind, oldest_ns, at_seam);
        }
    }

    fn count(&mut self, (from, to): (Nanos, Nanos), kind: usize, oldest_ns: u64, at_seam: bool) {
        let goes_on = self.episodes.last().is_some_and(|e| from.0 - e.to.0 <= JOIN_NS);
        if !goes_on {
            self.episodes.push(Episode { from, to, bad_ns: [0; 3], oldest_ns, at_seam });
        }
        let Some(episode) = self.episodes.last_mut() else { return };
        episode.to = to;
        episode.bad_ns[kind] += to.0 - from.0;
        episode.oldest_ns = episode.oldest_ns.max(oldest_ns);
        episode.at_seam &= at_seam;
    }

    /// All that counted so far was a transient.
    pub fn forgive(&mut self) {
        self.excused_ns += self.episodes.iter().map(Episode::total_ns).sum::<u64>();
        self.episodes.clear();
        self.oldest_ns = 0;
    }

    /// A spell of slices behind is over.
    pub fn add_behind(&mut self, spell: Option<BehindSpell>) {
        self.behind.extend(spell);
    }

    pub fn report(&self, origin: Nanos, behind_now: Option<BehindSpell>) -> HeardReport {
        let mut episodes: Vec<_> = self.episodes.iter().map(|e| e.reported(origin)).collect();
        episodes.extend(self.behind.iter().copied().chain(behind_now).map(|spell| HeardEpisode {
            from_s: spell.from.seconds_since(origin),
            to_s: spell.to.seconds_since(origin),
            bad_s: 0.0,
            kind: BadKind::Behind,
            worst_s: -spell.worst_lead_ns as f64 / 1e9,
            alarm: true,
        }));
        episodes.sort_by(|a, b| a.from_s.total_cmp(&b.from_s));
        let holes = self.episodes.iter().filter(|e| e.at_seam && e.total_ns() < ALARM_NS);
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
                s: seconds(holes.map(Episode::total_ns).sum()),
            },
            bad_s: seconds(self.episodes.iter().map(Episode::total_ns).sum()),
            onset_s: episodes.iter().find(|e| e.alarm).map(|e| e.from_s),
            episodes,
        }
    }
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
