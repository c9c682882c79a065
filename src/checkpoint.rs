//! Inserts checkpoints between the records of a capture while it is being written.
//!
//! A checkpoint is due one second after the previous one, and before the end record. Where the records
//! since then are so small that the checkpoint would exceed a fiftieth of them, it waits for more, for
//! a minute at most. The checkpointer runs an engine of its own, so the task that forwards messages
//! does not wait for it. Records are never changed, and the same records give the same checkpoints.

use crate::capture::{
    Body, CHECKPOINT_AT_LATEST_NS, CHECKPOINT_EVERY_NS, CHECKPOINT_SHARE, Checkpoint,
    CheckpointRow, CheckpointSummary, Direction, MAX_ROWS, PackedRows, ReadError, ReadStep, Reader,
    Record, SyncMarker, Totals, Writer,
};
use crate::engine::{Engine, Options};
use crate::time::Nanos;

mod indexed;

pub use indexed::IndexedWriter;

/// Makes the checkpoints of one capture.
#[derive(Debug)]
pub struct Checkpointer {
    engine: Engine,
    writer: Writer,
    reader: Reader,
    /// Bytes of the capture so far, checkpoints included.
    written: u64,
    rows: Vec<CheckpointRow>,
    first_row_at: u64,
    /// Where, and when, what the next checkpoint speaks of began.
    since_at: u64,
    since: Nanos,
    /// How long after that it is tried next.
    try_after_ns: u64,
    previous: Option<u64>,
    totals: Totals,
    last_seq: u64,
}

impl Checkpointer {
    /// Before the first byte of a capture with this marker.
    #[must_use]
    pub fn new(marker: SyncMarker) -> Self {
        Checkpointer {
            // Reports are made elsewhere: one slice and one tick are all that the tracker keeps. No
            // checkpoint holds the buffer.
            engine: Engine::new(Options {
                audio_crc: true,
                mirror_bound: Some(0),
                tracker_bound: Some(1),
                ..Options::default()
            }),
            writer: Writer::new(marker),
            reader: Reader::new(),
            written: 0,
            rows: Vec::new(),
            first_row_at: 0,
            since_at: 0,
            since: Nanos(0),
            try_after_ns: CHECKPOINT_EVERY_NS,
            previous: None,
            totals: Totals::default(),
            last_seq: 0,
        }
    }

