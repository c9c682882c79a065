//! `redact`: a copy of a capture that can be shared, and the proof that it can.

mod check;
mod layers;
mod pattern;
mod redactor;
mod splice;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;

use self::pattern::Pattern;
use self::redactor::Redactor;
use super::lost::Lost;
use super::outcome::Outcome;
use crate::capture::{Body, Header, Record, Stored};
use crate::edge::files;
use crate::edge::output::{self, OutputFile};
use crate::edge::rewrite::{Rewriter, gap_before};
use crate::engine::{Engine, Options};
use crate::parse::Misuse;
use crate::report::SCHEMA;

pub use self::check::{LeftPlace, LeftSummary, check_redacted, left_text};

/// What to remove.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RedactOptions {
    /// All audio: of slices the headers stay, and of every payload its length and its SHA-256.
    pub drop_audio: bool,
    /// Texts, as they read once escapes are undone; `*` stands for any characters but quotes,
    /// backslashes and white space.
    pub patterns: Vec<String>,
    pub force: bool,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Messages whose audio was removed.
    pub audio_messages: u64,
    /// Bytes of it.
    pub audio_bytes: u64,
    /// Places in texts.
    pub texts: u64,
    /// Messages and records that cannot be read, left out because a text may stand in them.
    pub unreadable: u64,
}

/// What was written.
#[derive(Debug, Clone, Serialize)]
pub struct RedactSummary {
    /// Version of this JSON.
    pub schema: u32,
    /// The capture that was written.
    pub out: PathBuf,
    /// What was removed.
    #[serde(flatten)]
    pub removed: Removed,
    /// What had been lost of the capture before.
    #[serde(flatten)]
    pub lost: Lost,
}

impl RedactSummary {
    /// What this means for the exit code.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        if self.lost.anything() { Outcome::Damaged } else { Outcome::Healthy }
    }
}

/// Copies `path` to `out` without what `options` name. The header of `out` records how much was
/// removed, and never what.
pub fn redact(path: &Path, out: &Path, options: &RedactOptions) -> Result<RedactSummary> {
    if !options.drop_audio && options.patterns.is_empty() {
        bail!(Misuse::new(
            "nothing to remove was named; give --drop-audio, or --text with a pattern"
        ));
    }
    let patterns = read_patterns(&options.patterns)?;
    let context = || format!("cannot redact {}", path.display());
    output::refuse_input(path, out)?;
    let mut output = Some(OutputFile::create(out, options.force)?);
    // The header comes first and counts what is removed after it, so the capture is read twice.
    let mut redactor = Redactor::new(options.drop_audio, &patterns);
    pass(path, &mut redactor, &mut |_, _, _| Ok(())).with_context(context)?;
    let noted = redactor.removed;
    let mut redactor = Redactor::new(options.drop_audio, &patterns);
    let mut rewriter = None;
    let lost = pass(path, &mut redactor, &mut |stored, mut record, gap| {
        if let Some(output) = output.take() {
            rewriter = Some(begin(output, options, stored, &noted)?);
        }
        let Some(rewriter) = &mut rewriter else { return Ok(()) };
        if let Some(gap) = gap {
            rewriter.put(&gap)?;
        }
        match &mut record.body {
            Body::Header(header) => note(header, &noted, options),
            Body::Checkpoint(_) => return Ok(()),
            Body::Other(_) => return rewriter.copy_alone(stored),
            _ => {}
        }
        rewriter.put(&record)
    });
    let lost = lost.with_context(context)?;
    ensure!(
        !redactor.stuck,
        "a pattern stands in what remains when it is removed; name the text that surrounds it too"
    );
    let Some(rewriter) = rewriter else { bail!("{} holds no record", path.display()) };
    rewriter.finish()?;
    Ok(RedactSummary { schema: SCHEMA, out: out.to_owned(), removed: redactor.removed, lost })
}

fn read_patterns(patterns: &[String]) -> Result<Vec<Pattern>> {
    patterns.iter().map(|pattern| Pattern::new(pattern)).collect()
}

/// Begins the file, with a header of its own where that of the capture is lost.
fn begin(
    output: OutputFile,
    options: &RedactOptions,
    first: &Stored<'_>,
    noted: &Removed,
) -> Result<Rewriter> {
    Rewriter::new_for(output, first, "lagtape redact", |header| {
        note(header, noted, options);
    })
}

/// The key of the header's metadata that says how much was removed.
const NOTE_KEY: &str = "redacted";

/// Records in the header what was removed, not what it was.
fn note(header: &mut Header, removed: &Removed, options: &RedactOptions) {
    let Removed { audio_messages, audio_bytes, texts, unreadable } = removed;
    let mut words = Vec::new();
    if options.drop_audio {
        words.push(format!("{audio_bytes} bytes of audio in {audio_messages} messages"));
    }
    if !options.patterns.is_empty() {
        words.push(format!("{texts} texts by {} patterns", options.patterns.len()));
    }
    if *unreadable > 0 {
        words.push(format!("{unreadable} messages that cannot be read"));
    }
    header.metadata.insert(NOTE_KEY.to_owned(), words.join(", "));
}

/// Whether an entry of the header's metadata is such a note, which holds nothing of the session.
fn is_note(key: &str, value: &str) -> bool {
    const WORDS: [&str; 11] = [
        "bytes", "of", "audio", "in", "messages", "texts", "by", "patterns", "that", "cannot", "be",
    ];
    let is_ours = |word: &str| {
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        is_number || word == "read" || WORDS.contains(&word)
    };
    key == NOTE_KEY && value.split([' ', ',']).all(is_ours)
}

/// Takes a stored record, the same as it may be passed on, and the gap that stands before it.
type Sink<'a> = dyn FnMut(&Stored<'_>, Record<'_>, Option<Record<'static>>) -> Result<()> + 'a;

/// Shows every record as it may be passed on, with the gap that stands before it.
fn pass(path: &Path, redactor: &mut Redactor<'_>, sink: &mut Sink<'_>) -> Result<Lost> {
    let mut records = files::open_capture(path)?;
    let mut engine = Engine::new(Options {
        tracker_bound: Some(1),
        mirror_bound: Some(0),
        ..Options::default()
    });
    while let Some(stored) = records.next_stored()? {
        engine.handle(&stored.record);
        let mut gap = gap_before(&stored);
        if let Some(Body::Gap(gap)) = gap.as_mut().map(|gap| &mut gap.body) {
            // What is wrong with damaged bytes may quote them.
            redactor.text(&mut gap.reason);
        }
        let mut payload = Vec::new();
        let record = redactor.record(&stored.record, engine.did(), &mut payload);
        sink(&stored, record, gap)?;
    }
    Ok(Lost::of(records.losses()))
}
