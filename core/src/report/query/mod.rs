//! A question about the rows of a session: which of them, which columns, and what they come to.
//!
//! Enters: a table, conditions such as `lead_s < 0`, columns or aggregates such as `p95(lead_s)`, a column
//! to group by, an order. Leaves: rows, and how many there are. All names are those of [`TableName`]'s
//! columns; an error lists them.

mod condition;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;

use serde::Serialize;

use self::condition::Condition;
use crate::lag::stats::{mean, percentile, round};
use crate::parse::nearest;
use crate::report::table::{Cell, ColumnError, SessionTables, TableError, TableName};

/// Groups of an answer at most: more would be rows and no summary of them.
const MAX_GROUPS: usize = 100_000;

/// Why a question cannot be answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    NoTable(#[from] TableError),
    #[error(transparent)]
    NoColumn(#[from] ColumnError),
    #[error(
        "\"{0}\" is no condition; write COLUMN OPERATOR VALUE, such as lead_s < 0, with = != < <= > >= or ~, which is \"contains\""
    )]
    NoCondition(String),
    #[error("{column} holds {holds}, and \"{text}\" asks it for {asked}")]
    WrongKind { column: &'static str, holds: &'static str, asked: &'static str, text: String },
    #[error(
        "\"{0}\" is no aggregate; write count, or min, max, mean, sum, first, last or a percentile such as p95 of a column: p95(lead_s)"
    )]
    NoAggregate(String),
    #[error(
        "\"{0}\" groups nothing; write a column, or one with the width of its steps, such as t_s/10"
    )]
    NoGroup(String),
    #[error("the answer has no column \"{name}\" to order by; it has {known}")]
    NoOrder { name: String, known: String },
    #[error("give select or aggregate, not both; what rows have in common is group_by")]
    RowsAndSums,
    #[error("{0} has more groups than an answer; give wider steps, such as t_s/10")]
    TooManyGroups(String),
}

/// A question as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryWords {
    pub table: String,
    /// Conditions that all hold; one text may hold several, with `and` between them.
    pub conditions: Vec<String>,
    /// Columns; all unless given.
    pub select: Vec<String>,
    /// What rows come to, instead of the rows.
    pub aggregates: Vec<String>,
    /// A column, or `column/width`.
    pub group_by: Option<String>,
    /// A column of the answer, and `desc` for the largest first.
    pub order: Option<String>,
}

/// A question that can be asked.
#[derive(Debug)]
pub struct Query {
    table: TableName,
    conditions: Vec<Condition>,
    shown: Shown,
    order: Option<Order>,
}

#[derive(Debug)]
enum Shown {
    /// These columns of the rows.
    Rows(Vec<usize>),
    /// What the rows, or each group of them, come to.
    Sums { group: Option<Group>, aggregates: Vec<Aggregate> },
}

/// Rows that have a value in common, or lie in the same step of it.
#[derive(Debug)]
struct Group {
    name: String,
    column: usize,
    step: Option<f64>,
}

/// What rows come to.
#[derive(Debug)]
struct Aggregate {
    name: String,
    of: Sum,
}

#[derive(Debug, Clone, Copy)]
enum Sum {
    Count,
    Of(Kind, usize),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Min,
    Max,
    Mean,
    Sum,
    First,
    Last,
    /// A quantile from 0 to 1.
    Quantile(f64),
}

/// By which column of the answer.
#[derive(Debug)]
struct Order {
    column: OrderColumn,
    descending: bool,
}

#[derive(Debug)]
enum OrderColumn {
    /// Of the table: rows need not show what they are ordered by.
    Table(usize),
    /// Of the answer.
    Answer(usize),
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryAnswer {
    pub columns: Vec<String>,
    /// One value for each column; `null` where it is not known.
    pub rows: Vec<Vec<Cell>>,
    /// Rows that there are, the ones that were not asked for included.
    pub total: u64,
    /// Rows of the table for which the conditions hold.
    pub matched: u64,
}

impl Query {
    /// Reads a question.
    pub fn of(words: &QueryWords) -> Result<Query, QueryError> {
        let table = table(&words.table)?;
        let conditions = words.conditions.iter().map(|text| Condition::all(table, text));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?.concat();
        let group = words.group_by.as_deref().map(|text| Group::parse(table, text)).transpose()?;
        let aggregates = words.aggregates.iter().map(|text| Aggregate::parse(table, text));
        let mut aggregates = aggregates.collect::<Result<Vec<_>, _>>()?;
        let sums = group.is_some() || !aggregates.is_empty();
        if sums && !words.select.is_empty() {
            return Err(QueryError::RowsAndSums);
        }
        if aggregates.is_empty() {
            aggregates.push(Aggregate { name: "count".to_owned(), of: Sum::Count });
        }
        let shown = match sums {
            true => Shown::Sums { group, aggregates },
            false if words.select.is_empty() => Shown::Rows((0..table.columns().len()).collect()),
            false => Shown::Rows(
                words
                    .select
                    .iter()
                    .map(|name| table.column(name.trim()))
                    .collect::<Result<_, _>>()?,
            ),
        };
        let order = words.order.as_deref().map(|text| Order::parse(table, &shown, text));
        let order = order.transpose()?;
        Ok(Query { table, conditions, shown, order })
    }

