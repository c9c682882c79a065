//! What came and when, whatever it means: the account of a connection of any protocol.
//!
//! Every message is counted once, by its direction and opcode; nothing is kept of it. What is measured
//! is bounded by the messages, whatever their times say.

use crate::capture::{Direction, Message, Opcode};
use crate::time::Nanos;

/// A silence of one side of this length or more is a gap, in seconds.
pub const SILENT_S: f64 = 1.0;
/// Messages of one side that follow one another within this time belong to one burst, in seconds.
pub const BURST_S: f64 = 0.005;
/// A burst has at least so many messages.
pub const MIN_BURST: u64 = 4;

/// Messages and their payload bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    pub messages: u64,
    pub bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.messages += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Messages close to one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    pub from: Nanos,
    pub volume: Volume,
}

/// What one side sent, or both together.
#[derive(Debug, Clone, Default)]
pub struct SideArrivals {
    /// Text, binary and control messages.
    pub by_opcode: [Volume; 3],
    pub first: Option<Nanos>,
    pub last: Option<Nanos>,
    /// Silences of [`SILENT_S`] or more, and their time together in seconds.
    pub gaps: (u64, f64),
    /// The longest time between two messages.
    pub longest_silence: Option<(Nanos, Nanos)>,
    bursts: u64,
    largest_burst: Option<Burst>,
    burst: Option<Burst>,
    /// The second that is being counted, and the one with the most messages so far.
    second: Option<Burst>,
    busiest: Option<Burst>,
}

impl SideArrivals {
    fn note(&mut self, t: Nanos, message: &Message<'_>) {
        let bytes = message.len();
        let sort = match message.opcode {
            Opcode::Text => 0,
            Opcode::Binary => 1,
            _ => 2,
        };
        self.by_opcode[sort].add(bytes);
        self.first = Some(self.first.map_or(t, |first| first.min(t)));
        let since_s = self.last.map(|last| t.seconds_since(last).max(0.0));
        if let (Some(last), Some(silent_s)) = (self.last, since_s) {
            let longest_s = self.longest_silence.map_or(0.0, |(from, to)| to.seconds_since(from));
            if silent_s > longest_s {
                self.longest_silence = Some((last, t));
            }
            if silent_s >= SILENT_S {
                self.gaps = (self.gaps.0 + 1, self.gaps.1 + silent_s);
            }
        }
        let belongs = since_s.is_some_and(|since_s| since_s <= BURST_S);
        count(&mut self.burst, belongs, t, bytes, |burst| {
            self.bursts += u64::from(burst.volume.messages >= MIN_BURST);
            keep_largest(&mut self.largest_burst, burst);
        });
        let belongs = self.second.is_some_and(|second| t.seconds_since(second.from) < 1.0);
        count(&mut self.second, belongs, t, bytes, |second| {
            keep_largest(&mut self.busiest, second);
        });
        self.last = self.last.max(Some(t));
    }

    /// All that was sent.
    #[must_use]
    pub fn all(&self) -> Volume {
        let add = |a: Volume, b: &Volume| Volume {
            messages: a.messages + b.messages,
            bytes: a.bytes.saturating_add(b.bytes),
        };
        self.by_opcode.iter().fold(Volume::default(), add)
    }

    /// Text and binary messages.
    #[must_use]
    pub fn data(&self) -> u64 {
        self.by_opcode[0].messages + self.by_opcode[1].messages
    }

    /// How many bursts there were.
    #[must_use]
    pub fn bursts(&self) -> u64 {
        self.bursts + u64::from(self.burst.is_some_and(|b| b.volume.messages >= MIN_BURST))
    }

    /// The largest burst, if there was one.
    #[must_use]
    pub fn largest_burst(&self) -> Option<Burst> {
        larger(self.largest_burst, self.burst).filter(|b| b.volume.messages >= MIN_BURST)
    }

    /// The second with the most messages.
    #[must_use]
    pub fn busiest_second(&self) -> Option<Burst> {
        larger(self.busiest, self.second)
    }
}

/// Counts a message to the run that it belongs to, or begins another after the one that is `over`.
fn count(
    run: &mut Option<Burst>,
    belongs: bool,
    t: Nanos,
    bytes: u64,
    mut over: impl FnMut(Burst),
) {
    if !belongs && let Some(run) = run.take() {
        over(run);
    }
    run.get_or_insert(Burst { from: t, volume: Volume::default() }).volume.add(bytes);
}

fn keep_largest(largest: &mut Option<Burst>, burst: Burst) {
    *largest = larger(*largest, Some(burst));
}

/// The one with more messages, of equal ones the first.
fn larger(a: Option<Burst>, b: Option<Burst>) -> Option<Burst> {
    match (a, b) {
        (Some(a), Some(b)) if b.volume.messages > a.volume.messages => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    }
}

/// What both sides sent.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// Client to server, then server to client.
    pub sides: [SideArrivals; 2],
    pub both: SideArrivals,
}

impl Arrivals {
    /// Counts a message that was not lost while it was sent.
    pub(super) fn note(&mut self, t: Nanos, message: &Message<'_>) {
        self.sides[usize::from(message.direction == Direction::ServerToClient)].note(t, message);
        self.both.note(t, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(times_ms: &[u64]) -> SideArrivals {
        let mut side = SideArrivals::default();
        let message = Message::new(Direction::ClientToServer, Opcode::Binary, b"ten bytes.");
        times_ms.iter().for_each(|t_ms| side.note(Nanos(t_ms * 1_000_000), &message));
        side
    }

    #[test]
    fn bursts_gaps_and_silences_are_counted() {
        let side = side(&[0, 1, 2, 3, 500, 503, 506, 509, 512, 2_000, 2_900, 4_100]);
        assert_eq!(side.all(), Volume { messages: 12, bytes: 120 });
        assert_eq!(side.bursts(), 2);
        let largest = side.largest_burst().unwrap();
        assert_eq!((largest.from, largest.volume.messages), (Nanos(500_000_000), 5));
        assert_eq!(side.gaps.0, 2);
        let (from, to) = side.longest_silence.unwrap();
        assert_eq!((from.seconds(), to.seconds()), (0.512, 2.0));
        assert_eq!(side.busiest_second().unwrap().volume.messages, 9);
    }

    #[test]
    fn times_that_run_back_or_far_ahead_are_counted_like_others() {
        let side = side(&[5_000, 1, u64::MAX / 1_000_000, 7]);
        assert_eq!((side.all().messages, side.bursts()), (4, 0));
        assert_eq!(side.first, Some(Nanos(1_000_000)));
    }

    #[test]
    fn a_silence_lasts_a_second_at_least() {
        assert_eq!(side(&[0, 999, 1_998]).gaps, (0, 0.0));
        assert_eq!(side(&[0, 1_000, 3_000]).gaps, (2, 3.0));
    }

    #[test]
    fn messages_are_counted_by_their_sorts() {
        let mut side = SideArrivals::default();
        for (opcode, times) in [(Opcode::Text, 3), (Opcode::Binary, 2), (Opcode::Ping, 1)] {
            let message = Message::new(Direction::ClientToServer, opcode, b"1234");
            (0..times).for_each(|_| side.note(Nanos(0), &message));
        }
        assert_eq!(
            side.by_opcode.map(|sort| (sort.messages, sort.bytes)),
            [(3, 12), (2, 8), (1, 4)]
        );
        assert_eq!((side.data(), side.all().messages), (5, 6));
    }
}
