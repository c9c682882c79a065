//! A stream that knows whether its other end takes what is written, and when a client that takes
//! nothing is given up.
//!
//! The real server looks every 2 s at the send queue of the socket and gives a client up whose queue
//! has made no progress for 30 s (PR 295). Here what counts is what the kernel took: a client is missed
//! only once the buffers of both ends are full.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::time::{Nanos, Span};

/// From one look at a socket to the next.
const LOOK_EVERY: Span = Span(2_000_000_000);

/// How far the writing is, shared by the stream and whoever watches it.
#[derive(Debug, Default)]
pub(in crate::edge) struct WriteProgress {
    taken: AtomicU64,
    is_waiting: AtomicBool,
}

/// A TCP stream that notes how far its writing is.
pub(in crate::edge) struct WatchedStream {
    stream: TcpStream,
    progress: Arc<WriteProgress>,
}

impl WatchedStream {
    pub fn new(stream: TcpStream) -> (WatchedStream, Arc<WriteProgress>) {
        let progress = Arc::<WriteProgress>::default();
        (WatchedStream { stream, progress: Arc::clone(&progress) }, progress)
    }

    pub fn into_inner(self) -> TcpStream {
        self.stream
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress.is_waiting.store(polled.is_pending(), Ordering::Relaxed);
        if let Poll::Ready(Ok(taken)) = polled {
            self.progress.taken.fetch_add(taken as u64, Ordering::Relaxed);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The watch over one connection's writing.
#[derive(Debug)]
pub(in crate::edge) struct StallWatch {
    /// How long a client may take nothing; `None`: for ever.
    stalls_for: Option<Span>,
    looked: Nanos,
    taken: u64,
    moved: Nanos,
}

impl StallWatch {
    pub fn new(stalls_for: Option<Span>, now: Nanos) -> Self {
        StallWatch { stalls_for, looked: now, taken: 0, moved: now }
    }

    /// Looks, if it is time to. Whether the client is given up.
    pub fn is_stalled(&mut self, now: Nanos, progress: &WriteProgress) -> bool {
        let Some(stalls_for) = self.stalls_for else { return false };
        if self.next_look(stalls_for) > now {
            return false;
        }
        self.looked = now;
        let taken = progress.taken.load(Ordering::Relaxed);
        if taken != self.taken || !progress.is_waiting.load(Ordering::Relaxed) {
            (self.taken, self.moved) = (taken, now);
        }
        now.0.saturating_sub(self.moved.0) >= stalls_for.0
    }

    /// When to look again.
    pub fn wake_at(&self) -> Option<Nanos> {
        self.stalls_for.map(|stalls_for| self.next_look(stalls_for))
    }

    fn next_look(&self, stalls_for: Span) -> Nanos {
        Nanos(self.looked.0.saturating_add(LOOK_EVERY.0.min(stalls_for.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(seconds: u64) -> Nanos {
        Nanos(seconds * 1_000_000_000)
    }

    /// The second in which a client is given up that takes so much until each second, and for which
    /// something waits.
    #[track_caller]
    fn check(taken: impl Fn(u64) -> u64, is_waiting: bool, expected: Option<u64>) {
        let mut watch = StallWatch::new(Some(Span(30_000_000_000)), s(0));
        let progress = WriteProgress::default();
        progress.is_waiting.store(is_waiting, Ordering::Relaxed);
        let given_up = (0..200).find(|&second| {
            progress.taken.store(taken(second), Ordering::Relaxed);
            watch.is_stalled(s(second), &progress)
        });
        assert_eq!(given_up, expected);
    }

    #[test]
    fn a_client_that_takes_nothing_is_given_up_after_30_s() {
        check(|_| 0, true, Some(30));
        check(|second| second.min(11), true, Some(42));
        check(|second| second / 25, true, None);
        check(|_| 0, false, None);
    }

    #[test]
    fn nobody_is_given_up_unless_asked() {
        let mut watch = StallWatch::new(None, s(0));
        let progress = WriteProgress::default();
        progress.is_waiting.store(true, Ordering::Relaxed);
        assert!(!watch.is_stalled(s(3_600), &progress));
        assert_eq!(watch.wake_at(), None);
    }
}