    /// Asks a session, for `limit` rows after the first `skip` of them.
    pub fn ask(
        &self,
        session: &SessionTables,
        skip: usize,
        limit: usize,
    ) -> Result<QueryAnswer, QueryError> {
        let holds = |row: &usize| {
            let cell = |column| session.cell(self.table, column, *row);
            self.conditions.iter().all(|condition| condition.holds(&cell(condition.column)))
        };
        let matching: Vec<usize> = (0..session.count(self.table)).filter(holds).collect();
        let matched = matching.len() as u64;
        let (mut rows, total) = match &self.shown {
            Shown::Rows(columns) => {
                let rows = self.ordered(session, matching);
                let total = rows.len();
                let shown = rows.into_iter().skip(skip).take(limit).map(|row| {
                    columns.iter().map(|column| session.cell(self.table, *column, row)).collect()
                });
                return Ok(QueryAnswer {
                    columns: self.columns(),
                    rows: shown.collect(),
                    total: total as u64,
                    matched,
                });
            }
            Shown::Sums { group, aggregates } => {
                let rows = self.sums(session, &matching, group.as_ref(), aggregates)?;
                let total = rows.len();
                (rows, total)
            }
        };
        if let Some(Order { column: OrderColumn::Answer(column), descending }) = self.order {
            rows.sort_by(|a, b| compared(&a[column], &b[column], descending));
        }
        let rows = rows.into_iter().skip(skip).take(limit).collect();
        Ok(QueryAnswer { columns: self.columns(), rows, total: total as u64, matched })
    }

    fn columns(&self) -> Vec<String> {
        self.shown.columns(self.table)
    }

    /// The rows in the order of one of the table's columns, whether or not it is shown.
    fn ordered(&self, session: &SessionTables, rows: Vec<usize>) -> Vec<usize> {
        let Some(Order { column: OrderColumn::Table(column), descending }) = self.order else {
            return rows;
        };
        let keyed = rows.into_iter().map(|row| (session.cell(self.table, column, row), row));
        let mut keyed: Vec<_> = keyed.collect();
        keyed.sort_by(|(a, _), (b, _)| compared(a, b, descending));
        keyed.into_iter().map(|(_, row)| row).collect()
    }

    /// One row for each group, in the order of its value; or one row of all.
    fn sums(
        &self,
        session: &SessionTables,
        rows: &[usize],
        group: Option<&Group>,
        aggregates: &[Aggregate],
    ) -> Result<Vec<Vec<Cell>>, QueryError> {
        let sums = |rows: &[usize]| {
            let cell = |column, row| session.cell(self.table, column, row);
            aggregates.iter().map(|sum| sum.of.over(rows, cell)).collect::<Vec<_>>()
        };
        let Some(group) = group else { return Ok(vec![sums(rows)]) };
        let key = |row: &usize| (group.value(session.cell(self.table, group.column, *row)), *row);
        let mut keyed: Vec<_> = rows.iter().map(key).collect();
        keyed.sort_by(|(a, _), (b, _)| compared(a, b, false));
        let groups = keyed.chunk_by(|(a, _), (b, _)| a == b);
        if groups.clone().count() > MAX_GROUPS {
            return Err(QueryError::TooManyGroups(group.name.clone()));
        }
        let row = |group: &[(Cell, usize)]| {
            let rows: Vec<_> = group.iter().map(|(_, row)| *row).collect();
            [vec![group[0].0.clone()], sums(&rows)].concat()
        };
        Ok(groups.map(row).collect())
    }
}

impl Shown {
    /// The columns of the answer.
    fn columns(&self, table: TableName) -> Vec<String> {
        match self {
            Shown::Rows(columns) => {
                columns.iter().map(|column| table.columns()[*column].name.to_owned()).collect()
            }
            Shown::Sums { group, aggregates } => {
                let group = group.iter().map(|group| group.name.clone());
                group.chain(aggregates.iter().map(|sum| sum.name.clone())).collect()
            }
        }
    }
}

impl Group {
    fn parse(table: TableName, text: &str) -> Result<Group, QueryError> {
        let (name, step) = match text.split_once('/') {
            None => (text.trim(), None),
            Some((name, step)) => {
                let step = step.trim().parse::<f64>().ok();
                let step = step.filter(|step| step.is_finite() && *step > 0.0);
                (name.trim(), Some(step.ok_or_else(|| QueryError::NoGroup(text.to_owned()))?))
            }
        };
        let column = table.column(name)?;
        let about = &table.columns()[column];
        if step.is_some() && !about.is_number() {
            return Err(wrong_kind(about.name, false, text));
        }
        let name = step.map_or(name.to_owned(), |step| format!("{name}/{step}"));
        Ok(Group { name, column, step })
    }

