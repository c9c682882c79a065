//! One direction of a connection: what is read at one end is written at the other.
//!
//! The tap gets its copy after the first try to write. At most one piece is held, and what an
//! impairment delays.

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

/// With less room than this, a new buffer is begun.
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
    /// The direction whose sender is gone.
    pub broken: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectionState {
    Open,
    /// The sender has finished; what is left is being forwarded.
    Ending,
    /// The receiver has been told of the end.
    Over,
}

/// The tap, if there is one, and the clock for its copies.
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

    /// Forwards what can be forwarded; ready once this direction is over.
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
                    // A receiver that is gone need not be told.
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

    /// Writes some of the piece, and gives the tap its copy.
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
                    // An empty piece would keep its memory from being reused.
                    self.piece = Bytes::new();
                }
                self.needs_flush = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// Fetches the next piece, or the end.
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
            // The capture is taken at the client's end of the impaired link.
            self.is_untapped = self.direction == Direction::ServerToClient;
            return Poll::Ready(());
        }
        if self.state == DirectionState::Open && delay.accepts(false) {
            ready!(self.take_in(cx, from, tap));
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Fills the link's buffer while the receiver does not read.
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

    /// Reads a piece; `None` at the end.
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
        // Dropping the future loses nothing: it has no state between polls.
        match ready!(pin!(from.read_buf(&mut self.room)).poll(cx)) {
            Ok(0) => self.state = DirectionState::Ending,
            Ok(_) => return Poll::Ready(Some(self.room.split().freeze())),
            Err(error) => {
                self.state = DirectionState::Ending;
                // Servers often close without ending TLS properly.
                if error.kind() != io::ErrorKind::UnexpectedEof {
                    self.broken = Some(self.direction);
                }
            }
        }
        Poll::Ready(None)
    }

    /// Ends this direction: one side is gone.
    fn give_up(&mut self, gone: Direction) {
        self.broken = Some(gone);
        self.state = DirectionState::Over;
        self.piece = Bytes::new();
    }

    /// Whether the sender has reset the connection, and all that came before is forwarded.
    pub fn sender_is_gone(&self) -> bool {
        self.state == DirectionState::Over && self.broken == Some(self.direction)
    }

    /// The direction in which the receiver sends.
    fn receiver(&self) -> Direction {
        match self.direction {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        }
    }
}
