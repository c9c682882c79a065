//! Numbers, counts and foreign text as people read them.

use std::fmt::{self, Display, Formatter, Write as _};

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

/// Text of a peer or of a capture on one line: what would move the cursor, colour the terminal or
/// begin a line is escaped.
#[derive(Clone, Copy)]
pub struct OneLine<'a>(pub &'a str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c.is_control() {
            true => write!(f, "{}", c.escape_default()),
            false => f.write_char(c),
        })
    }
}

/// A sentence in lines of at most 80 columns, unless a word is longer.
#[must_use]
pub fn wrapped(sentence: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in sentence.split(' ') {
        let width = word.chars().count();
        if column > 0 && column + 1 + width > 80 {
            text.push('\n');
            column = 0;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += width;
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
