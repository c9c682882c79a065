//! Frames: headers read, payloads passed by.

use super::opcode;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The last frame of its message.
    pub is_final: bool,
    /// The first reserved bit: the message is compressed, where that was agreed on.
    pub rsv1: bool,
    /// What sort of frame.
    pub opcode: u8,
    /// What every byte of the payload was combined with.
    pub mask: Option<[u8; 4]>,
    /// Bytes of payload.
    pub len: u64,
}

impl FrameHeader {
    /// Bytes of the longest header.
    pub const MAX_LEN: usize = 14;

    /// Reads a header and says how many bytes it has, or `None` while there are too few.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<(FrameHeader, usize)> {
        let (&[first, second], rest) = bytes.split_first_chunk()?;
        let (len, rest) = match second & 0x7f {
            126 => rest.split_first_chunk().map(|(len, r)| (u16::from_be_bytes(*len).into(), r))?,
            127 => rest.split_first_chunk().map(|(len, r)| (u64::from_be_bytes(*len), r))?,
            short => (u64::from(short), rest),
        };
        let (mask, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => rest.split_first_chunk().map(|(mask, rest)| (Some(*mask), rest))?,
        };
        let header = FrameHeader {
            is_final: first & 0x80 != 0,
            rsv1: first & 0x40 != 0,
            opcode: first & 0x0f,
            mask,
            len,
        };
        Some((header, bytes.len() - rest.len()))
    }

    /// Whether the frame is a message by itself, whatever it comes between.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.opcode >= opcode::FIRST_CONTROL
    }
}

/// A part of a stream of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A frame begins.
    Begin(FrameHeader),
    /// Some of its payload, as it stands on the wire, and how much of it came before.
    Payload(&'a [u8], u64),
    /// The frame is whole.
    End(FrameHeader),
}

/// How far a message has come that has begun and is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageProgress {
    pub opcode: u8,
    /// Payload bytes that the headers of its frames announced so far.
    pub announced: u64,
    /// Payload bytes that came.
    pub received: u64,
}

/// Cuts a stream of bytes into the parts of its frames.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    head: [u8; FrameHeader::MAX_LEN],
    head_len: usize,
    frame: Option<(FrameHeader, u64)>,
}

impl Frames {
    /// Takes the next part from the front of `bytes`; `None` once all of them are taken.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<Part<'a>> {
        let Some((header, seen)) = &mut self.frame else {
            let header = self.take_header(bytes)?;
            self.frame = Some((header, 0));
            return Some(Part::Begin(header));
        };
        let left = header.len - *seen;
        if left == 0 {
            let header = *header;
            self.frame = None;
            return Some(Part::End(header));
        }
        if bytes.is_empty() {
            return None;
        }
        let (payload, rest) =
            bytes.split_at(bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        *bytes = rest;
        let before = *seen;
        *seen += payload.len() as u64;
        Some(Part::Payload(payload, before))
    }

    /// The frame that has begun and is not whole yet.
    #[must_use]
    pub fn current(&self) -> Option<FrameHeader> {
        self.frame.map(|(header, _)| header)
    }

    /// Bytes of the present frame's payload that are still to come.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.frame.map_or(0, |(header, seen)| header.len - seen)
    }

    /// Whether no frame has begun that is not whole yet.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.frame.is_none() && self.head_len == 0
    }

    /// How far a message of this opcode has come of which so many bytes of payload are there.
    pub(super) fn progress(&self, opcode: u8, received: u64) -> MessageProgress {
        let is_control = opcode >= opcode::FIRST_CONTROL;
        let is_of_it = self.current().is_some_and(|frame| frame.is_control() == is_control);
        let missing = if is_of_it { self.missing() } else { 0 };
        MessageProgress { opcode, announced: received + missing, received }
    }

    fn take_header(&mut self, bytes: &mut &[u8]) -> Option<FrameHeader> {
        if self.head_len == 0
            && let Some((header, len)) = FrameHeader::parse(bytes)
        {
            *bytes = &bytes[len..];
            return Some(header);
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            self.head[self.head_len] = byte;
            self.head_len += 1;
            *bytes = rest;
            if let Some((header, _)) = FrameHeader::parse(&self.head[..self.head_len]) {
                self.head_len = 0;
                return Some(header);
            }
        }
        None
    }
}

/// Walks along the messages of a stream without keeping any of them.
#[derive(Clone, Debug, Default)]
pub struct Walker {
    frames: Frames,
    /// Opcodes and payload bytes of the messages that have begun and are not whole: one of data, …
    data: Option<(u8, u64)>,
    /// … and one that may come amid its fragments.
    control: Option<(u8, u64)>,
}

