//! Pass or fail: whether what was heard is lag.
//!
//! Enters: a report of what was heard, and why it may say nothing. Leaves: a [`Verdict`], the same
//! for a recording, a live session and what would have been.

use serde::Serialize;

use crate::heard::{AppliedBy, HeardEpisode, HeardMeter, HeardReport, LagKind};
use crate::lag::stats::round;
use crate::time::Nanos;

/// Why there is no verdict on a stream that nobody listened to.
const NOTHING_HEARD: &str =
    "nobody is known to have heard anything, since the playhead was never seen to move";

/// What was heard, and how well that is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeardUse {
    #[serde(flatten)]
    pub report: HeardReport,
    /// What tells when slices were applied.
    pub applied: AppliedBy,
    /// Slices that the client applied later than they came, as far as is known.
    pub held_back: u64,
}

impl HeardUse {
    /// What a meter has measured; times are seconds from `origin`.
    #[must_use]
    pub fn of(meter: &HeardMeter, origin: Nanos) -> HeardUse {
        HeardUse {
            report: meter.report(origin),
            applied: meter.applied_by(),
            held_back: meter.held_back(),
        }
    }
}

/// Pass or fail, with the reasons. It rests on what was heard.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Verdict {
    /// A listener heard lag; `null` where nobody can tell, which is not healthy.
    pub lag: Option<bool>,
    /// There is a verdict.
    pub known: bool,
    /// Why there is none.
    pub why: Option<String>,
    /// `stale_ticks` (old audio), `raw_audio`, `old_track`, `slices_behind`; of a session that only
    /// appends `past_frontier` and `hole`.
    pub reasons: Vec<&'static str>,
    /// Seconds of bad audio heard, short holes included.
    pub bad_s: f64,
    /// When the first episode began; `null` when healthy.
    pub onset_s: Option<f64>,
    /// Seconds covered by episodes.
    pub lag_s: f64,
    /// The spells of lag: what was heard that is long enough to be an alarm.
    pub episodes: Vec<HeardEpisode>,
}

impl Verdict {
    /// Of a report, or that there is none and why. Nothing heard is nothing that was healthy.
    #[must_use]
    pub fn of(report: &HeardReport, why: Option<String>) -> Verdict {
        let is_silent = report.s <= 0.0 && report.episodes.is_empty();
        let why = why.or(is_silent.then(|| NOTHING_HEARD.to_owned()));
        if why.is_some() {
            return Verdict::unknown(why);
        }
        let alarms = report.episodes.iter().filter(|episode| episode.alarm);
        let episodes: Vec<_> = alarms.copied().collect();
        let is_any = |of: fn(&LagKind) -> bool| episodes.iter().any(|episode| of(&episode.what));
        let reasons = [
            (is_any(|what| matches!(what, LagKind::Stale(_))), "stale_ticks"),
            (is_any(|what| matches!(what, LagKind::Raw(_))), "raw_audio"),
            (is_any(|what| matches!(what, LagKind::OldTrack(_))), "old_track"),
            (is_any(|what| matches!(what, LagKind::PastFrontier(_))), "past_frontier"),
            (is_any(|what| matches!(what, LagKind::Hole(_))), "hole"),
            (is_any(LagKind::is_behind), "slices_behind"),
        ];
        Verdict {
            lag: Some(!episodes.is_empty()),
            known: true,
            why: None,
            reasons: reasons.into_iter().filter_map(|(is_so, why)| is_so.then_some(why)).collect(),
            bad_s: report.bad_s,
            onset_s: report.onset_s,
            lag_s: round(covered_s(&episodes), 6),
            episodes,
        }
    }

    /// Whether there is a verdict, and it is lag.
    #[must_use]
    pub fn is_lag(&self) -> bool {
        self.lag == Some(true)
    }

    fn unknown(why: Option<String>) -> Verdict {
        Verdict {
            lag: None,
            known: false,
            why,
            reasons: Vec::new(),
            bad_s: 0.0,
            onset_s: None,
            lag_s: 0.0,
            episodes: Vec::new(),
        }
    }
}

