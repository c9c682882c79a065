//! Round-trip times, from the client's pings and the server's pongs.
//!
//! The server's own pings are ignored, because a recorder beside the client sees only part of their
//! way. If several pongs answer one ping, the last one counts: a library that answers automatically is
//! faster than a message through the application. Memory is bounded.

use std::collections::VecDeque;

use crate::capture::{Direction, Message, Opcode, RoundTrips};
use crate::time::Nanos;

/// Pings that may still be answered; the answers to older ones are final.
const MAX_ASKED: usize = 64;
/// Longest payload that RFC 6455 allows a ping.
const MAX_PAYLOAD_LEN: usize = 125;

/// Pings and how long their pongs took.
#[derive(Clone, Debug, Default)]
pub struct Pings {
    asked: VecDeque<Ping>,
    answered: RoundTrips,
}

#[derive(Clone, Debug)]
struct Ping {
    payload: Vec<u8>,
    at: Nanos,
    took_ns: Option<u64>,
}

impl Pings {
    /// After what a checkpoint tells.
    #[must_use]
    pub fn resume(answered: RoundTrips) -> Self {
        Pings { asked: VecDeque::new(), answered }
    }

    /// Takes the next message.
    pub fn see(&mut self, t: Nanos, message: &Message<'_>) {
        if message.failed || message.payload.len() > MAX_PAYLOAD_LEN {
            return;
        }
        match (message.direction, message.opcode) {
            (Direction::ClientToServer, Opcode::Ping) => {
                let payload = message.payload.to_vec();
                self.asked.push_back(Ping { payload, at: t, took_ns: None });
                if self.asked.len() > MAX_ASKED
                    && let Some(ping) = self.asked.pop_front()
                {
                    self.answered.add(ping.took_ns);
                }
            }
            (Direction::ServerToClient, Opcode::Pong) => {
                let mut asked = self.asked.iter_mut().rev();
                if let Some(ping) = asked.find(|ping| ping.payload == message.payload) {
                    ping.took_ns = Some(t.0.saturating_sub(ping.at.0));
                }
            }
            _ => {}
        }
    }

    /// All that were answered by now.
    #[must_use]
    pub fn round_trips(&self) -> RoundTrips {
        let mut all = self.answered;
        self.asked.iter().for_each(|ping| all.add(ping.took_ns));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UP: Direction = Direction::ClientToServer;
    const DOWN: Direction = Direction::ServerToClient;
    const PING: (Direction, Opcode) = (UP, Opcode::Ping);
    const PONG: (Direction, Opcode) = (DOWN, Opcode::Pong);

    /// What these messages tell, each with its time and payload: how many, shortest, longest, sum.
    #[track_caller]
    fn check(messages: &[((Direction, Opcode), u64, &[u8])], expected: (u64, u64, u64, u64)) {
        let mut pings = Pings::default();
        for ((direction, opcode), t, payload) in messages {
            pings.see(Nanos(*t), &Message::new(*direction, *opcode, payload));
        }
        assert_eq!(<(u64, u64, u64, u64)>::from(pings.round_trips()), expected);
    }

    #[test]
    fn the_last_pong_of_a_ping_counts() {
        check(&[], (0, 0, 0, 0));
        check(&[(PING, 5, b"a")], (0, 0, 0, 0));
        check(&[(PING, 5, b"a"), (PONG, 25, b"a")], (1, 20, 20, 20));
        check(&[(PING, 5, b"a"), (PONG, 6, b"a"), (PONG, 25, b"a")], (1, 20, 20, 20));
        let overtaking =
            [(PING, 5, &b"a"[..]), (PING, 6, b"b"), (PONG, 16, b"b"), (PONG, 35, b"a")];
        check(&overtaking, (2, 10, 30, 40));
        check(&[(PING, 5, b"a"), (PONG, 6, b"b")], (0, 0, 0, 0));
        // Of two alike the newer one is answered.
        check(&[(PING, 5, b"a"), (PING, 15, b"a"), (PONG, 25, b"a")], (1, 10, 10, 10));
        // The server's own pings, and texts.
        check(&[((DOWN, Opcode::Ping), 5, b"a"), ((UP, Opcode::Pong), 6, b"a")], (0, 0, 0, 0));
        check(&[((UP, Opcode::Text), 5, b"a"), (PONG, 6, b"a")], (0, 0, 0, 0));
        check(&[(PING, 5, &[7; 126]), (PONG, 6, &[7; 126])], (0, 0, 0, 0));
    }

    #[test]
    fn thousands_of_pings_are_counted_and_few_remembered() {
        let mut pings = Pings::default();
        for i in 0..10_000_u64 {
            let payload = i.to_be_bytes();
            pings.see(Nanos(i * 100), &Message::new(UP, Opcode::Ping, &payload));
            pings.see(Nanos(i * 100 + 7), &Message::new(DOWN, Opcode::Pong, &payload));
        }
        assert_eq!(pings.round_trips().count, 10_000);
        assert!(pings.asked.len() <= MAX_ASKED);
        let resumed = Pings::resume(pings.round_trips());
        assert_eq!(resumed.round_trips(), pings.round_trips());
    }
}
