//! Round-trip times of the client's pings.

use std::fmt::{self, Display, Formatter};

use serde::Serialize;

use super::format::Figure;
use crate::capture::RoundTrips;

/// Round trips in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RoundTripReport {
    /// Pings that were answered.
    pub pings: u64,
    pub shortest_ms: f64,
    /// Their mean.
    pub mean_ms: f64,
    pub longest_ms: f64,
}

impl RoundTripReport {
    /// Of pings, where any was answered.
    #[must_use]
    pub fn of(trips: RoundTrips) -> Option<Self> {
        let RoundTrips { count, shortest_ns, longest_ns, sum_ns } = trips;
        // To the microsecond.
        let ms = |ns: f64| (ns / 1e3).round() / 1e3;
        (!trips.is_empty()).then(|| RoundTripReport {
            pings: count,
            shortest_ms: ms(shortest_ns as f64),
            mean_ms: ms(sum_ns as f64 / count as f64),
            longest_ms: ms(longest_ns as f64),
        })
    }
}

impl Display for RoundTripReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let RoundTripReport { pings, shortest_ms, mean_ms, longest_ms } = *self;
        let (shortest, mean, longest) = (Figure(shortest_ms), Figure(mean_ms), Figure(longest_ms));
        write!(f, "min {shortest}   mean {mean}   max {longest} ms   {pings} pings")
    }
}
