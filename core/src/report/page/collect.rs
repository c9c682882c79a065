//! What a page shows of every record, picked up while an engine reads them.

use std::collections::BTreeMap;

use super::rows::{MessageRow, Rows, SliceRow, TickRow};
use crate::capture::Record;
use crate::engine::Engine;
use crate::report::seen::{Measured, Side, Watcher};

/// Longest excerpt of a text, in characters.
const EXCERPT_CHARS: usize = 300;
/// Texts that are kept; more are counted.
const MAX_TEXTS: usize = 5_000;
/// Kinds of messages that have names of their own; a peer may invent any number.
const MAX_KINDS: usize = 200;

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
    watcher: Watcher,
}

impl PageCollector {
    /// Takes what the engine made of the record that it has just handled.
    pub fn see(&mut self, engine: &Engine, record: &Record<'_>) {
        let Some(seen) = self.watcher.see(engine, record, EXCERPT_CHARS) else { return };
        let row = self.rows.messages.len();
        match seen.text {
            Some(text) if self.texts.len() < MAX_TEXTS => self.texts.push((row, text)),
            Some(_) => self.texts_left_out += 1,
            None => {}
        }
        let side = match seen.side {
            Side::Client => 0,
            Side::Server => 1,
            Side::Recorder => 2,
        };
        let kind = self.number(seen.kind);
        let (t, seq, bytes) = (record.t, record.seq, seen.bytes);
        self.rows.messages.push(MessageRow { t, seq, kind, side, bytes });
        match seen.measured {
            Measured::Slice(slice) => self.rows.slices.push(SliceRow { row, slice }),
            Measured::Tick(tick) => self.rows.ticks.push(TickRow { row, tick }),
            Measured::Nothing => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
