//! What has to hold for a row: a column, an operator, a value.

use super::{QueryError, wrong_kind};
use crate::report::table::{Cell, TableName};

/// One condition.
#[derive(Debug, Clone)]
pub(super) struct Condition {
    pub column: usize,
    operator: Operator,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Same,
    Other,
    AtMost,
    AtLeast,
    Less,
    More,
    Contains,
}

#[derive(Debug, Clone)]
enum Value {
    Number(f64),
    Word(String),
}

/// The longer one before the one that it begins with.
const OPERATORS: [(&str, Operator); 8] = [
    ("==", Operator::Same),
    ("!=", Operator::Other),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Same),
    ("<", Operator::Less),
    (">", Operator::More),
    ("~", Operator::Contains),
];

impl Condition {
    /// The conditions of a text, between which `and` stands.
    pub fn all(table: TableName, text: &str) -> Result<Vec<Condition>, QueryError> {
        parts(text).into_iter().map(|part| Condition::parse(table, part)).collect()
    }

    fn parse(table: TableName, text: &str) -> Result<Condition, QueryError> {
        let no_condition = || QueryError::NoCondition(text.to_owned());
        let at = text.find(['=', '!', '<', '>', '~']).ok_or_else(no_condition)?;
        let (name, rest) = text.split_at(at);
        let known = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, operator) = *known.ok_or_else(no_condition)?;
        let column = table.column(name.trim())?;
        let about = &table.columns()[column];
        let text_value = unquoted(rest[sign.len()..].trim());
        if text_value.is_empty() {
            return Err(no_condition());
        }
        let value = match (about.is_number(), text_value.parse::<f64>()) {
            (true, Ok(number)) if operator != Operator::Contains && number.is_finite() => {
                Value::Number(number)
            }
            (true, _) => return Err(wrong_kind(about.name, true, text)),
            (false, _) => Value::Word(text_value.to_owned()),
        };
        Ok(Condition { column, operator, value })
    }

    /// Whether it holds for what stands in a row, which nothing does for what is not known.
    pub fn holds(&self, cell: &Cell) -> bool {
        let order = match (&self.value, cell) {
            (Value::Word(value), Cell::Word(word)) => match self.operator {
                Operator::Contains => return word.contains(value.as_str()),
                _ => Some(word.as_str().cmp(value)),
            },
            (Value::Number(value), cell) => {
                cell.number().and_then(|number| number.partial_cmp(value))
            }
            (Value::Word(_), _) => None,
        };
        let Some(order) = order else { return false };
        match self.operator {
            Operator::Same => order.is_eq(),
            Operator::Other => order.is_ne(),
            Operator::AtMost => order.is_le(),
            Operator::AtLeast => order.is_ge(),
            Operator::Less => order.is_lt(),
            Operator::More => order.is_gt(),
            Operator::Contains => false,
        }
    }
}

/// A text at each ` and ` that stands in no quotes.
fn parts(text: &str) -> Vec<&str> {
    const AND: &str = " and ";
    let (mut parts, mut from, mut quote) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[at..].starts_with(AND) && at >= from => {
                parts.push(&text[from..at]);
                from = at + AND.len();
            }
            _ => {}
        }
    }
    parts.push(&text[from.min(text.len())..]);
    parts
}

fn unquoted(text: &str) -> &str {
    let inside = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}
