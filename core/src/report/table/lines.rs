//! Rows as lines of text: comma-separated values, or JSON.

use super::{Cell, Column};
use crate::report::sweep::csv_fields;

/// A form for the file of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableForm {
    Csv,
    Jsonl,
    /// Arrow's file format, also called Feather.
    Arrow,
    Parquet,
}

impl TableForm {
    /// Ending of its files' names.
    #[must_use]
    pub fn ending(self) -> &'static str {
        match self {
            TableForm::Csv => "csv",
            TableForm::Jsonl => "jsonl",
            TableForm::Arrow => "arrow",
            TableForm::Parquet => "parquet",
        }
    }
}

/// The first line of comma-separated values.
#[must_use]
pub fn csv_head(columns: &[&Column]) -> String {
    csv_fields(columns.iter().map(|column| column.name.to_owned()))
}

/// A row of comma-separated values; empty where a value is not known.
#[must_use]
pub fn csv_line(cells: impl Iterator<Item = Cell>) -> String {
    csv_fields(cells.map(|cell| cell.to_string()))
}

/// A row as a JSON object.
#[must_use]
pub fn json_line(columns: &[&Column], cells: impl Iterator<Item = Cell>) -> String {
    let fields = columns.iter().zip(cells).map(|(column, cell)| {
        let value = serde_json::to_value(&cell).unwrap_or_default();
        (column.name.to_owned(), value)
    });
    let object: serde_json::Map<_, _> = fields.collect();
    serde_json::Value::Object(object).to_string() + "\n"
}
