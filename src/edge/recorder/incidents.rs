//! The incident recorder: a ring in memory, and a file for each incident.
//!
//! Each file is complete in itself and begins with the oldest record in the ring. An incident during
//! another one gets a file of its own, so that both are whole. When the disk fails, nothing is blocked:
//! records that wait for it share their memory with the ring.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{OpenFile, Store};
use super::names::named;
use super::notice::RecorderNotice;
use super::options::{RecorderOptions, RingOptions};
use super::queue::RecordQueue;
use super::writer::FileSink;
use crate::capture::{Body, ReadStep, Reader, Record, SyncMarker, Writer};
use crate::diagnosis::Diagnosis;
use crate::edge::clock;
use crate::flight::{
    INCIDENT_FINDING_KEY, INCIDENT_KEY, INCIDENT_NS_KEY, Ring, TriggerReason, TriggerWatch,
};
use crate::time::Nanos;

/// Incidents that may be written at the same time.
const MAX_OPEN: usize = 8;

/// Keeps the ring, and writes the incidents.
pub(super) struct Incidents {
    options: RecorderOptions,
    ring_options: RingOptions,
    store: Box<dyn Store>,
    marker: SyncMarker,
    ring: Ring,
    sentry: TriggerWatch,
    reader: Reader,
    open: Vec<Incident>,
    /// Requested and not yet begun.
    requested: Vec<TriggerReason>,
    disk_fails: bool,
}

/// An incident that is being written.
struct Incident {
    path: PathBuf,
    /// `None` until the disk lets it be created.
    file: Option<OpenFile>,
    marker: SyncMarker,
    writer: Writer,
    until: Nanos,
    /// What is still to be written; of the first piece only what follows `written`.
    pending: VecDeque<Arc<[u8]>>,
    pending_bytes: usize,
    written: usize,
    /// The end record is in `pending`.
    is_over: bool,
    cut_short: bool,
}

impl Incidents {
    pub fn new(
        options: RecorderOptions,
        ring_options: RingOptions,
        store: Box<dyn Store>,
        marker: SyncMarker,
    ) -> Self {
        Incidents {
            ring: Ring::new(ring_options.limits),
            sentry: TriggerWatch::new(&ring_options.triggers),
            reader: Reader::new(),
            open: Vec::new(),
            requested: Vec::new(),
            disk_fails: false,
            options,
            ring_options,
            store,
            marker,
        }
    }

    fn read(&mut self, bytes: &[u8], queue: &RecordQueue) {
        let mut rest = bytes;
        let mut reader = std::mem::take(&mut self.reader);
        while !rest.is_empty() {
            let Ok(ReadStep::Record { record, len }) = reader.step(rest) else {
                debug_assert!(false, "the recorder's own records read back");
                break;
            };
            let (bytes, after) = rest.split_at(len);
            self.see(&record, bytes, queue);
            rest = after;
        }
        self.reader = reader;
    }

    fn see(&mut self, record: &Record<'_>, bytes: &[u8], queue: &RecordQueue) {
        if let Body::End(end) = &record.body {
            // Incidents requested before the end get it too.
            self.answer(queue);
            let reason = end.reason.clone().unwrap_or_default();
            for incident in &mut self.open {
                incident.end(record.seq, record.t, &reason);
            }
            return;
        }
        let bytes: Arc<[u8]> = bytes.into();
        let is_crowded = self.is_crowded();
        for incident in &mut self.open {
            if is_crowded {
                incident.cut_short(record);
            }
            incident.push(record, &bytes);
        }
        self.ring.push(record, bytes);
        if let Some(why) = self.sentry.see(record) {
            self.happen(why, queue);
        }
    }

    /// Begins the requested incidents.
    fn answer(&mut self, queue: &RecordQueue) {
        for why in std::mem::take(&mut self.requested) {
            self.happen(why, queue);
        }
    }

    /// Whether a failing disk has filled the room for pending records, which is twice the queue's.
    fn is_crowded(&self) -> bool {
        let pending = self.open.iter().map(|incident| incident.pending_bytes).sum::<usize>();
        self.disk_fails && pending > 2 * self.options.queue_bytes
    }

    /// Begins an incident with what the ring holds.
    fn happen(&mut self, why: TriggerReason, queue: &RecordQueue) {
        if self.open.len() >= MAX_OPEN || self.is_crowded() {
            queue.notify(RecorderNotice::Crowded { why });
            return;
        }
        let now = self.ring.newest();
        let path = self.free_path(why);
        let finding = Diagnosis::present(self.sentry.engine(), now);
        let finding = finding.map(|it| format!("{}: {}", it.class, it.sentence));
        let metadata = [
            (INCIDENT_KEY.to_owned(), why.to_string()),
            (INCIDENT_NS_KEY.to_owned(), now.0.to_string()),
        ];
        let found = finding.clone().map(|it| (INCIDENT_FINDING_KEY.to_owned(), it));
        let metadata = metadata.into_iter().chain(found);
        let mut opening = Vec::new();
        let writer = self.ring.open(self.marker, metadata, &mut opening);
        let mut incident = Incident {
            path: path.clone(),
            file: None,
            marker: self.marker,
            writer,
            until: now.checked_add(self.ring_options.after).unwrap_or(Nanos(u64::MAX)),
            pending_bytes: opening.len(),
            pending: VecDeque::from([opening.into()]),
            written: 0,
            is_over: false,
            cut_short: false,
        };
        self.ring.visit(&mut |record, bytes| incident.push(record, bytes));
        self.open.push(incident);
        queue.notify(RecorderNotice::Incident { path, why, finding });
    }

