//! `verify`: check every record of a capture, and list all damage.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Outcome;
use crate::capture::{Ending, Losses, Salvage};
use crate::edge::files;
use crate::report::text::Bytes;
use crate::report::{Place, SCHEMA};

/// What a check of one capture found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// Where it begins in the file: 0 but for captures that stand behind others.
    pub begins_at: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Records whose checksum agrees, each counted once.
    pub records: u64,
    /// It ends with its end record.
    pub complete: bool,
    /// Bytes of a record that was cut off at the end.
    pub torn_bytes: u64,
    /// What is lost.
    #[serde(flatten)]
    pub lost: Lost,
}

/// What is lost of a capture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Lost {
    /// Records that are missing, as far as their numbers tell.
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
    pub damage: Vec<Place>,
}

impl Lost {
    /// What a reader lost.
    #[must_use]
    pub fn of(losses: &Losses) -> Lost {
        let damage = Place::all(losses);
        Lost {
            records_lost: losses.records,
            bytes_lost: losses.bytes,
            seconds_lost: damage.iter().map(Place::lost_s).sum(),
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
            let _ = writeln!(
                out,
                "  {} records stand in the file again or out of order",
                self.repeated
            );
        }
    }
}

impl Verified {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let damaged = self.lost.anything() || self.begins_at > 0;
        if damaged { Outcome::Damaged } else { Outcome::Healthy }
    }
}

/// Checks every record of the captures in a file; there is one, unless files were put together.
pub fn verify(path: &Path) -> Result<Vec<Verified>> {
    let context = || format!("cannot verify {}", path.display());
    let mut records = files::open_capture(path).with_context(context)?;
    let mut found = Vec::new();
    loop {
        found.push(verify_one(path, &mut records).with_context(context)?);
        if !records.next_capture() {
            return Ok(found);
        }
    }
}

fn verify_one(path: &Path, records: &mut Salvage<File>) -> Result<Verified> {
    let begins_at = records.offset();
    while records.next_record()?.is_some() {}
    let torn_bytes = match records.ending() {
        Some(Ending::Incomplete { torn_bytes }) => torn_bytes,
        _ => 0,
    };
    Ok(Verified {
        schema: SCHEMA,
        capture: path.display().to_string(),
        begins_at,
        bytes: records.offset() - begins_at + torn_bytes,
        records: records.records(),
        complete: records.ending() == Some(Ending::Complete),
        torn_bytes,
        lost: Lost::of(records.losses()),
    })
}

/// Prints what was found for a person.
#[must_use]
pub fn verified_text(found: &[Verified]) -> String {
    let mut out = String::new();
    for verified in found {
        let state = match (verified.lost.anything(), verified.complete, verified.torn_bytes) {
            (true, ..) => "damaged".to_owned(),
            (false, true, _) => "sound and complete".to_owned(),
            (false, false, 0) => "sound; the recording was not closed".to_owned(),
            (false, false, torn) => format!("sound; cut within a record, {torn} bytes of it"),
        };
        let name = match verified.begins_at {
            0 => verified.capture.clone(),
            at => format!("{}: another capture at byte {at}", verified.capture),
        };
        let Verified { records, bytes, .. } = verified;
        let _ = writeln!(out, "{name} · {} · {records} records · {state}", Bytes(*bytes));
        verified.lost.lines(&mut out);
    }
    if found.iter().any(|verified| verified.outcome() == Outcome::Damaged) {
        let name = &found[0].capture;
        let _ = writeln!(out, "  next: lagtape recover {name} -o recovered.lagtape");
    }
    out
}
