//! What happened in a session, in one list: ops of the listener, knobs that were turned, commands, events,
//! buffers, closes, losses, and the spells of lag with their causes. What is frequent, and pings, are left
//! out.

use std::io::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use super::clock::ReportClock;
use super::text::{Figure, OneLine, headline, what};
use super::{Analysis, write_json};
use crate::capture::{Body, Direction, Marker, Message, Opcode, Record, RowKind};
use crate::engine::Engine;
use crate::time::Nanos;
use crate::wire::json::parse_object;
use crate::wire::message::{ClientText, ServerText, client_text, kind_of, server_text};

/// Moments that are kept; later ones are counted.
const MAX_MOMENTS: usize = 100_000;
/// Longest text that is repeated, in characters.
const TEXT_CHARS: usize = 200;
/// Fields of a message, and items of a list in it, that are repeated.
const MAX_FIELDS: usize = 24;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moment {
    /// When, in seconds from the initial buffer.
    pub t_s: f64,
    /// Its record; absent of what was concluded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    pub kind: MomentKind,
    /// What it is: the op, the `type` of the message, the class of the finding.
    pub name: String,
    /// What belongs to it: the knobs with their new values, the fields of the message.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub detail: Map<String, Value>,
}

/// What kind of moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MomentKind {
    /// The listener did something to the playhead, or a moment got a name.
    Op,
    /// Knobs in the reports have other values than before.
    Knobs,
    /// The client sent something else.
    Command,
    /// The server said something.
    Event,
    /// The initial buffer, or that of a swap.
    Buffer,
    /// A close frame, or a connection that broke.
    Close,
    /// Records are missing.
    Loss,
    /// A spell of lag begins or ends.
    Lag,
    /// A cause begins to be at work.
    Finding,
}

impl MomentKind {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            MomentKind::Op => "op",
            MomentKind::Knobs => "knobs",
            MomentKind::Command => "command",
            MomentKind::Event => "event",
            MomentKind::Buffer => "buffer",
            MomentKind::Close => "close",
            MomentKind::Loss => "loss",
            MomentKind::Lag => "lag",
            MomentKind::Finding => "finding",
        }
    }
}

/// All moments of a session, the first one first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Moments {
    pub moments: Vec<Moment>,
    /// Moments that are not among them, of a session with very many.
    pub left_out: u64,
}

/// Picks moments up: [`MomentCollector::see`] follows every [`Engine::handle`].
#[derive(Debug, Default)]
pub struct MomentCollector {
    seen: Vec<(Nanos, Moment)>,
    left_out: u64,
    /// The knobs of the report before.
    knobs: Option<Map<String, Value>>,
    raw: String,
}

impl MomentCollector {
    /// Takes what the engine made of the record that it has just handled.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        let moment = match &record.body {
            Body::Message(message) => self.message(engine.did(), message),
            Body::Marker(marker) => Some(op(marker)),
            Body::Gap(gap) => Some((MomentKind::Loss, "gap".to_owned(), fields(gap))),
            Body::Break(_) => Some((MomentKind::Close, "connection lost".to_owned(), Map::new())),
            _ => None,
        };
        let Some((kind, name, detail)) = moment else { return };
        if self.seen.len() >= MAX_MOMENTS {
            self.left_out += 1;
            return;
        }
        let moment = Moment { t_s: 0.0, seq: Some(record.seq), kind, name: short(&name), detail };
        self.seen.push((record.t, moment));
    }

    fn message(&mut self, did: &RowKind, message: &Message<'_>) -> Option<Happened> {
        let buffer = |name: &str| Some((MomentKind::Buffer, name.to_owned(), Map::new()));
        match did {
            RowKind::Slice { .. } | RowKind::Refused => return None,
            RowKind::Begin(_) => return buffer("initial buffer"),
            RowKind::Swap(_) => return buffer("swap buffer"),
            _ => {}
        }
        match message.opcode {
            Opcode::Text if !message.compressed => {
                let text = std::str::from_utf8(message.payload).ok()?;
                match message.direction {
                    Direction::ClientToServer => self.client(text),
                    Direction::ServerToClient => server(text),
                }
            }
            Opcode::Close => Some(close(message)),
            _ => None,
        }
    }

    fn client(&mut self, text: &str) -> Option<Happened> {
        match client_text(text).ok()? {
            ClientText::Params(params) => self.turned(&params.raw?),
            ClientText::Command(fields) => Some(told(MomentKind::Command, "config", fields)),
        }
    }

    /// The knobs that differ from those of the report before; the first report turns none.
    fn turned(&mut self, raw: &str) -> Option<Happened> {
        if raw == self.raw {
            return None;
        }
        raw.clone_into(&mut self.raw);
        let now = parse_object(raw).ok()?.fields;
        let before = self.knobs.replace(now.clone())?;
        let mut turned = Map::new();
        for (name, value) in &now {
            if before.get(name) != Some(value) {
                turned.insert(name.clone(), value.clone());
            }
        }
        let gone = before.keys().filter(|name| !now.contains_key(*name));
        turned.extend(gone.map(|name| (name.clone(), Value::Null)));
        let name = turned.keys().take(4).cloned().collect::<Vec<_>>().join(", ");
        (!turned.is_empty()).then(|| (MomentKind::Knobs, name, clipped(turned)))
    }
}

