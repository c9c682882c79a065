//! One direction of a simulated link between two peers.
//!
//! A link has a rate, a latency with seeded jitter, a buffer in front of its bottleneck, and outages.
//! Messages arrive in order and unchanged; none is lost.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::peer::interval::Interval;
use crate::peer::rng::{Rng, Stream};
use crate::time::Nanos;

/// What a link is like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LinkOptions {
    /// Bytes per second; `None`: as fast as you like.
    pub bytes_per_s: Option<f64>,
    /// The link is that slow only from then on, in seconds from its making.
    pub slow_from_s: f64,
    /// From the last byte sent to the message handled, in seconds.
    pub latency_s: f64,
    /// Up to this much is added to the latency of each message, uniformly, in seconds.
    pub jitter_s: f64,
    /// Bytes that may wait; a sender should wait while there are more. `None`: any number.
    pub buffer_bytes: Option<u64>,
    /// Spells in which no byte passes, the earliest first, from the making of the link.
    pub outages: Vec<Interval>,
}

impl LinkOptions {
    /// Two programs on one machine: half a millisecond until the other one has noticed.
    #[must_use]
    pub fn loopback() -> Self {
        Self { latency_s: 0.000_4, jitter_s: 0.000_2, ..Self::default() }
    }
}

/// Bytes that a message of that length takes as one unfragmented WebSocket frame. Messages of
/// clients are masked.
#[must_use]
pub fn websocket_len(payload: usize, masked: bool) -> u64 {
    let extended = match payload {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    payload as u64 + 2 + extended + if masked { 4 } else { 0 }
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub struct Link<T> {
    options: LinkOptions,
    origin: Nanos,
    rng: Rng,
    line_free_s: f64,
    last_arrival_s: f64,
    waiting: VecDeque<InTransit<T>>,
    bytes_sent: u64,
}

#[derive(Clone, Debug)]
struct InTransit<T> {
    item: T,
    bytes: u64,
    departed_s: f64,
    arrives: Nanos,
}

impl<T> Link<T> {
    /// An empty link, made at `now`.
    #[must_use]
    pub fn new(options: LinkOptions, seed: u64, stream: Stream, now: Nanos) -> Self {
        Self {
            options,
            origin: now,
            rng: Rng::new(seed, stream),
            line_free_s: 0.0,
            last_arrival_s: 0.0,
            waiting: VecDeque::new(),
            bytes_sent: 0,
        }
    }

    /// Sends a message that takes that many bytes (see [`websocket_len`]).
    pub fn send(&mut self, now: Nanos, item: T, bytes: u64) {
        let start_s = self.since_origin(now).max(self.line_free_s);
        let departed_s = self.after_outages(start_s, self.line_time(start_s, bytes));
        let jitter_s = self.options.jitter_s * self.rng.unit();
        let arrival_s = (departed_s + self.options.latency_s + jitter_s).max(self.last_arrival_s);
        self.line_free_s = departed_s;
        self.last_arrival_s = arrival_s;
        self.bytes_sent = self.bytes_sent.saturating_add(bytes);
        let arrives = Nanos(self.origin.0.saturating_add((arrival_s * 1e9) as u64));
        self.waiting.push_back(InTransit { item, bytes, departed_s, arrives });
    }

    /// From now on the link is like this. What was sent before arrives as it would have.
    pub fn change(&mut self, options: LinkOptions) {
        self.options = options;
    }

    /// Whether the buffer has room. A sender that waits for it feels the link as a full socket.
    #[must_use]
    pub fn accepts(&self, now: Nanos) -> bool {
        self.options.buffer_bytes.is_none_or(|limit| self.buffered(now) < limit.max(1))
    }

    /// When the buffer has room again, for a sender that waits.
    #[must_use]
    pub fn accepts_at(&self, now: Nanos) -> Nanos {
        let limit = self.options.buffer_bytes.unwrap_or(u64::MAX).max(1);
        let mut buffered = self.buffered(now);
        let now_s = self.since_origin(now);
        let mut queued = self.waiting.iter().filter(|message| message.departed_s > now_s);
        let mut free_s = now_s;
        while buffered >= limit {
            let Some(message) = queued.next() else { break };
            buffered -= message.bytes;
            free_s = message.departed_s;
        }
        Nanos(self.origin.0.saturating_add(libm::ceil(free_s * 1e9) as u64)).max(now)
    }

    /// Bytes that have not left the buffer.
    #[must_use]
    pub fn buffered(&self, now: Nanos) -> u64 {
        let now_s = self.since_origin(now);
        self.waiting
            .iter()
            .rev()
            .take_while(|message| message.departed_s > now_s)
            .map(|message| message.bytes)
            .sum()
    }

    /// Bytes that have left, those of a message that is under way included.
    #[must_use]
    pub fn bytes_left(&self, now: Nanos) -> u64 {
        let now_s = self.since_origin(now);
        let rate = self.options.bytes_per_s.unwrap_or(0.0);
        let rest = |message: &InTransit<T>| {
            let rest = (message.departed_s - now_s) * rate;
            message.bytes.min(if rest > 0.0 { rest as u64 } else { message.bytes })
        };
        let queued = self.waiting.iter().rev().take_while(|message| message.departed_s > now_s);
        self.bytes_sent - queued.map(rest).sum::<u64>()
    }

    /// The next message that has arrived, with the moment it did.
    pub fn poll(&mut self, now: Nanos) -> Option<(Nanos, T)> {
        let arrived = self.waiting.front().is_some_and(|message| message.arrives <= now);
        if !arrived {
            return None;
        }
        self.waiting.pop_front().map(|message| (message.arrives, message.item))
    }

    /// When the next message arrives.
    #[must_use]
    pub fn wake_at(&self) -> Option<Nanos> {
        self.waiting.front().map(|message| message.arrives)
    }

    /// All bytes ever sent, WebSocket headers included.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    fn since_origin(&self, now: Nanos) -> f64 {
        now.seconds_since(self.origin).max(0.0)
    }

    fn line_time(&self, start_s: f64, bytes: u64) -> f64 {
        match self.options.bytes_per_s {
            Some(rate) if rate > 0.0 && start_s >= self.options.slow_from_s => bytes as f64 / rate,
            _ => 0.0,
        }
    }

    /// When work of that length is done that begins at `start_s` and rests during outages.
    fn after_outages(&self, start_s: f64, mut work_s: f64) -> f64 {
        let mut at_s = start_s;
        for outage in &self.options.outages {
            let end_s = outage.end_s();
            if end_s <= at_s {
                continue;
            }
            let free_s = (outage.at_s - at_s).max(0.0);
            if work_s < free_s {
                break;
            }
            work_s -= free_s;
            at_s = end_s;
        }
        at_s + work_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Nanos {
        Nanos(ms * 1_000_000)
    }

    /// Sends messages of (ms, bytes) and compares the ms at which they arrive.
    #[track_caller]
    fn check(options: LinkOptions, sent: &[(u64, u64)], expected_ms: &[u64]) {
        let mut link = Link::new(options, 1, Stream::Uplink, ms(0));
        for (i, &(at_ms, bytes)) in sent.iter().enumerate() {
            link.send(ms(at_ms), i, bytes);
        }
        let arrived: Vec<(u64, usize)> = std::iter::from_fn(|| link.poll(Nanos(u64::MAX)))
            .map(|(at, item)| ((at.0 + 500_000) / 1_000_000, item))
            .collect();
        let expected: Vec<(u64, usize)> = expected_ms.iter().copied().zip(0..).collect();
        assert_eq!(arrived, expected);
    }

    fn rate(bytes_per_s: f64) -> LinkOptions {
        LinkOptions { bytes_per_s: Some(bytes_per_s), ..LinkOptions::default() }
    }

    #[test]
    fn latency_shifts_and_rate_queues() {
        check(LinkOptions::default(), &[(0, 10), (5, 1_000_000)], &[0, 5]);
        check(LinkOptions { latency_s: 0.04, ..rate(1e6) }, &[(0, 1_000), (0, 2_000)], &[41, 43]);
        check(rate(1e6), &[(0, 1_000), (10, 1_000)], &[1, 11]);
        check(rate(0.0), &[(0, 1_000)], &[0]);
        check(LinkOptions { slow_from_s: 0.005, ..rate(1e6) }, &[(0, 1_000), (5, 1_000)], &[0, 6]);
    }

    #[test]
    fn nothing_passes_during_an_outage() {
        let outages =
            vec![Interval { at_s: 0.010, for_s: 0.100 }, Interval { at_s: 0.120, for_s: 0.030 }];
        let options = LinkOptions { outages, ..rate(1e6) };
        check(options.clone(), &[(0, 5_000), (5, 14_000), (50, 8_000)], &[5, 119, 157]);
        check(options, &[(10, 0), (115, 0)], &[110, 115]);
    }

    #[test]
    fn jitter_never_reorders() {
        let options = LinkOptions { jitter_s: 0.05, ..LinkOptions::default() };
        let mut link = Link::new(options, 7, Stream::Uplink, ms(0));
        (0..200).for_each(|i| link.send(ms(i), i, 1));
        let arrived: Vec<(Nanos, u64)> = std::iter::from_fn(|| link.poll(ms(1_000))).collect();
        assert!(arrived.is_sorted() && arrived.iter().map(|&(_, item)| item).eq(0..200));
    }

    #[test]
    fn a_full_buffer_says_when_it_has_room() {
        let options = LinkOptions { buffer_bytes: Some(1_500), ..rate(1e6) };
        let mut link = Link::new(options, 1, Stream::Uplink, ms(0));
        link.send(ms(0), (), 1_000);
        assert!(link.accepts(ms(0)));
        link.send(ms(0), (), 1_000);
        assert!(!link.accepts(ms(0)));
        assert_eq!((link.buffered(ms(0)), link.bytes_sent()), (2_000, 2_000));
        let free = link.accepts_at(ms(0));
        assert_eq!(free, ms(1));
        assert!(link.accepts(free));
    }

    #[test]
    fn websocket_headers() {
        assert_eq!(websocket_len(0, false), 2);
        assert_eq!(websocket_len(125, true), 131);
        assert_eq!(websocket_len(126, false), 130);
        assert_eq!(websocket_len(65_536, true), 65_550);
    }
}