    /// A name that no other incident has, even of the same second.
    fn free_path(&self, why: TriggerReason) -> PathBuf {
        let label = format!("{}-{}", clock::utc_file_name(), why.word());
        let names = std::iter::once(label.clone()).chain((2..).map(|n| format!("{label}-{n}")));
        let mut paths = names.map(|name| named(&self.options.path, &name));
        let is_free = |path: &PathBuf| {
            path.symlink_metadata().is_err() && self.open.iter().all(|open| open.path != *path)
        };
        paths.find(is_free).unwrap_or_default()
    }

    /// Writes as much as the disk takes, and finishes what is over.
    fn pump(&mut self, queue: &RecordQueue) -> io::Result<()> {
        let mut result = Ok(());
        let paths: Vec<_> = self.open.iter().map(|incident| incident.path.clone()).collect();
        let quota = &self.ring_options.quota;
        let mut still_open = Vec::new();
        for mut incident in std::mem::take(&mut self.open) {
            if incident.file.is_none() {
                // First old ones are deleted: a full disk may let the new one be created then.
                quota.enforce(&self.options.path, &paths, queue);
            }
            let written = incident.write(self.store.as_mut(), &self.options, queue);
            match written {
                Ok(()) if incident.is_over => incident.notify_of_end(queue),
                written => {
                    result = result.and(written);
                    still_open.push(incident);
                }
            }
        }
        if still_open.len() < paths.len() {
            let paths: Vec<_> = still_open.iter().map(|incident| incident.path.clone()).collect();
            quota.enforce(&self.options.path, &paths, queue);
        }
        self.open = still_open;
        self.disk_fails = result.is_err();
        result
    }
}

impl FileSink for Incidents {
    fn take(
        &mut self,
        bytes: &[u8],
        requested: &[TriggerReason],
        queue: &RecordQueue,
    ) -> (usize, io::Result<()>) {
        self.requested.extend_from_slice(requested);
        self.read(bytes, queue);
        self.answer(queue);
        (bytes.len(), self.pump(queue))
    }

    fn sync(&mut self) -> io::Result<()> {
        let files = self.open.iter_mut().filter_map(|incident| incident.file.as_mut());
        files.map(OpenFile::sync).fold(Ok(()), Result::and)
    }

    fn close(&mut self, queue: &RecordQueue) -> io::Result<()> {
        let result = self.pump(queue);
        for incident in &self.open {
            queue.notify(RecorderNotice::CutShort(incident.path.clone()));
        }
        result
    }
}

impl Incident {
    fn push(&mut self, record: &Record<'_>, bytes: &Arc<[u8]>) {
        if self.is_over {
            return;
        }
        if record.t > self.until {
            self.end(record.seq, record.t, "the time after the incident was over");
            return;
        }
        self.writer.copied(record);
        self.enqueue(Arc::clone(bytes));
    }

    /// Ends early, before a record for which there is no room.
    fn cut_short(&mut self, record: &Record<'_>) {
        self.cut_short |= !self.is_over;
        self.end(record.seq, record.t, "the disk failed");
    }

    fn end(&mut self, seq: u64, t: Nanos, reason: &str) {
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        let end = self.writer.end(Some(reason.to_owned()));
        let mut bytes = Vec::new();
        self.writer.write(&Record { seq, t, conn: 0, body: Body::End(end) }, &mut bytes);
        self.enqueue(bytes.into());
    }

    fn enqueue(&mut self, bytes: Arc<[u8]>) {
        self.pending_bytes += bytes.len();
        self.pending.push_back(bytes);
    }

    fn write(
        &mut self,
        store: &mut dyn Store,
        options: &RecorderOptions,
        queue: &RecordQueue,
    ) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let disk = store.create(&self.path, false)?;
                queue.change_files(|files| files.push(self.path.clone()));
                self.file.insert(OpenFile::new(disk, options.sync, self.marker))
            }
        };
        while let Some(next) = self.pending.front() {
            let (written, result) = file.write(&next[self.written..]);
            self.written += written;
            result?;
            self.pending_bytes -= next.len();
            self.written = 0;
            self.pending.pop_front();
        }
        if self.is_over { file.sync_as_agreed() } else { Ok(()) }
    }

    fn notify_of_end(&self, queue: &RecordQueue) {
        let path = self.path.clone();
        let bytes = self.file.as_ref().map_or(0, |file| file.written);
        queue.notify(match self.cut_short {
            true => RecorderNotice::CutShort(path),
            false => RecorderNotice::Written { path, bytes },
        });
    }
}
