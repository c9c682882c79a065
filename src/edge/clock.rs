//! The only place that reads clocks.

#![expect(
    clippy::disallowed_methods,
    reason = "the edge's clock is where time comes from; everything else is handed it"
)]

use std::time::{Duration, Instant};

use crate::time::Nanos;

/// One monotonic clock for everything that a session stamps.
#[derive(Debug, Clone, Copy)]
pub struct MonotonicClock {
    origin: Instant,
}

impl MonotonicClock {
    /// A clock that starts at zero.
    #[must_use]
    pub fn start() -> Self {
        MonotonicClock { origin: Instant::now() }
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> Nanos {
        Nanos(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Resolves at `at`, or never.
    pub async fn reached(&self, at: Option<Nanos>) {
        match at.and_then(|at| self.origin.checked_add(Duration::from_nanos(at.0))) {
            Some(instant) => tokio::time::sleep_until(instant.into()).await,
            None => std::future::pending().await,
        }
    }
}

/// Civil time in UTC, RFC 3339.
#[must_use]
pub fn utc_now() -> String {
    jiff::Timestamp::now().to_string()
}

/// Civil time as seconds since 1970.
#[must_use]
pub fn unix_seconds() -> f64 {
    jiff::Timestamp::now().as_microsecond() as f64 / 1e6
}

/// Civil time in UTC as part of a file name: `2026-11-22T16-04-10Z`.
#[must_use]
pub fn utc_file_name() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// Random bytes for a sync marker. They are no secret, and only have to differ from capture to capture.
#[must_use]
pub fn random_marker() -> crate::capture::SyncMarker {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_i128(jiff::Timestamp::now().as_nanosecond());
    crate::capture::SyncMarker(hasher.finish().to_le_bytes())
}