/// Seconds that lie within at least one episode. The episodes are sorted by their beginnings.
fn covered_s(episodes: &[HeardEpisode]) -> f64 {
    let mut covered = 0.0;
    let mut until = f64::NEG_INFINITY;
    for episode in episodes {
        covered += (episode.to_s - episode.from_s.max(until)).max(0.0);
        until = until.max(episode.to_s);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heard::OldAudio;

    #[test]
    fn verdict_counts_overlapping_episodes_once() {
        let old = OldAudio { ticks: 1, worst_staleness_s: 4.0, silence_s: 0.0 };
        let what = LagKind::Stale(old);
        let episode = |from_s, to_s| HeardEpisode { from_s, to_s, bad_s: 0.5, alarm: true, what };
        assert_eq!(covered_s(&[]), 0.0);
        assert_eq!(covered_s(&[episode(1.0, 3.0), episode(2.0, 2.5), episode(2.5, 4.0)]), 3.0);
        assert_eq!(covered_s(&[episode(1.0, 2.0), episode(5.0, 6.5)]), 2.5);
    }

    #[test]
    fn verdict_rounds_what_its_episodes_cover() {
        let old = OldAudio { ticks: 1, worst_staleness_s: 4.0, silence_s: 0.0 };
        let (what, alarm) = (LagKind::Stale(old), true);
        let episode = HeardEpisode { from_s: 0.1, to_s: 1.000_000_4, bad_s: 0.5, alarm, what };
        let report = HeardReport { episodes: vec![episode], ..HeardReport::default() };
        assert_eq!(Verdict::of(&report, None).lag_s, 0.9);
    }

    #[test]
    fn verdict_names_what_is_an_alarm() {
        let old = OldAudio { ticks: 1, worst_staleness_s: 4.0, silence_s: 0.0 };
        let behind = LagKind::Behind { slices: 1, of: 1, worst_lead_s: -1.0 };
        let kinds = [
            (LagKind::Stale(old), "stale_ticks"),
            (LagKind::Raw(old), "raw_audio"),
            (LagKind::OldTrack(old), "old_track"),
            (LagKind::PastFrontier(old), "past_frontier"),
            (LagKind::Hole(old), "hole"),
            (behind, "slices_behind"),
        ];
        for (alarming, reason) in kinds {
            // The others are there, and none of them is long enough.
            let episodes = kinds.map(|(what, _)| HeardEpisode {
                from_s: 1.0,
                to_s: 2.0,
                bad_s: 0.5,
                alarm: what == alarming,
                what,
            });
            let report = HeardReport {
                bad_s: 3.0,
                onset_s: Some(1.0),
                episodes: episodes.to_vec(),
                ..HeardReport::default()
            };
            let verdict = Verdict::of(&report, None);
            assert_eq!((verdict.reasons.as_slice(), verdict.lag), (&[reason][..], Some(true)));
            assert!(verdict.is_lag() && verdict.known);
            assert_eq!((verdict.bad_s, verdict.onset_s, verdict.lag_s), (3.0, Some(1.0), 1.0));
            assert_eq!(verdict.episodes.len(), 1);
            // Whatever was heard, nobody can tell what of it.
            let unknown = Verdict::of(&report, Some("why".to_owned()));
            assert_eq!(
                (unknown.lag, unknown.known, unknown.why.as_deref()),
                (None, false, Some("why"))
            );
            assert!(!unknown.is_lag() && unknown.episodes.is_empty() && unknown.reasons.is_empty());
            assert_eq!((unknown.bad_s, unknown.onset_s, unknown.lag_s), (0.0, None, 0.0));
        }
        let healthy = Verdict::of(&HeardReport { s: 1.0, ..HeardReport::default() }, None);
        assert_eq!((healthy.lag, healthy.is_lag(), healthy.known), (Some(false), false, true));
        let silent = Verdict::of(&HeardReport::default(), None);
        assert_eq!((silent.lag, silent.known, silent.why.is_some()), (None, false, true));
    }
}
