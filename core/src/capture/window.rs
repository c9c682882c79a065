//! A sliding window over a source of bytes.
//!
//! The buffer grows only as bytes arrive, so a length that a file merely claims costs nothing.
//! It holds the bytes under examination and one more chunk.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// Bytes asked of the source at a time.
pub(super) const CHUNK: usize = 256 << 10;

/// A buffer that grew beyond this for one long record shrinks again.
const SPARE: usize = 16 << 20;

thread_local! {
    /// The buffer of the last window on this thread. One that is made anew for every capture costs as
    /// many page faults as it is long.
    static LAST: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The bytes of a source that were read and not yet consumed.
#[derive(Debug)]
pub(super) struct Window<R> {
    source: R,
    pub buffer: Vec<u8>,
    pub unread: Range<usize>,
}

impl<R: Read> Window<R> {
    pub fn new(source: R) -> Self {
        Window { source, buffer: LAST.take(), unread: 0..0 }
    }

    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.unread.clone()]
    }

    /// Gives the buffer away for another one, into which what is unread is copied.
    pub fn hand_over(&mut self, other: &mut Vec<u8>) {
        let unread = &self.buffer[self.unread.clone()];
        if other.len() < unread.len() {
            other.resize(unread.len(), 0);
        }
        other[..unread.len()].copy_from_slice(unread);
        self.unread = 0..unread.len();
        std::mem::swap(&mut self.buffer, other);
    }

    /// Moves what is unread to the front and reads once behind it; false at the end of the source.
    pub fn fill(&mut self) -> io::Result<bool> {
        let kept = make_room(&mut self.buffer, &mut self.unread);
        loop {
            match self.source.read(&mut self.buffer[kept..kept + CHUNK]) {
                Ok(read) => {
                    self.unread.end += read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Moves what is unread to the front of a buffer, with room for a chunk behind it; its length.
fn make_room(buffer: &mut Vec<u8>, unread: &mut Range<usize>) -> usize {
    let kept = unread.len();
    if unread.start > 0 {
        buffer.copy_within(unread.clone(), 0);
    }
    *unread = 0..kept;
    if buffer.len() < kept + CHUNK {
        buffer.resize(kept + CHUNK, 0);
    } else if buffer.len() > SPARE.max(4 * kept) {
        buffer.truncate(kept + CHUNK);
        buffer.shrink_to_fit();
    }
    kept
}

impl<R> Drop for Window<R> {
    fn drop(&mut self) {
        // Where the thread is about to end, nobody wants it.
        let _ = LAST.try_with(|last| {
            let buffer = std::mem::take(&mut self.buffer);
            if buffer.capacity() <= SPARE {
                last.set(buffer);
            }
        });
    }
}
