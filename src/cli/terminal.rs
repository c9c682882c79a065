//! What lies between any text and the terminal: it lets letters and line ends through, and escapes all
//! that would act.

use std::io::{self, Write};

use crate::report::text::Lines;

/// Longest beginning of a character that may lack its end.
const LONGEST_START: usize = 3;

/// Escapes what is written to `inner`, whose readers may be terminals.
pub struct Escaping<W> {
    inner: W,
    /// The beginning of a character whose end was not written yet.
    begun: Vec<u8>,
}

impl<W: Write> Escaping<W> {
    pub fn new(inner: W) -> Self {
        Escaping { inner, begun: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        for chunk in bytes.utf8_chunks() {
            write!(self.inner, "{}", Lines(chunk.valid()))?;
            if !chunk.invalid().is_empty() {
                write!(self.inner, "{}", chunk.invalid().escape_ascii())?;
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
