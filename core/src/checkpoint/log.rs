//! The checkpoints of a capture as they come to be.

use crate::capture::{
    Body, CHECKPOINT_AT_LATEST_NS, CHECKPOINT_EVERY_NS, CHECKPOINT_SHARE, Checkpoint,
    CheckpointRow, CheckpointSummary, Direction, MAX_ROWS, PackedRows, Record, SyncMarker, Totals,
    Writer,
};
use crate::engine::Engine;
use crate::time::Nanos;

/// Makes the checkpoints of one capture from what an engine knows that sees just its records, and that
/// [`Engine::makes_checkpoints`].
#[derive(Debug)]
pub struct CheckpointLog {
    writer: Writer,
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

impl CheckpointLog {
    /// Before the first byte of a capture with this marker.
    #[must_use]
    pub fn new(marker: SyncMarker) -> Self {
        CheckpointLog {
            writer: Writer::new(marker),
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

    /// Appends the checkpoint that is due before `record`, if one is. The engine has seen all before it.
    pub fn before(&mut self, record: &Record<'_>, engine: &Engine, out: &mut Vec<u8>) {
        let elapsed_ns = record.t.0.saturating_sub(self.since.0);
        let has_to_be = matches!(record.body, Body::End(_))
            || self.rows.len() >= MAX_ROWS
            || elapsed_ns >= CHECKPOINT_AT_LATEST_NS;
        if self.rows.is_empty() || !(has_to_be || elapsed_ns >= self.try_after_ns) {
            return;
        }
        let start = out.len();
        self.put(engine, out);
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
    fn put(&mut self, engine: &Engine, out: &mut Vec<u8>) {
        let (rows, ops) = PackedRows::pack(&self.rows);
        let summary = Box::new(CheckpointSummary {
            at: self.written,
            previous: self.previous,
            first_row_at: self.first_row_at,
            totals: Totals { round_trips: engine.facts().pings.round_trips(), ..self.totals },
            digest: engine.digest(self.totals.latest),
            ops,
        });
        let body = Body::Checkpoint(Checkpoint { summary, rows });
        let checkpoint = Record { seq: self.last_seq, t: self.totals.latest, conn: 0, body };
        self.writer.write(&checkpoint, out);
    }

    /// Notes that `record` was written in so many bytes, those before the first record included, and
    /// that the engine has seen it.
    pub fn after(&mut self, record: &Record<'_>, len: usize, engine: &Engine) {
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
        self.rows.push(CheckpointRow { t: record.t, stored_len, what: engine.did().clone() });
    }

    /// Notes bytes of the capture that are no whole record.
    pub(super) fn pass(&mut self, len: usize) {
        self.written += len as u64;
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
    use crate::engine::Options;

    #[test]
    fn a_gap_counts_for_all_that_it_stands_for() {
        let mut log = CheckpointLog::new(SyncMarker(*b"a marker"));
        let engine = Engine::new(Options::default());
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
            log.after(&record, bytes.len(), &engine);
            let lost = [0, 7, u64::MAX][(seq > 0) as usize + (seq > 8) as usize];
            assert_eq!((writer.end(None).lost, log.totals.lost), (lost, lost));
        }
    }
}
