//! A small msgpack reader for the values that frame a record.
//!
//! A body may come from another implementation, so integers and byte strings of every width are
//! accepted. The reader never recurses and never allocates: neither nesting nor a claimed length can
//! exhaust memory.

use super::format::tag;

/// The body of a record is not the array that the format describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("there is no array where one belongs")]
    NoArray,
    #[error("it has fewer than 7 values")]
    TooFewValues,
    #[error("there is no integer where one belongs")]
    NoInteger,
    #[error("there is no byte string where one belongs")]
    NoByteString,
    #[error("a number is negative")]
    Negative,
    #[error("a number is too large for its place")]
    TooLarge,
    #[error("it holds a byte that msgpack never uses")]
    InvalidByte,
    #[error("it ends within a value")]
    CutShort,
    #[error("bytes follow its last value")]
    TrailingBytes,
    #[error("a message goes neither way")]
    NoDirection,
    #[error("its payload is longer than its whole length")]
    PayloadTooLong,
    #[error("its SHA-256 has not 32 bytes")]
    Sha256Length,
    #[error("a checkpoint has no columns")]
    NoColumns,
}

/// Reads values from the front of a byte string.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Cursor { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The number of values in the array that begins here.
    pub fn array_len(&mut self) -> Result<u64, Malformed> {
        match self.byte()? {
            tag @ 0x90..=0x9f => Ok(u64::from(tag & 0x0f)),
            0xdc => self.unsigned(2),
            0xdd => self.unsigned(4),
            _ => Err(Malformed::NoArray),
        }
    }

    /// An integer of any width that is not negative.
    pub fn uint(&mut self) -> Result<u64, Malformed> {
        let tag = self.byte()?;
        self.uint_after(tag)
    }

    /// The same, or nil.
    pub fn optional_uint(&mut self) -> Result<Option<u64>, Malformed> {
        match self.byte()? {
            tag::NIL => Ok(None),
            tag => self.uint_after(tag).map(Some),
        }
    }

    /// A byte string of any width.
    pub fn bin(&mut self) -> Result<&'a [u8], Malformed> {
        let tag = self.byte()?;
        self.bin_after(tag)
    }

    /// The same, or nil.
    pub fn optional_bin(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        match self.byte()? {
            tag::NIL => Ok(None),
            tag => self.bin_after(tag).map(Some),
        }
    }

    /// Passes over one value, however deep.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        let mut pending: u64 = 1;
        while pending > 0 {
            pending = pending - 1 + self.skip_outer()?;
        }
        Ok(())
    }

    /// Passes over one value except for the values inside it, whose number it returns.
    fn skip_outer(&mut self) -> Result<u64, Malformed> {
        let (content_len, children) = match self.byte()? {
            0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => (0, 0),
            tag @ 0x80..=0x8f => (0, 2 * u64::from(tag & 0x0f)),
            tag @ 0x90..=0x9f => (0, u64::from(tag & 0x0f)),
            tag @ 0xa0..=0xbf => (u64::from(tag & 0x1f), 0),
            0xc4 | 0xd9 => (self.unsigned(1)?, 0),
            0xc5 | 0xda => (self.unsigned(2)?, 0),
            0xc6 | 0xdb => (self.unsigned(4)?, 0),
            0xc7 => (1 + self.unsigned(1)?, 0),
            0xc8 => (1 + self.unsigned(2)?, 0),
            0xc9 => (1 + self.unsigned(4)?, 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 => (2, 0),
            0xca | 0xce | 0xd2 => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            tag @ 0xd4..=0xd8 => (1 + (1 << (tag - 0xd4)), 0),
            0xdc => (0, self.unsigned(2)?),
            0xdd => (0, self.unsigned(4)?),
            0xde => (0, 2 * self.unsigned(2)?),
            0xdf => (0, 2 * self.unsigned(4)?),
            0xc1 => return Err(Malformed::InvalidByte),
        };
        self.take(content_len)?;
        Ok(children)
    }

    fn uint_after(&mut self, tag: u8) -> Result<u64, Malformed> {
        match tag {
            0x00..=0x7f => Ok(u64::from(tag)),
            0xcc => self.unsigned(1),
            0xcd => self.unsigned(2),
            0xce => self.unsigned(4),
            0xcf => self.unsigned(8),
            0xd0 => self.not_negative(1),
            0xd1 => self.not_negative(2),
            0xd2 => self.not_negative(4),
            0xd3 => self.not_negative(8),
            0xe0..=0xff => Err(Malformed::Negative),
            _ => Err(Malformed::NoInteger),
        }
    }

    fn bin_after(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        let len = match tag {
            0xc4 => self.unsigned(1)?,
            0xc5 => self.unsigned(2)?,
            0xc6 => self.unsigned(4)?,
            _ => return Err(Malformed::NoByteString),
        };
        self.take(len)
    }

    /// A signed integer of this many bytes whose sign bit has to be clear.
    fn not_negative(&mut self, width: u64) -> Result<u64, Malformed> {
        let value = self.unsigned(width)?;
        let negative = value >> (8 * width - 1) == 1;
        if negative { Err(Malformed::Negative) } else { Ok(value) }
    }

    fn unsigned(&mut self, width: u64) -> Result<u64, Malformed> {
        let bytes = self.take(width)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn take(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let split = usize::try_from(len).ok().and_then(|len| self.rest.split_at_checked(len));
        let (taken, rest) = split.ok_or(Malformed::CutShort)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_uint(bytes: &[u8], expected: Option<u64>) {
        assert_eq!(Cursor::new(bytes).uint().ok(), expected, "{bytes:02x?}");
    }

    #[test]
    fn integers_of_every_width() {
        check_uint(b"\x00", Some(0));
        check_uint(b"\x7f", Some(127));
        check_uint(b"\xcc\xff", Some(255));
        check_uint(b"\xcd\x01\x00", Some(256));
        check_uint(b"\xce\xff\xff\xff\xff", Some(u64::from(u32::MAX)));
        check_uint(b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", Some(u64::MAX));
        check_uint(b"\xd0\x7f", Some(127));
        check_uint(b"\xd1\x01\x00", Some(256));
        check_uint(b"\xd2\x7f\xff\xff\xff", Some(0x7fff_ffff));
        check_uint(b"\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX as u64));
        check_uint(b"\xd0\x80", None);
        check_uint(b"\xd1\xff\xff", None);
        check_uint(b"\xd3\xff\xff\xff\xff\xff\xff\xff\xff", None);
        check_uint(b"\xff", None);
        check_uint(b"\xc0", None);
        check_uint(b"\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", None);
        check_uint(b"\xcd\x01", None);
        check_uint(b"", None);
    }

    #[track_caller]
    fn check_skip(bytes: &[u8], expected: bool) {
        let mut cursor = Cursor::new(bytes);
        assert_eq!(cursor.skip().is_ok() && cursor.is_empty(), expected, "{bytes:02x?}");
    }

    #[test]
    fn every_sort_of_value_is_passed_over() {
        for single in [b"\x00", b"\x7f", b"\xe0", b"\xc0", b"\xc2", b"\xc3", b"\x80", b"\x90"] {
            check_skip(single, true);
        }
        check_skip(b"\xa3abc", true);
        check_skip(b"\xd9\x03abc", true);
        check_skip(b"\xda\x00\x03abc", true);
        check_skip(b"\xdb\x00\x00\x00\x03abc", true);
        check_skip(b"\xc4\x01a", true);
        check_skip(b"\xc5\x00\x01a", true);
        check_skip(b"\xc6\x00\x00\x00\x01a", true);
        check_skip(b"\xc7\x02tab", true);
        check_skip(b"\xc8\x00\x02tab", true);
        check_skip(b"\xc9\x00\x00\x00\x02tab", true);
        check_skip(b"\xd4ta", true);
        check_skip(b"\xd6tabcd", true);
        check_skip(b"\xd8tabcdefghabcdefgh", true);
        check_skip(b"\xca\x00\x00\x00\x00", true);
        check_skip(b"\xcb\x00\x00\x00\x00\x00\x00\x00\x00", true);
        check_skip(b"\xd1\x00\x00", true);
        check_skip(b"\x82\xa1a\x91\xc0\xa1b\x80", true);
        check_skip(b"\xdc\x00\x02\x01\x02", true);
        check_skip(b"\xdd\x00\x00\x00\x01\x01", true);
        check_skip(b"\xde\x00\x01\x01\x02", true);
        check_skip(b"\xdf\x00\x00\x00\x01\x01\x02", true);
        check_skip(b"\xc1", false);
        check_skip(b"\xa3ab", false);
        check_skip(b"\x82\x01\x02\x03", false);
        check_skip(b"\xdd\xff\xff\xff\xff", false);
        check_skip(b"\xdf\xff\xff\xff\xff\x00", false);
        check_skip(b"\xc6\xff\xff\xff\xff", false);
        check_skip(b"", false);
    }

    #[test]
    fn depth_costs_nothing() {
        let mut deep = vec![0x91; 1 << 20];
        deep.push(0xc0);
        check_skip(&deep, true);
    }
}
