//! Rows by columns, as the formats for many rows want them.

use super::{Cell, Column, ColumnKind, TableName, TabledCapture};

/// Rows of a table, column by column.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    pub rows: usize,
    pub columns: Vec<Values>,
}

/// What stands in the rows of a column; `None` where it is not known.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    Whole(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Truth(Vec<Option<bool>>),
    Word(Vec<Option<String>>),
    Wholes(Vec<Option<Vec<i64>>>),
}

impl Batch {
    /// No rows of these columns.
    #[must_use]
    pub fn empty(columns: &[&Column]) -> Batch {
        let columns = columns.iter().map(|column| Values::empty(column.kind)).collect();
        Batch { rows: 0, columns }
    }

    /// Adds the rows of a capture, or those of them at moments that `is_wanted`; rows without a moment
    /// are all wanted.
    pub fn add(
        &mut self,
        of: &TabledCapture,
        table: TableName,
        columns: &[&Column],
        is_wanted: impl Fn(f64) -> bool,
    ) {
        let time = table.columns().iter().find(|column| ["t_s", "from_s"].contains(&column.name));
        let t_s = |row| time.and_then(|time| time.cell(of, row).number());
        for row in 0..of.count(table) {
            if !t_s(row).is_none_or(&is_wanted) {
                continue;
            }
            self.rows += 1;
            for (column, values) in columns.iter().zip(&mut self.columns) {
                values.push(column.cell(of, row));
            }
        }
    }

    /// Takes all rows out.
    #[must_use]
    pub fn take(&mut self) -> Batch {
        let columns = self.columns.iter().map(|values| Values::empty(values.kind())).collect();
        std::mem::replace(self, Batch { rows: 0, columns })
    }
}

impl Values {
    fn empty(kind: ColumnKind) -> Values {
        match kind {
            ColumnKind::Whole => Values::Whole(Vec::new()),
            ColumnKind::Number => Values::Number(Vec::new()),
            ColumnKind::Truth => Values::Truth(Vec::new()),
            ColumnKind::Word => Values::Word(Vec::new()),
            ColumnKind::Wholes => Values::Wholes(Vec::new()),
        }
    }

    fn kind(&self) -> ColumnKind {
        match self {
            Values::Whole(_) => ColumnKind::Whole,
            Values::Number(_) => ColumnKind::Number,
            Values::Truth(_) => ColumnKind::Truth,
            Values::Word(_) => ColumnKind::Word,
            Values::Wholes(_) => ColumnKind::Wholes,
        }
    }

    /// A cell of another kind than the column's counts as unknown.
    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Values::Whole(values), Cell::Whole(value)) => {
                values.push(Some(i64::try_from(value).unwrap_or(i64::MAX)));
            }
            (Values::Number(values), Cell::Number(value)) => values.push(Some(value)),
            (Values::Truth(values), Cell::Truth(value)) => values.push(Some(value)),
            (Values::Word(values), Cell::Word(value)) => values.push(Some(value)),
            (Values::Wholes(values), Cell::Wholes(value)) => values.push(Some(value)),
            (Values::Whole(values), _) => values.push(None),
            (Values::Number(values), _) => values.push(None),
            (Values::Truth(values), _) => values.push(None),
            (Values::Word(values), _) => values.push(None),
            (Values::Wholes(values), _) => values.push(None),
        }
    }
}
