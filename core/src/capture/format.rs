//! The numbers of capture format 1: what a file begins with and how a record is framed.
//!
//! A record is one msgpack value, written by hand so that every field has a fixed place:
//!
//! ```text
//! at  0   93                  array of 3
//!     1   c4 08  marker (8)   bin: the file's sync marker
//!    11   ce  checksum (4)    u32: CRC-32C over marker, length and body
//!    16   c6  length (4)      bin: the body
//!    21   body
//! ```
//!
//! and so is the body in the form in which [`Writer`](super::Writer) writes it:
//!
//! ```text
//! at  0   97 to 9a            array of 7 to 10
//!     1   type                positive fixint
//!     2   cf  seq (8)         u64
//!    11   cf  t_ns (8)        u64
//!    20   ce  conn (4)        u32
//!    25   direction           positive fixint
//!    26   opcode              positive fixint
//!    27   c6  length (4)      bin: the payload
//!    32   payload, then flags, whole length and SHA-256 where there are any
//! ```
//!
//! All integers are big-endian, as everywhere in msgpack.

use crc_fast::{CrcAlgorithm, Digest};
use sha2::Sha256;

/// The content of the first value of every capture.
pub const MAGIC: [u8; 8] = *b"\x89LTP1\r\n\x1a";

/// The version of the format that is read and written here.
pub const FORMAT_VERSION: u32 = 1;

/// Longest body of a record in bytes; a record that claims more is damaged.
///
/// Messages have up to 100 MiB; the rest is room for what stands around them.
pub const MAX_BODY_LEN: usize = 128 << 20;

/// Longest payload that a message keeps, in bytes. [`Writer`](super::Writer) keeps the beginning
/// of a longer one.
pub const MAX_PAYLOAD_LEN: usize = MAX_BODY_LEN - 128;

/// What a capture begins with: [`MAGIC`] as a msgpack value.
pub(super) const PREAMBLE: [u8; 10] = *b"\xc4\x08\x89LTP1\r\n\x1a";

/// The msgpack tags that have a fixed place.
pub(super) mod tag {
    pub const ARRAY_OF_0: u8 = 0x90;
    pub const NIL: u8 = 0xc0;
    pub const BIN8: u8 = 0xc4;
    pub const BIN32: u8 = 0xc6;
    pub const U8: u8 = 0xcc;
    pub const U32: u8 = 0xce;
    pub const U64: u8 = 0xcf;
}

/// What a record begins with, up to its marker.
pub(super) const OPENING: [u8; 3] = [tag::ARRAY_OF_0 + 3, tag::BIN8, 8];
/// Where the sync marker stands in a record.
pub(super) const MARKER_AT: usize = OPENING.len();
/// Where the checksum stands in a record; its tag is the byte before.
pub(super) const CHECKSUM_AT: usize = MARKER_AT + 8 + 1;
/// Where the length of the body stands in a record; its tag is the byte before.
pub(super) const LENGTH_AT: usize = CHECKSUM_AT + 4 + 1;
/// Where the body begins in a record.
pub(super) const BODY_AT: usize = LENGTH_AT + 4;

/// Values in the array of a plain body; a message with something special about it has more.
pub(super) const BODY_FIELDS: u8 = 7;
/// Where the payload begins in a body as it is written here.
pub(super) const PAYLOAD_AT: usize = 32;

/// Bit of a message's flags: made by the library.
pub(super) const FLAG_AUTOMATIC: u8 = 1;
/// Bit of a message's flags: sending failed.
pub(super) const FLAG_FAILED: u8 = 2;
/// The payload kept is still compressed.
pub(super) const FLAG_COMPRESSED: u8 = 4;

/// Eight bytes that every record of one capture carries and, in all likelihood, nothing else does:
/// they tell the beginning of a record from a payload that looks like one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncMarker(pub [u8; 8]);

impl SyncMarker {
    /// The marker of a capture that is made from something else, so that the same input gives the
    /// same bytes: the beginning of its SHA-256. A live recording takes random bytes instead.
    #[must_use]
    pub fn derive(input: &[u8]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = <Sha256 as sha2::Digest>::digest(input).0;
        SyncMarker([a, b, c, d, e, f, g, h])
    }

    /// The checksum of a record of this capture, whose bytes from the length of the body onwards
    /// are given.
    pub(super) fn checksum(self, length_and_body: &[u8]) -> u32 {
        crc32c(0, [&self.0, length_and_body])
    }
}

/// CRC-32C (Castagnoli; RFC 3720, B.4) of all pieces, going on from the checksum of what came before
/// them, which is 0 of nothing.
#[must_use]
pub fn crc32c<'a>(before: u32, pieces: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    // The state of a CRC-32C is its value inverted.
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!before));
    pieces.into_iter().for_each(|piece| digest.update(piece));
    digest.finalize() as u32
}

/// Whether the checksum of a whole record agrees with its bytes. A fuzzer would hardly ever get past
/// it, so there it always does.
pub(super) fn agrees(record: &[u8]) -> bool {
    let marker = SyncMarker(fixed(record, MARKER_AT));
    cfg!(fuzzing)
        || marker.checksum(&record[LENGTH_AT..]) == u32::from_be_bytes(fixed(record, CHECKSUM_AT))
}

/// The bytes of a field at a fixed place in bytes that are long enough to have it.
pub(super) fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    *bytes[at..].first_chunk().expect("bytes that have the field")
}

#[cfg(test)]
mod tests {
    use super::crc32c;
    use proptest::prelude::*;

    #[test]
    fn the_check_value_is_that_of_the_catalogue() {
        // https://reveng.sourceforge.io/crc-catalogue/all.htm#crc.cat.crc-32-iscsi
        assert_eq!(crc32c(0, [&b"123456789"[..]]), 0xe306_9283);
    }

    proptest! {
        #[test]
        fn checksums_are_those_of_another_crate(
            bytes in proptest::collection::vec(any::<u8>(), 0..5000),
            cuts: [prop::sample::Index; 2],
        ) {
            let [a, b] = cuts.map(|cut| cut.index(bytes.len() + 1));
            let (head, rest) = bytes.split_at(a.min(b));
            let (middle, tail) = rest.split_at(a.max(b) - a.min(b));
            let expected = ::crc32c::crc32c(&bytes);
            prop_assert_eq!(crc32c(0, [head, middle, tail]), expected);
            prop_assert_eq!(crc32c(crc32c(0, [head]), [middle, tail]), expected);
        }
    }
}
