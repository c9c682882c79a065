//! Rows by columns, as batches of the crate arrow-array: for Arrow's and Parquet's files, and for other
//! programs in memory.

use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::histogram::{HistogramOf, edges};
use super::{Cell, Column, ColumnKind, TableName, TabledCapture};

/// The schema of a table with these columns. Units and meanings are in the metadata.
#[must_use]
pub fn arrow_schema(table: TableName, columns: &[&Column]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|column| field(column)).collect();
    let about = [("table", table.name()), ("about", table.about())];
    Arc::new(Schema::new_with_metadata(fields, about))
}

fn field(column: &Column) -> Field {
    let data_type = match column.kind {
        ColumnKind::Whole => DataType::Int64,
        ColumnKind::Number => DataType::Float64,
        ColumnKind::Truth => DataType::Boolean,
        ColumnKind::Word => DataType::Utf8,
        ColumnKind::Wholes => DataType::new_list(DataType::Int64, true),
    };
    let mut field = Field::new(column.name, data_type, true);
    let metadata = field.metadata_mut();
    metadata.insert("about", column.about);
    if !column.unit.is_empty() {
        metadata.insert("unit", column.unit);
    }
    if column.kind == ColumnKind::Wholes {
        metadata.insert("edges_s", edges_s(column));
    }
    field
}

/// The edges of a histogram, as a JSON list.
fn edges_s(column: &Column) -> String {
    let of = match column.name {
        "lead_histogram" => HistogramOf::Leads,
        _ => HistogramOf::Staleness,
    };
    let edges: Vec<_> = edges(of).iter().map(f64::to_string).collect();
    format!("[{}]", edges.join(","))
}

/// Rows of a table on their way into a batch.
pub struct BatchBuilder {
    table: TableName,
    columns: Vec<&'static Column>,
    schema: SchemaRef,
    values: Vec<Values>,
    rows: usize,
}

/// What stands in the rows of a column so far.
enum Values {
    Whole(Int64Builder),
    Number(Float64Builder),
    Truth(BooleanBuilder),
    Word(StringBuilder),
    Wholes(ListBuilder<Int64Builder>),
}

impl BatchBuilder {
    /// No rows of these columns.
    #[must_use]
    pub fn new(table: TableName, columns: Vec<&'static Column>) -> BatchBuilder {
        let schema = arrow_schema(table, &columns);
        let values = columns.iter().map(|column| Values::of(column.kind)).collect();
        BatchBuilder { table, columns, schema, values, rows: 0 }
    }

    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that are not in a batch yet.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Adds the rows of a capture, or those of them at moments that `is_wanted`, in seconds; rows without
    /// a moment are all wanted.
    pub fn add(&mut self, of: &TabledCapture, is_wanted: impl Fn(f64) -> bool) {
        let mut columns = self.table.columns().iter();
        let time = columns.find(|column| ["t_s", "from_s"].contains(&column.name));
        let t_s = |row| time.and_then(|time| time.cell(of, row).number());
        for row in 0..of.count(self.table) {
            if !t_s(row).is_none_or(&is_wanted) {
                continue;
            }
            self.rows += 1;
            for (column, values) in self.columns.iter().zip(&mut self.values) {
                values.push(column.cell(of, row));
            }
        }
    }

    /// Takes all rows out as a batch.
    pub fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.values.iter_mut().map(Values::take).collect();
        let rows = RecordBatchOptions::new().with_row_count(Some(std::mem::take(&mut self.rows)));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)
    }
}

impl Values {
    fn of(kind: ColumnKind) -> Values {
        match kind {
            ColumnKind::Whole => Values::Whole(Int64Builder::new()),
            ColumnKind::Number => Values::Number(Float64Builder::new()),
            ColumnKind::Truth => Values::Truth(BooleanBuilder::new()),
            ColumnKind::Word => Values::Word(StringBuilder::new()),
            ColumnKind::Wholes => Values::Wholes(ListBuilder::new(Int64Builder::new())),
        }
    }

    /// A cell of another kind than the column's counts as unknown.
    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Values::Whole(values), Cell::Whole(value)) => {
                values.append_value(i64::try_from(value).unwrap_or(i64::MAX));
            }
            (Values::Number(values), Cell::Number(value)) => values.append_value(value),
            (Values::Truth(values), Cell::Truth(value)) => values.append_value(value),
            (Values::Word(values), Cell::Word(value)) => values.append_value(value),
            (Values::Wholes(values), Cell::Wholes(value)) => {
                values.append_value(value.into_iter().map(Some));
            }
            (Values::Whole(values), _) => values.append_null(),
            (Values::Number(values), _) => values.append_null(),
            (Values::Truth(values), _) => values.append_null(),
            (Values::Word(values), _) => values.append_null(),
            (Values::Wholes(values), _) => values.append_null(),
        }
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Values::Whole(values) => Arc::new(values.finish()),
            Values::Number(values) => Arc::new(values.finish()),
            Values::Truth(values) => Arc::new(values.finish()),
            Values::Word(values) => Arc::new(values.finish()),
            Values::Wholes(values) => Arc::new(values.finish()),
        }
    }
}
