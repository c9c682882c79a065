//! Forwards bytes in both directions, unchanged.
//!
//! The end of one connection becomes the end of the other, and a reset becomes a reset. Only one piece
//! of each direction is held, so a side that does not read makes the other wait. The tap never delays
//! forwarding.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::direction_pump::{DirectionPump, DirectionState, Tapping};
use super::impair::Impairment;
use super::relay_end::RelayEnd;
use super::tap::SessionTap;
use super::upstream::{ServerStream, tcp_of};
use crate::capture::Direction;
use crate::edge::clock::MonotonicClock;
use crate::time::Nanos;

/// A client's connection and the server's.
pub(super) struct Relay {
    pub clock: MonotonicClock,
    pub client: TcpStream,
    pub server: ServerStream,
    /// Read and not yet forwarded: from the client, from the server.
    pub unread: (Bytes, Bytes),
    pub tap: Option<SessionTap>,
    pub impairment: Option<Impairment>,
    /// Resolves when the initial buffer has passed.
    pub buffered: Option<oneshot::Receiver<()>>,
}

impl Relay {
    /// Forwards until both directions have ended, or `stop` resolves; returns how, and the tap.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> (RelayEnd, Option<SessionTap>) {
        let mut up =
            DirectionPump::new(Direction::ClientToServer, std::mem::take(&mut self.unread.0));
        let mut down =
            DirectionPump::new(Direction::ServerToClient, std::mem::take(&mut self.unread.1));
        let ended = tokio::select! {
            biased;
            ended = self.forward(&mut up, &mut down) => ended,
            () = stop => RelayEnd::Stopped,
        };
        if matches!(ended, RelayEnd::Reset(_) | RelayEnd::Cut) {
            // The other side would have seen a reset too; a socket that refuses is reset already.
            let _ = self.client.set_zero_linger();
            let _ = tcp_of(&self.server).map(TcpStream::set_zero_linger);
        }
        (ended, self.tap)
    }

    async fn forward(&mut self, up: &mut DirectionPump, down: &mut DirectionPump) -> RelayEnd {
        let Some(impairment) = self.impairment.take() else { return self.both(up, down).await };
        if let Some(buffered) = self.buffered.take_if(|_| impairment.after_ready) {
            tokio::select! {
                biased;
                ended = self.both(up, down) => return ended,
                Ok(()) = buffered => {}
            }
        }
        up.delay = impairment.delay(up.direction, self.clock);
        down.delay = impairment.delay(down.direction, self.clock);
        let clock = self.clock;
        let cut_at = impairment
            .drop_after_s
            .map(|after_s| Nanos(clock.now().0.saturating_add((after_s * 1e9) as u64)));
        tokio::select! {
            biased;
            () = clock.reached(cut_at) => RelayEnd::Cut,
            ended = self.both(up, down) => ended,
        }
    }

    async fn both(&mut self, up: &mut DirectionPump, down: &mut DirectionPump) -> RelayEnd {
        let Relay { clock, client, server, tap, .. } = self;
        poll_fn(|cx| {
            let mut tap = Tapping { clock: *clock, tap: tap.as_mut() };
            let upward = up.poll(cx, client, server, &mut tap);
            let downward = down.poll(cx, server, client, &mut tap);
            if up.state == DirectionState::Over && down.state != DirectionState::Over {
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

fn how(up: &DirectionPump, down: &DirectionPump) -> RelayEnd {
    match (up.broken, down.broken) {
        (Some(who), _) | (None, Some(who)) => RelayEnd::Reset(who),
        (None, None) => RelayEnd::By(if down.is_last { up.direction } else { down.direction }),
    }
}
