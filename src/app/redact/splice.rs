//! A text without some of its parts.
//!
//! JSON stays JSON: what is removed of a string leaves a string, of a number or a word a string stands
//! in its place, and what holds values together stays.

use std::ops::Range;

use super::layers::json_escape_len;
use super::pattern::REDACTED;

/// The text with [`REDACTED`] for each of the parts, which ascend and do not overlap.
pub fn without(text: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    match text.trim_ascii_start().first() {
        Some(b'{' | b'[' | b'"') => json_without(text, parts),
        _ => plain_without(text, parts),
    }
}

/// The same for a text that is not JSON.
pub fn plain_without(text: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    for part in parts {
        out.extend_from_slice(&text[at..part.start]);
        out.extend_from_slice(REDACTED.as_bytes());
        at = part.end;
    }
    out.extend_from_slice(&text[at..]);
    out
}

fn json_without(text: &[u8], parts: &[Range<usize>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut parts = Parts { parts, removed: None };
    let mut in_string = false;
    let mut at = 0;
    while at < text.len() {
        let len = match text[at] {
            b'"' => 1,
            _ if in_string => json_escape_len(&text[at..]),
            _ => scalar_len(&text[at..]),
        };
        let unit = &text[at..at + len];
        match text[at] {
            b'"' => {
                in_string = !in_string;
                parts.removed = None;
                out.push(b'"');
            }
            _ if in_string => match parts.take(&(at..at + len)) {
                Taken::No => out.extend_from_slice(unit),
                Taken::First => out.extend_from_slice(REDACTED.as_bytes()),
                Taken::Further => {}
            },
            byte if is_scalar(byte) && parts.take(&(at..at + len)) != Taken::No => {
                out.extend_from_slice(format!("\"{REDACTED}\"").as_bytes());
                parts.removed = None;
            }
            _ => out.extend_from_slice(unit),
        }
        at += len;
    }
    out
}

/// Length of the number or word at the beginning of a text outside of strings, at least 1.
fn scalar_len(text: &[u8]) -> usize {
    text.iter().take_while(|&&byte| is_scalar(byte)).count().max(1)
}

fn is_scalar(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !matches!(byte, b'{' | b'}' | b'[' | b']' | b':' | b',' | b'"')
}

/// Parts to be removed, and the last that was begun.
struct Parts<'a> {
    parts: &'a [Range<usize>],
    removed: Option<usize>,
}

/// What becomes of a unit of a text.
#[derive(PartialEq)]
enum Taken {
    No,
    First,
    Further,
}

impl Parts<'_> {
    fn take(&mut self, unit: &Range<usize>) -> Taken {
        let first = self.parts.partition_point(|part| part.end <= unit.start);
        let overlaps = |part: &Range<usize>| part.start < unit.end;
        let Some(part) = self.parts.get(first).filter(|part| overlaps(part)) else {
            return Taken::No;
        };
        let is_further = self.removed == Some(part.start);
        self.removed = Some(part.start);
        if is_further { Taken::Further } else { Taken::First }
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::Pattern;
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: &str) {
        let parts = Pattern::new(pattern).unwrap().find(text.as_bytes());
        let out = String::from_utf8(without(text.as_bytes(), &parts)).unwrap();
        assert_eq!(out, expected, "{pattern} in {text}");
    }

    #[test]
    fn json_stays_json() {
        check(r#"{"p":"Caf\u00e9 noir"}"#, "Café", r#"{"p":"[redacted] noir"}"#);
        check(r#"{"abcabc":1}"#, "abc", r#"{"[redacted][redacted]":1}"#);
        check(r#"{"seed": 123456, "n":1}"#, "345", r#"{"seed": "[redacted]", "n":1}"#);
        check(r#"{"a":"b"}"#, r#""a":"b""#, r#"{"[redacted]":"[redacted]"}"#);
        check(r#"{"a":"\u00e9x"}"#, "00e9", r#"{"a":"[redacted]x"}"#);
        check(r#"{"a":"x\"hi\""}"#, r#""hi""#, r#"{"a":"x[redacted]"}"#);
        check(r#"{"a":"cut off he"#, "he", r#"{"a":"cut off [redacted]"#);
    }

    #[test]
    fn other_texts_have_the_parts_replaced() {
        check("a@b.c and d@e.f", "*@*", "[redacted] and [redacted]");
        check("abcabc", "abc", "[redacted][redacted]");
    }
}
