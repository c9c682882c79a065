//! JSON as the reference's peers accept it.
//!
//! Enters: the text of one message. Leaves: its object, or why it is none.
//! The Python peers also accept `NaN`, `Infinity`, `-Infinity`, numbers beyond the range of `f64`
//! and unpaired surrogate escapes. Those are read here as `null` and U+FFFD, so that one of them
//! costs a warning and not the message. Never keeps state.

use serde_json::{Map, Value};

/// An object, and whether strict JSON would have refused its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// The fields in the order sent; of a repeated key the last counts.
    pub fields: Map<String, Value>,
    /// The text was only readable by Python's rules.
    pub lenient: bool,
}

/// Why a text is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JsonError {
    /// Not JSON, even by Python's rules.
    #[error("text is not JSON: {0}")]
    NotJson(String),
    /// JSON, but a list, a number, …
    #[error("text is JSON, but {0} and not an object")]
    NotObject(&'static str),
}

/// Reads the text of one message as a JSON object.
pub fn parse_object(text: &str) -> Result<Object, JsonError> {
    let (value, lenient) = match serde_json::from_str::<Value>(text) {
        Ok(value) => (value, false),
        Err(error) => {
            let repaired = serde_json::from_str(&strict_spelling(text))
                .map_err(|_| JsonError::NotJson(error.to_string()))?;
            (repaired, true)
        }
    };
    match value {
        Value::Object(fields) => Ok(Object { fields, lenient }),
        Value::Array(_) => Err(JsonError::NotObject("a list")),
        Value::Null => Err(JsonError::NotObject("null")),
        Value::Bool(_) => Err(JsonError::NotObject("a truth value")),
        Value::Number(_) => Err(JsonError::NotObject("a number")),
        Value::String(_) => Err(JsonError::NotObject("a string")),
    }
}

/// Whether Python counts a value as nothing: what `x or default` replaces.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// Respells what only Python accepts; everything else stays as it is.
fn strict_spelling(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = if first == '"' {
            string(rest, &mut out)
        } else if let Some(length) = non_finite(rest) {
            out.push_str("null");
            length
        } else if first.is_ascii_digit() || first == '-' {
            number(rest, &mut out)
        } else {
            out.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    out
}

/// Length of a non-finite literal at the start of `rest`.
fn non_finite(rest: &str) -> Option<usize> {
    ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)).map(|w| w.len())
}

/// Copies one number, or `null` when it is beyond the range of `f64`; returns its length.
fn number(rest: &str, out: &mut String) -> usize {
    let end = rest
        .find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E'))
        .unwrap_or(rest.len());
    let literal = &rest[..end];
    let overflows = literal.parse::<f64>().is_ok_and(f64::is_infinite);
    out.push_str(if overflows { "null" } else { literal });
    end
}

/// Copies one string literal with unpaired surrogates replaced; returns its length.
fn string(rest: &str, out: &mut String) -> usize {
    let bytes = rest.as_bytes();
    out.push('"');
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        if bytes[at] != b'\\' {
            let next = rest[at..].find(['"', '\\']).map_or(rest.len(), |found| at + found);
            out.push_str(&rest[at..next]);
            at = next;
            continue;
        }
        let length = match escaped_unit(rest, at) {
            Some(0xD800..=0xDBFF)
                if matches!(escaped_unit(rest, at + 6), Some(0xDC00..=0xDFFF)) =>
            {
                12
            }
            Some(0xD800..=0xDFFF) => {
                out.push('\u{FFFD}');
                at += 6;
                continue;
            }
            Some(_) => 6,
            None => 1 + rest[at + 1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&rest[at..at + length]);
        at += length;
    }
    if at < bytes.len() {
        out.push('"');
    }
    (at + 1).min(bytes.len())
}

/// The UTF-16 unit of a `\uXXXX` escape at `at`.
fn escaped_unit(text: &str, at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str, lenient: bool) {
        let object = parse_object(text).unwrap();
        assert_eq!(Value::Object(object.fields).to_string(), expected);
        assert_eq!(object.lenient, lenient);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        assert_eq!(parse_object(text).unwrap_err().to_string(), expected);
    }

    #[test]
    fn objects() {
        check(r#"{"a": 1, "a": 2}"#, r#"{"a":2}"#, false);
        check(r#" {"s": "NaN \" \\", "x": NaN} "#, r#"{"s":"NaN \" \\","x":null}"#, true);
        check(
            r#"{"x": [-Infinity, Infinity, 1e999, -1e3]}"#,
            r#"{"x":[null,null,null,-1000.0]}"#,
            true,
        );
        check(r#"{"s": "\ud800x \ud83d\ude00"}"#, "{\"s\":\"\u{FFFD}x 😀\"}", true);
    }

    #[test]
    fn refusals() {
        check_refused("[1]", "text is JSON, but a list and not an object");
        check_refused("null", "text is JSON, but null and not an object");
        check_refused("not", "text is not JSON: expected ident at line 1 column 2");
        check_refused("", "text is not JSON: EOF while parsing a value at line 1 column 0");
        for cut in 0..24 {
            assert!(parse_object(&r#"{"s": "\ud800", "x": NaN"#[..cut]).is_err());
        }
        check_refused("{\"é\\", "text is not JSON: EOF while parsing a string at line 1 column 5");
    }
}
