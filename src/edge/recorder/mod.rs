//! Records a session to files without ever waiting for the disk.
//!
//! The caller's thread encodes records into a bounded buffer, and a thread of the recorder writes them.
//! [`FileLayout`] says to what: one file, parts, or a ring in memory that becomes a file when something
//! happens. A [`Witness`] sees every record that the files will hold. If it is an engine that reads the
//! audio in any case, the checkpoints of a single file say what that engine knows, and prove to whoever
//! verifies the file that live equals offline; other files have an engine on the writing thread.
//!
//! Records that do not fit into the buffer are counted, and a gap record stands for them as soon as
//! there is room again:
//! - When the disk is too slow, the engine does not see them either, and gets the gap. Live equals
//!   offline.
//! - When the disk fails, measuring goes on: the engine sees them, and the gap when it is written. The
//!   capture then lacks what its gaps say, compared to the live report, and has no more checkpoints if
//!   that engine made them.
//!
//! Several connections can share a recorder; each record names its own.

mod disk;
mod incidents;
mod names;
mod notice;
mod options;
mod parts;
mod queue;
mod quota;
#[cfg(test)]
mod tests;
mod trigger;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};

use crate::capture::{Body, Clock, Gap, Header, Message, Record, SyncMarker, Writer};
use crate::checkpoint::{CheckpointLog, Checkpointer};
use crate::engine::Engine;
use crate::flight::TriggerReason;
use crate::peer::client::Client;
use crate::time::Nanos;
use disk::OpenFile;
use incidents::Incidents;
use parts::Parts;
use queue::RecordQueue;
use writer::{FileSink, WholeFile, WriterThread};

pub use disk::{Disk, FileSystem, Store, SyncPolicy};
pub use notice::{RecorderNotice, RecorderStatus};
pub use options::{
    FileLayout, MAX_QUEUED_BYTES, RETRY, RecorderOptions, RingOptions, default_path,
    refuse_closed_folder, refuse_existing,
};
pub use quota::Quota;
pub use trigger::ManualTrigger;

/// Who sees the records that the files will hold.
pub trait Witness {
    /// Gets the next one.
    fn see(&mut self, record: &Record<'_>);

    /// The engine that has seen all of them, if there is one.
    fn engine(&self) -> Option<&Engine> {
        None
    }
}

impl<F: FnMut(&Record<'_>)> Witness for F {
    fn see(&mut self, record: &Record<'_>) {
        self(record);
    }
}

/// Nobody looks.
impl Witness for () {
    fn see(&mut self, _: &Record<'_>) {}
}

impl Witness for Engine {
    fn see(&mut self, record: &Record<'_>) {
        self.handle(record);
    }

    fn engine(&self) -> Option<&Engine> {
        Some(self)
    }
}

impl Witness for Client {
    fn see(&mut self, record: &Record<'_>) {
        Client::see(self, record);
    }

    fn engine(&self) -> Option<&Engine> {
        Some(Client::engine(self))
    }
}

/// What became of a record that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is written, or waits to be written.
    Kept,
    /// The disk fails and the buffer is full: the witness got it, and the file will lack it.
    Shown,
    /// The buffer is full: neither the witness nor the file gets it.
    Lost,
}

/// Writes one recording.
#[derive(Debug)]
pub struct Recorder {
    shown: PathBuf,
    first: Option<PathBuf>,
    queue: Arc<RecordQueue>,
    thread: Option<JoinHandle<()>>,
    writer: Writer,
    /// Where the witness's engine makes the checkpoints.
    checkpoints: Option<CheckpointLog>,
    seq: u64,
    loss: Option<LostRecords>,
}

/// Records that did not fit, up to now.
#[derive(Debug, Clone)]
struct LostRecords {
    first_seq: u64,
    count: u64,
    bytes: u64,
    reason: String,
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Finished {
    pub status: RecorderStatus,
    /// The capture, its parts, or the incidents that were not deleted.
    pub files: Vec<PathBuf>,
    /// Why not everything could be written, in a sentence.
    pub failure: Option<String>,
    /// The notices since the last [`Recorder::news`].
    pub news: Vec<RecorderNotice>,
}

impl Recorder {
    /// Begins a recording in the file system.
    pub fn create(
        options: RecorderOptions,
        marker: SyncMarker,
        header: Header,
        witness: &mut dyn Witness,
    ) -> Result<Recorder> {
        options.check()?;
        Self::start(options, Box::new(FileSystem), marker, header, witness)
    }

