//! `redact`: a copy of a capture that can be shared.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::lost::Lost;
use super::outcome::Outcome;
use crate::capture::{
    Body, Context, Direction, Header, Marker, Message, Opcode, Record, RowKind, Stored,
};
use crate::edge::files;
use crate::edge::rewrite::Rewriter;
use crate::engine::{Engine, Options};
use crate::report::SCHEMA;
use crate::wire::slice::HEADER_LEN;

/// What stands for a text that was removed.
pub const REDACTED: &str = "[redacted]";

/// What to remove.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RedactOptions {
    /// All audio: of slices the headers stay, and of every payload its length and its SHA-256.
    pub drop_audio: bool,
    /// Texts; `*` stands for any characters but quotes, backslashes and white space.
    pub patterns: Vec<String>,
    /// Replace an existing file.
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
        bail!("nothing to remove was named; give --drop-audio, or --text with a pattern");
    }
    let blank = options.patterns.iter().any(|pattern| pattern.trim_matches('*').is_empty());
    ensure!(!blank, "a pattern of nothing but * would remove everything; name a part of the text");
    let context = || format!("cannot redact {}", path.display());
    files::refuse_input(path, out)?;
    // The header comes first and counts what is removed after it, so the capture is read twice.
    let mut removed = Removed::default();
    pass(path, options, &mut removed, &mut |_, _| Ok(())).with_context(context)?;
    let mut rewriter = None;
    let mut counted = Removed::default();
    let lost = pass(path, options, &mut counted, &mut |stored, record| {
        let rewriter = match &mut rewriter {
            Some(rewriter) => rewriter,
            None => rewriter.insert(Rewriter::create(out, options.force, stored.marker())?),
        };
        let mut record = record;
        if let Body::Header(header) = &mut record.body {
            note(header, &removed, options);
        }
        rewriter.put_behind(stored, &record)
    });
    let lost = lost.with_context(context)?;
    let Some(rewriter) = rewriter else { bail!("{} holds no record", path.display()) };
    rewriter.finish()?;
    Ok(RedactSummary { schema: SCHEMA, out: out.to_owned(), removed, lost })
}

/// Records in the header what was removed, not what it was.
fn note(header: &mut Header, removed: &Removed, options: &RedactOptions) {
    let Removed { audio_messages, audio_bytes, texts } = removed;
    let mut words = Vec::new();
    if options.drop_audio {
        words.push(format!("{audio_bytes} bytes of audio in {audio_messages} messages"));
    }
    if !options.patterns.is_empty() {
        words.push(format!("{texts} texts by {} patterns", options.patterns.len()));
    }
    header.metadata.insert("redacted".to_owned(), words.join(", "));
}

fn pass(
    path: &Path,
    options: &RedactOptions,
    removed: &mut Removed,
    sink: &mut dyn FnMut(&Stored<'_>, Record<'_>) -> Result<()>,
) -> Result<Lost> {
    let mut records = files::open_capture(path)?;
    let mut engine = Engine::new(Options { tracker_bound: Some(1), ..Options::default() });
    while let Some(stored) = records.next_stored()? {
        engine.handle(&stored.record);
        let mut redactor = Redactor { options, removed, did: engine.did() };
        let mut text = Vec::new();
        let record = redactor.record(&stored.record, &mut text);
        sink(&stored, record)?;
    }
    Ok(Lost::of(records.losses()))
}

struct Redactor<'a> {
    options: &'a RedactOptions,
    removed: &'a mut Removed,
    did: &'a RowKind,
}

