//! A bad link on request: bytes pass later, slower, or not for a while.
//!
//! Enters: bytes of one direction. Leaves: the same bytes in the same order, when a
//! [`Link`](crate::peer::link::Link) says so. Never drops or changes a byte.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::Serialize;

use crate::capture::Direction;
use crate::edge::clock::MonotonicClock;
use crate::peer::link::{Link, LinkOptions};
use crate::peer::rng::Stream;
use crate::time::Nanos;

/// Bytes that travel together, as a packet of TCP over Ethernet has.
pub const PACKET_LEN: usize = 1448;
/// Bytes that wait in a link whose buffer is called unbounded.
pub const MAX_LINK_BYTES: u64 = 256 << 20;
/// Bytes that wait in a link of which nothing is said.
pub const DEFAULT_BUFFER: u64 = 256_000;

/// What is wrong with the way between client and server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Impairment {
    /// Decides what is random.
    pub seed: u64,
    /// Only from the arrival of the initial buffer on.
    pub after_ready: bool,
    /// Server to client.
    pub down: Option<LinkOptions>,
    /// Client to server.
    pub up: Option<LinkOptions>,
    /// Seconds until the connection is cut.
    pub drop_after_s: Option<f64>,
}

impl Impairment {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.down.is_none() && self.up.is_none() && self.drop_after_s.is_none()
    }

    /// The link of one direction, made now.
    pub(super) fn delay(&self, direction: Direction, clock: MonotonicClock) -> Option<Delay> {
        let (link, limit) = self.link(direction, clock.now())?;
        let timer = Box::pin(std::future::pending());
        Some(Delay { clock, link, limit, held: 0, is_ended: false, timer, timer_at: None })
    }

    /// The same, and the bytes that it holds.
    fn link(&self, direction: Direction, now: Nanos) -> Option<(Link<Option<Bytes>>, u64)> {
        let (options, stream) = match direction {
            Direction::ServerToClient => (self.down.as_ref()?, Stream::Downlink),
            Direction::ClientToServer => (self.up.as_ref()?, Stream::Uplink),
        };
        let mut options = options.clone();
        let limit = *options.buffer_bytes.get_or_insert(MAX_LINK_BYTES);
        Some((Link::new(options, self.seed, stream, now), limit))
    }
}

/// One direction of a connection under an impairment. `None` in the link is the end.
pub(super) struct Delay {
    clock: MonotonicClock,
    link: Link<Option<Bytes>>,
    limit: u64,
    /// Bytes that went in and did not come out.
    held: u64,
    is_ended: bool,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
    timer_at: Option<Nanos>,
}

impl Delay {
    /// Takes bytes that were read.
    pub fn send(&mut self, mut bytes: Bytes) {
        let now = self.clock.now();
        while !bytes.is_empty() {
            let packet = bytes.split_to(bytes.len().min(PACKET_LEN));
            let len = packet.len() as u64;
            self.held += len;
            self.link.send(now, Some(packet), len);
        }
    }

    /// Nothing more is read.
    pub fn end(&mut self) {
        self.is_ended = true;
        self.link.send(self.clock.now(), None, 0);
    }

    /// Whether more may be read. Behind a receiver that does not take what comes out, only while
    /// there is room for all of it.
    pub fn accepts(&self, is_blocked: bool) -> bool {
        let has_room = !is_blocked || self.held < self.limit;
        has_room && !self.is_ended && self.link.accepts(self.clock.now())
    }

    /// Whether something went in that did not come out.
    pub fn holds_any(&self) -> bool {
        self.link.wake_at().is_some()
    }

    /// What comes out by now; a [`Poll::Pending`] is woken when something does or there is room.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            let now = self.clock.now();
            if let Some((_, item)) = self.link.poll(now) {
                self.held -= item.as_ref().map_or(0, |packet| packet.len() as u64);
                return Poll::Ready(item);
            }
            let room = (!self.accepts(false)).then(|| self.link.accepts_at(now));
            let at =
                [self.link.wake_at(), room.filter(|room| *room > now)].into_iter().flatten().min();
            if at != self.timer_at {
                self.timer_at = at;
                let clock = self.clock;
                self.timer = Box::pin(async move { clock.reached(at).await });
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer_at = None;
            if self.link.wake_at().is_none() {
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// When twenty packets, sent 50 ms apart, come out.
    fn arrivals(seed: u64, direction: Direction) -> Vec<Nanos> {
        let jitter = LinkOptions { latency_s: 0.001, jitter_s: 0.03, ..LinkOptions::default() };
        let (down, up) = (Some(jitter.clone()), Some(jitter));
        let impairment = Impairment { seed, down, up, ..Impairment::default() };
        let (mut link, _) = impairment.link(direction, Nanos(0)).unwrap();
        let arrive = |n: u64| {
            let sent = Nanos(n * 50 * MS);
            link.send(sent, Some(Bytes::from_static(b"x")), 1);
            let at = link.wake_at().unwrap();
            assert!(at >= sent && link.poll(at).is_some());
            at
        };
        (0..20).map(arrive).collect()
    }

    #[test]
    fn the_seed_decides_what_is_random() {
        let down = arrivals(7, Direction::ServerToClient);
        assert_eq!(down, arrivals(7, Direction::ServerToClient));
        assert_ne!(down, arrivals(8, Direction::ServerToClient));
        assert_ne!(down, arrivals(7, Direction::ClientToServer), "each way has its own");
    }
}
