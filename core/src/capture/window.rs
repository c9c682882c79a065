//! A sliding window over a source of bytes.
//!
//! The single buffer grows only as bytes arrive, so a length that a file merely claims costs nothing.
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

    /// Moves what is unread to the front and reads once behind it; false at the end of the source.
    pub fn fill(&mut self) -> io::Result<bool> {
        let kept = self.unread.len();
        if self.unread.start > 0 {
            self.buffer.copy_within(self.unread.clone(), 0);
        }
        self.unread = 0..kept;
        if self.buffer.len() < kept + CHUNK {
            self.buffer.resize(kept + CHUNK, 0);
        } else if self.buffer.len() > SPARE.max(4 * kept) {
            self.buffer.truncate(kept + CHUNK);
            self.buffer.shrink_to_fit();
        }
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
