//! What lies between any text and the terminal: it lets letters and line ends through, escapes all that
//! would act, and breaks lines that are wider than the terminal.

use std::io::{self, Write};

use super::looks::fitted;
use crate::report::text::Lines;

/// Longest beginning of a character that may lack its end.
const LONGEST_START: usize = 3;

/// Escapes what is written to `inner`, whose readers may be terminals.
pub struct Escaping<W> {
    inner: W,
    /// The beginning of a character whose end was not written yet.
    begun: Vec<u8>,
    /// Where lines are broken, if they are.
    columns: Option<usize>,
    /// A line whose end was not written yet; empty where none is broken.
    line: String,
}

impl<W: Write> Escaping<W> {
    pub fn new(inner: W) -> Self {
        Escaping { inner, begun: Vec::new(), columns: None, line: String::new() }
    }

    /// The same with lines of so many columns; as long as they are without.
    pub fn fitted(self, columns: Option<usize>) -> Self {
        Escaping { columns, ..self }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.utf8_chunks() {
            self.put_text(&Lines(chunk.valid()).to_string())?;
            if !chunk.invalid().is_empty() {
                self.put_text(&chunk.invalid().escape_ascii().to_string())?;
            }
        }
        Ok(())
    }

    fn put_text(&mut self, text: &str) -> io::Result<()> {
        let Some(columns) = self.columns else { return self.inner.write_all(text.as_bytes()) };
        for piece in text.split_inclusive('\n') {
            self.line.push_str(piece);
            if let Some(line) = self.line.strip_suffix('\n') {
                writeln!(self.inner, "{}", fitted(line, columns))?;
                self.line.clear();
            }
        }
        Ok(())
    }
}

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let joined = [&self.begun[..], bytes].concat();
        let whole = joined.len() - unfinished_len(&joined);
        self.put(&joined[..whole])?;
        self.begun = joined[whole..].to_vec();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let begun = std::mem::take(&mut self.begun);
        self.put(&begun)?;
        let line = std::mem::take(&mut self.line);
        self.inner.write_all(line.as_bytes())?;
        self.inner.flush()
    }
}

/// Bytes at the end that may become a character once more bytes follow.
fn unfinished_len(bytes: &[u8]) -> usize {
    let lens = 1..=LONGEST_START.min(bytes.len());
    let is_begun = |len: &usize| {
        let end = &bytes[bytes.len() - len..];
        std::str::from_utf8(end)
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    lens.rev().find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_whatever_pieces_they_come_in() {
        let text = "a line of nine words that does not fit\nand an end";
        for size in [1, 5, 100] {
            let mut escaping = Escaping::new(Vec::new()).fitted(Some(20));
            text.as_bytes().chunks(size).for_each(|piece| escaping.write_all(piece).unwrap());
            escaping.flush().unwrap();
            let expected = "a line of nine words\nthat does not fit\nand an end";
            assert_eq!(String::from_utf8_lossy(&escaping.inner), expected, "by {size}");
        }
    }

    #[test]
    fn pieces_of_any_size_give_the_same() {
        let text = "Café 🎵\u{1b}[2J\u{9b}\u{202e}\u{2028}\tnew\nline\r".as_bytes();
        let text = [text, b"\x9b\xff"].concat();
        let expected = "Café 🎵\\u{1b}[2J\\u{9b}\\u{202e}\\u{2028}\tnew\nline\\r\\x9b\\xff";
        for size in [1, 2, 3, 5, 100] {
            let mut escaping = Escaping::new(Vec::new());
            text.chunks(size).for_each(|piece| escaping.write_all(piece).unwrap());
            escaping.flush().unwrap();
            assert_eq!(String::from_utf8_lossy(&escaping.inner), expected, "by {size}");
        }
    }
}
