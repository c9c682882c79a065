//! `cat`: the records of a capture, one line each.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::info::short;
use crate::capture::{Body, Direction, Kind, Message, Opcode, Record};
use crate::edge::files;
use crate::event::{Event, Interpreter};
use crate::report::text::{Bytes, Figure, OneLine};
use crate::report::{DamageReport, SCHEMA};
use crate::time::{Nanos, Offset};
use crate::wire::slice::SliceHeader;

/// Which records, and in which form.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CatFilter {
    /// One JSON object a line, holding only what the record holds.
    pub json: bool,
    /// Records that are no messages, too.
    pub records: bool,
    /// Only these: the JSON `type` of a text, an opcode, what the message is to the session
    /// (`config`, `buffer`, `slice`, …), or with `records` a type of record.
    pub kinds: Vec<String>,
    /// None of these.
    pub not_kinds: Vec<String>,
    /// Only this direction: `c2s` or `s2c`.
    pub direction: Option<Direction>,
    /// Only from this moment on.
    pub from: Option<Offset>,
    /// Only up to this moment.
    pub to: Option<Offset>,
    /// Only so many.
    pub limit: Option<u64>,
}

/// Prints the records of a capture that pass the filter; returns what was damaged, if
/// anything.
pub fn cat(path: &Path, filter: &CatFilter, out: &mut dyn Write) -> Result<Option<DamageReport>> {
    let mut left = filter.limit.unwrap_or(u64::MAX);
    each(path, filter, &mut |record, role, origin| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        print(record, role, origin, filter.json, out)?;
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

/// Some of the messages of a capture, with how many there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagePage {
    /// A line each, without its end: JSON if the filter says so.
    pub lines: Vec<String>,
    /// Records that pass the filter.
    pub total: u64,
    /// The record after which the next page begins, if there is one.
    pub next: Option<u64>,
    /// Where the capture is damaged; what is lost is left out.
    pub damage: Option<DamageReport>,
}

/// The records that pass the filter and come after record number `after`, at most the filter's limit
/// of them and at most `bytes` of text.
pub fn messages(
    path: &Path,
    filter: &CatFilter,
    after: Option<u64>,
    bytes: usize,
) -> Result<MessagePage> {
    let mut page = MessagePage { lines: Vec::new(), total: 0, next: None, damage: None };
    let (mut left, mut room) = (filter.limit.unwrap_or(u64::MAX), bytes);
    let mut last = after;
    page.damage = each(path, filter, &mut |record, role, origin| {
        page.total += 1;
        if after.is_some_and(|after| record.seq <= after) || page.next.is_some() {
            return Ok(ControlFlow::Continue(()));
        }
        let mut line = Vec::new();
        print(record, role, origin, filter.json, &mut line)?;
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        if left == 0 || (line.len() > room && !page.lines.is_empty()) {
            page.next = last;
            return Ok(ControlFlow::Continue(()));
        }
        left -= 1;
        room = room.saturating_sub(line.len());
        last = Some(record.seq);
        page.lines.push(line);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(page)
}

/// What is done with a record: its role and the origin of the times come along.
type Visit<'a> = dyn FnMut(&Record<'_>, &str, Nanos) -> Result<ControlFlow<()>> + 'a;

/// Visits the records that pass the filter until the visitor has enough.
fn each(path: &Path, filter: &CatFilter, visit: &mut Visit<'_>) -> Result<Option<DamageReport>> {
    let context = || format!("cannot read {}", path.display());
    let origin = origin(path).with_context(context)?;
    let mut records = files::open_capture(path).with_context(context)?;
    let mut interpreter = Interpreter::new();
    let from = filter.from.map(|from| from.from(origin));
    let to = filter.to.map(|to| to.from(origin));
    while let Some(record) = records.next_record().with_context(context)? {
        let role = role(&mut interpreter, &record);
        let inside = from.is_none_or(|from| record.t >= from) && to.is_none_or(|to| record.t <= to);
        if inside && filter.passes(&record, &role) && visit(&record, &role, origin)?.is_break() {
            return Ok(None);
        }
    }
    Ok(DamageReport::of(records.losses()))
}

/// When the initial buffer arrived, or the first record where none did.
pub(super) fn origin(path: &Path) -> Result<Nanos> {
    let mut records = files::open_capture(path)?;
    let mut interpreter = Interpreter::new();
    let mut first = None;
    while let Ok(Some(record)) = records.next_record() {
        first.get_or_insert(record.t);
        if let Body::Context(context) = &record.body {
            interpreter = Interpreter::resume(&context.state);
            if let Some(stream) = &context.state.stream {
                return Ok(stream.origin);
            }
        }
        if let Body::Message(message) = &record.body
            && interpreter.read(record.conn, message) == Event::InitialBuffer
        {
            return Ok(record.t);
        }
    }
    Ok(first.unwrap_or_default())
}

/// What a record is to the session, in a word.
fn role(interpreter: &mut Interpreter, record: &Record<'_>) -> String {
    if let Body::Context(context) = &record.body {
        *interpreter = Interpreter::resume(&context.state);
    }
    if let Body::Gap(_) = &record.body {
        interpreter.doubt();
    }
    let Body::Message(message) = &record.body else {
        return record.kind().to_string();
    };
    let by_type = |fields: &serde_json::Map<String, serde_json::Value>| {
        crate::wire::message::kind_of(fields).unwrap_or("event").to_owned()
    };
    match interpreter.read(record.conn, message) {
        Event::Config(_) => "config".to_owned(),
        Event::Upload => "upload".to_owned(),
        Event::Ready(_) => "ready".to_owned(),
        Event::Refused { .. } => "error".to_owned(),
        Event::InitialBuffer => "buffer".to_owned(),
        Event::Slice => "slice".to_owned(),
        Event::SwapBuffer { .. } => "swap_buffer".to_owned(),
        Event::Aside => "aside".to_owned(),
        Event::ParamsUpdate => "params_update".to_owned(),
        Event::Tick(_) => "params".to_owned(),
        Event::Server { fields, .. } | Event::Command(fields) => by_type(&fields),
        Event::Close { .. } => "close".to_owned(),
        Event::Unreadable(_) => "unreadable".to_owned(),
        Event::Skipped | Event::Compressed | Event::Nothing | Event::Elsewhere => {
            match message.text().map(crate::wire::json::parse_object) {
                Some(Ok(object)) => by_type(&object.fields),
                _ => opcode_name(message.opcode),
            }
        }
    }
}

impl CatFilter {
    fn passes(&self, record: &Record<'_>, role: &str) -> bool {
        let named = |kind: &String| match &record.body {
            Body::Message(message) => kind == role || *kind == opcode_name(message.opcode),
            _ => kind == role,
        };
        let direction = match &record.body {
            Body::Message(message) => {
                self.direction.is_none_or(|direction| message.direction == direction)
            }
            _ => self.records && self.direction.is_none(),
        };
        direction
            && (self.kinds.is_empty() || self.kinds.iter().any(named))
            && !self.not_kinds.iter().any(named)
    }

    /// Refuses kinds that could never pass.
    pub fn check(&self) -> Result<()> {
        let record_kind = |kind: &str| {
            [Kind::Header, Kind::Clock, Kind::Gap, Kind::Marker, Kind::End]
                .iter()
                .any(|known| known.to_string() == kind)
        };
        match self.kinds.iter().find(|kind| record_kind(kind) && !self.records) {
            Some(kind) => bail!("--type {kind} names records that are no messages; add --records"),
            None => Ok(()),
        }
    }
}

fn opcode_name(opcode: Opcode) -> String {
    match opcode {
        Opcode::Text => "text".to_owned(),
        Opcode::Binary => "binary".to_owned(),
        Opcode::Close => "close".to_owned(),
        Opcode::Ping => "ping".to_owned(),
        Opcode::Pong => "pong".to_owned(),
        Opcode::Other(number) => format!("opcode_{number}"),
    }
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
    Context(&'a crate::capture::SessionState),
    Checkpoint(&'a crate::capture::CheckpointSummary),
    Unknown,
}

fn print(
    record: &Record<'_>,
    role: &str,
    origin: Nanos,
    json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    if json {
        serde_json::to_writer(&mut *out, &line(record))?;
        writeln!(out)?;
    } else {
        let t_s = record.t.seconds_since(origin);
        writeln!(out, "{:>7} {t_s:>11.6}  {}", record.seq, summary(record, role))?;
    }
    Ok(())
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
        dir: short(message.direction),
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
