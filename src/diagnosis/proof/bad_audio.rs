//! How much bad audio was heard, as a verdict counts it.

use std::cmp::Ordering;

use serde::Serialize;

use crate::lag::stats::round;
use crate::verdict::HeardUse;

/// Bad audio of the episodes that are alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "mcp", derive(schemars::JsonSchema))]
pub struct BadAudio {
    /// Seconds of it.
    pub s: f64,
    /// Seconds from the beginning to the end of the episodes.
    pub lag_s: f64,
    pub episodes: usize,
    /// Reports of the client that came while it was heard.
    pub ticks: u64,
}

impl BadAudio {
    /// What of it was heard in `window`, in seconds from the initial buffer; of an episode that lies
    /// there in part, that share.
    #[must_use]
    pub fn of(heard: &HeardUse, window: Option<(f64, f64)>) -> BadAudio {
        let (from_s, to_s) = window.unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
        let mut bad = BadAudio::default();
        for episode in heard.report.episodes.iter().filter(|episode| episode.alarm) {
            let inside_s = episode.to_s.min(to_s) - episode.from_s.max(from_s);
            if inside_s <= 0.0 {
                continue;
            }
            let share = inside_s / (episode.to_s - episode.from_s);
            bad.s += share * episode.bad_s;
            bad.lag_s += inside_s;
            bad.episodes += 1;
            let ticks = episode.what.old_audio().map_or(0, |old| old.ticks);
            bad.ticks += (share * ticks as f64).round() as u64;
        }
        BadAudio { s: round(bad.s, 6), lag_s: round(bad.lag_s, 6), ..bad }
    }

    pub(super) fn is_none(&self) -> bool {
        self.episodes == 0
    }

    /// The less bad first.
    pub(super) fn compare(&self, other: &BadAudio) -> Ordering {
        (self.s.total_cmp(&other.s))
            .then(self.lag_s.total_cmp(&other.lag_s))
            .then(self.episodes.cmp(&other.episodes))
            .then(self.ticks.cmp(&other.ticks))
    }
}
