//! A stream that knows whether its other end takes what is written.
//!
//! What counts is what the kernel took: that a client takes nothing is seen only once the buffers of
//! both ends are full.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How far the writing is, shared by the stream and whoever watches it.
#[derive(Debug, Default)]
pub(in crate::edge) struct WriteProgress {
    taken: AtomicU64,
    is_waiting: AtomicBool,
}

impl WriteProgress {
    /// Bytes taken.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether bytes wait.
    pub fn is_waiting(&self) -> bool {
        self.is_waiting.load(Ordering::Relaxed)
    }
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