impl Walker {
    /// Goes on to the end of the next message in `bytes`, if it is in there.
    pub fn next_end(&mut self, bytes: &mut &[u8]) -> bool {
        while let Some(part) = self.frames.next(bytes) {
            match part {
                Part::Begin(header) if header.is_control() => {
                    self.control = Some((header.opcode, 0));
                }
                Part::Begin(header) if header.opcode == opcode::CONTINUATION => {
                    self.data.get_or_insert((header.opcode, 0));
                }
                Part::Begin(header) => self.data = Some((header.opcode, 0)),
                Part::Payload(payload, _) => {
                    let is_control = self.frames.current().is_some_and(|it| it.is_control());
                    let begun = if is_control { &mut self.control } else { &mut self.data };
                    if let Some((_, received)) = begun {
                        *received += payload.len() as u64;
                    }
                }
                Part::End(header) if header.is_control() => {
                    self.control = None;
                    return true;
                }
                Part::End(header) if header.is_final => {
                    self.data = None;
                    return true;
                }
                Part::End(_) => {}
            }
        }
        false
    }

    /// Goes past all of `bytes` and counts the messages that ended.
    pub fn walk(&mut self, mut bytes: &[u8]) -> u64 {
        let mut ended = 0;
        while self.next_end(&mut bytes) {
            ended += 1;
        }
        ended
    }

    /// Whether every message that has begun is whole.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.data.is_none() && self.frames.is_between()
    }

    /// The message that has begun and is not whole yet. A ping or a close amid another message does not
    /// count.
    #[must_use]
    pub fn under_way(&self) -> Option<MessageProgress> {
        let (opcode, received) = self.data.or(self.control)?;
        Some(self.frames.progress(opcode, received))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expected: Option<(bool, u8, bool, u64, usize)>) {
        let found = FrameHeader::parse(bytes).map(|(header, len)| {
            (header.is_final, header.opcode, header.mask.is_some(), header.len, len)
        });
        assert_eq!(found, expected, "{bytes:02x?}");
        if let Some((_, len)) = FrameHeader::parse(bytes) {
            assert_eq!(FrameHeader::parse(&bytes[..len - 1]), None, "one byte less");
        }
    }

    #[test]
    fn headers_of_every_length() {
        check(&[], None);
        check(&[0x81], None);
        check(&[0x81, 5], Some((true, 1, false, 5, 2)));
        check(&[0x02, 0xfd, 1, 2, 3, 4], Some((false, 2, true, 125, 6)));
        check(&[0x82, 126, 0x01, 0x00], Some((true, 2, false, 256, 4)));
        check(&[0x82, 254, 0x01, 0x00, 1, 2, 3, 4], Some((true, 2, true, 256, 8)));
        check(&[0x82, 127, 0, 0, 0, 0, 1, 0, 0, 0], Some((true, 2, false, 1 << 24, 10)));
        check(
            &[0x8f, 255, 0xff, 0, 0, 0, 0, 0, 0, 0, 9, 9, 9, 9],
            Some((true, 15, true, 0xff << 56, 14)),
        );
    }

    /// A fragmented message with a ping amid it, an empty one, and a close.
    const STREAM: [u8; 20] = [
        0x01, 2, b'a', b'b', 0x89, 1, b'p', 0x00, 0, 0x80, 1, b'c', 0x82, 0, 0x88, 2, 3, 0xe8,
        0x81, 5,
    ];

    /// Walks the stream in pieces of `size` and lists where messages end and where it is between.
    #[track_caller]
    fn check_walk(size: usize) {
        let (mut ends, mut between) = (Vec::new(), Vec::new());
        let mut walker = Walker::default();
        for (i, piece) in STREAM.chunks(size).enumerate() {
            let mut rest = piece;
            while walker.next_end(&mut rest) {
                let at = i * size + piece.len() - rest.len();
                ends.push(at);
                between.push(walker.is_between());
            }
        }
        assert_eq!(ends, [7, 12, 14, 18], "in pieces of {size}");
        assert_eq!(between, [false, true, true, true], "in pieces of {size}");
        assert!(!walker.is_between());
    }

    #[test]
    fn messages_end_where_they_end() {
        (1..=STREAM.len()).for_each(check_walk);
        assert_eq!(Walker::default().walk(&STREAM), 4);
    }
}
