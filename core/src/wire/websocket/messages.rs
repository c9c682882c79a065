//! Messages: fragments joined, masks and compression undone.

use super::{FrameHeader, Frames, Inflater, MAX_MESSAGE_LEN, MessageProgress, Part, opcode};

/// A message that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Whole<'a> {
    /// What sort; of a fragmented message that of its first frame.
    pub opcode: u8,
    /// The payload, or the beginning of it where [`Whole::len`] says more.
    pub payload: &'a [u8],
    /// Bytes of the whole payload.
    pub len: u64,
    /// The payload is still compressed, since what it refers to is not known.
    pub is_compressed: bool,
}

/// Reads the messages of one direction.
#[derive(Debug)]
pub struct Messages {
    frames: Frames,
    inflater: Option<Inflater>,
    data: Assembly,
    control: Assembly,
    inflated: Vec<u8>,
}

/// A message in the making.
#[derive(Debug, Default)]
struct Assembly {
    opcode: u8,
    is_compressed: bool,
    payload: Vec<u8>,
    len: u64,
    /// The last frame was there; a further one continues nothing.
    is_over: bool,
    /// A frame was there, and not the last one.
    has_begun: bool,
}

impl Messages {
    /// Before the first byte after a handshake; with an inflater where deflate was agreed on.
    #[must_use]
    pub fn new(inflater: Option<Inflater>) -> Self {
        Messages {
            frames: Frames::default(),
            inflater,
            data: Assembly::default(),
            control: Assembly::default(),
            inflated: Vec::new(),
        }
    }

    /// Takes bytes from the front of `bytes` up to the end of the next message, if it is in there.
    pub fn next(&mut self, bytes: &mut &[u8]) -> Option<Whole<'_>> {
        loop {
            match self.frames.next(bytes)? {
                Part::Begin(header) => self.begin(&header),
                Part::Payload(payload, before) => self.take(payload, before),
                Part::End(header) if header.is_control() => {
                    self.control.has_begun = false;
                    return Some(self.control.whole());
                }
                Part::End(header) if header.is_final => return Some(self.finish()),
                Part::End(_) => {}
            }
        }
    }

    /// Messages were lost, perhaps the one that had begun; the next byte is the first of a message.
    pub fn lose(&mut self) {
        self.frames = Frames::default();
        self.data = Assembly::default();
        self.control = Assembly::default();
        if let Some(inflater) = &mut self.inflater {
            inflater.lose();
        }
    }

    /// The message that has begun and is not whole yet. A ping or a close amid another message does not
    /// count.
    #[must_use]
    pub fn under_way(&self) -> Option<MessageProgress> {
        let assembly = [&self.data, &self.control].into_iter().find(|it| it.has_begun)?;
        Some(self.frames.progress(assembly.opcode, assembly.len))
    }

    fn begin(&mut self, header: &FrameHeader) {
        let assembly = if header.is_control() { &mut self.control } else { &mut self.data };
        if header.opcode != opcode::CONTINUATION || assembly.is_over {
            assembly.is_over = false;
            assembly.opcode = header.opcode;
            assembly.is_compressed = header.rsv1;
            assembly.payload.clear();
            assembly.len = 0;
        }
        assembly.has_begun = true;
    }

    fn take(&mut self, payload: &[u8], before: u64) {
        let Some(header) = self.frames.current() else { return };
        let assembly = if header.is_control() { &mut self.control } else { &mut self.data };
        assembly.len += payload.len() as u64;
        let start = assembly.payload.len();
        let kept = payload.len().min(MAX_MESSAGE_LEN - start);
        assembly.payload.extend_from_slice(&payload[..kept]);
        if let Some(mut mask) = header.mask {
            mask.rotate_left((before % 4) as usize);
            unmask(&mut assembly.payload[start..], mask);
        }
    }

    fn finish(&mut self) -> Whole<'_> {
        // A memory that one large message needed is not kept for all the small ones after it.
        const KEPT: usize = 1 << 20;
        let Messages { data, inflater, inflated, .. } = self;
        data.is_over = true;
        data.has_begun = false;
        let is_all = data.len == data.payload.len() as u64;
        let told = match inflater {
            Some(inflater) if data.is_compressed && is_all => {
                inflater.inflate(&data.payload, MAX_MESSAGE_LEN)
            }
            Some(inflater) if data.is_compressed => {
                inflater.lose();
                None
            }
            _ => None,
        };
        let Some((bytes, len)) = told else { return data.whole() };
        data.payload.shrink_to(KEPT);
        *inflated = bytes;
        Whole { opcode: data.opcode, payload: inflated, len, is_compressed: false }
    }
}

