//! How text looks here: with which signs, and how wide.
//!
//! Files, pipes and logs get their lines whole; a terminal gets them broken between words. A command that is
//! suggested stays whole there too, so that it can be copied.

use std::borrow::Cow;
use std::sync::OnceLock;

use clap::ValueEnum;
use terminal_size::{Height, Width};

/// Columns of a terminal that does not say how many it has, and of what is said of a command line.
pub const USUAL_COLUMNS: usize = 80;
/// Fewest columns that can be asked for.
const FEWEST_COLUMNS: usize = 20;

/// When bars are drawn in ASCII.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum AsciiChoice {
    /// Where the locale is not UTF-8.
    #[default]
    Auto,
    Always,
    Never,
}

/// What is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct Looks {
    pub ascii: AsciiChoice,
    /// `None`: as the terminal is.
    columns: Option<usize>,
}

static LOOKS: OnceLock<Looks> = OnceLock::new();

impl Looks {
    /// What these settings say; what means nothing is as if it were not set.
    pub fn of(ascii: &str, width: &str) -> Looks {
        let ascii = AsciiChoice::from_str(ascii, true).unwrap_or_default();
        Looks { ascii, columns: width.parse().ok() }
    }

    /// Has all text look like that; to be called once, before anything is printed.
    pub fn put_on(self) {
        let _ = LOOKS.set(self);
    }

    pub fn present() -> Looks {
        LOOKS.get().copied().unwrap_or_default()
    }
}

/// Whether a width can be set.
pub fn is_width(text: &str) -> bool {
    text == "auto" || text.parse().is_ok_and(|columns: usize| columns >= FEWEST_COLUMNS)
}

/// Columns of a terminal of this size.
pub fn columns(size: Option<(Width, Height)>) -> usize {
    let own = size.map_or(USUAL_COLUMNS, |(Width(columns), _)| usize::from(columns));
    Looks::present().columns.unwrap_or(own).max(FEWEST_COLUMNS)
}

/// A line in lines of at most so many columns, unless a word is longer. Further ones begin where it does.
pub fn fitted(line: &str, columns: usize) -> Cow<'_, str> {
    let text = line.trim_start_matches(' ');
    let is_whole = ["next: ", "lagtape ", "{", "["].iter().any(|start| text.starts_with(start));
    if is_whole || shown_len(line) <= columns {
        return line.into();
    }
    let indent = &line[..line.len() - text.len()];
    let (mut out, mut column) = (indent.to_owned(), indent.len());
    // Spaces before the next word, which end with the line.
    let mut gap = 0;
    for word in text.split(' ') {
        let len = shown_len(word);
        if len > 0 && column > indent.len() && column + gap + len > columns {
            out.push('\n');
            out.push_str(indent);
            (column, gap) = (indent.len(), 0);
        }
        if len > 0 {
            out.extend(std::iter::repeat_n(' ', gap));
            column += std::mem::take(&mut gap) + len;
            out.push_str(word);
        }
        gap += 1;
    }
    out.into()
}

/// Columns that a text takes, in which colours take none.
fn shown_len(text: &str) -> usize {
    let mut pieces = text.split('\u{1b}');
    let plain = pieces.next().map_or(0, |piece| piece.chars().count());
    let after_colour =
        |piece: &str| piece.split_once('m').map_or(0, |(_, rest)| rest.chars().count());
    plain + pieces.map(after_colour).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, columns: usize, expected: &str) {
        assert_eq!(fitted(line, columns), expected);
    }

    #[test]
    fn lines_are_broken_between_words() {
        check("a line that fits", 20, "a line that fits");
        check("a line that does not fit", 20, "a line that does not\nfit");
        check("  an indented line that does not", 20, "  an indented line\n  that does not");
        check(
            "to a/very/long/path/that/is/longer now",
            20,
            "to\na/very/long/path/that/is/longer\nnow",
        );
        check("LAG   3.86 s   of   7.00 s", 20, "LAG   3.86 s   of\n7.00 s");
    }

    #[test]
    fn colours_take_no_columns() {
        check(
            "\u{1b}[1;31mlagtape:\u{1b}[0m is coloured",
            20,
            "\u{1b}[1;31mlagtape:\u{1b}[0m is coloured",
        );
        check(
            "\u{1b}[1;31mlagtape:\u{1b}[0m is in colour",
            20,
            "\u{1b}[1;31mlagtape:\u{1b}[0m is in\ncolour",
        );
    }

    #[test]
    fn what_is_copied_stays_whole() {
        for line in [
            "next: lagtape cat x.lagtape --from 2.5 --to 6.4",
            "      lagtape audio x.lagtape -o heard.wav",
            "{\"status\": {\"t_s\": 1.5, \"slices\": 3}}",
        ] {
            check(line, 20, line);
        }
    }

    #[test]
    fn a_width_is_a_number_of_columns() {
        assert!(is_width("auto") && is_width("20") && is_width("132"));
        assert!(!is_width("19") && !is_width("wide") && !is_width(""));
    }
}
