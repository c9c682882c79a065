//! Where a pattern stands in a text.

use std::ops::Range;

use anyhow::{Result, ensure};
use memchr::memmem;

use super::layers::layers;
use crate::parse::Misuse;

/// What stands for a text that was removed.
pub const REDACTED: &str = "[redacted]";

/// A text to be found; `*` stands for any characters but quotes, backslashes and white space.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: Vec<u8>,
    /// The longest part without `*`, which every match has.
    core: Vec<u8>,
}

impl Pattern {
    /// Reads a pattern as a person writes it.
    pub fn new(text: &str) -> Result<Pattern> {
        let core = text.split('*').max_by_key(|part| part.len()).unwrap_or_default();
        ensure!(
            !core.is_empty(),
            Misuse::new(
                "a pattern of nothing but * would remove everything; name a part of the text"
            )
        );
        Ok(Pattern { text: text.as_bytes().to_vec(), core: core.as_bytes().to_vec() })
    }

    /// Where the pattern stands in a text or in what its escapes stand for: parts of the text as it
    /// is written, which do not overlap. What stands for removed texts does not count.
    pub fn find(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut found = self.matches(text);
        for layer in layers(text) {
            found.extend(self.matches(&layer.text).into_iter().map(|part| layer.written(part)));
        }
        let is_placeholder = |part: &Range<usize>| {
            let from = part.start.saturating_sub(REDACTED.len());
            let to = (part.end + REDACTED.len()).min(text.len());
            memmem::find_iter(&text[from..to], REDACTED).any(|at| {
                let placeholder = from + at..from + at + REDACTED.len();
                placeholder.start <= part.start && part.end <= placeholder.end
            })
        };
        found.retain(|part| !is_placeholder(part));
        disjoint(found)
    }

    /// The leftmost matches in one text, each as long as it can be.
    fn matches(&self, text: &[u8]) -> Vec<Range<usize>> {
        if self.core.len() == self.text.len() {
            let found = memmem::find_iter(text, &self.core);
            return found.map(|at| at..at + self.core.len()).collect();
        }
        if memmem::find(text, &self.core).is_none() {
            return Vec::new();
        }
        let ends = self.ends(text);
        let mut found = Vec::new();
        let mut at = 0;
        while at < text.len() {
            match ends[at] as usize {
                end if end > at && ends[at] != NOWHERE => {
                    found.push(at..end);
                    at = end;
                }
                _ => at += 1,
            }
        }
        found
    }

    /// Where the longest match ends that begins at each place: found from the end of the pattern to
    /// its beginning, in time proportional to the length of both.
    fn ends(&self, text: &[u8]) -> Vec<u32> {
        let mut ends: Vec<u32> = (0..=text.len() as u32).collect();
        for &part in self.text.iter().rev() {
            if part == b'*' {
                for at in (0..text.len()).rev() {
                    let further = if is_word(text[at]) { ends[at + 1] } else { NOWHERE };
                    let longest = [ends[at], further].into_iter().filter(|&end| end != NOWHERE);
                    ends[at] = longest.max().unwrap_or(NOWHERE);
                }
            } else {
                for at in 0..text.len() {
                    ends[at] = if text[at] == part { ends[at + 1] } else { NOWHERE };
                }
                ends[text.len()] = NOWHERE;
            }
        }
        ends
    }
}

const NOWHERE: u32 = u32::MAX;

fn is_word(byte: u8) -> bool {
    !matches!(byte, b'"' | b'\\') && !byte.is_ascii_whitespace()
}

/// The same parts, with those that overlap made one.
fn disjoint(mut parts: Vec<Range<usize>>) -> Vec<Range<usize>> {
    parts.sort_by_key(|part| (part.start, part.end));
    let mut disjoint: Vec<Range<usize>> = Vec::with_capacity(parts.len());
    for part in parts {
        match disjoint.last_mut() {
            Some(last) if part.start < last.end => last.end = last.end.max(part.end),
            _ => disjoint.push(part),
        }
    }
    disjoint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, pattern: &str, expected: &[&str]) {
        let found = Pattern::new(pattern).unwrap().find(text.as_bytes());
        let found: Vec<_> = found.into_iter().map(|part| &text[part]).collect();
        assert_eq!(found, expected, "{pattern} in {text}");
    }

    #[test]
    fn patterns_are_found_as_they_are_written() {
        check(r#"{"prompt":"lo-fi"}"#, "lo-fi", &["lo-fi"]);
        check(r#"{"key":"sk-abc123","n":1}"#, "sk-*", &["sk-abc123"]);
        check("a@b.c and d@e.f", "*@*", &["a@b.c", "d@e.f"]);
        check("abcabc", "abc", &["abc", "abc"]);
        check("Grüße", "ü*", &["üße"]);
        check("axbxc axb", "a*b*c", &["axbxc"]);
        check("nothing", "x", &[]);
        check("", "x", &[]);
    }

    #[test]
    fn patterns_are_found_in_what_escapes_stand_for() {
        check(r#"{"prompt":"Caf\u00e9 noir"}"#, "Café", &[r"Caf\u00e9"]);
        check(r#"{"p":"Caf\u00e9\u002dbar x"}"#, "Caf*r", &[r"Caf\u00e9\u002dbar"]);
        check(r#"{"p":"say \"hi\" \/ go"}"#, r#"say "hi" / go"#, &[r#"say \"hi\" \/ go"#]);
        check(r#"{"a":"{\"b\":\"Caf\\u00e9\"}"}"#, "Café", &[r"Caf\\u00e9"]);
        check("wss://host/Caf%C3%A9?x", "Café", &["Caf%C3%A9"]);
        check("an old [redacted] text", "redacted", &[]);
        check("an old [redacted] text", "d] t", &["d] t"]);
    }

    #[test]
    fn a_long_word_costs_no_more_than_its_length() {
        let word = "x".repeat(1 << 20);
        check(&format!("{word}@"), "*@*@*y*", &[]);
    }
}
