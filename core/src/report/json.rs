//! JSON that a terminal may show: what would act on one is escaped.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::format::acts_on_a_terminal;

/// Writes a value as JSON on one line, without a line end.
///
/// # Errors
/// The output fails.
pub fn write_json(out: &mut dyn Write, value: &impl Serialize) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(out, Escaped))
}

/// A value as JSON on one line.
#[must_use]
pub fn json_text(value: &impl Serialize) -> String {
    let mut text = Vec::new();
    match write_json(&mut text, value) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => format!("{{\"error\":\"{error}\"}}"),
    }
}

/// The compact form, with more escapes than JSON asks for.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        mut fragment: &str,
    ) -> io::Result<()> {
        while let Some((at, c)) = fragment.char_indices().find(|&(_, c)| acts_on_a_terminal(c)) {
            out.write_all(&fragment.as_bytes()[..at])?;
            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
            fragment = &fragment[at + c.len_utf8()..];
        }
        out.write_all(fragment.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_escaped_and_reads_the_same() {
        let text = "\u{1b}[31m \u{7f}\u{9b}31m \u{202e}\u{2028}\u{e0041} Café 🎵\n";
        let json = json_text(&[text]);
        let expected = r#"["\u001b[31m \u007f\u009b31m \u202e\u2028\udb40\udc41 Café 🎵\n"]"#;
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
    }
}
