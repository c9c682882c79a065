//! The newest records of a stream, ready to become the beginning of a capture.
//!
//! A second engine follows the old end of the ring: it has seen exactly the records that the ring has
//! discarded, so its snapshot is what a capture needs that begins with the oldest record still held.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::capture::{Body, Header, ReadStep, Reader, Record, SyncMarker, Writer};
use crate::engine::{Engine, Options};
use crate::parse::ByteSize;
use crate::time::{Nanos, Span};

/// Bytes that a ring holds unless it is told otherwise.
const DEFAULT_BYTES: ByteSize = ByteSize(64_000_000);
/// Smallest ring that is accepted: a ring should hold at least some slices.
const SMALLEST: ByteSize = ByteSize(1_000_000);
/// What a record costs in memory beside its bytes, about.
const OVERHEAD: usize = 48;

/// How much of the stream is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingLimits {
    /// Records older than this, against the newest, are let go.
    pub span: Span,
    /// And the oldest are let go beyond so many bytes.
    pub bytes: ByteSize,
}

/// Why a text gives no limits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is no length of a ring; write a time (60s), or a time and a size of 1MB or more (60s,64MB)"
)]
pub struct RingLimitsError(String);

impl FromStr for RingLimits {
    type Err = RingLimitsError;

    fn from_str(text: &str) -> Result<Self, RingLimitsError> {
        let refuse = || RingLimitsError(text.to_owned());
        let (span, bytes) = match text.split_once(',') {
            Some((span, bytes)) => (span, bytes.parse().map_err(|_| refuse())?),
            None => (text, DEFAULT_BYTES),
        };
        let span: Span = span.parse().map_err(|_| refuse())?;
        if span == Span(0) || bytes < SMALLEST {
            return Err(refuse());
        }
        Ok(RingLimits { span, bytes })
    }
}

impl fmt::Display for RingLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.span, self.bytes)
    }
}

/// The last seconds of a stream.
#[derive(Debug)]
pub struct Ring {
    limits: RingLimits,
    header: Header,
    /// Has seen all that came before the oldest record held.
    before: Engine,
    /// Stands before the oldest record held.
    reader: Reader,
    held: VecDeque<Held>,
    held_bytes: usize,
    newest: Nanos,
}

#[derive(Debug)]
struct Held {
    t: Nanos,
    bytes: Arc<[u8]>,
}

impl Ring {
    /// An empty ring of a stream whose first record is yet to come.
    #[must_use]
    pub fn new(limits: RingLimits) -> Self {
        // Of the past only the state counts, and no report is ever asked for.
        let options = Options { tracker_bound: Some(1), audio_crc: true, ..Options::default() };
        Ring {
            limits,
            header: Header::default(),
            before: Engine::new(options),
            reader: Reader::new(),
            held: VecDeque::new(),
            held_bytes: 0,
            newest: Nanos(0),
        }
    }

    /// Takes the next record with the bytes that it has in a capture, the first one with those
    /// before it. Lets go what is too old or too much by now.
    pub fn push(&mut self, record: &Record<'_>, bytes: Arc<[u8]>) {
        if let Body::Header(header) = &record.body {
            self.header = header.clone();
        }
        self.newest = self.newest.max(record.t);
        self.held_bytes += bytes.len() + OVERHEAD;
        self.held.push_back(Held { t: record.t, bytes });
        self.let_go();
    }

    fn let_go(&mut self) {
        while let Some(oldest) = self.held.front() {
            let age_ns = self.newest.0.saturating_sub(oldest.t.0);
            let is_first = self.reader.records() == 0;
            // A header stands in every capture; only what follows it has to be held.
            if !is_first
                && age_ns <= self.limits.span.0
                && self.held_bytes as u64 <= self.limits.bytes.0
            {
                return;
            }
            if let Ok(ReadStep::Record { record, .. }) = self.reader.step(&oldest.bytes) {
                self.before.handle(&record);
            }
            self.held_bytes -= oldest.bytes.len() + OVERHEAD;
            self.held.pop_front();
        }
    }