/// A kind, a name, and what belongs to it.
type Happened = (MomentKind, String, Map<String, Value>);

fn server(text: &str) -> Option<Happened> {
    match server_text(text).ok()? {
        ServerText::ParamsUpdate => None,
        ServerText::Event(object) => Some(told(MomentKind::Event, "untyped", object.fields)),
    }
}

/// A message by its type, which does not stand among its fields again.
fn told(kind: MomentKind, untyped: &str, mut fields: Map<String, Value>) -> Happened {
    let name = kind_of(&fields).unwrap_or(untyped).to_owned();
    fields.shift_remove("type");
    (kind, name, clipped(fields))
}

fn close(message: &Message<'_>) -> Happened {
    let code = message.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
    let reason = String::from_utf8_lossy(message.payload.get(2..).unwrap_or_default());
    let by = match message.direction {
        Direction::ClientToServer => "client",
        Direction::ServerToClient => "server",
    };
    let detail = serde_json::json!({"by": by, "code": code, "reason": short(&reason)});
    (MomentKind::Close, "close".to_owned(), fields(&detail))
}

fn op(marker: &Marker) -> Happened {
    let mut detail = fields(marker);
    let name = detail.remove("op").and_then(|op| op.as_str().map(str::to_owned));
    (MomentKind::Op, name.unwrap_or_default(), detail)
}

fn fields(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

impl Moments {
    /// What was collected up to the engine's last record, and what the analysis of it concludes.
    #[must_use]
    pub fn of(engine: &Engine, collected: MomentCollector, analysis: &Analysis) -> Moments {
        let clock = ReportClock::of(engine, Nanos(analysis.report_ns));
        let timed = |(t, moment)| Moment { t_s: clock.s(t), ..moment };
        let mut moments: Vec<_> = collected.seen.into_iter().map(timed).collect();
        moments.extend(concluded(analysis));
        moments.sort_by(|a, b| a.t_s.total_cmp(&b.t_s));
        Moments { moments, left_out: collected.left_out }
    }
}

fn concluded(analysis: &Analysis) -> Vec<Moment> {
    let moment = |t_s: f64, kind, name: String, sentence: Option<String>| {
        let detail = sentence.map(|sentence| ("sentence".to_owned(), sentence.into()));
        Moment { t_s, seq: None, kind, name, detail: detail.into_iter().collect() }
    };
    let mut all = Vec::new();
    for episode in &analysis.verdict.episodes {
        let sentence = Some(what(&episode.what));
        all.push(moment(episode.from_s, MomentKind::Lag, "lag begins".to_owned(), sentence));
        all.push(moment(episode.to_s, MomentKind::Lag, "lag ends".to_owned(), None));
    }
    for finding in &analysis.diagnosis.findings {
        let name = finding.class.to_string();
        all.push(moment(finding.from_s, MomentKind::Finding, name, Some(headline(finding))));
    }
    all
}

/// A moment a line, as text or as JSON.
pub fn print(moment: &Moment, json: bool, out: &mut dyn Write) -> std::io::Result<()> {
    if json {
        write_json(out, moment)?;
        return writeln!(out);
    }
    let detail = moment.detail.iter().map(|(name, value)| {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) if number.is_f64() => {
                Figure(number.as_f64().unwrap_or_default()).to_string()
            }
            other => other.to_string(),
        };
        format!("{name} {value}")
    });
    let words = [moment.name.clone()].into_iter().chain(detail).collect::<Vec<_>>().join("  ");
    let kind = moment.kind.name();
    writeln!(out, "{:>11.3} s  {kind:<8} {}", moment.t_s, OneLine(words.trim_end()))
}

fn clipped(fields: Map<String, Value>) -> Map<String, Value> {
    let short = |(name, value): (String, Value)| (short(&name), clipped_value(value));
    fields.into_iter().take(MAX_FIELDS).map(short).collect()
}

fn clipped_value(value: Value) -> Value {
    match value {
        Value::String(text) => short(&text).into(),
        Value::Array(items) => items.into_iter().take(MAX_FIELDS).map(clipped_value).collect(),
        Value::Object(fields) => Value::Object(clipped(fields)),
        other => other,
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}…", &text[..at]),
    }
}
