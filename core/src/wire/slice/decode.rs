//! Decoding slices: the client's side.
//!
//! Enters: one whole binary message. Leaves: a [`Slice`], or why it is none.
//!
//! Invariant: a slice is accepted exactly when the reference client accepts it, with two
//! exceptions that no known server meets: a delta of more than [`MAX_PAYLOAD`] bytes of audio is
//! refused, and a zstd frame that declares no length may hold blocks longer than its window.
//! Never inflates past the length that the header announces, and never allocates for a length that
//! the zstd frame contradicts.

use thiserror::Error;
use zstd::zstd_safe::{self, DCtx};

use super::{Coding, HEADER_LEN, Slice, SliceHeader};

/// The most bytes of audio that a delta may inflate to: as many as the largest message (100 MiB)
/// could carry raw. A raw slice needs no limit of its own, its message is one.
pub const MAX_PAYLOAD: u64 = 100 << 20;

/// Decodes slices. Keeps zstd's context and the buffer of inflated audio from one slice to the
/// next: made anew for each, they would cost several times what inflating it does.
#[derive(Default)]
pub struct SliceDecoder {
    /// Made with the first delta: who reads headers only needs none.
    context: Option<DCtx<'static>>,
    /// As long as the longest delta so far, hence at most [`MAX_PAYLOAD`].
    inflated: Vec<u8>,
    /// The delta whose turn is next, as another thread has inflated it, and its audio once it came.
    ahead: Option<InflatedDelta>,
    lent: Vec<u8>,
}

impl SliceDecoder {
    /// A decoder that has not inflated anything yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes one whole message. The slice's audio lies in the message if it came raw, in the
    /// decoder if it came as a delta.
    pub fn decode<'a>(&'a mut self, message: &'a [u8]) -> Result<Slice<'a>, SliceError> {
        let header = SliceHeader::parse(message)?;
        let payload = &message[HEADER_LEN..];
        match header.coding() {
            Coding::Replace | Coding::RawAdd => raw(header, payload),
            Coding::Delta => match self.ahead.take_if(|it| it.is_of(&header, message)) {
                Some(ahead) => self.inflated_ahead(header, ahead),
                None => self.delta(header, payload),
            },
        }
    }

    /// Takes what another thread has inflated of the next delta.
    pub fn offer(&mut self, ahead: InflatedDelta) {
        self.ahead = Some(ahead);
    }

    /// Gives back the memory of what was offered, whether it was needed or not.
    pub fn take_spare(&mut self) -> Vec<u8> {
        self.ahead.take().map_or_else(|| std::mem::take(&mut self.lent), |ahead| ahead.halves)
    }

    fn inflated_ahead(
        &mut self,
        header: SliceHeader,
        ahead: InflatedDelta,
    ) -> Result<Slice<'_>, SliceError> {
        self.lent = ahead.halves;
        let DeltaFound { len, trailing, undeclared_len } = ahead.found?;
        Ok(Slice { header, halves: &self.lent[..len], trailing, undeclared_len })
    }

    fn delta(&mut self, header: SliceHeader, payload: &[u8]) -> Result<Slice<'_>, SliceError> {
        let expected = header.payload_len();
        let declared = declared_len(payload)?;
        check_lengths(expected, declared, payload)?;
        let frame_len = zstd_safe::find_frame_compressed_size(payload);
        if expected == 0 {
            // The reference takes a frame that declares to be empty at its word, whole or not.
            let trailing = frame_len.map_or(0, |len| payload.len() - len);
            return Ok(Slice { header, halves: &[], trailing, undeclared_len: false });
        }
        let refuse =
            |code| SliceError::Inflate { expected, reason: zstd_safe::get_error_name(code) };
        let frame_len = frame_len.map_err(refuse)?;
        let room = room(&mut self.inflated, expected as usize);
        let context = self.context.get_or_insert_with(DCtx::create);
        let actual = context.decompress(room, &payload[..frame_len]).map_err(refuse)?;
        if actual != room.len() {
            return Err(SliceError::InflatedLength { expected, actual });
        }
        let trailing = payload.len() - frame_len;
        Ok(Slice { header, halves: room, trailing, undeclared_len: declared.is_none() })
    }
}

