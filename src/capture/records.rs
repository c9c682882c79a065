//! Records pulled from any source of bytes, one at a time.

use std::io::{ErrorKind, Read};
use std::ops::Range;

use super::error::ReadError;
use super::format::SyncMarker;
use super::reader::{Ending, Extent, Reader, Step};
use super::record::Record;

/// Bytes asked of the source at a time.
const CHUNK: usize = 256 << 10;

/// Reads the records of a capture from a source of bytes.
///
/// There is one buffer. It slides over the source and grows only with bytes that really came, so
/// a length that the source merely claims costs nothing; it holds one chunk beside the largest
/// record.
#[derive(Debug)]
pub struct Records<R> {
    source: R,
    reader: Reader,
    buffer: Vec<u8>,
    /// The bytes of the buffer that were read and not yet consumed.
    window: Range<usize>,
    ending: Option<Ending>,
}

impl<R: Read> Records<R> {
    /// Begins at the first byte of a capture.
    #[must_use]
    pub fn new(source: R) -> Self {
        Records { source, reader: Reader::new(), buffer: Vec::new(), window: 0..0, ending: None }
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
        while let Extent::NeedMore { .. } = self.reader.survey(self.unread())? {
            if !self.fill()? {
                self.ending = Some(self.reader.ending(self.unread())?);
                return Ok(None);
            }
        }
        match self.reader.step(&self.buffer[self.window.clone()])? {
            Step::Record { record, len } => {
                self.window.start += len;
                Ok(Some(record))
            }
            Step::NeedMore { .. } => unreachable!("the survey found the record whole"),
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

    fn unread(&self) -> &[u8] {
        &self.buffer[self.window.clone()]
    }

    /// Moves what is unread to the front and reads once behind it; false at the end of the source.
    fn fill(&mut self) -> Result<bool, ReadError> {
        let kept = self.window.len();
        self.buffer.copy_within(self.window.clone(), 0);
        self.window = 0..kept;
        if self.buffer.len() < kept + CHUNK {
            self.buffer.resize(kept + CHUNK, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[kept..kept + CHUNK]) {
                Ok(read) => {
                    self.window.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::{MAX_BODY_LEN, OPENING, PREAMBLE};
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
        assert!(records.buffer.capacity() < 4 * CHUNK, "{} bytes", records.buffer.capacity());
    }
}
