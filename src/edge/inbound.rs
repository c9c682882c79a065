//! A stream below a WebSocket that follows which message of the other side is under way.
//!
//! Bytes pass through as they come. The WebSocket library hands out whole messages only; when its
//! connection dies within one, [`Inbound`] knows what it was and how much of it had come.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::wire::websocket::{MessageProgress, Walker};

/// What has come of the other side's messages.
#[derive(Clone, Debug, Default)]
pub struct Inbound(Arc<Mutex<InboundBytes>>);

/// The answer to the handshake, and then frames.
#[derive(Debug, Default)]
struct InboundBytes {
    head: HeadEnd,
    walker: Walker,
}

/// Finds the empty line that ends the head of an HTTP answer.
#[derive(Debug, Default, PartialEq, Eq)]
enum HeadEnd {
    /// Within a line.
    #[default]
    Within,
    /// A line ended.
    LineEnded,
    /// The empty line ended.
    Passed,
}

impl Inbound {
    /// The message that has begun and is not whole yet.
    pub fn under_way(&self) -> Option<MessageProgress> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).walker.under_way()
    }

    fn take(&self, bytes: &[u8]) {
        let mut inbound = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let frames = inbound.head.pass(bytes);
        inbound.walker.walk(frames);
    }
}

impl HeadEnd {
    /// What of `bytes` comes after the head.
    fn pass<'a>(&mut self, mut bytes: &'a [u8]) -> &'a [u8] {
        while *self != HeadEnd::Passed
            && let Some((byte, rest)) = bytes.split_first()
        {
            bytes = rest;
            *self = match (byte, &*self) {
                (b'\n', HeadEnd::LineEnded) => HeadEnd::Passed,
                (b'\n', _) | (b'\r', HeadEnd::LineEnded) => HeadEnd::LineEnded,
                _ => HeadEnd::Within,
            };
        }
        bytes
    }
}

/// A stream whose bytes are followed as they are read.
#[derive(Debug)]
pub struct FollowedStream<S> {
    stream: S,
    inbound: Inbound,
}

impl<S> FollowedStream<S> {
    /// Follows a stream on which a handshake is still to come.
    pub fn new(stream: S) -> (FollowedStream<S>, Inbound) {
        let inbound = Inbound::default();
        (FollowedStream { stream, inbound: inbound.clone() }, inbound)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FollowedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        self.inbound.take(&into.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FollowedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is under way after an answer of a server, however it is cut.
    #[track_caller]
    fn check(answer: &[u8], expected: Option<(u8, u64, u64)>) {
        for size in 1..=answer.len() {
            let inbound = Inbound::default();
            answer.chunks(size).for_each(|piece| inbound.take(piece));
            let found = inbound.under_way().map(|it| (it.opcode, it.announced, it.received));
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }

    #[test]
    fn frames_begin_after_the_empty_line() {
        let head = b"HTTP/1.1 101 Switching Protocols\r\nA: \x82\x05\r\n\r\n";
        check(head, None);
        check(&[&head[..], &[0x82, 5, 1, 2]].concat(), Some((2, 5, 2)));
        check(&[&head[..], &[0x81, 1, b'\n', 0x82, 5, 1]].concat(), Some((2, 5, 1)));
        check(b"HTTP/1.1 101 x\nA: b\n\n\x82\x05", Some((2, 5, 0)));
    }
}