/// What a decoder finds when it inflates a message before its turn, on another thread.
#[derive(Debug)]
pub struct InflatedDelta {
    header: SliceHeader,
    message_len: usize,
    found: Result<DeltaFound, SliceError>,
    halves: Vec<u8>,
}

/// What is said of a delta beside its audio.
#[derive(Clone, Copy, Debug)]
struct DeltaFound {
    len: usize,
    trailing: usize,
    undeclared_len: bool,
}

impl InflatedDelta {
    /// Bytes of audio that a message announces, if it is a delta.
    #[must_use]
    pub fn announced(message: &[u8]) -> Option<u64> {
        let header = SliceHeader::parse(message).ok()?;
        (header.coding() == Coding::Delta).then(|| header.payload_len())
    }

    /// Inflates a message into `spare`; `None` if it is no delta.
    #[must_use]
    pub fn of(decoder: &mut SliceDecoder, message: &[u8], spare: Vec<u8>) -> Option<InflatedDelta> {
        let header = SliceHeader::parse(message).ok()?;
        if header.coding() != Coding::Delta {
            return None;
        }
        decoder.inflated = spare;
        let found = decoder.delta(header, &message[HEADER_LEN..]).map(|slice| DeltaFound {
            len: slice.halves.len(),
            trailing: slice.trailing,
            undeclared_len: slice.undeclared_len,
        });
        let halves = std::mem::take(&mut decoder.inflated);
        Some(InflatedDelta { header, message_len: message.len(), found, halves })
    }

    /// Whether it is what this message holds, as far as lengths and headers tell.
    fn is_of(&self, header: &SliceHeader, message: &[u8]) -> bool {
        self.header == *header && self.message_len == message.len()
    }
}

fn raw(header: SliceHeader, payload: &[u8]) -> Result<Slice<'_>, SliceError> {
    let expected = header.payload_len();
    if payload.len() as u64 != expected {
        return Err(SliceError::RawLength { expected, actual: payload.len() });
    }
    Ok(Slice { header, halves: payload, trailing: 0, undeclared_len: false })
}

/// How long the content of the first zstd frame says it is. A skippable frame holds no audio, but
/// the reference reads the length of its user data here.
fn declared_len(payload: &[u8]) -> Result<Option<u64>, SliceError> {
    if let [0x50..=0x5f, 0x2a, 0x4d, 0x18, a, b, c, d, ..] = *payload {
        return Ok(Some(u64::from(u32::from_le_bytes([a, b, c, d]))));
    }
    zstd_safe::get_frame_content_size(payload)
        .map_err(|_| SliceError::NotZstd { len: payload.len() })
}

/// Everything that speaks against a delta before any of it is inflated.
fn check_lengths(expected: u64, declared: Option<u64>, payload: &[u8]) -> Result<(), SliceError> {
    match declared {
        Some(declared) if declared != expected => {
            Err(SliceError::DeclaredLength { expected, declared })
        }
        None if expected == 0 => Err(SliceError::UndeclaredLength),
        None if wants_large_window(payload) => Err(SliceError::Window),
        _ if expected > MAX_PAYLOAD => Err(SliceError::TooLarge { expected }),
        _ => Ok(()),
    }
}

/// Whether a frame that does not declare its length wants a window of more than 2^27 bytes. The
/// reference inflates such a frame as a stream, and zstd's streams grant no more.
fn wants_large_window(payload: &[u8]) -> bool {
    /// Five bits of exponent above 2^10, three bits of mantissa (RFC 8878, 3.1.1.1.2).
    const LARGEST_WINDOW: u8 = (27 - 10) << 3;
    const WINDOW_DESCRIPTOR_AT: usize = 5;
    payload.get(WINDOW_DESCRIPTOR_AT).is_some_and(|&window| window > LARGEST_WINDOW)
}

