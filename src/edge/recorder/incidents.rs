//! The incident recorder: a ring in memory, and a file for each incident.
//!
//! Each file is complete in itself and begins with the oldest record in the ring. An incident during
//! another one gets a file of its own, so that both are whole. When the disk fails, nothing is blocked:
//! records that wait for it share their memory with the ring.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use super::disk::{OpenFile, Store};
use super::names::incident_path;
use super::notice::RecorderNotice;
use super::options::{RecorderOptions, RingOptions};
use super::queue::RecordQueue;
use super::writer::FileSink;
use crate::capture::{Body, ReadStep, Reader, Record, SyncMarker, Writer};
use crate::checkpoint::Checkpointer;
use crate::diagnosis::Diagnosis;
use crate::edge::clock;
use crate::flight::{
    INCIDENT_FINDING_KEY, INCIDENT_KEY, INCIDENT_NS_KEY, Ring, TriggerReason, TriggerWatch,
};
use crate::time::Nanos;

/// Incidents that may be written at the same time.
const MAX_OPEN: usize = 8;
/// Incidents of one second and one reason that still get different names.
const MAX_NAMES: usize = 1000;

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
    /// Time and reason, by which the file is called, and its number among those of the same name.
    label: String,
    number: usize,
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
        let label = format!("{}-{}", clock::utc_file_name(), why.word());
        let number = self.free_number(&label);
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
            path: incident_path(&self.options.path, &label, number),
            label,
            number,
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
        // The file is created before its name is told, since other recorders may want the same name.
        // `pump` tries again where the disk does not let it.
        self.make_room(&incident, queue);
        incident.file = incident.create(self.store.as_mut(), &self.options, queue).ok();
        queue.notify(RecorderNotice::Incident { path: incident.path.clone(), why, finding });
        self.open.push(incident);
    }

    /// The first number that no open incident with this label has.
    fn free_number(&self, label: &str) -> usize {
        let has =
            |number| self.open.iter().any(|open| open.label == label && open.number == number);
        (1..).find(|&number| !has(number)).unwrap_or(MAX_NAMES)
    }

    /// Deletes old incidents, without which a full disk may not let this one be created.
    fn make_room(&self, incident: &Incident, queue: &RecordQueue) {
        let open = self.open.iter().chain([incident]).map(|incident| incident.path.clone());
        let open: Vec<_> = open.collect();
        self.ring_options.quota.enforce(&self.options.path, &open, queue);
    }

    /// Writes as much as the disk takes, and finishes what is over.
    fn pump(&mut self, queue: &RecordQueue) -> io::Result<()> {
        let mut result = Ok(());
        let open_count = self.open.len();
        for _ in 0..open_count {
            let mut incident = self.open.remove(0);
            if incident.file.is_none() {
                self.make_room(&incident, queue);
            }
            let written = incident.write(self.store.as_mut(), &self.options, queue);
            match written {
                Ok(()) if incident.is_over => incident.notify_of_end(queue),
                written => {
                    result = result.and(written);
                    self.open.push(incident);
                }
            }
        }
        if self.open.len() < open_count {
            let paths: Vec<_> = self.open.iter().map(|incident| incident.path.clone()).collect();
            self.ring_options.quota.enforce(&self.options.path, &paths, queue);
        }
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
        for incident in self.open.iter().filter(|incident| incident.is_refused()) {
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
        let file = match self.file.take() {
            Some(file) => file,
            None => self.create(store, options, queue)?,
        };
        let file = self.file.insert(file);
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

    /// Creates the file. Where another recorder has its name, it gets the next one.
    fn create(
        &mut self,
        store: &mut dyn Store,
        options: &RecorderOptions,
        queue: &RecordQueue,
    ) -> io::Result<OpenFile> {
        loop {
            match store.create(&self.path, false) {
                Err(error)
                    if error.kind() == ErrorKind::AlreadyExists && self.number < MAX_NAMES =>
                {
                    self.number += 1;
                    self.path = incident_path(&options.path, &self.label, self.number);
                }
                created => {
                    let disk = created?;
                    queue.change_files(|files| files.push(self.path.clone()));
                    let checkpointer = Some(Checkpointer::new(self.marker));
                    return Ok(OpenFile::new(disk, options.sync, checkpointer));
                }
            }
        }
    }

    /// Whether the disk has not taken all of it, after a try at that.
    fn is_refused(&self) -> bool {
        self.is_over || !self.pending.is_empty()
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