impl Assembly {
    fn whole(&self) -> Whole<'_> {
        let Assembly { opcode, is_compressed, ref payload, len, .. } = *self;
        Whole { opcode, payload, len, is_compressed }
    }
}

/// Combines bytes with a mask that begins at the first of them.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let (quads, rest) = bytes.as_chunks_mut::<4>();
    let word = u32::from_ne_bytes(mask);
    for quad in quads {
        *quad = (u32::from_ne_bytes(*quad) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Walker;
    use super::*;

    /// Reads `stream` in pieces of every size and compares the messages.
    #[track_caller]
    fn check(stream: &[u8], expected: &[(u8, &[u8])]) {
        for size in 1..=stream.len() {
            let mut messages = Messages::new(None);
            let mut found = Vec::new();
            for mut piece in stream.chunks(size) {
                while let Some(whole) = messages.next(&mut piece) {
                    assert_eq!(whole.len, whole.payload.len() as u64);
                    found.push((whole.opcode, whole.payload.to_vec()));
                }
            }
            let expected: Vec<_> =
                expected.iter().map(|(opcode, payload)| (*opcode, payload.to_vec())).collect();
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn fragments_are_joined_around_what_comes_between() {
        check(
            &[
                0x01, 2, b'a', b'b', 0x89, 1, b'p', 0x00, 0, 0x80, 1, b'c', 0x82, 0, 0x88, 2, 3,
                0xe8,
            ],
            &[(9, b"p"), (1, b"abc"), (2, b""), (8, &[3, 0xe8])],
        );
    }

    #[test]
    fn a_stray_continuation_continues_nothing() {
        check(&[0x81, 1, b'a', 0x80, 1, b'b', 0x82, 1, b'c'], &[(1, b"a"), (0, b"b"), (2, b"c")]);
    }

    #[test]
    fn a_message_under_way_is_known() {
        let check = |stream: &[u8], expected: Option<(u8, u64, u64)>| {
            let expected = expected.map(|(opcode, announced, received)| MessageProgress {
                opcode,
                announced,
                received,
            });
            for size in 1..=stream.len() {
                let mut messages = Messages::new(None);
                let mut walker = Walker::default();
                for mut piece in stream.chunks(size) {
                    walker.walk(piece);
                    while messages.next(&mut piece).is_some() {}
                }
                assert_eq!(messages.under_way(), expected, "{stream:02x?} in pieces of {size}");
                assert_eq!(walker.under_way(), expected, "{stream:02x?} walked by {size}");
            }
        };
        check(&[0x81, 1, b'a'], None);
        check(&[0x81, 1, b'a', 0x82, 9, b'b'], Some((2, 9, 1)));
        check(&[0x01, 2, b'a', b'b'], Some((1, 2, 2)));
        check(&[0x01, 1, b'a', 0x80, 4, b'b'], Some((1, 5, 2)));
        check(&[0x01, 1, b'a', 0x89, 4, b'b'], Some((1, 1, 1)));
        check(&[0x89, 4, b'b'], Some((9, 4, 1)));
        check(&[0x01, 1, b'a', 0x80, 1, b'b', 0x82, 3, b'c'], Some((2, 3, 1)));
        check(&[0x01, 1, b'a', 0x89, 1, b'b', 0x80], Some((1, 1, 1)));
        check(&[0x82, 0], None);
        check(&[0x82, 2], Some((2, 2, 0)));
        check(&[0x82], None);
    }

    #[test]
    fn masks_are_undone() {
        let mask = [1, 2, 4, 8];
        let masked: Vec<u8> = (0..9).map(|i| b"lead time"[i] ^ mask[i % 4]).collect();
        let stream = [&[0x81, 0x80 | 9][..], &mask, &masked].concat();
        check(&stream, &[(1, b"lead time")]);
    }

    #[test]
    fn compression_that_nobody_agreed_on_is_kept_and_marked() {
        let mut messages = Messages::new(None);
        let whole = messages.next(&mut &[0xc1, 1, b'x'][..]).unwrap();
        assert!(whole.is_compressed);
        assert_eq!(whole.payload, b"x");
    }

    #[test]
    fn after_a_loss_the_next_message_is_whole() {
        let mut messages = Messages::new(None);
        assert_eq!(messages.next(&mut &[0x01, 9, b'a'][..]), None);
        messages.lose();
        let whole = messages.next(&mut &[0x81, 1, b'z'][..]).unwrap();
        assert_eq!(whole.payload, b"z");
    }
}
