//! Captures as tables: what columns there are, of which type and in which unit, and what stands in a row.
//!
//! Enters: what an engine made of a capture, or why it could not be read. Leaves: cells of a
//! [`TableName`]'s columns, lines of text and batches of Arrow's for files. `query`, the files of
//! `analyze` and the Python module have their columns from here and from nowhere else. Whole numbers are
//! signed, for engines that know no others; nothing stands where a value is not known.

#[cfg(feature = "arrow")]
mod arrow;
mod captures;
mod details;
mod group_text;
mod groups;
mod histogram;
mod lines;
mod session;
#[cfg(test)]
mod tests;
mod what_ifs;

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Analysis;
use super::moments::Moments;
use crate::lag::stats::round;
use crate::parse::nearest;

#[cfg(feature = "arrow")]
pub use arrow::{BatchBuilder, arrow_schema};
pub use captures::{Standing, standing};
pub use group_text::{counts_in_words, grouped_text};
pub use groups::{CaptureGroup, GroupKeyError, GroupKeys, GroupedCaptures, WorstCapture};
pub use histogram::{HistogramOf, Histograms, edges};
pub use lines::{TableForm, csv_head, csv_line, json_line};
pub use session::SessionTables;
pub use what_ifs::WhatIfRow;

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableName {
    /// A row for each capture, unreadable ones too.
    Captures,
    /// A row for each spell of lag.
    Episodes,
    /// A row for each cause that was found.
    Findings,
    /// A row for each slice that landed.
    Slices,
    /// A row for each report of the client.
    Ticks,
    /// A row for each message, and each op, gap or break that the recorder noted.
    Messages,
    /// A row for each thing that happened, as `cat --timeline` lists them.
    Events,
    /// A row for each capture that is damaged or cannot be read.
    Damage,
    /// A row for each scenario of each capture. Not among all tables: it answers what somebody asks.
    WhatIfs,
}

/// What stands in a row under a column. Nothing is larger, smaller or the same as what is not known.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Unknown,
    /// At most `i64::MAX`.
    Whole(u64),
    Number(f64),
    Truth(bool),
    Word(String),
    /// Counts of a histogram.
    Wholes(Vec<i64>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Whole,
    Number,
    Truth,
    Word,
    Wholes,
}

/// A column: its name, what it holds, and how it is read.
pub struct Column {
    pub name: &'static str,
    pub kind: ColumnKind,
    /// `s`, `ms`, `bytes`, `frames`, `bytes/s`, `1/s`; empty of what has none.
    pub unit: &'static str,
    /// A sentence for people.
    pub about: &'static str,
    read: ReadCell,
}

/// Where a column has its cells from.
enum ReadCell {
    Session(fn(&SessionTables, usize) -> Cell),
    /// Unknown of what cannot be read.
    Report(fn(&Analysis) -> Cell),
    Capture(fn(&TabledCapture, usize) -> Cell),
}

/// A capture whose rows can be read.
pub struct TabledCapture {
    /// The capture as it was named.
    pub capture: String,
    /// Its length, packed as it is; `None` where not even that is known.
    pub file_bytes: Option<u64>,
    /// The analysis, or why there is none.
    pub analysis: Result<Analysis, String>,
    /// Lag and verdict were taken from its checkpoints.
    pub from_checkpoints: bool,
    pub histograms: Histograms,
    /// Rows of slices, reports and messages, where these were asked for.
    pub session: Option<SessionTables>,
    /// What happened, where that was asked for.
    pub moments: Moments,
    /// What would have been, where that was asked.
    pub what_ifs: Vec<WhatIfRow>,
}