    /// Begins a recording in a store of any kind.
    pub fn start(
        options: RecorderOptions,
        store: Box<dyn Store>,
        marker: SyncMarker,
        header: Header,
        witness: &mut dyn Witness,
    ) -> Result<Recorder> {
        let (shown, first) = (options.shown(), options.first());
        let (sync, retry, queue_bytes) = (options.sync, options.retry, options.queue_bytes);
        let queue = Arc::new(RecordQueue::new(queue_bytes));
        let makes_checkpoints = options.layout == FileLayout::Whole
            && witness.engine().is_some_and(Engine::makes_checkpoints);
        let checkpoints = makes_checkpoints.then(|| CheckpointLog::new(marker));
        let sink = sink(options, store, marker, checkpoints.is_none(), &queue)
            .with_context(|| format!("cannot write {}", shown.display()))?;
        let what = shown.display().to_string();
        let thread = WriterThread { sink, sync, retry, what };
        let drained = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("lagtape-writer".to_owned())
            .spawn(move || thread.run(&drained))
            .context("cannot start the writing thread")?;
        let mut recorder = Recorder {
            shown,
            first,
            queue,
            thread: Some(thread),
            writer: Writer::new(marker),
            checkpoints,
            seq: 0,
            loss: None,
        };
        let start = header.start;
        recorder.offer(start, 0, Body::Header(header), witness);
        Ok(recorder)
    }

    /// The file that it begins with; `None` where a trigger decides about that.
    #[must_use]
    pub fn first(&self) -> Option<&Path> {
        self.first.as_deref()
    }

    /// What the files are called.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shown
    }

    /// Records a message of the session.
    pub fn message(&mut self, t: Nanos, message: Message<'_>, witness: &mut dyn Witness) {
        self.offer(t, 0, Body::Message(message), witness);
    }

    /// Records a reading of both clocks.
    pub fn clock(&mut self, t: Nanos, utc: String, witness: &mut dyn Witness) {
        self.offer(t, 0, Body::Clock(Clock { monotonic: t, utc }), witness);
    }

    /// Records anything. Never waits for the disk.
    pub fn offer(
        &mut self,
        t: Nanos,
        conn: u32,
        body: Body<'_>,
        witness: &mut dyn Witness,
    ) -> Taken {
        self.close_gap(t, witness);
        let record = Record { seq: self.seq, t, conn, body };
        self.seq += 1;
        if self.loss.is_none() && self.put(&record, witness) {
            return Taken::Kept;
        }
        if self.lose(&record) {
            witness.see(&record);
            // It knows more than the file will hold.
            self.checkpoints = None;
            return Taken::Shown;
        }
        Taken::Lost
    }

    /// Records a gap for messages that were lost before they came here: how many, and their bytes.
    pub fn lose_messages(
        &mut self,
        t: Nanos,
        (count, bytes): (u64, u64),
        reason: &str,
        witness: &mut dyn Witness,
    ) -> Taken {
        self.close_gap(t, witness);
        let gap = Gap { first_seq: self.seq, count, bytes, reason: reason.to_owned() };
        self.seq += count;
        self.offer(t, 0, Body::Gap(gap), witness)
    }

    /// Writes what a ring holds to a file, now. Other recordings have everything in theirs already.
    pub fn request_incident(&self, why: TriggerReason) {
        self.queue.request_incident(why);
    }

    /// Where the recording stands.
    #[must_use]
    pub fn status(&self) -> RecorderStatus {
        RecorderStatus { records: self.seq, ..self.queue.status() }
    }

    /// The notices since the last call.
    #[must_use]
    pub fn news(&self) -> Vec<RecorderNotice> {
        self.queue.take_notices()
    }

    /// Why the capture lacks a part of the session, in a sentence, if it does by now.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        let status = self.queue.status();
        match (&status.failing, status.lost) {
            (Some(error), _) => Some(format!("cannot write {}: {error}", self.shown.display())),
            (None, 0) => None,
            (None, lost) => Some(format!(
                "{} lacks {lost} records: the disk did not keep up",
                self.shown.display()
            )),
        }
    }

