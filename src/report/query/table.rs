//! The tables of a session, their columns, and what stands in a row.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::QueryError;
use crate::engine::Engine;
use crate::lag::stats::round;
use crate::parse::nearest;
use crate::report::clock::ReportClock;
use crate::report::page::PageCollector;
use crate::time::Nanos;

/// A table of a session: a row for each slice that landed, for each report of the client, for each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableName {
    Slices,
    Ticks,
    Messages,
}

/// What stands in a row under a column. Nothing is larger, smaller or the same as what is not known.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Unknown,
    Whole(u64),
    Number(f64),
    Word(String),
}

/// A column: its name, what it holds, and how it is read.
pub(super) struct Column {
    pub name: &'static str,
    pub is_number: bool,
    cell: fn(&SessionTables, usize) -> Cell,
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn number(name: &'static str, cell: fn(&SessionTables, usize) -> Cell) -> Column {
    Column { name, is_number: true, cell }
}

const fn word(name: &'static str, cell: fn(&SessionTables, usize) -> Cell) -> Column {
    Column { name, is_number: false, cell }
}

/// Columns of slices: when one landed, its record, where it lies in the loop, how far ahead of the listener,
/// how long after the one before, its times in the server, and the bytes of its message.
const SLICES: [Column; 10] = [
    number("t_s", |of, row| of.time(of.collected.rows.slices[row].row)),
    number("seq", |of, row| of.seq(of.collected.rows.slices[row].row)),
    number("start", |of, row| Cell::Whole(of.collected.rows.slices[row].slice.start.into())),
    number("frames", |of, row| Cell::Whole(of.collected.rows.slices[row].slice.frames.into())),
    number("lead_s", |of, row| rounded(of.collected.rows.slices[row].slice.lead_s, 4)),
    number("interval_s", |of, row| rounded(of.collected.rows.slices[row].slice.interval_s, 6)),
    number("tick_ms", |of, row| rounded(of.collected.rows.slices[row].slice.tick_ms, 3)),
    number("dec_ms", |of, row| rounded(of.collected.rows.slices[row].slice.dec_ms, 3)),
    number("generations", |of, row| {
        Cell::Whole(of.collected.rows.slices[row].slice.generations.into())
    }),
    number("bytes", |of, row| {
        Cell::Whole(of.collected.rows.messages[of.collected.rows.slices[row].row].bytes)
    }),
];

/// Columns of ticks: when the client reported, the record, where it is, how old what it hears is, how long
/// after the report before, and how many bytes of slices it has not acknowledged.
const TICKS: [Column; 6] = [
    number("t_s", |of, row| of.time(of.collected.rows.ticks[row].row)),
    number("seq", |of, row| of.seq(of.collected.rows.ticks[row].row)),
    number("playhead_s", |of, row| rounded(of.collected.rows.ticks[row].tick.playhead_s, 4)),
    number("staleness_s", |of, row| rounded(of.collected.rows.ticks[row].tick.staleness_s, 4)),
    number("interval_s", |of, row| rounded(of.collected.rows.ticks[row].tick.interval_s, 6)),
    number("in_flight", |of, row| {
        let bytes = of.collected.rows.ticks[row].tick.in_flight;
        bytes.map_or(Cell::Unknown, |bytes| Cell::Whole(bytes as u64))
    }),
];

/// Columns of messages, and of what the recorder noted between them: when, the record, who sent it, what it
/// is, its bytes, and how a text begins that is neither a report nor the echo of one.
const MESSAGES: [Column; 6] = [
    number("t_s", |of, row| of.time(row)),
    number("seq", |of, row| of.seq(row)),
    word("from", |of, row| {
        let side = of.collected.rows.messages[row].side;
        Cell::Word(["client", "server", "recorder"][usize::from(side.min(2))].to_owned())
    }),
    word("kind", |of, row| {
        let kind = usize::from(of.collected.rows.messages[row].kind);
        of.collected.kinds.get(kind).map_or(Cell::Unknown, |kind| Cell::Word(kind.clone()))
    }),
    number("bytes", |of, row| Cell::Whole(of.collected.rows.messages[row].bytes)),
    word("text", |of, row| {
        let texts = &of.collected.texts;
        let place = texts.binary_search_by_key(&row, |(row, _)| *row);
        place.map_or(Cell::Unknown, |place| Cell::Word(texts[place].1.clone()))
    }),
];

fn rounded(value: f64, decimals: usize) -> Cell {
    if value.is_finite() { Cell::Number(round(value, decimals)) } else { Cell::Unknown }
}

impl TableName {
    pub const ALL: [TableName; 3] = [TableName::Slices, TableName::Ticks, TableName::Messages];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TableName::Slices => "slices",
            TableName::Ticks => "ticks",
            TableName::Messages => "messages",
        }
    }

    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            TableName::Slices => &SLICES,
            TableName::Ticks => &TICKS,
            TableName::Messages => &MESSAGES,
        }
    }

    /// The names of its columns, in their order.
    pub fn column_names(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|column| column.name)
    }

    /// The number of a column.
    pub(super) fn column(self, name: &str) -> Result<usize, QueryError> {
        let place = self.columns().iter().position(|column| column.name == name);
        place.ok_or_else(|| QueryError::NoColumn {
            table: self.name(),
            name: name.to_owned(),
            known: self.column_names().collect::<Vec<_>>().join(", "),
        })
    }
}

impl FromStr for TableName {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<TableName, QueryError> {
        let named = TableName::ALL.into_iter().find(|table| table.name() == text.trim());
        named.ok_or_else(|| QueryError::NoTable {
            name: text.to_owned(),
            advice: nearest(text, TableName::ALL.iter().map(|table| table.name())),
        })
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Unknown => Ok(()),
            Cell::Whole(value) => value.fmt(f),
            Cell::Number(value) => value.fmt(f),
            Cell::Word(word) => word.fmt(f),
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Unknown => serializer.serialize_none(),
            Cell::Whole(value) => serializer.serialize_u64(*value),
            Cell::Number(value) => serializer.serialize_f64(*value),
            Cell::Word(word) => serializer.serialize_str(word),
        }
    }
}

impl Cell {
    /// The number in it.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Whole(value) => Some(*value as f64),
            Cell::Number(value) => Some(*value),
            Cell::Unknown | Cell::Word(_) => None,
        }
    }
}

/// A session whose rows can be asked: what was picked up while an engine read it.
pub struct SessionTables {
    collected: PageCollector,
    clock: ReportClock,
}

impl SessionTables {
    /// What was collected on the way to the engine's last record, at `at` on the capture's clock.
    #[must_use]
    pub fn of(engine: &Engine, at: Nanos, collected: PageCollector) -> SessionTables {
        SessionTables { collected, clock: ReportClock::of(engine, at) }
    }

    /// Rows of a table.
    pub(super) fn count(&self, table: TableName) -> usize {
        let rows = &self.collected.rows;
        match table {
            TableName::Slices => rows.slices.len(),
            TableName::Ticks => rows.ticks.len(),
            TableName::Messages => rows.messages.len(),
        }
    }

    pub(super) fn cell(&self, table: TableName, column: usize, row: usize) -> Cell {
        (table.columns()[column].cell)(self, row)
    }

    /// Texts of messages that were not kept, of a session with very many.
    #[must_use]
    pub fn texts_left_out(&self) -> u64 {
        self.collected.texts_left_out
    }

    fn time(&self, message: usize) -> Cell {
        Cell::Number(self.clock.s(self.collected.rows.messages[message].t))
    }

    fn seq(&self, message: usize) -> Cell {
        Cell::Whole(self.collected.rows.messages[message].seq)
    }
}
