//! Imports the transcripts that the test client of DEMON's server keeps: a folder with
//! `transcript.jsonl` and, where they were kept, the binary messages under `blobs/`.
//!
//! A line is `{"t": milliseconds, "dir": "send" | "recv", "kind": "json" | "bin", …}`, as
//! `tests/golden/client.py` of the server writes it: `data` is the message of a `json` line; a `bin` line has
//! `role`, `bytes` and, if it was kept, `blob`, a file beside the transcript with the whole message. Of a
//! JSON message the text that was sent is not known, but its fields; the transcript has neither pings nor the
//! close, nor the address or the date of the session.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};

use super::files;
use super::output::{self, OutputFile};
use super::rewrite::Rewriter;
use crate::capture::{Body, ClientKind, Direction, Header, Message, Opcode, Record, SyncMarker};
use crate::family::{FAMILY_NOTE, FamilyWatch};
use crate::har::HarImport;
use crate::time::Nanos;
use crate::wire::json::parse_object;

/// The name of a transcript in its folder.
pub const TRANSCRIPT: &str = "transcript.jsonl";
/// Longest transcript, and longest binary message, in bytes.
const MAX_LEN: usize = 1 << 30;
/// Latest time of a message: a year.
const MAX_MS: f64 = 366.0 * 86_400_000.0;

/// A line of a transcript.
struct Line {
    t: Nanos,
    direction: Direction,
    what: What,
}

enum What {
    Json(String),
    Binary { len: u64, blob: Option<PathBuf> },
}

/// Turns a transcript, or the folder of one, into a capture.
pub fn import_transcript(from: &Path, out: &Path, force: bool) -> Result<HarImport> {
    let path = if from.is_dir() { from.join(TRANSCRIPT) } else { from.to_owned() };
    let opened = || format!("cannot import {}", path.display());
    output::refuse_input(&path, out)?;
    let output = OutputFile::create(out, force)?;
    let text = files::read_text(&path, MAX_LEN).with_context(opened)?;
    ensure!(text.len() <= MAX_LEN, "{} is too long for a transcript", path.display());
    let lines = lines(&text).with_context(opened)?;
    let folder = path.parent().map(Path::to_owned).unwrap_or_default();
    let capture = Rewriter::new(output, SyncMarker::derive(text.as_bytes()));
    write(&lines, &folder, capture).with_context(opened)
}

fn lines(text: &str) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut texts = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()).peekable();
    while let Some((number, text)) = texts.next() {
        match line(text) {
            Ok(line) => lines.push(line),
            // The last one may have been cut off with the program that wrote it.
            Err(_) if texts.peek().is_none() && !lines.is_empty() => break,
            Err(error) => {
                return Err(error.context(format!("line {number} is none of a transcript")));
            }
        }
    }
    ensure!(!lines.is_empty(), "there is nothing in it");
    Ok(lines)
}

fn line(text: &str) -> Result<Line> {
    let fields = parse_object(text)?.fields;
    let word = |key: &str| fields.get(key).and_then(Value::as_str);
    let ms = fields.get("t").and_then(Value::as_f64).filter(|ms| (0.0..=MAX_MS).contains(ms));
    let ms = ms.context("its t is no time in milliseconds")?;
    let direction = match word("dir") {
        Some("send") => Direction::ClientToServer,
        Some("recv") => Direction::ServerToClient,
        _ => bail!("its dir is neither send nor recv"),
    };
    let what = match word("kind") {
        Some("json") => {
            let data: Option<&Map<String, Value>> = fields.get("data").and_then(Value::as_object);
            What::Json(serde_json::to_string(data.context("its data is no message")?)?)
        }
        Some("bin") => {
            let len = fields.get("bytes").and_then(Value::as_u64).context("it has no bytes")?;
            let blob = word("blob").map(PathBuf::from);
            let is_inside =
                |path: &PathBuf| path.components().all(|part| matches!(part, Component::Normal(_)));
            ensure!(blob.as_ref().is_none_or(is_inside), "its blob lies outside of the folder");
            What::Binary { len, blob }
        }
        _ => bail!("its kind is neither json nor bin"),
    };
    Ok(Line { t: Nanos((ms * 1e6).round() as u64), direction, what })
}

/// The bytes of a message as far as they were kept, and how many were not.
fn bytes<'l>(line: &'l Line, folder: &Path, kept: &'l mut Vec<u8>) -> Result<Message<'l>> {
    let (len, blob) = match &line.what {
        What::Json(text) => return Ok(Message::new(line.direction, Opcode::Text, text.as_bytes())),
        What::Binary { len, blob } => (*len, blob),
    };
    kept.clear();
    if let Some(path) = blob.as_ref().map(|blob| folder.join(blob)).filter(|path| path.is_file()) {
        let (file, file_len) = files::open_plain(&path)?;
        ensure!(file_len <= MAX_LEN as u64, "{} is too long for a message", path.display());
        std::io::Read::read_to_end(&mut { file }, kept)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let found = kept.len() as u64;
        ensure!(found <= len, "{} is longer than the message was", path.display());
    }
    let whole_len = (kept.len() as u64 != len).then_some(len);
    Ok(Message { whole_len, ..Message::new(line.direction, Opcode::Binary, kept) })
}

fn write(lines: &[Line], folder: &Path, mut capture: Rewriter) -> Result<HarImport> {
    let mut kept = Vec::new();
    let (mut watch, mut left_out, mut binaries) = (FamilyWatch::new(), 0_u64, 0_u64);
    for line in lines {
        let message = bytes(line, folder, &mut kept)?;
        binaries += u64::from(message.opcode == Opcode::Binary);
        left_out += u64::from(!message.is_whole());
        if !watch.is_over() {
            watch.see(0, &message);
        }
    }
    let mut metadata = BTreeMap::new();
    metadata.extend(watch.note().map(|note| (FAMILY_NOTE.to_owned(), note)));
    if left_out > 0 {
        let doubt = format!("{left_out} of {binaries} binary messages were not kept in blobs");
        metadata.insert("audio.doubt".to_owned(), doubt);
    }
    let config = lines.iter().find_map(|line| match (&line.what, line.direction) {
        (What::Json(text), Direction::ClientToServer) => Some(text.clone()),
        _ => None,
    });
    let header = Header {
        client: ClientKind::Foreign,
        config,
        metadata: metadata.clone(),
        ..Header::new("imported transcript.jsonl".to_owned(), Nanos(0))
    };
    capture.put(&Record { seq: 0, t: Nanos(0), conn: 0, body: Body::Header(header) })?;
    let (mut seq, mut last) = (1, Nanos(0));
    for line in lines {
        // A clock that does not go back: what is noted later came later.
        last = last.max(line.t);
        let message = bytes(line, folder, &mut kept)?;
        capture.put(&Record { seq, t: last, conn: 0, body: Body::Message(message) })?;
        seq += 1;
    }
    capture.end(last, "the transcript has no more messages")?;
    capture.finish()?;
    let mut assumed = vec![
        "client: foreign, as the transcript tells of its player only what it reports".to_owned(),
        "unknown: pings, the close, the address and the date; JSON is written anew from its fields"
            .to_owned(),
        "times: when the client sent or had received a message".to_owned(),
    ];
    let doubt = metadata.get("audio.doubt");
    assumed.extend(doubt.map(|doubt| format!("audio: {doubt}; there will be no verdict")));
    Ok(HarImport { messages: seq - 1, assumed })
}
