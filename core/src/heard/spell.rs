//! A spell of bad audio, or of slices behind: what it adds up to, what most of it was, and whether it is an
//! alarm.

use serde::Serialize;

use crate::capture::{BehindSpell, HeardSpell};
use crate::time::Nanos;

/// Bad moments closer together than this belong to one episode.
pub const JOIN_NS: u64 = 500_000_000;
/// An episode with less bad audio than this is counted and no alarm: every lap of the server has a
/// hole of up to one slice interval at its beginning, up to 0.12 s with sound ticks.
pub const ALARM_NS: u64 = 150_000_000;
/// A hole of a tape that is longer than this is an alarm, as nothing healthy leaves one. The shortest
/// slice is one frame of 40 ms, of which the next one repeats 25 ms (`mrt2/backend.py@0aa43c8`).
pub const HOLE_ALARM_NS: u64 = 10_000_000;
/// Silence between slices from which an episode of old audio is told as a stop of the slices.
pub const SILENCE_S: f64 = 1.0;

/// What is wrong in an episode.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LagKind {
    /// Audio older than the threshold.
    Stale(OldAudio),
    /// Audio that was never patched since the buffer came.
    Raw(OldAudio),
    /// Audio that was placed for the buffer before.
    OldTrack(OldAudio),
    /// The playhead passed the frontier of an append-only tape.
    PastFrontier(OldAudio),
    /// A slice of an append-only tape never came.
    Hole(OldAudio),
    /// Slices landed behind the listener.
    Behind {
        slices: u64,
        /// All slices of the spell.
        of: u64,
        worst_lead_s: f64,
    },
}

/// How bad an episode of old audio was.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OldAudio {
    /// Reports of the client that came while it was heard.
    pub ticks: u64,
    /// The oldest audio heard.
    pub worst_staleness_s: f64,
    /// The longest time without a slice, up to the end of the episode.
    pub silence_s: f64,
}

impl LagKind {
    /// How bad the audio was, of an episode in which some was heard.
    #[must_use]
    pub fn old_audio(&self) -> Option<&OldAudio> {
        match self {
            LagKind::Stale(old)
            | LagKind::Raw(old)
            | LagKind::OldTrack(old)
            | LagKind::PastFrontier(old)
            | LagKind::Hole(old) => Some(old),
            LagKind::Behind { .. } => None,
        }
    }

    /// Whether it is slices that landed behind, and no audio heard.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        matches!(self, LagKind::Behind { .. })
    }
}

/// A spell of bad audio or of slices behind; times are seconds since the initial buffer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct HeardEpisode {
    pub from_s: f64,
    /// When the last bad moment was over.
    pub to_s: f64,
    /// Seconds of bad audio in between; 0 for slices behind, whose audio is counted where it is
    /// heard.
    pub bad_s: f64,
    /// Whether it is long enough to be an alarm.
    pub alarm: bool,
    /// What most of it was.
    #[serde(flatten)]
    pub what: LagKind,
}

impl HeardSpell {
    /// Nothing bad yet.
    pub fn new(from: Nanos, at_seam: bool) -> Self {
        HeardSpell {
            from,
            to: from,
            bad_ns: [0; 3],
            oldest_ns: 0,
            silence_ns: 0,
            ticks: 0,
            at_seam,
            tape_ns: [0; 2],
        }
    }

    /// All bad audio in it.
    pub fn total_ns(&self) -> u64 {
        self.bad_ns.iter().fold(0, |sum, ns| sum.saturating_add(*ns))
    }

    pub fn is_alarm(&self) -> bool {
        self.total_ns() >= ALARM_NS || self.tape_ns[1] >= HOLE_ALARM_NS
    }

    /// Whether what is bad from this moment on belongs to it.
    pub fn goes_on_at(&self, from: Nanos) -> bool {
        from.0.saturating_sub(self.to.0) <= JOIN_NS
    }

    /// Adds bad audio of this kind up to `to`.
    pub fn add(&mut self, kind: usize, from: Nanos, to: Nanos, written: Nanos, last_slice: Nanos) {
        self.to = to;
        self.bad_ns[kind] = self.bad_ns[kind].saturating_add(to.0 - from.0);
        self.oldest_ns = self.oldest_ns.max(to.0.saturating_sub(written.0));
        self.silence_ns = self.silence_ns.max(to.0.saturating_sub(last_slice.0));
    }

    /// Goes on with another one.
    pub fn join(&mut self, other: &HeardSpell) {
        self.to = other.to;
        for (ns, more) in self.bad_ns.iter_mut().zip(other.bad_ns) {
            *ns = ns.saturating_add(more);
        }
        for (ns, more) in self.tape_ns.iter_mut().zip(other.tape_ns) {
            *ns = ns.saturating_add(more);
        }
        self.oldest_ns = self.oldest_ns.max(other.oldest_ns);
        self.silence_ns = self.silence_ns.max(other.silence_ns);
        self.ticks = self.ticks.saturating_add(other.ticks);
        self.at_seam &= other.at_seam;
    }

    pub fn reported(&self, origin: Nanos) -> HeardEpisode {
        let old = OldAudio {
            ticks: self.ticks,
            worst_staleness_s: seconds(self.oldest_ns),
            silence_s: seconds(self.silence_ns),
        };
        let [stale, raw, old_track] = self.bad_ns;
        let [past, hole] = self.tape_ns;
        let what = if past.max(hole) > 0 {
            if hole > past { LagKind::Hole(old) } else { LagKind::PastFrontier(old) }
        } else if old_track > stale.max(raw) {
            LagKind::OldTrack(old)
        } else if raw > stale {
            LagKind::Raw(old)
        } else {
            LagKind::Stale(old)
        };
        HeardEpisode {
            from_s: self.from.seconds_since(origin),
            to_s: self.to.seconds_since(origin),
            bad_s: seconds(self.total_ns()),
            alarm: self.is_alarm(),
            what,
        }
    }
}

impl BehindSpell {
    pub fn reported(&self, origin: Nanos) -> HeardEpisode {
        HeardEpisode {
            from_s: self.from.seconds_since(origin),
            to_s: self.to.seconds_since(origin),
            bad_s: 0.0,
            alarm: true,
            what: LagKind::Behind {
                slices: self.slices,
                of: self.of_to,
                worst_lead_s: self.worst_lead_ns as f64 / 1e9,
            },
        }
    }
}

pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}