impl fmt::Debug for Column {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// There is no such table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no table \"{name}\"; {advice}")]
pub struct TableError {
    pub name: String,
    pub advice: String,
}

/// A table has no such column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{table} has no column \"{name}\"; its columns are {known}")]
pub struct ColumnError {
    pub table: &'static str,
    pub name: String,
    pub known: String,
}

impl TableName {
    pub const ALL: [TableName; 8] = [
        TableName::Captures,
        TableName::Episodes,
        TableName::Findings,
        TableName::Slices,
        TableName::Ticks,
        TableName::Messages,
        TableName::Events,
        TableName::Damage,
    ];
    /// Those that have a row for each record of a kind, which `query` asks.
    pub const OF_SESSION: [TableName; 3] =
        [TableName::Slices, TableName::Ticks, TableName::Messages];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TableName::Captures => "captures",
            TableName::Episodes => "episodes",
            TableName::Findings => "findings",
            TableName::Slices => "slices",
            TableName::Ticks => "ticks",
            TableName::Messages => "messages",
            TableName::Events => "events",
            TableName::Damage => "damage",
            TableName::WhatIfs => "what_ifs",
        }
    }

    /// What a row of it stands for.
    #[must_use]
    pub fn about(self) -> &'static str {
        match self {
            TableName::Captures => "each capture, those that cannot be read too",
            TableName::Episodes => "each spell of lag that a listener heard",
            TableName::Findings => "each cause that was found",
            TableName::Slices => "each slice that landed",
            TableName::Ticks => "each report of the client",
            TableName::Messages => {
                "each message, and each op, gap or break that the recorder noted"
            }
            TableName::Events => "each thing that happened, as `cat --timeline` lists them",
            TableName::Damage => "each capture that is damaged or cannot be read",
            TableName::WhatIfs => "each scenario of each capture",
        }
    }

    /// Its columns, but for the name of the capture.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            TableName::Captures => &captures::COLUMNS,
            TableName::Episodes => &details::EPISODES,
            TableName::Findings => &details::FINDINGS,
            TableName::Slices => &session::SLICES,
            TableName::Ticks => &session::TICKS,
            TableName::Messages => &session::MESSAGES,
            TableName::Events => &details::EVENTS,
            TableName::Damage => &details::DAMAGE,
            TableName::WhatIfs => &what_ifs::COLUMNS,
        }
    }

    /// Its columns in a table of many captures, whose first is the capture.
    pub fn columns_of_many(self) -> impl Iterator<Item = &'static Column> {
        [&CAPTURE].into_iter().chain(self.columns())
    }

    /// The columns of these names in a table of many captures, in their order; all where none is named.
    pub fn chosen(self, names: &[String]) -> Result<Vec<&'static Column>, ColumnError> {
        if names.is_empty() {
            return Ok(self.columns_of_many().collect());
        }
        let find = |name: &String| {
            let named = self.columns_of_many().find(|column| column.name == name.trim());
            named.ok_or_else(|| self.no_column(name, self.columns_of_many()))
        };
        names.iter().map(find).collect()
    }

    /// The names of its columns, in their order.
    pub fn column_names(self) -> impl Iterator<Item = &'static str> {
        self.columns().iter().map(|column| column.name)
    }

    /// The number of a column.
    pub(super) fn column(self, name: &str) -> Result<usize, ColumnError> {
        let place = self.columns().iter().position(|column| column.name == name);
        place.ok_or_else(|| self.no_column(name, self.columns().iter()))
    }

    fn no_column(self, name: &str, known: impl Iterator<Item = &'static Column>) -> ColumnError {
        let known = known.map(|column| column.name).collect::<Vec<_>>().join(", ");
        ColumnError { table: self.name(), name: name.to_owned(), known }
    }
}

impl FromStr for TableName {
    type Err = TableError;

    fn from_str(text: &str) -> Result<TableName, TableError> {
        let named = TableName::ALL.into_iter().find(|table| table.name() == text.trim());
        named.ok_or_else(|| TableError {
            name: text.to_owned(),
            advice: nearest(text, TableName::ALL.iter().map(|table| table.name())),
        })
    }
}

/// The column that tells the captures of a table apart.
static CAPTURE: Column = Column {
    name: "capture",
    kind: ColumnKind::Word,
    unit: "",
    about: "the capture as it was named",
    read: ReadCell::Capture(|of, _| Cell::Word(of.capture.clone())),
};

impl Column {
    /// What stands in a row of a capture.
    #[must_use]
    pub fn cell(&self, of: &TabledCapture, row: usize) -> Cell {
        match self.read {
            ReadCell::Capture(read) => read(of, row),
            ReadCell::Report(read) => of.analysis.as_ref().map_or(Cell::Unknown, read),
            ReadCell::Session(read) => {
                of.session.as_ref().map_or(Cell::Unknown, |session| read(session, row))
            }
        }
    }

    /// What stands in a row of a session, of its own tables.
    pub(super) fn session_cell(&self, of: &SessionTables, row: usize) -> Cell {
        match self.read {
            ReadCell::Session(read) => read(of, row),
            ReadCell::Capture(_) | ReadCell::Report(_) => Cell::Unknown,
        }
    }

