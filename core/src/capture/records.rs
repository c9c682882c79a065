//! An iterator-like reader over any [`Read`] source.

use std::io::Read;

use super::error::ReadError;
use super::format::SyncMarker;
use super::reader::{Ending, Extent, ReadStep, Reader};
use super::record::Record;
use super::window::Window;

/// Reads the records of a capture from a source of bytes.
///
/// It stops at the first damage; [`Salvage`](super::Salvage) goes on behind it.
#[derive(Debug)]
pub struct Records<R> {
    window: Window<R>,
    reader: Reader,
    ending: Option<Ending>,
}

impl<R: Read> Records<R> {
    /// Begins at the first byte of a capture.
    #[must_use]
    pub fn new(source: R) -> Self {
        Records { window: Window::new(source), reader: Reader::new(), ending: None }
    }

    /// The sync marker of the capture, once its first record has been read.
    #[must_use]
    pub fn marker(&self) -> Option<SyncMarker> {
        self.reader.marker()
    }

    /// The next record, or `None` at the end of the source; then [`Records::ending`] says which
    /// end it is.
    ///
    /// # Errors
    /// See [`ReadError`]. Damage does not go away: the next call reports it again.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, ReadError> {
        while let Extent::NeedMore { .. } = self.reader.survey(self.window.unread())? {
            if !self.window.fill()? {
                self.ending = Some(self.reader.ending(self.window.unread())?);
                return Ok(None);
            }
        }
        let Window { buffer, unread, .. } = &mut self.window;
        match self.reader.step(&buffer[unread.clone()])? {
            ReadStep::Record { record, len } => {
                unread.start += len;
                Ok(Some(record))
            }
            ReadStep::NeedMore { .. } => unreachable!("the survey found the record whole"),
        }
    }

    /// How the capture ended, once [`Records::next_record`] has returned `None`.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// The reader within, which knows the marker and how far it got.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{MAX_BODY_LEN, OPENING, PREAMBLE};
    use super::super::window::CHUNK;
    use super::*;

    /// The beginning of a capture whose first record claims the longest body there can be.
    fn absurd() -> Vec<u8> {
        let mut bytes = [&PREAMBLE[..], &OPENING, &[7; 8], b"\xce\0\0\0\0\xc6"].concat();
        bytes.extend_from_slice(&(MAX_BODY_LEN as u32).to_be_bytes());
        bytes.extend_from_slice(b"and little of it");
        bytes
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let bytes = absurd();
        let mut records = Records::new(&bytes[..]);
        assert!(matches!(records.next_record(), Ok(None)));
        assert_eq!(records.ending(), Some(Ending::Incomplete { torn_bytes: 21 + 16 }));
        assert!(
            records.window.buffer.capacity() < 4 * CHUNK,
            "{} bytes",
            records.window.buffer.capacity()
        );
    }
}
