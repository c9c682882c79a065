//! What of a capture is damaged: a summary, and a list of places.
//!
//! Nothing is guessed about lost records: their numbers and times are those of the records around them.

use std::fmt;

use serde::Serialize;

use super::format::{OneLine, RecordCount};
use crate::capture::{Loss, Losses};

/// What of a capture is damaged; the rest was used.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DamageReport {
    /// Sound records before the first damage.
    pub record: u64,
    /// Offset of that in the file.
    pub offset: u64,
    /// What is wrong, in a sentence.
    pub reason: String,
    /// In how many places.
    pub places: u64,
    /// Bytes that are no sound records.
    pub bytes: u64,
    /// Records that are missing, as far as their numbers tell.
    pub records_lost: u64,
    /// Records that stood in the file again or out of order, and were left out.
    pub repeated: u64,
}

impl DamageReport {
    /// What a reader lost of a capture, if anything.
    #[must_use]
    pub fn of(losses: &Losses) -> Option<DamageReport> {
        if losses.is_empty() {
            return None;
        }
        let Losses { count: places, bytes, records: records_lost, repeated, .. } = *losses;
        let first = losses.first.first();
        let what = match first {
            Some(loss) => format!(
                "damaged after {}, at byte {}: {}",
                RecordCount(loss.record),
                loss.offset,
                loss.reason
            ),
            None => format!("damaged: {} again or out of order in it", RecordCount(repeated)),
        };
        let reason = format!(
            "{what}; {} and {bytes} bytes are lost, and all others were used; `lagtape verify` \
             lists every place, `lagtape recover` writes a sound copy",
            RecordCount(records_lost)
        );
        Some(DamageReport {
            record: first.map_or(0, |loss| loss.record),
            offset: first.map_or(0, |loss| loss.offset),
            reason,
            places,
            bytes,
            records_lost,
            repeated,
        })
    }
}

/// One place where a capture is damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DamagedPlace {
    /// Sound records before it.
    pub record: u64,
    /// Where it begins in the file.
    pub offset: u64,
    /// Bytes that are no records.
    pub bytes: u64,
    /// What is wrong with the first of them.
    pub reason: String,
    /// Number of the first record that is missing.
    pub first_missing: Option<u64>,
    /// How many are missing; `null` at the end of a file, where nobody can tell.
    pub missing: Option<u64>,
    /// Time of the last record before it.
    pub after_ns: Option<u64>,
    /// Time of the first record behind it.
    pub before_ns: Option<u64>,
}

impl DamagedPlace {
    /// The places that a reader noted.
    #[must_use]
    pub fn all(losses: &Losses) -> Vec<DamagedPlace> {
        losses.first.iter().map(DamagedPlace::of).collect()
    }

    fn of(loss: &Loss) -> DamagedPlace {
        DamagedPlace {
            record: loss.record,
            offset: loss.offset,
            bytes: loss.bytes,
            reason: loss.reason.to_string(),
            first_missing: loss.missing.filter(|&(_, count)| count > 0).map(|(first, _)| first),
            missing: loss.missing.map(|(_, count)| count),
            after_ns: loss.between.0.map(|t| t.0),
            before_ns: loss.between.1.map(|t| t.0),
        }
    }

    /// The time in which records are missing.
    #[must_use]
    pub fn lost_s(&self) -> f64 {
        match (self.missing, self.after_ns, self.before_ns) {
            (Some(1..), Some(after), Some(before)) => before.saturating_sub(after) as f64 / 1e9,
            _ => 0.0,
        }
    }
}

impl fmt::Display for DamagedPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DamagedPlace { record, offset, bytes, reason, .. } = self;
        let (before, reason) = (RecordCount(*record), OneLine(reason));
        write!(f, "byte {offset}, after {before}: {reason}; {bytes} bytes are no records")?;
        match (self.missing, self.first_missing) {
            (Some(count), Some(first)) if count > 1 => {
                write!(f, ", and records {first} to {} are missing", first + (count - 1))?;
                write!(f, " ({:.3} s)", self.lost_s())
            }
            (Some(_), Some(first)) => {
                write!(f, ", and record {first} is missing ({:.3} s)", self.lost_s())
            }
            (Some(_), None) => write!(f, ", and no record is missing"),
            (None, _) => write!(f, ", and the file ends"),
        }
    }
}
