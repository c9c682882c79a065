//! Bars for terminals whose locale has no blocks.

use std::borrow::Cow;

use super::looks::{AsciiChoice, Looks};

/// The blocks of bars, the lowest first, and what stands for each in ASCII.
const BLOCKS: [(char, char); 9] = [
    ('▁', '_'),
    ('▂', '.'),
    ('▃', ':'),
    ('▄', '-'),
    ('▅', '='),
    ('▆', '+'),
    ('▇', '*'),
    ('█', '#'),
    ('░', '.'),
];

/// A text with bars as this terminal can show them, or as it is set.
pub fn drawn(text: &str) -> Cow<'_, str> {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(|name| std::env::var(name).ok());
    drawn_in(Looks::present().ascii, locale, text)
}

/// The same in a locale by its variables, the first that is set counting. A system that sets none is a
/// container more often than a terminal of old, and gets the blocks.
fn drawn_in(choice: AsciiChoice, locale: [Option<String>; 3], text: &str) -> Cow<'_, str> {
    let locale = locale.into_iter().flatten().find(|value| !value.is_empty());
    let has_blocks = locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    });
    let is_ascii = match choice {
        AsciiChoice::Auto => !has_blocks,
        AsciiChoice::Always => true,
        AsciiChoice::Never => false,
    };
    if !is_ascii {
        return text.into();
    }
    let ascii = |c| BLOCKS.iter().find(|(block, _)| *block == c).map_or(c, |(_, ascii)| *ascii);
    text.chars().map(ascii).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(locale: [&str; 3], expected: &str) {
        let locale = locale.map(|value| (!value.is_empty()).then(|| value.to_owned()));
        assert_eq!(drawn_in(AsciiChoice::Auto, locale, "lead ▁▂▃▄▅▆▇█░"), expected);
    }

    #[test]
    fn bars_are_ascii_where_the_locale_says_so() {
        check(["", "", ""], "lead ▁▂▃▄▅▆▇█░");
        check(["", "", "en_GB.UTF-8"], "lead ▁▂▃▄▅▆▇█░");
        check(["C.utf8", "", "C"], "lead ▁▂▃▄▅▆▇█░");
        check(["", "", "C"], "lead _.:-=+*#.");
        check(["", "de_DE.ISO-8859-1", "de_DE.UTF-8"], "lead _.:-=+*#.");
        check(["POSIX", "", "en_GB.UTF-8"], "lead _.:-=+*#.");
        let utf8 = || ["C.UTF-8"; 3].map(|value| Some(value.to_owned()));
        assert_eq!(drawn_in(AsciiChoice::Always, utf8(), "█"), "#");
        assert_eq!(drawn_in(AsciiChoice::Never, utf8().map(|_| Some("C".to_owned())), "█"), "█");
    }
}
