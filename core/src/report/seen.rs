//! What a record is to people: its kind in a word, its text, and what the engine measured with it.

use crate::capture::{Body, Direction, Marker, Message, Opcode, Record, RowKind, TickReport};
use crate::engine::{Engine, Epoch};
use crate::lag::SliceRecord;
use crate::time::Nanos;
use crate::wire::message::{ClientText, ServerText, client_text, kind_of, server_text};

/// Longest name of a kind, in characters.
const KIND_CHARS: usize = 40;

/// Whose a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
    Recorder,
}

impl Side {
    #[cfg(feature = "forms")]
    pub fn name(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Server => "server",
            Side::Recorder => "recorder",
        }
    }
}

/// What a record is.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub side: Side,
    pub kind: String,
    /// How its text begins, but for reports and for what the server says of knobs.
    pub text: Option<String>,
    /// Bytes of the message.
    pub bytes: u64,
    pub measured: Measured,
}

/// What was measured when a record came.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Measured {
    Slice(SliceRecord),
    Tick(TickMeasure),
    Nothing,
}

/// What was measured at a report of the client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct TickMeasure {
    pub playhead_s: f64,
    /// Age of the audio under the playhead.
    pub staleness_s: f64,
    /// Time since the report before; 0 of the first.
    pub interval_s: f64,
    /// Bytes of slices that were sent and not acknowledged yet.
    pub in_flight: Option<f64>,
}

/// Sees records after the engine has handled them.
#[derive(Debug, Clone, Default)]
pub(super) struct Watcher {
    last_tick: Option<Nanos>,
}

impl Watcher {
    /// What the record is that the engine has just handled, with so many characters of its text;
    /// `None` for one without a place on the time line.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>, most_chars: usize) -> Option<Seen> {
        let (kind, text) = match &record.body {
            Body::Message(message) => seen(engine.did(), message, most_chars),
            Body::Marker(marker) => operation(marker, most_chars),
            Body::Gap(gap) => ("gap".to_owned(), Some(format!("{} records lost", gap.count))),
            Body::Break(_) => ("connection lost".to_owned(), None),
            _ => return None,
        };
        let (side, bytes) = match &record.body {
            Body::Message(message) => (side(message.direction), message.len()),
            _ => (Side::Recorder, 0),
        };
        let measured = self.measured(engine, record.t);
        Some(Seen { side, kind, text, bytes, measured })
    }

    fn measured(&mut self, engine: &Engine, t: Nanos) -> Measured {
        let Some(epoch) = engine.epochs().last() else { return Measured::Nothing };
        match engine.did() {
            RowKind::Slice { .. } => {
                let slice = epoch.tracker.slices().next_back();
                slice.map_or(Measured::Nothing, |slice| Measured::Slice(*slice))
            }
            RowKind::Tick { report, .. } => self.tick(t, report, engine.facts().slice_bytes, epoch),
            _ => Measured::Nothing,
        }
    }

    fn tick(&mut self, t: Nanos, report: &TickReport, sent: u64, epoch: &Epoch) -> Measured {
        let Some(tick) = epoch.tracker.ticks().next_back() else { return Measured::Nothing };
        let received = report.slice_bytes_rx.filter(|bytes| bytes.is_finite());
        let last = self.last_tick.replace(t);
        Measured::Tick(TickMeasure {
            playhead_s: tick.playhead_s,
            staleness_s: tick.staleness_s,
            interval_s: last.map_or(0.0, |last| t.seconds_since(last)),
            in_flight: received.map(|received| (sent as f64 - received).max(0.0)),
        })
    }
}

fn side(direction: Direction) -> Side {
    match direction {
        Direction::ClientToServer => Side::Client,
        Direction::ServerToClient => Side::Server,
    }
}

/// What a message is in a word, and its text where it says more than the word.
fn seen(did: &RowKind, message: &Message<'_>, most_chars: usize) -> (String, Option<String>) {
    let known = match did {
        RowKind::Slice { .. } => "slice",
        RowKind::Tick { .. } => "params",
        RowKind::Begin(_) => "buffer",
        RowKind::Swap(_) => "swap buffer",
        RowKind::Refused => "unusable",
        _ => return unknown(message, most_chars),
    };
    (known.to_owned(), None)
}

fn unknown(message: &Message<'_>, most_chars: usize) -> (String, Option<String>) {
    let name = match message.opcode {
        Opcode::Text if message.compressed => "compressed",
        Opcode::Text => return text(message, most_chars),
        Opcode::Binary => "binary",
        Opcode::Ping => "ping",
        Opcode::Pong => "pong",
        Opcode::Close => {
            let code = message.payload.first_chunk().map(|code| u16::from_be_bytes(*code));
            let reason = message.payload.get(2..).unwrap_or_default();
            let code = code.map_or("no code".to_owned(), |code| code.to_string());
            return ("close".to_owned(), Some(format!("{code} {}", excerpt(reason, most_chars))));
        }
        _ => "other",
    };
    (name.to_owned(), None)
}

fn text(message: &Message<'_>, most_chars: usize) -> (String, Option<String>) {
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
    let kind = kind.chars().take(KIND_CHARS).collect();
    (kind, Some(excerpt(message.payload, most_chars)))
}

/// How a text begins.
fn excerpt(bytes: &[u8], most_chars: usize) -> String {
    let beginning = &bytes[..bytes.len().min(most_chars.saturating_mul(4))];
    let text = String::from_utf8_lossy(beginning);
    let mut excerpt: String = text.chars().take(most_chars).collect();
    if excerpt.len() < bytes.len() {
        excerpt.push('…');
    }
    excerpt
}

fn operation(marker: &Marker, most_chars: usize) -> (String, Option<String>) {
    let (name, text) = match marker {
        Marker::Seek { to_s } => ("seek", Some(format!("to {to_s} s"))),
        Marker::Rate { rate } => ("rate", Some(rate.to_string())),
        Marker::Pause => ("pause", None),
        Marker::Resume => ("resume", None),
        Marker::Point { name } => ("mark", Some(excerpt(name.as_bytes(), most_chars))),
    };
    (name.to_owned(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_are_short_and_whole_characters() {
        let excerpt = |bytes| excerpt(bytes, 300);
        assert_eq!(excerpt("ab\u{1b}c</script>".as_bytes()), "ab\u{1b}c</script>");
        let long = "é".repeat(1 << 20);
        assert_eq!(excerpt(long.as_bytes()), format!("{}…", "é".repeat(300)));
        assert_eq!(excerpt(b"a\xffb"), "a\u{fffd}b");
    }
}
