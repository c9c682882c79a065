//! permessage-deflate (RFC 7692), undone.
//!
//! Enters: compressed messages of one direction, in order. Leaves: what they were, or the news that
//! they cannot be told because something before them was lost.
//! After a loss with context takeover the history that messages refer back to is unknown. Two
//! inflaters then go on from histories that differ in every byte: where both give the same, nothing
//! lost was referred to. Once a whole window agrees, the history is known again.

use flate2::{Decompress, FlushDecompress, Status};

/// How far back a message may refer, at most.
const WINDOW: usize = 32_768;
/// What senders cut off the end of each message: the rest of an empty block.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty block.
const EMPTY: [u8; 5] = [0x00, 0x00, 0x00, 0xff, 0xff];
/// Empty blocks that show whether a message ended between two blocks: more bits than a block has
/// before its first byte comes out.
const PROBES: usize = 64;
/// Room made for output at a time.
const STEP: usize = 64 << 10;

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The client's messages may refer to the ones before them.
    pub client_takes_over: bool,
    pub server_takes_over: bool,
}

impl Deflate {
    /// Reads the `Sec-WebSocket-Extensions` of a server's answer. Window bits need no attention:
    /// a larger window reads what a smaller one wrote.
    #[must_use]
    pub fn agreed(extensions: &str) -> Option<Deflate> {
        let accepted = extensions.split(',').map(|extension| extension.split(';').map(str::trim));
        accepted.into_iter().find_map(|mut words| {
            let name = words.next()?;
            let mut deflate = Deflate { client_takes_over: true, server_takes_over: true };
            for word in words {
                let named = |name: &str| word.eq_ignore_ascii_case(name);
                deflate.client_takes_over &= !named("client_no_context_takeover");
                deflate.server_takes_over &= !named("server_no_context_takeover");
            }
            name.eq_ignore_ascii_case("permessage-deflate").then_some(deflate)
        })
    }
}

/// Inflates the messages of one direction.
#[derive(Debug)]
pub struct Inflater {
    takes_over: bool,
    first: Opinion,
    doubt: Option<Doubt>,
}

/// A second opinion after a loss.
#[derive(Debug)]
struct Doubt {
    opinion: Opinion,
    /// Bytes at the end of what came out so far on which both agree.
    agreed: usize,
}

impl Inflater {
    /// Before the first message of a direction.
    #[must_use]
    pub fn new(takes_over: bool) -> Self {
        Inflater { takes_over, first: Opinion::after(Vec::new()), doubt: None }
    }

    /// Something compressed was lost, or cannot be read.
    pub fn lose(&mut self) {
        if self.takes_over {
            self.first = Opinion::after(vec![0x00; WINDOW]);
            self.doubt = Some(Doubt { opinion: Opinion::after(vec![0xff; WINDOW]), agreed: 0 });
        }
    }

    /// Whether messages may refer to something lost.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// What `compressed` was, at most `limit` bytes of it, and its whole length; `None` if that
    /// cannot be told. `compressed` is as it was on the wire.
    pub fn inflate(&mut self, compressed: &[u8], limit: usize) -> Option<(Vec<u8>, u64)> {
        if !self.takes_over {
            self.first = Opinion::after(Vec::new());
        }
        if compressed.is_empty() {
            // What senders cut off belongs to a block that begins in the message; here none does.
            return Some((Vec::new(), 0));
        }
        let first = self.first.inflate(compressed, limit);
        let second = self.doubt.as_mut().map(|doubt| doubt.opinion.inflate(compressed, limit));
        let (Some(first), Some(second)) = (first, second.unwrap_or(Some(Output::default()))) else {
            self.lose();
            return None;
        };
        let agreed = self.doubt.as_mut().is_none_or(|doubt| doubt.compare(&first, &second));
        if self.doubt.as_ref().is_some_and(|doubt| doubt.agreed >= WINDOW) {
            self.doubt = None;
        }
        agreed.then_some((first.bytes, first.len))
    }
}

