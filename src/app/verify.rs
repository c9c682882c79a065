//! `verify`: check every record of a capture, and list all damage.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::Outcome;
use crate::capture::{Body, Digest, Ending, Losses, Record, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::engine::{Engine, Options};
use crate::report::text::{Bytes, RecordCount};
use crate::report::{DamagedPlace, SCHEMA};

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
    /// Records whose checksum agrees, each counted once; contexts and checkpoints are among them.
    pub records: u64,
    /// It ends with its end record.
    pub complete: bool,
    /// Bytes of a record that was cut off at the end.
    pub torn_bytes: u64,
    /// What is lost.
    #[serde(flatten)]
    pub lost: Lost,
    /// What a replay proved, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Proof>,
}

/// What a replay proved against the checkpoints of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// Checkpoints before the first loss; after it the state is not known.
    pub checkpoints: u64,
    /// Those at which the replay had just the state that was recorded.
    pub proven: u64,
    /// Those whose audio was proven, too.
    pub audio_proven: u64,
    /// The first of the others, in a sentence.
    pub first_difference: Option<String>,
}

impl Proof {
    fn compare(&mut self, engine: &Engine, record: &Record<'_>, recorded: &Digest) {
        let computed = engine.digest(record.t);
        self.checkpoints += 1;
        let pairs = [
            ("playhead", recorded.playhead == computed.playhead),
            ("buckets", recorded.buckets_crc == computed.buckets_crc),
            ("slices", recorded.slices == computed.slices),
            ("ticks", recorded.ticks == computed.ticks),
            ("audio", recorded.audio_crc.is_none() || recorded.audio_crc == computed.audio_crc),
        ];
        let different: Vec<_> =
            pairs.iter().filter(|(_, same)| !same).map(|(name, _)| *name).collect();
        if different.is_empty() {
            self.proven += 1;
            self.audio_proven += u64::from(recorded.audio_crc.is_some());
        } else if self.first_difference.is_none() {
            self.first_difference = Some(format!(
                "at record {}, {} ns: another {}",
                record.seq,
                record.t.0,
                different.join(", ")
            ));
        }
    }
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
            seconds_lost: damage.iter().map(DamagedPlace::lost_s).sum(),
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

impl Verified {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let differs = self.replay.as_ref().is_some_and(|replay| replay.proven < replay.checkpoints);
        let damaged = self.lost.anything() || self.begins_at > 0 || differs;
        if damaged { Outcome::Damaged } else { Outcome::Healthy }
    }
}

/// Checks every record of the captures in a file; there is one, unless files were put together.
pub fn verify(path: &Path, replay: bool) -> Result<Vec<Verified>> {
    let context = || format!("cannot verify {}", path.display());
    let mut records = files::open_stream(path).with_context(context)?;
    let mut found = Vec::new();
    loop {
        found.push(verify_one(path, &mut records, replay).with_context(context)?);
        if !records.next_capture() {
            return Ok(found);
        }
    }
}

fn verify_one(path: &Path, records: &mut Salvage<CaptureFile>, replay: bool) -> Result<Verified> {
    let begins_at = records.offset();
    let replay = match replay {
        true => Some(replayed(records)?),
        false => {
            while records.next_record()?.is_some() {}
            None
        }
    };
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
        replay,
    })
}

fn replayed(records: &mut Salvage<CaptureFile>) -> Result<Proof> {
    let options = Options { audio_crc: true, tracker_bound: Some(1), ..Options::default() };
    let mut engine = Engine::new(options);
    let mut replayed = Proof::default();
    let mut whole = true;
    while let Some(stored) = records.next_stored()? {
        whole &= stored.lost.is_none();
        engine.handle(&stored.record);
        if let Body::Checkpoint(checkpoint) = &stored.record.body
            && whole
        {
            replayed.compare(&engine, &stored.record, &checkpoint.summary.digest);
        }
    }
    Ok(replayed)
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
        if let Some(Proof { checkpoints, proven, audio_proven, first_difference }) =
            &verified.replay
        {
            let _ = writeln!(
                out,
                "  a replay has the recorded state at {proven} of {checkpoints} checkpoints, \
                 with its audio at {audio_proven}"
            );
            if let Some(difference) = first_difference {
                let _ = writeln!(out, "  the first difference is {difference}");
            }
        }
    }
    if found.iter().any(|verified| verified.outcome() == Outcome::Damaged) {
        let name = &found[0].capture;
        let _ = writeln!(out, "  next: lagtape recover {name} -o recovered.lagtape");
    }
    out
}
