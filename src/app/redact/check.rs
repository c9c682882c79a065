//! `redact --check`: proves that texts are nowhere left in a capture.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::read_patterns;
use super::redactor::{Redactor, is_audio};
use crate::app::lost::Lost;
use crate::app::outcome::Outcome;
use crate::capture::{Body, Marker, RowKind, Stored, Writer};
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::SCHEMA;
use crate::report::text::OneLine;

/// Places that are listed; further ones are counted.
const MAX_PLACES: usize = 1000;

/// What is left of texts that were to be removed.
#[derive(Debug, Clone, Serialize)]
pub struct LeftSummary {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture as it was named.
    pub capture: String,
    /// Places where a text is left.
    pub texts: u64,
    /// The first thousand records that have some.
    pub found: Vec<LeftPlace>,
    /// Messages and records that cannot be read, so that a text may stand in them.
    pub unreadable: u64,
    /// What is damaged, and was searched as it stands.
    #[serde(flatten)]
    pub lost: Lost,
}

/// A record in which a text is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LeftPlace {
    /// The number of the record.
    pub record: u64,
    /// Its type.
    pub kind: String,
    /// Where it begins in the file.
    pub offset: u64,
    /// Texts in it.
    pub texts: u64,
}

impl LeftSummary {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            _ if self.lost.anything() => Outcome::Damaged,
            _ if self.texts > 0 => Outcome::Differs,
            _ if self.unreadable > 0 => Outcome::Failed,
            _ => Outcome::Healthy,
        }
    }
}

/// Searches a capture for texts that should have been removed, wherever one can stand.
pub fn check_redacted(path: &Path, patterns: &[String]) -> Result<LeftSummary> {
    if patterns.is_empty() {
        bail!("nothing to look for was named; give --text with a pattern");
    }
    let patterns = read_patterns(patterns)?;
    let mut redactor = Redactor::new(false, &patterns);
    let mut found = Vec::new();
    let mut records =
        files::open_capture(path).with_context(|| format!("cannot check {}", path.display()))?;
    let mut engine = Engine::new(Options {
        tracker_bound: Some(1),
        mirror_bound: Some(0),
        ..Options::default()
    });
    while let Some(stored) =
        records.next_stored().with_context(|| format!("cannot check {}", path.display()))?
    {
        engine.handle(&stored.record);
        let before = redactor.removed.texts;
        redactor.record(&stored.record, engine.did(), &mut Vec::new());
        if redactor.removed.texts == before {
            redactor.rest(&stored, engine.did());
        }
        let texts = redactor.removed.texts - before;
        if texts > 0 && found.len() < MAX_PLACES {
            let (record, offset) = (stored.record.seq, stored.offset);
            found.push(LeftPlace { record, kind: stored.record.kind().to_string(), offset, texts });
        }
    }
    Ok(LeftSummary {
        schema: SCHEMA,
        capture: path.display().to_string(),
        texts: redactor.removed.texts,
        found,
        unreadable: redactor.removed.unreadable,
        lost: Lost::of(records.losses()),
    })
}

/// The result as text for a person.
#[must_use]
pub fn left_text(summary: &LeftSummary) -> String {
    let LeftSummary { capture, texts, found, unreadable, lost, .. } = summary;
    let name = OneLine(capture);
    let mut text = match texts {
        0 => format!("{name}: nothing of it is left\n"),
        1 => format!("{name}: 1 text is left\n"),
        _ => format!("{name}: {texts} texts are left\n"),
    };
    for LeftPlace { record, kind, offset, texts } in found {
        let _ = writeln!(text, "  record {record} at byte {offset}, a {kind}: {texts}");
    }
    if *unreadable > 0 {
        let _ = writeln!(text, "  {unreadable} messages cannot be read, and may hold some");
    }
    if lost.anything() {
        let _ = writeln!(text, "  {} damaged bytes may hold some", lost.bytes_lost);
    }
    text
}

impl Redactor<'_> {
    /// Searches what a copy would not have taken over: what other versions may have written beside the
    /// values that are known, and the markers in a checkpoint.
    fn rest(&mut self, stored: &Stored<'_>, did: &RowKind) {
        match &stored.record.body {
            Body::Checkpoint(checkpoint) => {
                let names = checkpoint.summary.ops.iter().filter_map(|(_, op)| match op {
                    Marker::Point { name } => Some(name.clone()),
                    _ => None,
                });
                names.for_each(|mut name| self.text(&mut name));
            }
            // Compressed data holds short texts by accident.
            Body::Context(_) | Body::Other(_) => {}
            _ if is_audio(did) => {}
            _ => {
                let mut known = Vec::new();
                Writer::new(stored.marker()).write(&stored.record, &mut known);
                if known != stored.bytes {
                    self.text(&mut String::from_utf8_lossy(stored.bytes).into_owned());
                }
            }
        }
    }
}