impl Doubt {
    /// Whether both opinions are the same, having noted how far back they are.
    fn compare(&mut self, first: &Output, second: &Output) -> bool {
        let same = first.bytes.iter().rev().zip(second.bytes.iter().rev());
        let tail = same.take_while(|(first, second)| first == second).count();
        let is_whole = tail == first.bytes.len() && first.len == tail as u64;
        self.agreed = if is_whole { self.agreed.saturating_add(tail) } else { tail };
        is_whole
    }
}

/// What messages were, if the history is as it is taken to be.
#[derive(Debug)]
struct Opinion {
    inflate: Decompress,
    /// The last [`WINDOW`] bytes of what came out, for after a final block. That ends the stream of
    /// the compressor, and where the next one begins, a reference may still reach behind it.
    history: Vec<u8>,
}

/// What came out of a message.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    len: u64,
}

/// Why inflating has stopped.
#[derive(PartialEq, Eq)]
enum Stop {
    /// All is read.
    Read,
    /// A final block has ended, and this much is read.
    FinalBlock(usize),
}

impl Opinion {
    fn after(history: Vec<u8>) -> Opinion {
        Opinion { inflate: after(&history), history }
    }

    /// Inflates a message, which may hold several final blocks.
    fn inflate(&mut self, compressed: &[u8], limit: usize) -> Option<Output> {
        let mut output = Output::default();
        let mut rest = compressed;
        loop {
            let before = output.bytes.len();
            let len_before = output.len;
            let stop = run(&mut self.inflate, rest, limit, &mut output)?;
            self.remember(&output.bytes[before..], output.len - len_before);
            let Stop::FinalBlock(read) = stop else { break };
            self.inflate = after(&self.history);
            rest = &rest[read..];
            if rest.is_empty() {
                // Nothing was cut off behind a final block.
                return Some(output);
            }
        }
        let len = output.len;
        // Between two blocks these say nothing. If the message ended in the middle of one, they are
        // taken for the rest of it.
        for end in [&TAIL[..], &EMPTY.repeat(PROBES)] {
            let stop = run(&mut self.inflate, end, limit, &mut output)?;
            if stop != Stop::Read || output.len != len {
                return None;
            }
        }
        Some(output)
    }

    /// Notes what came out: `len` bytes, of which `bytes` were kept.
    fn remember(&mut self, bytes: &[u8], len: u64) {
        if bytes.len() as u64 != len {
            // Beyond the limit nothing is known, and no message should be that long.
            self.history.clear();
            return;
        }
        let kept = WINDOW.saturating_sub(bytes.len()).min(self.history.len());
        self.history.drain(..self.history.len() - kept);
        self.history.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW)..]);
    }
}

/// Inflates `input` to its end, or to that of a final block; `None` when it is no deflate stream.
fn run(inflate: &mut Decompress, input: &[u8], limit: usize, output: &mut Output) -> Option<Stop> {
    let mut spill = Vec::new();
    let len_before = output.len;
    let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
    loop {
        let read = (inflate.total_in() - in_before) as usize;
        let written = inflate.total_out();
        // Beyond the limit the bytes are only counted.
        let out = if output.bytes.len() < limit {
            output.bytes.reserve(STEP.min(limit - output.bytes.len()).max(1));
            &mut output.bytes
        } else {
            spill.clear();
            spill.reserve(STEP);
            &mut spill
        };
        let status = inflate.decompress_vec(&input[read..], out, FlushDecompress::Sync).ok()?;
        let has_room = out.len() < out.capacity();
        output.len = len_before + inflate.total_out() - out_before;
        let read_now = (inflate.total_in() - in_before) as usize;
        if status == Status::StreamEnd {
            return Some(Stop::FinalBlock(read_now));
        }
        let is_read = read_now == input.len();
        if is_read && has_room {
            return Some(Stop::Read);
        }
        let stands = read_now == read && inflate.total_out() == written;
        if stands {
            return is_read.then_some(Stop::Read);
        }
    }
}

