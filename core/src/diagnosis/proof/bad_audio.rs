//! How much bad audio was heard, as a verdict counts it.

use std::cmp::Ordering;

use serde::Serialize;

use crate::lag::stats::round;
use crate::verdict::HeardUse;

/// Bad audio of the episodes that are alarms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::{AppliedBy, HeardEpisode, HeardReport, LagKind, OldAudio};

    #[test]
    fn alarms_count_as_far_as_they_lie_in_the_window() {
        let episode = |from_s, to_s, bad_s, alarm| {
            let old = OldAudio { ticks: 40, worst_staleness_s: 4.0, silence_s: 0.0 };
            HeardEpisode { from_s, to_s, bad_s, alarm, what: LagKind::Stale(old) }
        };
        let episodes = vec![episode(1.0, 1.1, 0.1, false), episode(4.0, 6.0, 1.0, true)];
        let report = HeardReport { episodes, ..HeardReport::default() };
        let heard = HeardUse { report, applied: AppliedBy::Handling, held_back: 0 };
        let all = BadAudio { s: 1.0, lag_s: 2.0, episodes: 1, ticks: 40 };
        assert_eq!(BadAudio::of(&heard, None), all);
        let half = BadAudio { s: 0.5, lag_s: 1.0, episodes: 1, ticks: 20 };
        assert_eq!(BadAudio::of(&heard, Some((0.0, 5.0))), half);
        assert!(BadAudio::of(&heard, Some((0.0, 4.0))).is_none());
    }
}