    /// Writes the end record and waits for the disk, so that a slow one loses nothing at the end. A
    /// failing one is tried once more.
    pub fn finish(mut self, t: Nanos, reason: String, witness: &mut dyn Witness) -> Finished {
        self.queue.wait_for_room(self.loss.is_some());
        self.close_gap(t, witness);
        self.queue.wait_for_room(false);
        let end = self.writer.end(Some(reason));
        self.offer(t, 0, Body::End(end), witness);
        self.close();
        let mut status = self.status();
        // What still waits is not going to be written.
        let in_vain = self.queue.waiting_records();
        status.lost += in_vain;
        let failure = status.failing.as_ref().map(|error| {
            let what = self.shown.display();
            match status.lost {
                // For incidents, notices say which of them end early.
                0 => format!("cannot write {what}: {error}"),
                lost => format!("cannot write {what}: {error}; {lost} records are missing"),
            }
        });
        Finished { status, files: self.queue.files(), failure, news: self.news() }
    }

    /// Writes a gap record for what was lost, if there is room by now.
    fn close_gap(&mut self, t: Nanos, witness: &mut dyn Witness) {
        let Some(LostRecords { first_seq, count, bytes, reason }) = self.loss.clone() else {
            return;
        };
        let gap = Gap { first_seq, count, bytes, reason };
        let record = Record { seq: self.seq, t, conn: 0, body: Body::Gap(gap) };
        if self.put(&record, witness) {
            self.loss = None;
            self.seq += 1;
            self.queue.notify(RecorderNotice::Gap { records: count, bytes });
        }
    }

    /// Counts a record that did not fit; returns whether the witness gets it nevertheless.
    fn lose(&mut self, record: &Record<'_>) -> bool {
        let failing = self.queue.failing();
        let (first_seq, count, bytes) = match &record.body {
            Body::Message(message) => (record.seq, 1, message.payload.len() as u64),
            Body::Gap(gap) => (gap.first_seq, 1 + gap.count, gap.bytes),
            _ => (record.seq, 1, 0),
        };
        let loss = self.loss.get_or_insert_with(|| {
            self.queue.notify(RecorderNotice::Losing);
            let reason = match &failing {
                Some(error) => format!("the disk failed: {error}"),
                None => "the disk was slower than the stream".to_owned(),
            };
            LostRecords { first_seq, count: 0, bytes: 0, reason }
        });
        loss.count += count;
        loss.bytes += bytes;
        self.queue.change_status(|status| status.lost += count);
        failing.is_some()
    }

    /// Encodes a record for the writing thread, after the checkpoint that is due before it, and shows it to
    /// the witness, if there is room.
    fn put(&mut self, record: &Record<'_>, witness: &mut dyn Witness) -> bool {
        let Recorder { writer, checkpoints, .. } = self;
        let mut len = 0;
        let is_taken = self.queue.offer(self.loss.is_some(), |out| {
            if let Some((log, engine)) = checkpoints.as_mut().zip(witness.engine()) {
                log.before(record, engine, out);
            }
            let begins_at = out.len();
            if record.seq == 0 {
                writer.begin(out);
            }
            writer.write(record, out);
            len = out.len() - begins_at;
        });
        if is_taken {
            witness.see(record);
            match checkpoints.as_mut().zip(witness.engine()) {
                Some((log, engine)) => log.after(record, len, engine),
                // Of what nobody followed, nothing can be said from here on.
                None => *checkpoints = None,
            }
        }
        is_taken
    }

    fn close(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; the file ends where it stopped.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the records go to. The sinks of several files make checkpoints in any case.
fn sink(
    options: RecorderOptions,
    mut store: Box<dyn Store>,
    marker: SyncMarker,
    with_checkpoints: bool,
    queue: &RecordQueue,
) -> io::Result<Box<dyn FileSink>> {
    Ok(match options.layout.clone() {
        FileLayout::Whole => {
            let disk = store.create(&options.path, options.force)?;
            queue.change_files(|files| files.push(options.path));
            let checkpointer = with_checkpoints.then(|| Checkpointer::new(marker));
            Box::new(WholeFile { file: OpenFile::new(disk, options.sync, checkpointer) })
        }
        FileLayout::Parts(at) => Box::new(Parts::begin(options, at, store, marker, queue)?),
        FileLayout::Ring(ring) => Box::new(Incidents::new(options, ring, store, marker)),
    })
}