/// An inflater behind a stored block: the history is these bytes.
fn after(history: &[u8]) -> Decompress {
    let mut inflate = Decompress::new(false);
    if history.is_empty() {
        return inflate;
    }
    let len = (history.len().min(WINDOW) as u16).to_le_bytes();
    let mut block = vec![0x00, len[0], len[1], !len[0], !len[1]];
    block.extend_from_slice(history);
    // A stored block cannot be wrong.
    let _ = run(&mut inflate, &block, WINDOW, &mut Output::default());
    inflate
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[track_caller]
    fn check_agreed(extensions: &str, expected: Option<(bool, bool)>) {
        let expected = expected.map(|(client_takes_over, server_takes_over)| Deflate {
            client_takes_over,
            server_takes_over,
        });
        assert_eq!(Deflate::agreed(extensions), expected, "{extensions}");
    }

    #[test]
    fn what_was_agreed_on() {
        check_agreed("", None);
        check_agreed("x-webkit-deflate-frame", None);
        check_agreed("permessage-deflate", Some((true, true)));
        check_agreed("foo, permessage-deflate; server_max_window_bits=12", Some((true, true)));
        check_agreed("Permessage-Deflate;server_no_context_takeover", Some((true, false)));
        check_agreed(
            "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
            Some((false, false)),
        );
    }

    /// A sender that compresses as peers do.
    struct Sender {
        compress: Compress,
        takes_over: bool,
    }

    impl Sender {
        fn new(takes_over: bool) -> Self {
            Sender { compress: Compress::new(Compression::default(), false), takes_over }
        }

        fn send(&mut self, message: &[u8]) -> Vec<u8> {
            if !self.takes_over {
                self.compress.reset();
            }
            let mut out = Vec::with_capacity(message.len() + 1024);
            self.compress.compress_vec(message, &mut out, FlushCompress::Sync).unwrap();
            assert!(out.ends_with(&TAIL), "the room was enough");
            out.truncate(out.len() - TAIL.len());
            out
        }
    }

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[track_caller]
    fn inflate(inflater: &mut Inflater, message: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        let told = inflater.inflate(message.as_ref(), super::super::MAX_MESSAGE_LEN);
        told.map(|(bytes, len)| {
            assert_eq!(bytes.len() as u64, len);
            bytes
        })
    }

    #[test]
    fn messages_come_out_as_they_went_in() {
        for takes_over in [false, true] {
            let mut sender = Sender::new(takes_over);
            let mut inflater = Inflater::new(takes_over);
            for (i, len) in [0, 1, 5, 70_000, 0, 32_768, 300_000].into_iter().enumerate() {
                for message in [noise(i as u64 / 2, len), vec![7; len]] {
                    let compressed = sender.send(&message);
                    assert_eq!(inflate(&mut inflater, compressed), Some(message));
                }
            }
            assert!(!inflater.is_in_doubt());
        }
    }

    #[test]
    fn what_refers_to_something_lost_is_not_guessed() {
        let mut sender = Sender::new(true);
        let mut inflater = Inflater::new(true);
        let (lost, other) = (noise(1, 500), noise(2, 500));
        sender.send(&lost);
        inflater.lose();
        let (again, fresh) = (sender.send(&lost), sender.send(&other));
        assert!(again.len() < 50, "the compressor refers back");
        assert_eq!(inflate(&mut inflater, again), None);
        assert_eq!(inflate(&mut inflater, fresh), Some(other.clone()));
        assert!(inflater.is_in_doubt());
        let long = noise(3, WINDOW);
        let compressed = sender.send(&long);
        assert_eq!(inflate(&mut inflater, compressed), Some(long));
        assert!(!inflater.is_in_doubt(), "a whole window is known");
        let compressed = sender.send(&other);
        assert_eq!(inflate(&mut inflater, compressed), Some(other));
    }

    #[test]
    fn without_takeover_a_loss_costs_only_itself() {
        let mut sender = Sender::new(false);
        let mut inflater = Inflater::new(false);
        let message = noise(1, 500);
        sender.send(&message);
        inflater.lose();
        assert_eq!(inflate(&mut inflater, sender.send(&message)), Some(message));
    }

    #[test]
    fn a_bomb_is_counted_and_not_held() {
        let mut sender = Sender::new(true);
        let bomb = sender.send(&vec![0; 10_000_000]);
        let mut inflater = Inflater::new(true);
        let (bytes, len) = inflater.inflate(&bomb, 1000).unwrap();
        assert_eq!((bytes.len(), len), (1000, 10_000_000));
        assert!(bytes.capacity() < 2000, "{}", bytes.capacity());
        let compressed = sender.send(b"and on");
        assert_eq!(inflate(&mut inflater, compressed).as_deref(), Some(&b"and on"[..]));
    }

    #[test]
    fn garbage_is_told_and_survived() {
        let mut inflater = Inflater::new(true);
        assert_eq!(inflate(&mut inflater, vec![0xff; 100]), None);
        assert!(inflater.is_in_doubt());
        let mut sender = Sender::new(true);
        let message = noise(5, 100);
        assert_eq!(inflate(&mut inflater, sender.send(&message)), Some(message));
    }

    /// Compressed up to a final block.
    fn finished(message: &[u8]) -> Vec<u8> {
        let mut compress = Compress::new(Compression::default(), false);
        let mut out = Vec::with_capacity(message.len() + 1024);
        compress.compress_vec(message, &mut out, FlushCompress::Finish).unwrap();
        out
    }

    #[test]
    fn final_blocks_do_not_end_a_message() {
        // RFC 7692, 7.2.3.4: "Hello" in a final block, and the beginning of an empty one.
        let hello = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00];
        for takes_over in [false, true] {
            let mut inflater = Inflater::new(takes_over);
            assert_eq!(inflate(&mut inflater, hello).as_deref(), Some(&b"Hello"[..]));
            // Without the empty block, and two of them in a message.
            assert_eq!(inflate(&mut inflater, &hello[..7]).as_deref(), Some(&b"Hello"[..]));
            let twice = [&hello[..7], &hello].concat();
            assert_eq!(inflate(&mut inflater, twice).as_deref(), Some(&b"HelloHello"[..]));
            let long = noise(4, 100_000);
            let message = [finished(&long), finished(b""), finished(&long[..9]), vec![0]].concat();
            let expected = [&long[..], &long[..9]].concat();
            assert_eq!(inflate(&mut inflater, message), Some(expected));
            // Whole blocks in between, with a stream of their own.
            let mut sender = Sender::new(takes_over);
            let mixed = [&hello[..7], &sender.send(&long)].concat();
            assert_eq!(inflate(&mut inflater, mixed), Some([b"Hello", &long[..]].concat()));
            assert_eq!(inflate(&mut inflater, sender.send(&long)), Some(long));
            assert!(!inflater.is_in_doubt());
        }
    }

    #[test]
    fn an_empty_message_changes_nothing() {
        let message = noise(6, 700);
        for empty in [&[][..], &[0x00], &[0x02, 0x00]] {
            let mut sender = Sender::new(true);
            let mut inflater = Inflater::new(true);
            assert_eq!(inflate(&mut inflater, sender.send(&message)).as_ref(), Some(&message));
            assert_eq!(inflate(&mut inflater, empty), Some(Vec::new()), "{empty:?}");
            assert_eq!(inflate(&mut inflater, sender.send(&message)).as_ref(), Some(&message));
            assert!(!inflater.is_in_doubt());
        }
    }

    /// A message that ends within a block would come out shorter than it was.
    #[test]
    fn half_a_message_is_not_told() {
        let message = noise(7, 900);
        let text = Sender::new(true)
            .send(br#"{"type": "params", "playhead": 12.5, "bytes": 12.5, "type": 3}"#);
        for takes_over in [false, true] {
            for whole in [&Sender::new(takes_over).send(&message), &text] {
                // One byte of a stored block is an empty one too.
                for len in 2..whole.len() {
                    let mut inflater = Inflater::new(takes_over);
                    assert_eq!(
                        inflate(&mut inflater, &whole[..len]),
                        None,
                        "{len} of {}",
                        whole.len()
                    );
                }
            }
        }
    }
}