impl Redactor<'_> {
    /// The record as it may be passed on; `text` holds a changed payload.
    fn record<'b>(&mut self, record: &Record<'b>, text: &'b mut Vec<u8>) -> Record<'b> {
        let mut record = record.clone();
        match &mut record.body {
            Body::Message(message) if message.opcode == Opcode::Binary => self.audio(message),
            Body::Message(message) => {
                if let Some(redacted) = self.bytes(message.payload) {
                    *text = redacted;
                    *message = Message { payload: text, sha256: None, ..*message };
                    message.whole_len = None;
                }
            }
            Body::Header(header) => self.header(header),
            Body::Context(context) => self.context(context),
            Body::Marker(Marker::Point { name }) => self.text(name),
            Body::End(end) => end.reason.iter_mut().for_each(|reason| self.text(reason)),
            Body::Gap(gap) => self.text(&mut gap.reason),
            _ => {}
        }
        record
    }

    fn audio(&mut self, message: &mut Message<'_>) {
        if !self.options.drop_audio {
            return;
        }
        // What could not be used keeps nothing, so that it cannot be used again.
        let landed = matches!(self.did, RowKind::Slice { .. });
        let is_down = message.direction == Direction::ServerToClient;
        let kept = if landed && is_down { HEADER_LEN } else { 0 }.min(message.payload.len());
        if message.is_whole() {
            message.sha256 = message.sha256.or(Some(Sha256::digest(message.payload).into()));
        }
        self.removed.audio_messages += 1;
        self.removed.audio_bytes += (message.payload.len() - kept) as u64;
        message.whole_len = Some(message.len());
        message.payload = &message.payload[..kept];
    }

    fn header(&mut self, header: &mut Header) {
        let Header { url, config, metadata, .. } = header;
        let texts = url.iter_mut().chain(config).chain(metadata.values_mut());
        texts.for_each(|text| self.text(text));
    }

    fn context(&mut self, context: &mut Context<'_>) {
        if self.options.drop_audio {
            context.buffer = None;
        }
        let state = &mut context.state;
        self.text(&mut state.config);
        self.text(&mut state.ready_text);
        self.text(&mut state.knobs);
        self.text(&mut state.params_update);
        if let Some(stream) = &mut state.stream {
            self.text(&mut stream.tick_knobs);
        }
    }

    fn text(&mut self, text: &mut String) {
        if let Some(bytes) = self.bytes(text.as_bytes())
            && let Ok(redacted) = String::from_utf8(bytes)
        {
            *text = redacted;
        }
    }

    /// The text without what the patterns name; `None` where they name nothing in it.
    fn bytes(&mut self, text: &[u8]) -> Option<Vec<u8>> {
        let mut redacted = None;
        for pattern in &self.options.patterns {
            let from = redacted.as_deref().unwrap_or(text);
            if let Some((without, count)) = replace(from, pattern) {
                self.removed.texts += count;
                redacted = Some(without);
            }
        }
        redacted
    }
}

/// The text with [`REDACTED`] for each match, and how many there were.
fn replace(text: &[u8], pattern: &str) -> Option<(Vec<u8>, u64)> {
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        match match_len(&text[at..], pattern.as_bytes()).filter(|&len| len > 0) {
            Some(len) => {
                out.extend_from_slice(REDACTED.as_bytes());
                at += len;
                count += 1;
            }
            None => {
                out.push(text[at]);
                at += 1;
            }
        }
    }
    (count > 0).then_some((out, count))
}

/// Length of the longest match at the beginning of a text.
fn match_len(text: &[u8], pattern: &[u8]) -> Option<usize> {
    match pattern.split_first() {
        None => Some(0),
        Some((b'*', rest)) => {
            let is_word = |byte: &u8| !matches!(byte, b'"' | b'\\') && !byte.is_ascii_whitespace();
            let run = text.iter().take_while(|byte| is_word(byte)).count();
            (0..=run).rev().find_map(|len| Some(len + match_len(&text[len..], rest)?))
        }
        Some((byte, rest)) => {
            let (first, text) = text.split_first()?;
            (first == byte).then(|| match_len(text, rest))?.map(|len| len + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: Option<&str>) {
        let replaced = replace(text.as_bytes(), pattern);
        let text = replaced.map(|(bytes, _)| String::from_utf8(bytes).unwrap());
        assert_eq!(text.as_deref(), expected);
    }

    #[test]
    fn patterns() {
        check(r#"{"prompt":"lo-fi"}"#, "lo-fi", Some(r#"{"prompt":"[redacted]"}"#));
        check(r#"{"key":"sk-abc123","n":1}"#, "sk-*", Some(r#"{"key":"[redacted]","n":1}"#));
        check("a@b.c and d@e.f", "*@*", Some("[redacted] and [redacted]"));
        check("abcabc", "abc", Some("[redacted][redacted]"));
        check("Grüße", "ü*", Some("Gr[redacted]"));
        check("nothing", "x", None);
        check("", "x", None);
    }
}