    /// What the rows of a group have in common: the beginning of their step.
    fn value(&self, cell: Cell) -> Cell {
        match (self.step, cell.number()) {
            (Some(step), Some(value)) => Cell::Number(round((value / step).floor() * step, 6)),
            _ => cell,
        }
    }
}

impl Aggregate {
    fn parse(table: TableName, text: &str) -> Result<Aggregate, QueryError> {
        let name: String = text.split_whitespace().collect();
        if name == "count" || name == "count(*)" {
            return Ok(Aggregate { name: "count".to_owned(), of: Sum::Count });
        }
        let no_aggregate = || QueryError::NoAggregate(text.to_owned());
        let (kind, rest) = name.split_once('(').ok_or_else(no_aggregate)?;
        let column = rest.strip_suffix(')').ok_or_else(no_aggregate)?;
        let kind = Kind::parse(kind).ok_or_else(no_aggregate)?;
        let column = table.column(column)?;
        let about = &table.columns()[column];
        if !about.is_number() && !matches!(kind, Kind::First | Kind::Last) {
            return Err(wrong_kind(about.name, false, text));
        }
        Ok(Aggregate { name, of: Sum::Of(kind, column) })
    }
}

impl Kind {
    fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "min" => Kind::Min,
            "max" => Kind::Max,
            "mean" | "avg" => Kind::Mean,
            "sum" => Kind::Sum,
            "first" => Kind::First,
            "last" => Kind::Last,
            "median" => Kind::Quantile(0.5),
            _ => {
                let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
                Kind::Quantile((0.0..=100.0).contains(&percent).then_some(percent / 100.0)?)
            }
        })
    }

    /// Of at least one value, which are in the order of their rows.
    fn over(self, mut values: Vec<f64>) -> f64 {
        match self {
            Kind::Min => values.into_iter().fold(f64::INFINITY, f64::min),
            Kind::Max => values.into_iter().fold(f64::NEG_INFINITY, f64::max),
            Kind::Mean => mean(&values),
            Kind::Sum => values.into_iter().sum(),
            Kind::First => values[0],
            Kind::Last => values[values.len() - 1],
            Kind::Quantile(q) => percentile(&mut values, q),
        }
    }
}

impl Sum {
    fn over(self, rows: &[usize], cell: impl Fn(usize, usize) -> Cell) -> Cell {
        let Sum::Of(kind, column) = self else { return Cell::Whole(rows.len() as u64) };
        let mut cells = rows.iter().map(|row| cell(column, *row));
        let known = |cell: &Cell| *cell != Cell::Unknown;
        match kind {
            Kind::First => cells.find(known).unwrap_or(Cell::Unknown),
            Kind::Last => cells.rfind(known).unwrap_or(Cell::Unknown),
            _ => {
                let values: Vec<_> = cells.filter_map(|cell| cell.number()).collect();
                match values.is_empty() {
                    true => Cell::Unknown,
                    false => Cell::Number(round(kind.over(values), 6)),
                }
            }
        }
    }
}

impl Order {
    fn parse(table: TableName, shown: &Shown, text: &str) -> Result<Order, QueryError> {
        let mut words = text.split_whitespace();
        let (name, way) = (words.next().unwrap_or_default(), words.next());
        let no_order = |known: String| QueryError::NoOrder { name: text.to_owned(), known };
        let columns = shown.columns(table);
        let descending = match way.map(str::to_ascii_lowercase).as_deref() {
            None | Some("asc") => name.starts_with('-'),
            Some("desc") => true,
            Some(_) => return Err(no_order(columns.join(", "))),
        };
        let name = name.trim_start_matches('-');
        let column = match shown {
            Shown::Rows(_) => OrderColumn::Table(table.column(name)?),
            Shown::Sums { .. } => {
                let place = columns.iter().position(|column| column == name);
                OrderColumn::Answer(place.ok_or_else(|| no_order(columns.join(", ")))?)
            }
        };
        Ok(Order { column, descending })
    }
}

/// A table of a session by its name.
fn table(name: &str) -> Result<TableName, TableError> {
    let of_session = TableName::OF_SESSION;
    let named = of_session.into_iter().find(|table| table.name() == name.trim());
    named.ok_or_else(|| TableError {
        name: name.to_owned(),
        advice: nearest(name, of_session.iter().map(|table| table.name())),
    })
}

/// What is not known comes last, whichever way.
fn compared(a: &Cell, b: &Cell, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Cell::Unknown, Cell::Unknown) => return Ordering::Equal,
        (Cell::Unknown, _) => return Ordering::Greater,
        (_, Cell::Unknown) => return Ordering::Less,
        (Cell::Word(a), Cell::Word(b)) => a.cmp(b),
        (Cell::Word(_), _) => Ordering::Greater,
        (_, Cell::Word(_)) => Ordering::Less,
        (a, b) => a.number().unwrap_or(0.0).total_cmp(&b.number().unwrap_or(0.0)),
    };
    if descending { order.reverse() } else { order }
}

fn wrong_kind(column: &'static str, is_number: bool, text: &str) -> QueryError {
    let [holds, asked] = match is_number {
        true => ["numbers", "words"],
        false => ["words", "numbers"],
    };
    QueryError::WrongKind { column, holds, asked, text: text.to_owned() }
}
