//! What a page shows of every record, picked up while an engine reads them.

use std::collections::BTreeMap;

use super::rows::{MessageRow, Rows, SliceRow, TickRow};
use crate::capture::{Body, Direction, Marker, Message, Opcode, Record, RowKind, TickReport};
use crate::engine::{Engine, Epoch};
use crate::time::Nanos;
use crate::wire::message::{ClientText, ServerText, client_text, kind_of, server_text};

/// Longest excerpt of a text, in characters.
const EXCERPT_CHARS: usize = 300;
/// Texts that are kept; more are counted.
const MAX_TEXTS: usize = 5_000;
/// Kinds of messages that have names of their own; a peer may invent any number.
const MAX_KINDS: usize = 200;
/// Longest name of a kind, in characters.
const KIND_CHARS: usize = 40;

/// Picks up what a page shows: [`PageCollector::see`] follows every [`Engine::handle`].
#[derive(Debug, Clone, Default)]
pub struct PageCollector {
    pub(in crate::report) rows: Rows,
    /// Names of the kinds, by their numbers.
    pub(in crate::report) kinds: Vec<String>,
    numbers: BTreeMap<String, u16>,
    /// Excerpts, by the row of their message.
    pub(in crate::report) texts: Vec<(usize, String)>,
    pub(in crate::report) texts_left_out: u64,
    last_tick: Option<Nanos>,
}

impl PageCollector {
    /// Takes what the engine made of the record that it has just handled.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        let (kind, text) = match &record.body {
            Body::Message(message) => seen(engine.did(), message),
            Body::Marker(marker) => operation(marker),
            Body::Gap(gap) => ("gap".to_owned(), Some(format!("{} records lost", gap.count))),
            Body::Break(_) => ("connection lost".to_owned(), None),
            _ => return,
        };
        let row = self.rows.messages.len();
        match text {
            Some(text) if self.texts.len() < MAX_TEXTS => self.texts.push((row, text)),
            Some(_) => self.texts_left_out += 1,
            None => {}
        }
        let (side, bytes) = match &record.body {
            Body::Message(message) => (side(message.direction), message.len()),
            _ => (2, 0),
        };
        let kind = self.number(kind);
        self.rows.messages.push(MessageRow { t: record.t, seq: record.seq, kind, side, bytes });
        let Some(epoch) = engine.epochs().last() else { return };
        match engine.did() {
            RowKind::Slice { .. } => self.slice(row, epoch),
            RowKind::Tick { report, .. } => {
                self.tick(row, record.t, report, engine.facts().slice_bytes, epoch);
            }
            _ => {}
        }
    }

    fn slice(&mut self, row: usize, epoch: &Epoch) {
        let slice = epoch.tracker.slices().next_back();
        self.rows.slices.extend(slice.map(|slice| SliceRow { row, slice: *slice }));
    }

    fn tick(&mut self, row: usize, t: Nanos, report: &TickReport, sent: u64, epoch: &Epoch) {
        let Some(tick) = epoch.tracker.ticks().next_back() else { return };
        let received = report.slice_bytes_rx.filter(|bytes| bytes.is_finite());
        self.rows.ticks.push(TickRow {
            row,
            playhead_s: tick.playhead_s,
            staleness_s: tick.staleness_s,
            interval_s: self.last_tick.map_or(0.0, |last| t.seconds_since(last)),
            in_flight: received.map(|received| (sent as f64 - received).max(0.0)),
        });
        self.last_tick = Some(t);
    }

    /// The number of a kind. The last one stands for all that have none of their own.
    fn number(&mut self, kind: String) -> u16 {
        if let Some(number) = self.numbers.get(&kind) {
            return *number;
        }
        let number = self.kinds.len().min(MAX_KINDS) as u16;
        if self.kinds.len() <= MAX_KINDS {
            let is_last = self.kinds.len() == MAX_KINDS;
            self.kinds.push(if is_last { "other".to_owned() } else { kind.clone() });
            self.numbers.insert(kind, number);
        }
        number
    }
}

fn side(direction: Direction) -> u8 {
    u8::from(direction == Direction::ServerToClient)
}

/// What a message is in a word, and its text where the page shows one.
fn seen(did: &RowKind, message: &Message<'_>) -> (String, Option<String>) {
    let known = match did {
        RowKind::Slice { .. } => "slice",
        RowKind::Tick { .. } => "params",
        RowKind::Begin(_) => "buffer",
        RowKind::Swap(_) => "swap buffer",
        RowKind::Refused => "unusable",
        _ => return unknown(message),
    };
    (known.to_owned(), None)
}

fn unknown(message: &Message<'_>) -> (String, Option<String>) {
    let name = match message.opcode {
        Opcode::Text if message.compressed => "compressed",
        Opcode::Text => return text(message),
        Opcode::Binary => "binary",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
        Opcode::Close => {
            let code = message.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = message.payload.get(2..).unwrap_or_default();
            let code = code.map_or("no code".to_owned(), |code| code.to_string());
            return ("close".to_owned(), Some(format!("{code} {}", excerpt(reason))));
        }
        _ => "other",
    };
    (name.to_owned(), None)
}

fn text(message: &Message<'_>) -> (String, Option<String>) {
    let text = std::str::from_utf8(message.payload).unwrap_or_default();
    let fields = match message.direction {
        Direction::ClientToServer => match client_text(text) {
            Ok(ClientText::Params(_)) => return ("params".to_owned(), None),
            Ok(ClientText::Command(fields)) => Some(fields),
            Err(_) => None,
        },
        Direction::ServerToClient => match server_text(text) {
            Ok(ServerText::ParamsUpdate) => return ("params_update".to_owned(), None),
            Ok(ServerText::Event(object)) => Some(object.fields),
            Err(_) => None,
        },
    };
    let kind = fields.as_ref().and_then(kind_of).unwrap_or("text");
    (kind.chars().take(KIND_CHARS).collect(), Some(excerpt(message.payload)))
}

/// How a text begins.
fn excerpt(bytes: &[u8]) -> String {
    let beginning = &bytes[..bytes.len().min(4 * EXCERPT_CHARS)];
    let text = String::from_utf8_lossy(beginning);
    let mut excerpt: String = text.chars().take(EXCERPT_CHARS).collect();
    if excerpt.len() < bytes.len() {
        excerpt.push('…');
    }
    excerpt
}

fn operation(marker: &Marker) -> (String, Option<String>) {
    let (name, text) = match marker {
        Marker::Seek { to_s } => ("seek", Some(format!("to {to_s} s"))),
        Marker::Rate { rate } => ("rate", Some(rate.to_string())),
        Marker::Pause => ("pause", None),
        Marker::Resume => ("resume", None),
        Marker::Point { name } => ("mark", Some(excerpt(name.as_bytes()))),
    };
    (name.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_whole_characters() {
        assert_eq!(excerpt("ab\u{1b}c</script>".as_bytes()), "ab\u{1b}c</script>");
        let long = "é".repeat(1 << 20);
        assert_eq!(excerpt(long.as_bytes()), format!("{}…", "é".repeat(EXCERPT_CHARS)));
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
    }

    #[test]
    fn kinds_that_a_peer_invents_are_bounded() {
        let mut collector = PageCollector::default();
        let numbers: Vec<_> = (0..1000).map(|i| collector.number(format!("kind {i}"))).collect();
        assert_eq!(collector.kinds.len(), MAX_KINDS + 1);
        assert_eq!((numbers[3], numbers[999]), (3, MAX_KINDS as u16));
        assert_eq!(collector.number("kind 3".to_owned()), 3);
        assert_eq!(collector.kinds[MAX_KINDS], "other");
    }
}
