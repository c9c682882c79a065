//! `verify`: check every record of a capture, and list all damage.

use std::fmt::{self, Display, Formatter, Write as _};
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::lost::Lost;
use super::outcome::Outcome;
use crate::capture::{Body, Digest, Ending, Record, Salvage};
use crate::edge::files::{self, CaptureFile};
use crate::engine::{Engine, Options};
use crate::parse::shell;
use crate::report::SCHEMA;
use crate::report::text::{Bytes, OneLine, RecordCount};

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
    /// How many records have a checksum that agrees, each counted once.
    #[serde(flatten)]
    pub counts: RecordCounts,
    /// It ends with its end record.
    pub complete: bool,
    /// Bytes of a record that was cut off at the end.
    pub torn_bytes: u64,
    /// What is lost.
    #[serde(flatten)]
    pub lost: Lost,
    /// The comparison with the checkpoints, if a replay was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<ReplayCheck>,
}

/// Records by whether they have a number of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// Records with numbers of their own, as `info` counts them.
    pub records: u64,
    /// Contexts, which describe the state that the capture begins or goes on with.
    pub contexts: u64,
    /// Checkpoints, which stand for nothing that happened.
    pub checkpoints: u64,
}

impl RecordCounts {
    fn add(&mut self, record: &Record<'_>) {
        *match record.body {
            Body::Context(_) => &mut self.contexts,
            Body::Checkpoint(_) => &mut self.checkpoints,
            _ => &mut self.records,
        } += 1;
    }
}

impl Display for RecordCounts {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut parts = vec![RecordCount(self.records).to_string()];
        for (count, name) in [(self.contexts, "context"), (self.checkpoints, "checkpoint")] {
            match count {
                0 => {}
                1 => parts.push(format!("1 {name}")),
                more => parts.push(format!("{more} {name}s")),
            }
        }
        let last = parts.pop().unwrap_or_default();
        match parts.is_empty() {
            true => f.write_str(&last),
            false => write!(f, "{} and {last}", parts.join(", ")),
        }
    }
}

/// How a replay compares with the checkpoints of a capture.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ReplayCheck {
    /// Checkpoints before the first loss; after it the state is not known.
    pub checkpoints: u64,
    /// Those at which the replay had just the state that was recorded.
    pub proven: u64,
    /// Those whose audio was proven, too.
    pub audio_proven: u64,
    /// The first of the others, in a sentence.
    pub first_difference: Option<String>,
}

impl ReplayCheck {
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
    let mut records = files::open_capture(path).with_context(context)?;
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
    let mut counts = RecordCounts::default();
    let replay = match replay {
        true => Some(replayed(records, &mut counts)?),
        false => {
            while let Some(record) = records.next_record()? {
                counts.add(&record);
            }
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
        counts,
        complete: records.ending() == Some(Ending::Complete),
        torn_bytes,
        lost: Lost::of(records.losses()),
        replay,
    })
}

fn replayed(records: &mut Salvage<CaptureFile>, counts: &mut RecordCounts) -> Result<ReplayCheck> {
    let options = Options { audio_crc: true, tracker_bound: Some(1), ..Options::default() };
    let mut engine = Engine::new(options);
    let mut replayed = ReplayCheck::default();
    let mut whole = true;
    while let Some(stored) = records.next_stored()? {
        counts.add(&stored.record);
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

/// The result as text for a person.
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
            0 => OneLine(&verified.capture).to_string(),
            at => format!("{}: another capture at byte {at}", OneLine(&verified.capture)),
        };
        let Verified { counts, bytes, .. } = verified;
        let _ = writeln!(out, "{name} · {} · {counts} · {state}", Bytes(*bytes));
        verified.lost.lines(&mut out);
        if let Some(ReplayCheck { checkpoints, proven, audio_proven, first_difference }) =
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
        let name = shell::file(&found[0].capture);
        let name = OneLine(&name);
        let _ = writeln!(out, "  next: lagtape recover {name} -o recovered.lagtape");
    }
    out
}