    /// Appends the beginning of a capture of what the ring holds: all that stands before the
    /// oldest record held. `metadata` is added to the header's.
    pub fn open(
        &self,
        marker: SyncMarker,
        metadata: impl IntoIterator<Item = (String, String)>,
        out: &mut Vec<u8>,
    ) -> Writer {
        let mut writer = Writer::new(marker);
        let mut header = self.header.clone();
        header.metadata.extend(metadata);
        let t = header.start;
        writer.begin(out);
        writer.write(&Record { seq: 0, t, conn: 0, body: Body::Header(header) }, out);
        if self.before.facts().records > 1 {
            writer.write(&self.before.context(), out);
        }
        writer
    }

    /// Visits what the ring holds, oldest first.
    pub fn visit(&self, see: &mut dyn FnMut(&Record<'_>, &Arc<[u8]>)) {
        let mut reader = self.reader.clone();
        for held in &self.held {
            if let Ok(ReadStep::Record { record, .. }) = reader.step(&held.bytes) {
                see(&record, &held.bytes);
            }
        }
    }

    /// The time of the newest record.
    #[must_use]
    pub fn newest(&self) -> Nanos {
        self.newest
    }

    /// Bytes held, the records' own upkeep included.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Time from the oldest record held to the newest.
    #[must_use]
    pub fn held_span(&self) -> Span {
        self.held.front().map_or(Span(0), |oldest| Span(self.newest.0.saturating_sub(oldest.t.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Direction, Message, Opcode};

    const MARKER: SyncMarker = SyncMarker(*b"ring one");

    /// A ring of 10 s that saw a header at 0 and messages at these seconds.
    fn ring(times_s: &[u64]) -> Ring {
        let mut ring = Ring::new("10s".parse().unwrap());
        let mut writer = Writer::new(MARKER);
        let mut push = |seq, t_s: u64, body| {
            let mut bytes = Vec::new();
            if seq == 0 {
                writer.begin(&mut bytes);
            }
            let record = Record { seq, t: Nanos(t_s * 1_000_000_000), conn: 0, body };
            writer.write(&record, &mut bytes);
            ring.push(&record, bytes.into());
        };
        push(0, 0, Body::Header(Header::new("a test", Nanos(0))));
        for (seq, &t_s) in (1..).zip(times_s) {
            let message = Message::new(Direction::ClientToServer, Opcode::Text, b"{}");
            push(seq, t_s, Body::Message(message));
        }
        ring
    }

    #[track_caller]
    fn check(times_s: &[u64], held: &[u64], has_context: bool) {
        let ring = ring(times_s);
        let mut found = Vec::new();
        ring.visit(&mut |record, _| found.push(record.t.0 / 1_000_000_000));
        assert_eq!(found, held);
        let mut bytes = Vec::new();
        ring.open(MARKER, [], &mut bytes);
        let mut records = crate::capture::Records::new(&bytes[..]);
        let mut contexts = 0;
        while let Some(record) = records.next_record().unwrap() {
            contexts += u64::from(matches!(record.body, Body::Context(_)));
        }
        assert_eq!(contexts > 0, has_context);
    }

    #[test]
    fn what_is_as_old_as_the_ring_is_long_is_held() {
        check(&[1, 11], &[1, 11], false);
        check(&[1, 12], &[12], true);
    }

    #[test]
    fn a_time_that_runs_back_makes_nothing_younger() {
        check(&[1, 12, 3], &[12, 3], true);
        assert_eq!(ring(&[1, 12, 3]).newest(), Nanos(12_000_000_000));
    }

    #[test]
    fn what_is_held_is_counted_and_bounded() {
        let empty = Ring::new("10s".parse().unwrap());
        assert_eq!((empty.held_bytes(), empty.held_span()), (0, Span(0)));
        // The header stands in every capture, and is not held.
        assert_eq!(ring(&[]).held_bytes(), 0);
        let one = ring(&[1]).held_bytes();
        assert!(one > OVERHEAD, "{one}");
        assert_eq!(ring(&[1, 2]).held_bytes(), 2 * one);
        assert_eq!(ring(&[1, 20]).held_bytes(), one);
        assert_eq!(ring(&[1, 4]).held_span(), Span(3_000_000_000));
    }
}
