//! Bytes both ways, as they come.
//!
//! Enters: two connections and what was read from them too much. Leaves: every byte of each on the
//! other one, unchanged; the end of either as the end of the other, and a reset as a reset. Holds a
//! piece of each direction and no more: who does not read makes the other side wait. The tap gets
//! its copy after the first try to forward, and never delays it.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::impair::{Delay, Impairment};
use super::tap::SessionTap;
use super::upstream::{Leg, tcp_of};
use crate::capture::Direction;
use crate::edge::clock::MonotonicClock;

/// Bytes read at a time.
const PIECE_LEN: usize = 64 << 10;
/// With less room than this a new piece of memory is begun.
const MIN_ROOM: usize = 16 << 10;

/// A connection from end to end.
pub(super) struct Relay {
    pub clock: MonotonicClock,
    pub client: TcpStream,
    pub server: Leg,
    /// Read and not yet forwarded: from the client, from the server.
    pub unread: (Bytes, Bytes),
    pub tap: Option<SessionTap>,
    pub impairment: Option<Impairment>,
    /// Resolves when the initial buffer is there.
    pub buffered: Option<oneshot::Receiver<()>>,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides ended it, one first.
    By(Direction),
    /// One side reset it, or is gone.
    Reset(Direction),
    /// The impairment cut it.
    Cut,
    /// The proxy stops.
    Stopped,
}

impl Ended {
    pub fn reason(self) -> &'static str {
        match self {
            Ended::By(Direction::ClientToServer) => "the client ended it",
            Ended::By(Direction::ServerToClient) => "the server ended it",
            Ended::Reset(Direction::ClientToServer) => "the client broke it off",
            Ended::Reset(Direction::ServerToClient) => "the server broke it off",
            Ended::Cut => "cut, as --drop-after says",
            Ended::Stopped => "the proxy was stopped",
        }
    }
}

impl Relay {
    /// Forwards until both directions have ended, or `stop` resolves. Gives back why, and the tap.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
    ) -> (&'static str, Option<SessionTap>) {
        let mut up = Way::new(Direction::ClientToServer, std::mem::take(&mut self.unread.0));
        let mut down = Way::new(Direction::ServerToClient, std::mem::take(&mut self.unread.1));
        let ended = tokio::select! {
            biased;
            ended = self.forward(&mut up, &mut down) => ended,
            () = stop => Ended::Stopped,
        };
        if matches!(ended, Ended::Reset(_) | Ended::Cut) {
            // A reset is what the other side would have seen; a socket that refuses is reset already.
            let _ = self.client.set_zero_linger();
            let _ = tcp_of(&self.server).map(TcpStream::set_zero_linger);
        }
        (ended.reason(), self.tap)
    }

    async fn forward(&mut self, up: &mut Way, down: &mut Way) -> Ended {
        let Some(impairment) = self.impairment.take() else { return self.both(up, down).await };
        if let Some(buffered) = self.buffered.take_if(|_| impairment.after_ready) {
            tokio::select! {
                biased;
                ended = self.both(up, down) => return ended,
                // Where nobody is left to tell, it stays as it is.
                Ok(()) = buffered => {}
            }
        }
        up.delay = impairment.delay(up.direction, self.clock);
        down.delay = impairment.delay(down.direction, self.clock);
        let clock = self.clock;
        let cut_at = impairment.drop_after_s.map(|after_s| {
            crate::time::Nanos(clock.now().0.saturating_add((after_s * 1e9) as u64))
        });
        tokio::select! {
            biased;
            () = clock.reached(cut_at) => Ended::Cut,
            ended = self.both(up, down) => ended,
        }
    }

    async fn both(&mut self, up: &mut Way, down: &mut Way) -> Ended {
        let Relay { clock, client, server, tap, .. } = self;
        poll_fn(|cx| {
            let mut tap = Tapping { clock: *clock, tap: tap.as_mut() };
            let upward = up.poll(cx, client, server, &mut tap);
            let downward = down.poll(cx, server, client, &mut tap);
            if up.state == State::Over && down.state != State::Over {
                down.is_last = true;
            }
            let is_over = upward.is_ready() && downward.is_ready();
            if is_over || up.sender_is_gone() || down.sender_is_gone() {
                return Poll::Ready(how(up, down));
            }
            Poll::Pending
        })
        .await
    }
}

fn how(up: &Way, down: &Way) -> Ended {
    match (up.broken, down.broken) {
        (Some(who), _) | (None, Some(who)) => Ended::Reset(who),
        (None, None) => Ended::By(if down.is_last { up.direction } else { down.direction }),
    }
}

/// One direction.
struct Way {
    direction: Direction,
    room: BytesMut,
    /// Read, and not yet forwarded.
    piece: Bytes,
    /// The tap has not seen this piece.
    is_untapped: bool,
    needs_flush: bool,
    state: State,
    delay: Option<Delay>,
    /// The other direction ended before this one.
    is_last: bool,
    /// Who is gone.
    broken: Option<Direction>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing more comes; what is left is forwarded.
    Ending,
    /// The receiver has been told that nothing more comes.
    Over,
}

/// Where copies go.
struct Tapping<'a> {
    clock: MonotonicClock,
    tap: Option<&'a mut SessionTap>,
}

impl Tapping<'_> {
    fn offer(&mut self, direction: Direction, at: crate::time::Nanos, bytes: &Bytes) {
        if let Some(tap) = &mut self.tap {
            tap.offer(direction, at, bytes);
        }
    }
}

impl Way {
    fn new(direction: Direction, piece: Bytes) -> Way {
        Way {
            direction,
            room: BytesMut::new(),
            is_untapped: !piece.is_empty(),
            piece,
            needs_flush: false,
            state: State::Open,
            delay: None,
            is_last: false,
            broken: None,
        }
    }

    /// Forwards what there is; ready once this direction is over.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        tap: &mut Tapping<'_>,
    ) -> Poll<()> {
        while self.state != State::Over {
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
            if self.state == State::Ending && !self.delay.as_ref().is_some_and(Delay::holds_any) {
                if self.broken.is_none() {
                    // A receiver that is gone needs not be told.
                    let _ = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                }
                self.state = State::Over;
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
            let Some(piece) = ready!(self.poll_read(cx, from)) else { return Poll::Ready(()) };
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
        if self.state == State::Open && delay.accepts(false) {
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
        while self.state == State::Open
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
        let piece = ready!(self.poll_read(cx, from));
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
    ) -> Poll<Option<Bytes>> {
        if self.room.capacity() < MIN_ROOM {
            self.room.reserve(PIECE_LEN);
        }
        // The future keeps nothing from one poll to the next.
        match ready!(pin!(from.read_buf(&mut self.room)).poll(cx)) {
            Ok(0) => self.state = State::Ending,
            Ok(_) => return Poll::Ready(Some(self.room.split().freeze())),
            Err(error) => {
                self.state = State::Ending;
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
        self.state = State::Over;
        self.piece = Bytes::new();
    }

    /// Whoever sent in this direction has reset the connection, and all that came before is forwarded.
    fn sender_is_gone(&self) -> bool {
        self.state == State::Over && self.broken == Some(self.direction)
    }

    /// The direction that the receiver sends in.
    fn receiver(&self) -> Direction {
        match self.direction {
            Direction::ClientToServer => Direction::ServerToClient,
            Direction::ServerToClient => Direction::ClientToServer,
        }
    }
}
