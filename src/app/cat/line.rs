//! One record as one line: JSON that holds only what the record holds, or text for people.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::app::peek::direction_name;
use crate::capture::{Body, Direction, Message, Opcode, Record};
use crate::report::text::{Bytes, Figure, OneLine};
use crate::report::{SCHEMA, write_json};
use crate::time::Nanos;
use crate::wire::slice::SliceHeader;

/// Prints a record; `role` says what it is to the session, times count from `origin`.
pub(super) fn print(
    record: &Record<'_>,
    role: &str,
    origin: Nanos,
    json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    if json {
        write_json(out, &line(record))?;
        writeln!(out)?;
    } else {
        let t_s = record.t.seconds_since(origin);
        writeln!(out, "{:>7} {t_s:>11.6}  {}", record.seq, summary(record, role))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    seq: u64,
    t_ns: u64,
    conn: u32,
    #[serde(flatten)]
    body: LineBody<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum LineBody<'a> {
    Message(MessageLine<'a>),
    Record { record: String, body: RecordBody<'a> },
}

#[derive(Serialize)]
struct MessageLine<'a> {
    dir: &'static str,
    opcode: String,
    length: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// Bytes kept of a payload that is not whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    automatic: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    /// The payload kept is still compressed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    compressed: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RecordBody<'a> {
    Header(&'a crate::capture::Header),
    Clock(&'a crate::capture::Clock),
    Gap(&'a crate::capture::Gap),
    Marker(&'a crate::capture::Marker),
    End(&'a crate::capture::End),
    Break(&'a crate::capture::ConnectionBreak),
    Context(&'a crate::capture::SessionState),
    Checkpoint(&'a crate::capture::CheckpointSummary),
    Unknown,
}

fn line<'a>(record: &'a Record<'a>) -> Line<'a> {
    let body = match &record.body {
        Body::Message(message) => LineBody::Message(message_line(message)),
        other => LineBody::Record {
            record: record.kind().to_string(),
            body: match other {
                Body::Header(header) => RecordBody::Header(header),
                Body::Clock(clock) => RecordBody::Clock(clock),
                Body::Gap(gap) => RecordBody::Gap(gap),
                Body::Marker(marker) => RecordBody::Marker(marker),
                Body::End(end) => RecordBody::End(end),
                Body::Break(broken) => RecordBody::Break(broken),
                Body::Context(context) => RecordBody::Context(&context.state),
                Body::Checkpoint(checkpoint) => RecordBody::Checkpoint(&checkpoint.summary),
                Body::Message(_) | Body::Other(_) => RecordBody::Unknown,
            },
        },
    };
    Line { schema: SCHEMA, seq: record.seq, t_ns: record.t.0, conn: record.conn, body }
}

fn message_line<'a>(message: &Message<'a>) -> MessageLine<'a> {
    let hash = match message.sha256 {
        Some(hash) => Some(hex(&hash)),
        None if message.is_whole() => Some(hex(&Sha256::digest(message.payload))),
        None => None,
    };
    MessageLine {
        dir: direction_name(message.direction),
        opcode: opcode_name(message.opcode),
        length: message.len(),
        sha256: hash,
        text: message.text(),
        kept: (!message.is_whole()).then_some(message.payload.len()),
        automatic: message.automatic,
        failed: message.failed,
        compressed: message.compressed,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One line for a person.
fn summary(record: &Record<'_>, role: &str) -> String {
    const TEXT_CHARS: usize = 100;
    let role = OneLine(role).to_string();
    let Body::Message(message) = &record.body else {
        return format!("   {role}");
    };
    let arrow = match message.direction {
        Direction::ClientToServer => "↑",
        Direction::ServerToClient => "↓",
    };
    let detail = match (message.text(), role.as_str()) {
        _ if message.compressed => "(still compressed: what it refers to was lost)".to_owned(),
        (Some(text), _) => match text.char_indices().nth(TEXT_CHARS) {
            Some((cut, _)) => format!("{}…", OneLine(&text[..cut])),
            None => OneLine(text).to_string(),
        },
        (None, "slice") => slice_summary(message.payload),
        (None, _) => String::new(),
    };
    let failed = if message.failed { "  (sending failed)" } else { "" };
    format!("{arrow}  {role:<14} {:>8}  {detail}{failed}", Bytes(message.len()).to_string())
        .trim_end()
        .to_owned()
}

fn slice_summary(payload: &[u8]) -> String {
    match SliceHeader::parse(payload) {
        Ok(header) => format!(
            "start {} frames {} channels {} flags {} tick {} ms decode {} ms generation {}",
            header.start,
            header.frames,
            header.channels,
            header.flags,
            Figure(f64::from(header.tick_ms)),
            Figure(f64::from(header.dec_ms)),
            header.generations
        ),
        Err(error) => error.to_string(),
    }
}

/// The opcode as `--type` names it.
pub(super) fn opcode_name(opcode: Opcode) -> String {
    match opcode {
        Opcode::Text => "text".to_owned(),
        Opcode::Binary => "binary".to_owned(),
        Opcode::Close => "close".to_owned(),
        Opcode::Ping => "ping".to_owned(),
        Opcode::Pong => "pong".to_owned(),
        Opcode::Other(number) => format!("opcode_{number}"),
    }
}
