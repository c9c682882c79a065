//! Counts of what a capture holds up to a checkpoint.

use serde::{Deserialize, Serialize};

use crate::time::Nanos;

/// What a file holds up to a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Records with numbers of their own.
    pub records: u64,
    /// Messages of the client.
    pub up_messages: u64,
    /// Bytes of their whole payloads.
    pub up_bytes: u64,
    /// Messages of the server.
    pub down_messages: u64,
    /// Bytes of their whole payloads.
    pub down_bytes: u64,
    /// Records that gaps stand for.
    pub lost: u64,
    /// Time of the first record.
    pub first: Nanos,
    /// Latest time of any record.
    pub latest: Nanos,
    /// How long the client's pings took.
    #[serde(default, skip_serializing_if = "RoundTrips::is_empty")]
    pub round_trips: RoundTrips,
}

/// How long the client's pings took to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u64, u64, u64)", into = "(u64, u64, u64, u64)")]
pub struct RoundTrips {
    /// Pings that were answered.
    pub count: u64,
    /// Nanoseconds of the shortest; 0 without any.
    pub shortest_ns: u64,
    /// Nanoseconds of the longest.
    pub longest_ns: u64,
    /// Nanoseconds of all together.
    pub sum_ns: u64,
}

impl RoundTrips {
    /// Whether no ping was answered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds one, if it was answered.
    pub fn add(&mut self, took_ns: Option<u64>) {
        let Some(took_ns) = took_ns else { return };
        self.shortest_ns = if self.is_empty() { took_ns } else { self.shortest_ns.min(took_ns) };
        self.longest_ns = self.longest_ns.max(took_ns);
        self.sum_ns = self.sum_ns.saturating_add(took_ns);
        self.count = self.count.saturating_add(1);
    }
}

impl From<(u64, u64, u64, u64)> for RoundTrips {
    fn from((count, shortest_ns, longest_ns, sum_ns): (u64, u64, u64, u64)) -> Self {
        RoundTrips { count, shortest_ns, longest_ns, sum_ns }
    }
}

impl From<RoundTrips> for (u64, u64, u64, u64) {
    fn from(trips: RoundTrips) -> Self {
        (trips.count, trips.shortest_ns, trips.longest_ns, trips.sum_ns)
    }
}
