//! `cat`: the records of a capture, one line each.

mod line;

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use self::line::{opcode_name, print};
use super::peek::origin;
use crate::capture::{Body, Direction, Kind, Record};
use crate::edge::files;
use crate::event::{Event, Interpreter};
use crate::parse::{Misuse, nearest};
use crate::report::DamageReport;
use crate::time::{Nanos, Offset};
use anyhow::{Context, Result, bail};

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
    pub limit: Option<u64>,
}

/// What a print came upon.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CatNotes {
    /// Where the capture is damaged.
    pub damage: Option<DamageReport>,
    /// A sentence for each type that was asked for and that nothing in the whole capture has.
    pub absent: Vec<String>,
}

/// Prints the records of a capture that pass the filter.
pub fn cat(path: &Path, filter: &CatFilter, out: &mut dyn Write) -> Result<CatNotes> {
    let mut left = filter.limit.unwrap_or(u64::MAX);
    let mut kinds = KindsSeen::of(filter);
    let damage = each(path, filter, &mut kinds, &mut |record, role, origin| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        print(record, role, origin, filter.json, out)?;
        Ok(if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    // Who has as many lines as were wanted has not read the rest.
    let absent = if left == 0 { Vec::new() } else { kinds.sentences() };
    Ok(CatNotes { damage, absent })
}

/// Some of the messages of a capture, with how many there are in all.
#[derive(Debug, Clone, PartialEq)]
pub struct MessagePage {
    /// One line for each record, without its newline: JSON if the filter asks for it.
    pub lines: Vec<String>,
    /// Records that pass the filter.
    pub total: u64,
    /// The record after which the next page begins, if there is one.
    pub next: Option<u64>,
    /// Where the capture is damaged; what is lost is left out.
    pub damage: Option<DamageReport>,
    /// The moment that times count from.
    pub origin: Nanos,
}

/// The records that pass the filter and come after record number `after`, at most the filter's limit
/// of them and at most `bytes` of text.
pub fn messages(
    path: &Path,
    filter: &CatFilter,
    after: Option<u64>,
    bytes: usize,
) -> Result<MessagePage> {
    let mut page = MessagePage {
        lines: Vec::new(),
        total: 0,
        next: None,
        damage: None,
        origin: origin(path).with_context(|| format!("cannot read {}", path.display()))?,
    };
    let (mut left, mut room) = (filter.limit.unwrap_or(u64::MAX), bytes);
    let mut last = after;
    let kinds = &mut KindsSeen::default();
    page.damage = each(path, filter, kinds, &mut |record, role, origin| {
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

/// Called with a record, its role, and the origin of the times.
type Visit<'a> = dyn FnMut(&Record<'_>, &str, Nanos) -> Result<ControlFlow<()>> + 'a;

/// Visits the records that pass the filter until the visitor has enough.
fn each(
    path: &Path,
    filter: &CatFilter,
    kinds: &mut KindsSeen,
    visit: &mut Visit<'_>,
) -> Result<Option<DamageReport>> {
    let context = || format!("cannot read {}", path.display());
    let origin = origin(path).with_context(context)?;
    let mut records = files::open_capture(path).with_context(context)?;
    let mut interpreter = Interpreter::new();
    let from = filter.from.map(|from| from.from(origin));
    let to = filter.to.map(|to| to.from(origin));
    while let Some(record) = records.next_record().with_context(context)? {
        let role = role(&mut interpreter, &record);
        kinds.see(&record, &role);
        let inside = from.is_none_or(|from| record.t >= from) && to.is_none_or(|to| record.t <= to);
        if inside && filter.passes(&record, &role) && visit(&record, &role, origin)?.is_break() {
            return Ok(None);
        }
    }
    Ok(DamageReport::of(records.losses()))
}

/// Which types there are, as far as it matters.
#[derive(Debug, Default)]
struct KindsSeen {
    /// Those that were asked for and have not been seen.
    absent: Vec<String>,
    /// Roles that were seen while some were missing.
    there: BTreeSet<String>,
}

/// Roles that are kept to be named, …
const MAX_ROLES: usize = 24;
/// … and the longest of them, in bytes: a peer may make up any.
const MAX_ROLE_LEN: usize = 40;

impl KindsSeen {
    fn of(filter: &CatFilter) -> KindsSeen {
        // Few captures have records of every type.
        let of_record = |kind: &str| {
            let kinds = [Kind::Context, Kind::Checkpoint];
            is_record_kind(kind) || kinds.iter().any(|known| known.to_string() == kind)
        };
        let named = filter.kinds.iter().filter(|kind| !of_record(kind));
        KindsSeen { absent: named.cloned().collect(), there: BTreeSet::new() }
    }

    fn see(&mut self, record: &Record<'_>, role: &str) {
        if self.absent.is_empty() {
            return;
        }
        self.absent.retain(|kind| !is_of_kind(record, role, kind));
        let is_named = matches!(record.body, Body::Message(_)) && role.len() <= MAX_ROLE_LEN;
        if is_named && self.there.len() < MAX_ROLES && !self.there.contains(role) {
            self.there.insert(role.to_owned());
        }
    }

    fn sentences(&self) -> Vec<String> {
        let there = || self.there.iter().map(String::as_str);
        let sentence = |kind| format!("no message is of type {kind}; {}", nearest(kind, there()));
        self.absent.iter().map(|kind| sentence(kind)).collect()
    }
}

/// Whether a record is called that: by its role, or a message by its opcode.
fn is_of_kind(record: &Record<'_>, role: &str, kind: &str) -> bool {
    match &record.body {
        Body::Message(message) => kind == role || kind == opcode_name(message.opcode),
        _ => kind == role,
    }
}

/// The role of a record in the session, in one word.
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
        Event::Ready { .. } => "ready".to_owned(),
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
        let named = |kind: &String| is_of_kind(record, role, kind);
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
        match self.kinds.iter().find(|kind| is_record_kind(kind) && !self.records) {
            Some(kind) => bail!(Misuse(format!(
                "--type {kind} names records that are no messages; add --records"
            ))),
            None => Ok(()),
        }
    }
}

fn is_record_kind(kind: &str) -> bool {
    let kinds = [Kind::Header, Kind::Clock, Kind::Gap, Kind::Marker, Kind::End];
    kinds.iter().any(|known| known.to_string() == kind)
}
