//! Batches and schemas as those of the crate arrow-array, which hands them to other programs in memory.

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, ListBuilder};
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use super::{Batch, Column, ColumnKind, TableName, Values};

/// The schema of a table with these columns, as [`super::ArrowFile`] writes it.
#[must_use]
pub fn arrow_schema(table: TableName, columns: &[&Column]) -> SchemaRef {
    let fields: Vec<_> = columns.iter().map(|column| field(column)).collect();
    let about = [("table", table.name()), ("about", table.about())];
    let about = about.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Arc::new(Schema::new_with_metadata(fields, map(about)))
}

fn field(column: &Column) -> Field {
    let about = column.metadata().into_iter().map(|(key, value)| (key.to_owned(), value));
    Field::new(column.name, data_type(column.kind), true).with_metadata(map(about))
}

#[expect(clippy::disallowed_types, reason = "what the crate takes; its order is never seen")]
fn map(
    pairs: impl IntoIterator<Item = (String, String)>,
) -> std::collections::HashMap<String, String> {
    pairs.into_iter().collect()
}

fn data_type(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Whole => DataType::Int64,
        ColumnKind::Number => DataType::Float64,
        ColumnKind::Truth => DataType::Boolean,
        ColumnKind::Word => DataType::Utf8,
        ColumnKind::Wholes => DataType::new_list(DataType::Int64, true),
    }
}

/// A batch of such a schema.
pub fn record_batch(schema: &SchemaRef, batch: Batch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns.into_iter().map(array).collect();
    let rows = arrow_array::RecordBatchOptions::new().with_row_count(Some(batch.rows));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &rows)
}

fn array(values: Values) -> ArrayRef {
    match values {
        Values::Whole(values) => Arc::new(Int64Array::from(values)),
        Values::Number(values) => Arc::new(Float64Array::from(values)),
        Values::Truth(values) => Arc::new(BooleanArray::from(values)),
        Values::Word(values) => Arc::new(StringArray::from(values)),
        Values::Wholes(values) => {
            let mut lists = ListBuilder::new(Int64Builder::new());
            for value in values {
                lists.append_option(value.map(|value| value.into_iter().map(Some)));
            }
            Arc::new(lists.finish())
        }
    }
}
