//! A bad link on request: bytes pass later, more slowly, or not for a while.
//!
//! A [`Link`](crate::peer::link::Link) decides when. No byte is dropped, changed or reordered.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use serde::Serialize;

use crate::capture::Direction;
use crate::edge::clock::MonotonicClock;
use crate::peer::link::{Link, LinkOptions};
use crate::peer::rng::Stream;
use crate::time::Nanos;

/// Bytes that travel together, as in a TCP packet over Ethernet.
pub const PACKET_LEN: usize = 1448;
/// Buffer of a link that is asked to have an unbounded one.
pub const MAX_LINK_BYTES: u64 = 256 << 20;
/// Buffer of a link whose buffer is not given.
pub const DEFAULT_BUFFER: u64 = 256_000;

/// How the connection between client and server is impaired.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Impairment {
    /// Seed of everything random.
    pub seed: u64,
    /// Begins when the initial buffer has arrived.
    pub after_ready: bool,
    /// Server to client.
    pub down: Option<LinkOptions>,
    /// Client to server.
    pub up: Option<LinkOptions>,
    /// Seconds until the connection is cut.
    pub drop_after_s: Option<f64>,
}

impl Impairment {
    /// Whether nothing is impaired.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.down.is_none() && self.up.is_none() && self.drop_after_s.is_none()
    }

    /// Makes the link of one direction.
    pub(super) fn delay(&self, direction: Direction, clock: MonotonicClock) -> Option<Delay> {
        let (link, limit) = self.link(direction, clock.now())?;
        let timer = Box::pin(std::future::pending());
        Some(Delay { clock, link, limit, held: 0, is_ended: false, timer, timer_at: None })
    }

    /// The link of one direction and the size of its buffer.
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

/// One direction of an impaired connection. `None` in the link stands for the end of the stream.
pub(super) struct Delay {
    clock: MonotonicClock,
    link: Link<Option<Bytes>>,
    limit: u64,
    /// Bytes inside the link.
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

    /// Takes the end of the stream.
    pub fn end(&mut self) {
        self.is_ended = true;
        self.link.send(self.clock.now(), None, 0);
    }

    /// Whether more may be read. While the receiver does not take what comes out (`is_blocked`), only
    /// as much as the buffer holds.
    pub fn accepts(&self, is_blocked: bool) -> bool {
        let has_room = !is_blocked || self.held < self.limit;
        has_room && !self.is_ended && self.link.accepts(self.clock.now())
    }

    /// Whether anything is inside the link.
    pub fn holds_any(&self) -> bool {
        self.link.wake_at().is_some()
    }

    /// What has come out by now. [`Poll::Pending`] wakes when something comes out or there is room.
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

    #[test]
    fn nothing_is_impaired_unless_it_is_said() {
        let none = Impairment::default();
        assert!(Impairment { seed: 7, after_ready: true, ..none.clone() }.is_none());
        let link = Some(LinkOptions::default());
        assert!(!Impairment { down: link.clone(), ..none.clone() }.is_none());
        assert!(!Impairment { up: link, ..none.clone() }.is_none());
        assert!(!Impairment { drop_after_s: Some(9.0), ..none }.is_none());
    }

    /// A way down that is like this, and what comes out of it at once: the lengths of its packets, with
    /// `None` for the end.
    async fn out_of(
        link: LinkOptions,
        put_in: impl FnOnce(&mut Delay),
    ) -> (Delay, Vec<Option<usize>>) {
        let impairment = Impairment { down: Some(link), ..Impairment::default() };
        let clock = MonotonicClock::start();
        assert!(impairment.delay(Direction::ClientToServer, clock).is_none());
        let mut delay = impairment.delay(Direction::ServerToClient, clock).unwrap();
        put_in(&mut delay);
        let mut out = Vec::new();
        std::future::poll_fn(|cx| {
            while let Poll::Ready(item) = delay.poll(cx) {
                out.push(item.map(|packet| packet.len()));
            }
            Poll::Ready(())
        })
        .await;
        (delay, out)
    }

    #[tokio::test]
    async fn bytes_travel_in_packets_and_the_end_behind_them() {
        let (delay, out) = out_of(LinkOptions::default(), |delay| {
            assert!(!delay.holds_any());
            delay.send(Bytes::from(vec![1; 2 * PACKET_LEN + 1]));
            assert!(delay.holds_any() && delay.accepts(false));
            delay.end();
            assert!(!delay.accepts(false), "nothing comes behind the end");
        })
        .await;
        assert_eq!(out, [Some(PACKET_LEN), Some(PACKET_LEN), Some(1), None]);
        assert_eq!((delay.held, delay.holds_any()), (0, false));
    }

    #[tokio::test]
    async fn a_receiver_that_does_not_read_fills_the_buffer_and_no_more() {
        let link = LinkOptions { buffer_bytes: Some(10), latency_s: 1e6, ..LinkOptions::default() };
        let (delay, out) = out_of(link, |delay| {
            delay.send(Bytes::from_static(b"123456789"));
            assert!(delay.accepts(true));
            delay.send(Bytes::from_static(b"0"));
            // What has left the buffer of the link is on its way, and stays with us all the same.
            assert!(!delay.accepts(true) && delay.accepts(false));
        })
        .await;
        assert_eq!((out, delay.held), (Vec::new(), 10));
    }

    #[tokio::test]
    async fn a_full_link_wakes_when_there_is_room() {
        let link = LinkOptions {
            bytes_per_s: Some(1e5),
            latency_s: 1e6,
            buffer_bytes: Some(100),
            ..LinkOptions::default()
        };
        let (mut delay, out) = out_of(link, |delay| {
            delay.send(Bytes::from_static(&[1; 100]));
            assert!(!delay.accepts(false));
        })
        .await;
        assert_eq!(out, []);
        // Polled by whoever waits, until there is room: nothing comes out for days.
        let room = std::future::poll_fn(|cx| match delay.poll(cx) {
            Poll::Pending if delay.accepts(false) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
            Poll::Ready(item) => panic!("{item:?}"),
        });
        tokio::time::timeout(std::time::Duration::from_secs(60), room).await.unwrap();
    }
}
