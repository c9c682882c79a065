//! Numbers, counts and foreign text as people read them.

use std::fmt::{self, Display, Formatter};
use std::path::Path;

use crate::verdict::Verdict;

/// A number with about three significant digits and a real minus sign.
#[derive(Clone, Copy)]
pub struct Figure(pub f64);

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        let decimals = match size {
            _ if size >= 100.0 => 0,
            _ if size >= 10.0 => 1,
            _ => 2,
        };
        signed(self.0, decimals, f)
    }
}

/// A moment, to the tenth of a second.
#[derive(Clone, Copy)]
pub struct Tenths(pub f64);

impl Display for Tenths {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        signed(self.0, 1, f)
    }
}

fn signed(value: f64, decimals: usize, f: &mut Formatter<'_>) -> fmt::Result {
    let digits = format!("{:.decimals$}", value.abs());
    let is_zero = digits.bytes().all(|digit| matches!(digit, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    write!(f, "{sign}{digits}")
}

/// Whether a character moves the cursor, colours a terminal, ends a line, turns the direction of the
/// text or hides in it.
#[must_use]
pub(crate) fn acts_on_a_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text of a peer, of a capture or of a file's name on one line, with what acts on a terminal escaped.
#[derive(Clone, Copy)]
pub struct OneLine<'a>(pub &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escaped(self.0, acts_on_a_terminal, f)
    }
}

/// Lines of text, with what acts on a terminal escaped besides their ends and tabulators.
#[derive(Clone, Copy)]
pub struct Lines<'a>(pub &'a str);

impl Display for Lines<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        escaped(self.0, |c| acts_on_a_terminal(c) && !matches!(c, '\n' | '\t'), f)
    }
}

fn escaped(mut text: &str, acts: impl Fn(char) -> bool, f: &mut Formatter<'_>) -> fmt::Result {
    while let Some((at, c)) = text.char_indices().find(|&(_, c)| acts(c)) {
        f.write_str(&text[..at])?;
        write!(f, "{}", c.escape_default())?;
        text = &text[at + c.len_utf8()..];
    }
    f.write_str(text)
}

/// The name of a file on one line.
#[derive(Clone, Copy)]
pub struct Name<'a>(pub &'a Path);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        OneLine(&self.0.to_string_lossy()).fmt(f)
    }
}

/// A sentence in lines of at most 80 columns, unless a word is longer; what acts on a terminal is
/// escaped.
#[must_use]
pub fn wrapped(sentence: &str) -> String {
    hanging("", sentence, "")
}

/// The same behind `first`, each further line behind `next`.
#[must_use]
pub fn hanging(first: &str, sentence: &str, next: &str) -> String {
    let (mut text, mut column) = (first.to_owned(), first.chars().count());
    let mut is_begun = false;
    let sentence = OneLine(sentence).to_string();
    for word in sentence.split(' ') {
        let width = word.chars().count();
        if is_begun && column + 1 + width > 80 {
            text.push('\n');
            text.push_str(next);
            column = next.chars().count();
        } else if is_begun {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
        is_begun = true;
    }
    text
}

/// A count of bytes in the unit that suits it.
#[derive(Clone, Copy)]
pub struct Bytes(pub u64);

impl Display for Bytes {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} B", self.0),
            1_000..1_000_000 => write!(f, "{} KB", Figure(bytes / 1e3)),
            1_000_000..1_000_000_000 => write!(f, "{} MB", Figure(bytes / 1e6)),
            _ => write!(f, "{} GB", Figure(bytes / 1e9)),
        }
    }
}

/// A number of records, with its word.
pub struct RecordCount(pub u64);

impl Display for RecordCount {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} record{}", self.0, plural(self.0 as usize))
    }
}

/// The ending of a word that counts.
pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// A verdict in two words.
pub(super) fn in_brief(verdict: Option<&Verdict>) -> String {
    match verdict.and_then(|verdict| Some((verdict, verdict.lag?))) {
        Some((verdict, true)) => format!("LAG {}", lag_seconds(verdict)),
        Some((_, false)) => "healthy".to_owned(),
        None => "no verdict".to_owned(),
    }
}

/// Seconds of bad audio, or those in which slices landed behind the listener and nothing bad was heard.
pub(super) fn lag_seconds(verdict: &Verdict) -> String {
    let is_heard = verdict.episodes.iter().any(|episode| !episode.what.is_behind());
    format!("{} s", Figure(if is_heard { verdict.bad_s } else { verdict.lag_s }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped() {
        let text = "Café\t🎵 \u{1b}]0;x\u{7}\r\n\u{9b}2J\u{202e}\u{2028}\u{2029}\u{2066}\u{200f}\u{e0041}\u{7f}";
        let rest = r"\u{9b}2J\u{202e}\u{2028}\u{2029}\u{2066}\u{200f}\u{e0041}\u{7f}";
        assert_eq!(OneLine(text).to_string(), format!(r"Café\t🎵 \u{{1b}}]0;x\u{{7}}\r\n{rest}"));
        assert_eq!(Lines(text).to_string(), format!("Café\t🎵 \\u{{1b}}]0;x\\u{{7}}\\r\n{rest}"));
        assert_eq!(Name(Path::new("a\nb\u{9b}")).to_string(), r"a\nb\u{9b}");
        assert_eq!(wrapped("a\nb c"), r"a\nb c");
    }
}