/// The first `len` bytes of a buffer that grows when it has to and never shrinks.
fn room(buffer: &mut Vec<u8>, len: usize) -> &mut [u8] {
    if buffer.len() < len {
        buffer.resize(len, 0);
    }
    &mut buffer[..len]
}

/// Why a message is not a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SliceError {
    /// Not even a header.
    #[error("a slice begins with a header of {HEADER_LEN} bytes; the whole message has {len}")]
    TooShort {
        /// Bytes of the message.
        len: usize,
    },
    /// Raw audio that is not as long as the header says.
    #[error("the header announces {expected} bytes of raw audio; {actual} follow it")]
    RawLength {
        /// Bytes that the header announces.
        expected: u64,
        /// Bytes that follow the header.
        actual: usize,
    },
    /// The payload of a delta does not begin like a zstd frame.
    #[error("the delta's {len} bytes do not begin with a whole zstd frame header")]
    NotZstd {
        /// Bytes that follow the slice header.
        len: usize,
    },
    /// The zstd frame declares another length than the slice header. It was not inflated.
    #[error("the header announces {expected} bytes of audio; the zstd frame declares {declared}")]
    DeclaredLength {
        /// Bytes that the slice header announces.
        expected: u64,
        /// Bytes that the zstd frame declares.
        declared: u64,
    },
    /// No audio is announced, and a zstd frame does not say whether it holds any.
    #[error("the header announces no audio; the zstd frame does not declare its length")]
    UndeclaredLength,
    /// The zstd frame wants a larger window than the reference client grants.
    #[error("the zstd frame declares no length and wants a window of more than 128 MiB")]
    Window,
    /// More audio than any delta may inflate to.
    #[error("the header announces {expected} bytes of audio, a delta holds at most {MAX_PAYLOAD}")]
    TooLarge {
        /// Bytes that the slice header announces.
        expected: u64,
    },
    /// zstd could not inflate the frame; among the reasons: it is cut short, its checksum does
    /// not fit, it holds more than the slice header announces.
    #[error("the delta's zstd frame cannot be inflated to {expected} bytes: {reason}")]
    Inflate {
        /// Bytes that the slice header announces.
        expected: u64,
        reason: &'static str,
    },
    /// The zstd frame is sound and holds less than the slice header announces.
    #[error("the header announces {expected} bytes of audio; the zstd frame holds {actual}")]
    InflatedLength {
        /// Bytes that the slice header announces.
        expected: u64,
        /// Bytes that came out.
        actual: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn message(flags: u8, frames: u32, channels: u16, payload: &[u8]) -> Vec<u8> {
        let header = SliceHeader { flags, frames, channels, ..SliceHeader::default() };
        [&header.to_bytes()[..], payload].concat()
    }

    /// A decoder that is given what another one inflated finds what it would find itself.
    #[track_caller]
    fn check_ahead(message: &[u8]) {
        let found = |decoder: &mut SliceDecoder| format!("{:?}", decoder.decode(message));
        let expected = found(&mut SliceDecoder::new());
        let ahead = InflatedDelta::of(&mut SliceDecoder::new(), message, vec![9; 100]).unwrap();
        let mut decoder = SliceDecoder::new();
        decoder.offer(ahead);
        assert_eq!(found(&mut decoder), expected);
        assert!(decoder.ahead.is_none(), "it was used");
    }

    #[test]
    fn what_was_inflated_ahead_is_what_would_be_inflated_in_turn() {
        let packed = |len: usize| zstd::bulk::compress(&vec![7; len], 3).unwrap();
        check_ahead(&message(1, 2, 2, &packed(8)));
        check_ahead(&message(1, 2, 2, &[&packed(8)[..], b"more"].concat()));
        check_ahead(&message(1, 2, 2, &packed(6)));
        check_ahead(&message(1, 2, 2, b"nothing that zstd knows"));
    }

    #[test]
    fn what_was_inflated_of_another_message_is_not_used() {
        let packed = |frames: u32, byte: u8| {
            message(
                1,
                frames,
                2,
                &zstd::bulk::compress(&vec![byte; 4 * frames as usize], 3).unwrap(),
            )
        };
        let ahead = InflatedDelta::of(&mut SliceDecoder::new(), &packed(3, 1), Vec::new());
        let mut decoder = SliceDecoder::new();
        decoder.offer(ahead.unwrap());
        assert_eq!(decoder.decode(&packed(2, 2)).unwrap().halves, [2; 8]);
        decoder.take_spare();
        assert!(decoder.ahead.is_none());
    }

    /// A zstd frame of one uncompressed block that does not declare its length.
    fn undeclared(window: u8, content: &[u8]) -> Vec<u8> {
        let block = ((content.len() as u32) << 3 | 1).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0, window], &block[..3], content].concat()
    }

    /// A zstd frame that declares `len` bytes and holds one run of zeros of at most 128 KiB.
    fn zeros(len: u64) -> Vec<u8> {
        let block = ((len.min(128 << 10) as u32) << 3 | 3).to_le_bytes();
        [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0], &len.to_le_bytes()[..], &block[..3], &[0]].concat()
    }

    fn skippable(data: &[u8]) -> Vec<u8> {
        [&[0x50, 0x2a, 0x4d, 0x18], &(data.len() as u32).to_le_bytes()[..], data].concat()
    }

    #[track_caller]
    fn check(message: &[u8], expected: Result<(&[u8], usize, bool), SliceError>) {
        let mut decoder = SliceDecoder::new();
        let actual = decoder.decode(message);
        assert_eq!(
            actual.map(|slice| (slice.halves, slice.trailing, slice.undeclared_len)),
            expected
        );
    }

    #[test]
    fn raw_payloads_are_exactly_as_long_as_announced() {
        check(&[0; 22], Err(SliceError::TooShort { len: 22 }));
        check(&message(0, 0, 0, b""), Ok((b"", 0, false)));
        check(&message(0, 9, 0, b""), Ok((b"", 0, false)));
        check(&message(0, 1, 2, b"abcd"), Ok((b"abcd", 0, false)));
        check(&message(7, 1, 2, b"abcd"), Ok((b"abcd", 0, false)));
        check(&message(0, 1, 2, b"abc"), Err(SliceError::RawLength { expected: 4, actual: 3 }));
        check(
            &message(255, u32::MAX, u16::MAX, b""),
            Err(SliceError::RawLength { expected: 562_941_363_355_650, actual: 0 }),
        );
    }

    #[test]
    fn deltas_are_one_zstd_frame_and_oddities_are_told() {
        let mut with_trailing = zeros(4);
        with_trailing.extend(b"xyz");
        check(&message(1, 1, 2, &zeros(4)), Ok((&[0; 4], 0, false)));
        check(&message(1, 1, 2, &with_trailing), Ok((&[0; 4], 3, false)));
        check(&message(1, 1, 2, &undeclared(0, b"abcd")), Ok((b"abcd", 0, true)));
        check(&message(1, 1, 2, &undeclared(17 << 3, b"abcd")), Ok((b"abcd", 0, true)));
        check(&message(1, 1, 2, &undeclared(17 << 3 | 1, b"abcd")), Err(SliceError::Window));
        check(&message(1, 1, 2, b"abcd"), Err(SliceError::NotZstd { len: 4 }));
        check(
            &message(1, 1, 2, &zeros(6)),
            Err(SliceError::DeclaredLength { expected: 4, declared: 6 }),
        );
        check(
            &message(1, 1, 2, &zeros(4)[..14]),
            Err(SliceError::Inflate { expected: 4, reason: "Src size is incorrect" }),
        );
        check(
            &message(1, 1, 2, &undeclared(0, b"abcdef")),
            Err(SliceError::Inflate { expected: 4, reason: "Destination buffer is too small" }),
        );
        check(
            &message(1, 1, 2, &undeclared(0, b"ab")),
            Err(SliceError::InflatedLength { expected: 4, actual: 2 }),
        );
    }

    #[test]
    fn empty_deltas_are_taken_at_their_word() {
        check(&message(1, 0, 2, &zeros(0)), Ok((b"", 0, false)));
        check(&message(1, 5, 0, &zeros(0)), Ok((b"", 0, false)));
        check(&message(1, 0, 2, &zeros(0)[..13]), Ok((b"", 0, false)));
        check(&message(1, 0, 2, &skippable(b"")), Ok((b"", 0, false)));
        check(&message(1, 0, 2, b""), Err(SliceError::NotZstd { len: 0 }));
        check(&message(1, 0, 2, &undeclared(0, b"")), Err(SliceError::UndeclaredLength));
        check(
            &message(1, 0, 2, &skippable(b"abcd")),
            Err(SliceError::DeclaredLength { expected: 0, declared: 4 }),
        );
        check(
            &message(1, 1, 2, &skippable(b"abcd")),
            Err(SliceError::InflatedLength { expected: 4, actual: 0 }),
        );
    }

    #[test]
    fn absurd_lengths_are_refused_before_anything_is_allocated() {
        let (frames, channels) = (u32::MAX, u16::MAX);
        let absurd = 562_941_363_355_650;
        let too_large = Err(SliceError::TooLarge { expected: absurd });
        check(&message(1, frames, channels, &zeros(absurd)), too_large);
        check(&message(1, frames, channels, &undeclared(0, b"abcd")), too_large);
        check(
            &message(1, MAX_PAYLOAD as u32 / 2 + 1, 1, &zeros(MAX_PAYLOAD + 2)),
            Err(SliceError::TooLarge { expected: MAX_PAYLOAD + 2 }),
        );
    }

    #[test]
    fn a_decoder_survives_what_it_refuses() {
        let mut decoder = SliceDecoder::new();
        let good = message(1, 1, 2, &undeclared(0, b"abcd"));
        assert!(decoder.decode(&message(1, 9, 2, &undeclared(0, &[7; 36]))).is_ok());
        assert!(decoder.decode(&message(1, 9, 2, &undeclared(0, b"ab"))).is_err());
        assert_eq!(decoder.decode(&good).map(|slice| slice.halves), Ok(&b"abcd"[..]));
    }

    /// Payloads that get past the first glance: zstd frames, whole, cut, flipped or followed.
    fn payloads() -> impl Strategy<Value = Vec<u8>> {
        let content = proptest::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..200);
        let frame = (content, any::<bool>()).prop_map(|(content, declares)| {
            if declares {
                zstd::bulk::compress(&content, 3).unwrap()
            } else {
                undeclared(40, &content)
            }
        });
        let flips = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
        let damaged = (frame, flips, proptest::collection::vec(any::<u8>(), 0..20));
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..100),
            damaged.prop_map(|(mut frame, flips, tail)| {
                for (index, byte) in flips {
                    let at = index.index(frame.len());
                    frame[at] = byte;
                }
                frame.extend(tail);
                frame
            }),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            rng_seed: RngSeed::Fixed(23),
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn decoding_never_panics_and_never_makes_more_room_than_announced(
            flags in prop_oneof![3 => Just(1u8), 1 => any::<u8>()],
            frames in prop_oneof![0u32..100, any::<u32>()],
            channels in prop_oneof![0u16..4, any::<u16>()],
            payload in payloads(),
        ) {
            let message = message(flags, frames, channels, &payload);
            let announced = u64::from(frames) * u64::from(channels) * 2;
            let mut decoder = SliceDecoder::new();
            if let Ok(slice) = decoder.decode(&message) {
                prop_assert_eq!(slice.halves.len() as u64, announced);
                prop_assert!(slice.trailing <= payload.len());
            }
            prop_assert!(decoder.inflated.len() as u64 <= announced.min(MAX_PAYLOAD));
        }
    }
}
