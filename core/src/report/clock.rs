//! Times of a capture as people read them.

use crate::engine::Engine;
use crate::lag::stats::round;
use crate::time::Nanos;

/// The clock that people read: seconds from the initial buffer, or from the first record of a
/// capture in which none came.
pub(super) struct ReportClock {
    origin: Nanos,
    pub at: Nanos,
}

impl ReportClock {
    pub fn of(engine: &Engine, at: Nanos) -> ReportClock {
        let first = engine.facts().span.map_or(at, |(first, _)| first);
        ReportClock { origin: engine.origin().unwrap_or(first), at }
    }

    /// The moment of so many seconds on it; what was before the capture's clock began is its 0.
    #[cfg(feature = "forms")]
    pub fn moment(&self, s: f64) -> Nanos {
        let since_ns = (s * 1e9).round() as i64;
        Nanos(self.origin.0.saturating_add_signed(since_ns))
    }

    pub fn s(&self, t: Nanos) -> f64 {
        round(t.seconds_since(self.origin), 6)
    }
}