    /// What an analysis alone says.
    pub(super) fn report_cell(&self, of: &Analysis) -> Cell {
        match self.read {
            ReadCell::Report(read) => read(of),
            ReadCell::Capture(_) | ReadCell::Session(_) => Cell::Unknown,
        }
    }

    /// Whether it holds numbers, which can be compared and added up.
    #[must_use]
    pub fn is_number(&self) -> bool {
        matches!(self.kind, ColumnKind::Whole | ColumnKind::Number)
    }
}

impl TabledCapture {
    /// One that cannot be read, and why.
    #[must_use]
    pub fn unreadable(capture: String, file_bytes: Option<u64>, why: String) -> TabledCapture {
        TabledCapture {
            capture,
            file_bytes,
            analysis: Err(why),
            from_checkpoints: false,
            histograms: Histograms::default(),
            session: None,
            moments: Moments::default(),
            what_ifs: Vec::new(),
        }
    }

    /// Rows that it has in a table.
    #[must_use]
    pub fn count(&self, table: TableName) -> usize {
        let analysis = self.analysis.as_ref().ok();
        match table {
            TableName::Captures => 1,
            TableName::Episodes => analysis.map_or(0, |of| of.verdict.episodes.len()),
            TableName::Findings => analysis.map_or(0, |of| of.diagnosis.findings.len()),
            TableName::Events => self.moments.moments.len(),
            TableName::Damage => {
                usize::from(analysis.is_none_or(|analysis| analysis.damage.is_some()))
            }
            TableName::WhatIfs => self.what_ifs.len(),
            TableName::Slices | TableName::Ticks | TableName::Messages => {
                self.session.as_ref().map_or(0, |session| session.count(table))
            }
        }
    }
}

/// A column of whole numbers, and so on for the other kinds.
const fn whole(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    read: ReadCell,
) -> Column {
    Column { name, kind: ColumnKind::Whole, unit, about, read }
}

const fn number(
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    read: ReadCell,
) -> Column {
    Column { name, kind: ColumnKind::Number, unit, about, read }
}

const fn truth(name: &'static str, about: &'static str, read: ReadCell) -> Column {
    Column { name, kind: ColumnKind::Truth, unit: "", about, read }
}

const fn word(name: &'static str, about: &'static str, read: ReadCell) -> Column {
    Column { name, kind: ColumnKind::Word, unit: "", about, read }
}

impl Cell {
    /// The number in it.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Whole(value) => Some(*value as f64),
            Cell::Number(value) => Some(*value),
            Cell::Unknown | Cell::Truth(_) | Cell::Word(_) | Cell::Wholes(_) => None,
        }
    }

    /// A whole number, as far as a signed one goes.
    fn whole(value: u64) -> Cell {
        Cell::Whole(value.min(i64::MAX as u64))
    }

    /// A number, if it is one.
    fn rounded(value: f64, decimals: usize) -> Cell {
        if value.is_finite() { Cell::Number(round(value, decimals)) } else { Cell::Unknown }
    }

    /// A number of a report, which is rounded already.
    fn figure(value: Option<f64>) -> Cell {
        value.filter(|value| value.is_finite()).map_or(Cell::Unknown, Cell::Number)
    }

    fn text(value: Option<impl Into<String>>) -> Cell {
        value.map_or(Cell::Unknown, |value| Cell::Word(value.into()))
    }

    /// The word that stands for a value in JSON.
    fn named(value: &impl Serialize) -> Cell {
        match serde_json::to_value(value) {
            Ok(serde_json::Value::String(name)) => Cell::Word(name),
            _ => Cell::Unknown,
        }
    }
}

impl Display for Cell {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Cell::Unknown => Ok(()),
            Cell::Whole(value) => value.fmt(f),
            Cell::Number(value) => value.fmt(f),
            Cell::Truth(value) => value.fmt(f),
            Cell::Word(word) => word.fmt(f),
            Cell::Wholes(values) => {
                f.write_str("[")?;
                for (place, value) in values.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma}{value}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Unknown => serializer.serialize_none(),
            Cell::Whole(value) => serializer.serialize_u64(*value),
            Cell::Number(value) => serializer.serialize_f64(*value),
            Cell::Truth(value) => serializer.serialize_bool(*value),
            Cell::Word(word) => serializer.serialize_str(word),
            Cell::Wholes(values) => values.serialize(serializer),
        }
    }
}
