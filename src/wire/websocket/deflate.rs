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
/// What senders cut off the end of each message.
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// Room made for output at a time.
const STEP: usize = 64 << 10;

/// What a handshake agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// The client's messages may refer to the ones before them.
    pub client_takes_over: bool,
    /// The server's messages may.
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
    inflate: Decompress,
    doubt: Option<Doubt>,
}

/// A second opinion after a loss.
#[derive(Debug)]
struct Doubt {
    inflate: Decompress,
    /// Bytes at the end of what came out so far on which both agree.
    agreed: usize,
}

impl Inflater {
    /// Before the first message of a direction.
    #[must_use]
    pub fn new(takes_over: bool) -> Self {
        Inflater { takes_over, inflate: Decompress::new(false), doubt: None }
    }

    /// Something compressed was lost, or cannot be read.
    pub fn lose(&mut self) {
        if self.takes_over {
            self.inflate = after([0x00; WINDOW]);
            self.doubt = Some(Doubt { inflate: after([0xff; WINDOW]), agreed: 0 });
        }
    }

    /// Whether messages may refer to something lost.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.doubt.is_some()
    }

    /// What `compressed` was, at most `limit` bytes of it, and its whole length; `None` if that
    /// cannot be told. `compressed` is as it was on the wire before and after.
    pub fn inflate(&mut self, compressed: &mut Vec<u8>, limit: usize) -> Option<(Vec<u8>, u64)> {
        if !self.takes_over {
            self.inflate.reset(false);
        }
        compressed.extend_from_slice(&TAIL);
        let told = self.inflate_with_tail(compressed, limit);
        compressed.truncate(compressed.len() - TAIL.len());
        told
    }

    fn inflate_with_tail(&mut self, input: &[u8], limit: usize) -> Option<(Vec<u8>, u64)> {
        let first = run(&mut self.inflate, input, limit);
        let second = self.doubt.as_mut().map(|doubt| run(&mut doubt.inflate, input, limit));
        let (Some(first), Some(second)) = (first, second.unwrap_or(Some(Output::default()))) else {
            self.lose();
            return None;
        };
        let agreed = self.doubt.as_mut().is_none_or(|doubt| doubt.compare(&first, &second));
        if self.doubt.as_ref().is_some_and(|doubt| doubt.agreed >= WINDOW) {
            self.doubt = None;
        }
        if first.is_last {
            // A final block ends the compressor's stream too, and nobody says what follows it.
            self.lose();
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

/// What came out of a message.
#[derive(Debug, Default)]
struct Output {
    bytes: Vec<u8>,
    len: u64,
    is_last: bool,
}

/// Inflates all of `input`; `None` when it is no deflate stream.
fn run(inflate: &mut Decompress, input: &[u8], limit: usize) -> Option<Output> {
    let mut output = Output::default();
    let mut spill = Vec::new();
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
        output.len = inflate.total_out() - out_before;
        let is_read = (inflate.total_in() - in_before) as usize == input.len();
        output.is_last = status == Status::StreamEnd;
        if output.is_last || (is_read && has_room) {
            return Some(output);
        }
        let stands =
            (inflate.total_in() - in_before) as usize == read && inflate.total_out() == written;
        if stands {
            return is_read.then_some(output);
        }
    }
}

/// An inflater behind a stored block: the history is these bytes.
fn after(history: [u8; WINDOW]) -> Decompress {
    let len = (WINDOW as u16).to_le_bytes();
    let mut block = vec![0x00, len[0], len[1], !len[0], !len[1]];
    block.extend_from_slice(&history);
    let mut inflate = Decompress::new(false);
    // A stored block cannot be wrong.
    let _ = run(&mut inflate, &block, WINDOW);
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
    fn inflate(inflater: &mut Inflater, mut message: Vec<u8>) -> Option<Vec<u8>> {
        let before = message.clone();
        let told = inflater.inflate(&mut message, super::super::MAX_MESSAGE_LEN);
        assert_eq!(message, before);
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
        let mut bomb = sender.send(&vec![0; 10_000_000]);
        let mut inflater = Inflater::new(true);
        let (bytes, len) = inflater.inflate(&mut bomb, 1000).unwrap();
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
}
