//! What is missing of a capture, as `verify`, `recover`, `cut` and `redact` report it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::capture::Losses;
use crate::report::DamagedPlace;
use crate::report::text::RecordCount;

/// What is lost of a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// Records that are missing, counted by the gaps in their numbers.
    pub records_lost: u64,
    /// Bytes that are no sound records.
    pub bytes_lost: u64,
    /// The time in which records are missing.
    pub seconds_lost: f64,
    /// Records that stand in the file again or out of order.
    pub repeated: u64,
    /// Places that are damaged.
    pub places: u64,
    /// The first thousand of them.
    pub damage: Vec<DamagedPlace>,
}

impl Lost {
    /// What a reader lost.
    #[must_use]
    pub fn of(losses: &Losses) -> Lost {
        let damage = DamagedPlace::all(losses);
        Lost {
            records_lost: losses.records,
            bytes_lost: losses.bytes,
            // The sum of nothing is a negative zero.
            seconds_lost: damage.iter().map(DamagedPlace::lost_s).sum::<f64>() + 0.0,
            repeated: losses.repeated,
            places: losses.count,
            damage,
        }
    }

    /// Whether anything is damaged.
    #[must_use]
    pub fn anything(&self) -> bool {
        self.places > 0 || self.repeated > 0
    }

    /// A line for each place, and one for what came again.
    pub(super) fn lines(&self, out: &mut String) {
        for place in &self.damage {
            let _ = writeln!(out, "  {place}");
        }
        let more = self.places - self.damage.len() as u64;
        if more > 0 {
            let _ = writeln!(out, "  … and {more} places more");
        }
        if self.repeated > 0 {
            let _ =
                writeln!(out, "  {} again or out of order in the file", RecordCount(self.repeated));
        }
    }
}
