//! One direction of a connection: what is read at one end is written at the other.
//!
//! Enters: the two ends, and a moment to do something. Leaves: the same bytes, a copy for the tap
//! after the first try to write, and how it ended. Holds one piece, and what an impairment delays.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::impair::Delay;
use super::tap::{PIECE_LEN, SessionTap};
use crate::capture::Direction;
use crate::edge::clock::MonotonicClock;
use crate::time::Nanos;

/// With less room than this a new piece of memory is begun.
const MIN_ROOM: usize = 16 << 10;

/// One direction of a connection.
pub(super) struct DirectionPump {
    pub direction: Direction,
    room: BytesMut,
    /// Read, and not yet forwarded.
    piece: Bytes,
    /// The tap has not seen this piece.
    is_untapped: bool,
    needs_flush: bool,
    pub state: DirectionState,
    pub delay: Option<Delay>,
    /// The other direction ended before this one.
    pub is_last: bool,
    /// Who is gone.
    pub broken: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectionState {
    Open,
    /// Nothing more comes; what is left is forwarded.
    Ending,
    /// The receiver has been told that nothing more comes.
    Over,
}

/// Where copies go.
pub(super) struct Tapping<'a> {
    pub clock: MonotonicClock,
    pub tap: Option<&'a mut SessionTap>,
}

impl Tapping<'_> {
    fn offer(&mut self, direction: Direction, at: Nanos, bytes: &Bytes) {
        if let Some(tap) = &mut self.tap {
            tap.offer(direction, at, bytes);
        }
    }
}

impl DirectionPump {
    pub fn new(direction: Direction, piece: Bytes) -> DirectionPump {
        DirectionPump {
            direction,
            room: BytesMut::new(),
            is_untapped: !piece.is_empty(),
            piece,
            needs_flush: false,
            state: DirectionState::Open,
            delay: None,
            is_last: false,
            broken: None,
        }
    }

    /// Forwards what there is; ready once this direction is over.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        tap: &mut Tapping<'_>,
    ) -> Poll<()> {
        while self.state != DirectionState::Over {
            if !self.piece.is_empty() {
                let written = self.poll_write(cx, to, tap);
                if written.is_pending() {
                    self.read_ahead(cx, from, tap);
                }
                if let Err(gone) = ready!(written) {
                    self.give_up(gone);
                }
                continue;
            }
            if self.state == DirectionState::Ending
                && !self.delay.as_ref().is_some_and(Delay::holds_any)
            {
                if self.broken.is_none() {
                    // A receiver that is gone needs not be told.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                }
                self.state = DirectionState::Over;
                break;
            }
            match self.poll_next(cx, from, tap) {
                Poll::Ready(()) => {}
                Poll::Pending => {
                    if self.needs_flush
                        && let Poll::Ready(flushed) = Pin::new(&mut *to).poll_flush(cx)
                    {
                        self.needs_flush = false;
                        if flushed.is_err() {
                            self.give_up(self.receiver());
                            continue;
                        }
                    }
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(())
    }

    /// Writes some of the piece, and lets the tap have it.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        tap: &mut Tapping<'_>,
    ) -> Poll<Result<(), Direction>> {
        let at = self.is_untapped.then(|| tap.clock.now());
        let written = Pin::new(&mut *to).poll_write(cx, &self.piece);
        if let Some(at) = at {
            tap.offer(self.direction, at, &self.piece);
            self.is_untapped = false;
        }
        match ready!(written) {
            Ok(0) | Err(_) => Poll::Ready(Err(self.receiver())),
            Ok(written) => {
                self.piece.advance(written);
                if self.piece.is_empty() {
                    // So that nothing here keeps its memory from being used again.
                    self.piece = Bytes::new();
                }
                self.needs_flush = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Gets the next piece, or learns that there is none.
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        tap: &mut Tapping<'_>,
    ) -> Poll<()> {
        let Some(delay) = &mut self.delay else {
            let Some(piece) = ready!(self.poll_read(cx, from, tap)) else { return Poll::Ready(()) };
            self.piece = piece;
            self.is_untapped = true;
            return Poll::Ready(());
        };
        if let Poll::Ready(piece) = delay.poll(cx) {
            self.piece = piece.unwrap_or_default();
            // The capture stands at the client's end of the bad link.
            self.is_untapped = self.direction == Direction::ServerToClient;
            return Poll::Ready(());
        }
        if self.state == DirectionState::Open && delay.accepts(false) {
            ready!(self.take_in(cx, from, tap));
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Reads what the link has room for although the receiver does not read.
    fn read_ahead(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        tap: &mut Tapping<'_>,
    ) {
        while self.state == DirectionState::Open
            && self.delay.as_ref().is_some_and(|delay| delay.accepts(true))
        {
            if self.take_in(cx, from, tap).is_pending() {
                break;
            }
        }
    }

    fn take_in(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        tap: &mut Tapping<'_>,
    ) -> Poll<()> {
        let piece = ready!(self.poll_read(cx, from, tap));
        let Some(delay) = &mut self.delay else { return Poll::Ready(()) };
        match piece {
            Some(piece) => {
                if self.direction == Direction::ClientToServer {
                    tap.offer(self.direction, tap.clock.now(), &piece);
                }
                delay.send(piece);
            }
            None => delay.end(),
        }
        Poll::Ready(())
    }

    /// Reads a piece; `None` when nothing more comes.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        tap: &Tapping<'_>,
    ) -> Poll<Option<Bytes>> {
        if self.room.capacity() < MIN_ROOM {
            let spare = tap.tap.as_ref().and_then(|tap| tap.spare());
            self.room = spare.unwrap_or_else(|| std::mem::take(&mut self.room));
            self.room.reserve(PIECE_LEN);
        }
        // The future keeps nothing from one poll to the next.
        match ready!(pin!(from.read_buf(&mut self.room)).poll(cx)) {
            Ok(0) => self.state = DirectionState::Ending,
            Ok(_) => return Poll::Ready(Some(self.room.split().freeze())),
            Err(error) => {
                self.state = DirectionState::Ending;
                // A server that ends TLS without saying so has ended it all the same.
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    self.broken = Some(self.direction);
                }
            }
        }
        Poll::Ready(None)
    }

    /// Somebody is gone: this direction is over.
    fn give_up(&mut self, gone: Direction) {
        self.broken = Some(gone);
        self.state = DirectionState::Over;
        self.piece = Bytes::new();
    }

    /// Whoever sent in this direction has reset the connection, and all that came before is forwarded.
    pub fn sender_is_gone(&self) -> bool {
        self.state == DirectionState::Over && self.broken == Some(self.direction)
    }

    /// The direction that the receiver sends in.
    fn receiver(&self) -> Direction {
        match self.direction {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        }
    }
}