    /// Appends bytes of a capture to `out`, with the checkpoints that are due between its records.
    /// The bytes of all calls together are the capture; each call has whole records.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub fn weave(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ReadError> {
        let mut checkpoint = Vec::new();
        while !bytes.is_empty() {
            let (records, rest) = bytes.split_at(self.follow(bytes, &mut checkpoint)?);
            out.extend_from_slice(records);
            out.append(&mut checkpoint);
            bytes = rest;
        }
        Ok(())
    }

    /// Follows the records in `bytes` up to the first that a checkpoint is due before, which is
    /// appended to `out`; says how many bytes those are. For whoever writes the bytes as they are:
    /// these, then the checkpoint, then the others, which the next call gets.
    ///
    /// # Errors
    /// The bytes are no capture.
    pub fn follow(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, ReadError> {
        let due_at = out.len();
        let mut at = 0;
        while at < bytes.len() {
            let mut reader = self.reader.clone();
            let ReadStep::Record { record, len } = reader.step(&bytes[at..])? else {
                self.written += (bytes.len() - at) as u64;
                return Ok(bytes.len());
            };
            self.before(&record, out);
            if out.len() > due_at {
                break;
            }
            self.reader = reader;
            self.after(&record, len);
            at += len;
        }
        Ok(at)
    }

    /// Appends the checkpoint that is due before `record`, if one is.
    pub fn before(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        let elapsed_ns = record.t.0.saturating_sub(self.since.0);
        let has_to_be = matches!(record.body, Body::End(_))
            || self.rows.len() >= MAX_ROWS
            || elapsed_ns >= CHECKPOINT_AT_LATEST_NS;
        if self.rows.is_empty() || !(has_to_be || elapsed_ns >= self.try_after_ns) {
            return;
        }
        let start = out.len();
        self.put(out);
        let len = (out.len() - start) as u64;
        if !has_to_be && len * CHECKPOINT_SHARE > self.written - self.since_at {
            out.truncate(start);
            self.try_after_ns = elapsed_ns.saturating_mul(2);
            return;
        }
        self.previous = Some(self.written);
        self.written += len;
        self.rows.clear();
        self.begin(record.t);
    }

    /// What follows belongs to the next checkpoint.
    fn begin(&mut self, t: Nanos) {
        self.since_at = self.written;
        self.since = t;
        self.try_after_ns = CHECKPOINT_EVERY_NS;
    }

    /// Appends a checkpoint of what there is.
    fn put(&mut self, out: &mut Vec<u8>) {
        let (rows, ops) = PackedRows::pack(&self.rows);
        let summary = Box::new(CheckpointSummary {
            at: self.written,
            previous: self.previous,
            first_row_at: self.first_row_at,
            totals: Totals { round_trips: self.engine.facts().pings.round_trips(), ..self.totals },
            digest: self.engine.digest(self.totals.latest),
            ops,
        });
        let body = Body::Checkpoint(Checkpoint { summary, rows });
        let checkpoint = Record { seq: self.last_seq, t: self.totals.latest, conn: 0, body };
        self.writer.write(&checkpoint, out);
    }

    /// Notes that `record` was written in so many bytes, those before the first record included.
    pub fn after(&mut self, record: &Record<'_>, len: usize) {
        self.engine.handle(record);
        let at = self.written;
        self.written += len as u64;
        self.last_seq = record.seq;
        self.count(record);
        // The header and a context begin the file and are read first in any case.
        if matches!(record.body, Body::Header(_) | Body::Context(_)) {
            self.begin(record.t);
            return;
        }
        if self.rows.is_empty() {
            self.first_row_at = at;
        }
        let stored_len = u32::try_from(len).unwrap_or(u32::MAX);
        self.rows.push(CheckpointRow { t: record.t, stored_len, what: self.engine.did().clone() });
    }

    fn count(&mut self, record: &Record<'_>) {
        let totals = &mut self.totals;
        if totals.records == 0 {
            (totals.first, totals.latest) = (record.t, record.t);
        }
        totals.latest = totals.latest.max(record.t);
        totals.records += u64::from(record.is_numbered());
        match &record.body {
            Body::Message(message) => {
                let (messages, bytes) = match message.direction {
                    Direction::ClientToServer => (&mut totals.up_messages, &mut totals.up_bytes),
                    Direction::ServerToClient => {
                        (&mut totals.down_messages, &mut totals.down_bytes)
                    }
                };
                *messages += 1;
                *bytes = bytes.saturating_add(message.len());
            }
            Body::Gap(gap) => totals.lost = totals.lost.saturating_add(gap.count),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::{Gap, Header};

    #[test]
    fn a_gap_counts_for_all_that_it_stands_for() {
        let mut checkpointer = Checkpointer::new(SyncMarker(*b"a marker"));
        let mut writer = Writer::new(SyncMarker(*b"a marker"));
        let gap = |first_seq, count| Gap { first_seq, count, ..Gap::default() };
        let bodies = [
            (0, Body::Header(Header::new("a test", Nanos(0)))),
            (8, Body::Gap(gap(1, 7))),
            (20, Body::Gap(gap(9, u64::MAX))),
        ];
        for (seq, body) in bodies {
            let record = Record { seq, t: Nanos(0), conn: 0, body };
            let mut bytes = Vec::new();
            writer.write(&record, &mut bytes);
            checkpointer.after(&record, bytes.len());
            let lost = [0, 7, u64::MAX][(seq > 0) as usize + (seq > 8) as usize];
            assert_eq!((writer.end(None).lost, checkpointer.totals.lost), (lost, lost));
        }
    }
}
