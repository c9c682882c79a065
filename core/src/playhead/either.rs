//! Either kind of playhead behind one type.
//!
//! Ops move only the simulated playhead and reports only the reported one; each ignores the other.

use super::{Movement, PlacedReport, PlayheadSim, ReportedPlayhead};
use crate::capture::{Marker, PlayheadLine};
use crate::time::Nanos;

/// Which playhead the reports measure against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PlayheadSource {
    /// The reference's simulated playhead, moved by the capture's own seeks, pauses and rates.
    Simulated,
    /// The client's `playback_pos`, extrapolated at 1× and held while reports repeat.
    Reported,
}

/// A playhead, moved by time and ops or by the client's reports.
#[derive(Clone, Debug, PartialEq)]
pub enum Playhead {
    Simulated(PlayheadSim),
    Reported(ReportedPlayhead),
}

impl Playhead {
    #[must_use]
    pub fn source(&self) -> PlayheadSource {
        match self {
            Playhead::Simulated(_) => PlayheadSource::Simulated,
            Playhead::Reported(_) => PlayheadSource::Reported,
        }
    }

    /// The frame that is heard.
    #[must_use]
    pub fn frame(&self, now_s: f64) -> u64 {
        match self {
            Playhead::Simulated(playhead) => playhead.frame(now_s),
            Playhead::Reported(playhead) => playhead.frame(now_s),
        }
    }

    /// The position in seconds from the start of the loop.
    #[must_use]
    pub fn seconds(&self, now_s: f64) -> f64 {
        match self {
            Playhead::Simulated(playhead) => playhead.seconds(now_s),
            Playhead::Reported(playhead) => playhead.seconds(now_s),
        }
    }

    /// How it goes on from a moment while nothing moves it.
    #[must_use]
    pub fn line(&self, at: Nanos) -> PlayheadLine {
        let now_s = at.seconds();
        let (position, rate, sample_rate) = match self {
            Playhead::Simulated(playhead) => {
                let rate = if playhead.paused() { 0.0 } else { playhead.rate() };
                (playhead.position(now_s), rate, playhead.sample_rate())
            }
            Playhead::Reported(playhead) => {
                let rate = if playhead.is_held() { 0.0 } else { 1.0 };
                (playhead.position(now_s), rate, playhead.sample_rate())
            }
        };
        PlayheadLine { at, position, speed: rate * f64::from(sample_rate) }
    }

    /// Whether the listener stands still.
    #[must_use]
    pub fn paused(&self, now_s: f64) -> bool {
        match self {
            Playhead::Simulated(playhead) => playhead.paused() || playhead.rate() == 0.0,
            Playhead::Reported(playhead) => playhead.paused(now_s),
        }
    }

    /// Restarts at frame 0 of a loop of another length, as a swap does.
    pub fn reset(&mut self, frames: u64, now_s: f64) {
        match self {
            Playhead::Simulated(playhead) => playhead.reset(frames, now_s),
            Playhead::Reported(playhead) => playhead.reset(frames, now_s),
        }
    }

    /// Does what the listener did; `None` if the playhead follows reports instead.
    pub fn operate(&mut self, op: &Marker, now_s: f64) -> Option<Movement> {
        let Playhead::Simulated(playhead) = self else { return None };
        playhead.operate(op, now_s);
        Some(if matches!(op, Marker::Seek { .. }) { Movement::Jumped } else { Movement::Moved })
    }

    /// Takes the position that the client reports, and its own time; `None` if the playhead is simulated.
    pub fn report(
        &mut self,
        position_s: f64,
        client_s: Option<f64>,
        now_s: f64,
    ) -> Option<PlacedReport> {
        let Playhead::Reported(playhead) = self else { return None };
        Some(playhead.report(position_s, client_s, now_s))
    }

    #[must_use]
    pub fn simulated(&self) -> Option<&PlayheadSim> {
        if let Playhead::Simulated(playhead) = self { Some(playhead) } else { None }
    }

    #[must_use]
    pub fn reported(&self) -> Option<&ReportedPlayhead> {
        if let Playhead::Reported(playhead) = self { Some(playhead) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn playhead_ignores_what_moves_the_other_kind() {
        let mut simulated = Playhead::Simulated(PlayheadSim::new(480_000, 48_000, 0.0));
        let mut reported = Playhead::Reported(ReportedPlayhead::new(480_000, 48_000, 0.0));
        assert_eq!(simulated.report(5.0, None, 1.0), None);
        assert_eq!(reported.operate(&Marker::Seek { to_s: 5.0 }, 1.0), None);
        assert_eq!((simulated.frame(1.0), reported.frame(1.0)), (48_000, 48_000));
        let seek = Marker::Seek { to_s: 5.0 };
        assert_eq!(simulated.operate(&seek, 1.0), Some(Movement::Jumped));
        assert_eq!(simulated.operate(&Marker::Pause, 1.0), Some(Movement::Moved));
        let placed = PlacedReport { movement: Movement::Moved, late_s: 0.0 };
        assert_eq!(reported.report(5.0, None, 1.0), Some(placed));
        assert_eq!((simulated.frame(1.0), reported.frame(1.0)), (240_000, 240_000));
        assert!(simulated.paused(1.0) && !reported.paused(1.0));
    }

    #[test]
    fn a_rate_of_nothing_is_a_pause() {
        let mut playhead = Playhead::Simulated(PlayheadSim::new(480_000, 48_000, 0.0));
        playhead.operate(&Marker::Rate { rate: 0.0 }, 1.0);
        assert!(playhead.paused(1.0) && playhead.line(Nanos(1_000_000_000)).speed == 0.0);
        playhead.operate(&Marker::Rate { rate: 0.5 }, 2.0);
        assert!(!playhead.paused(2.0));
    }
}
