//! The recorder: records go to a file without the session ever waiting for the disk.
//!
//! Enters: what happened, with its time. Leaves: a capture file, and for every record that the file
//! gets one call of `see`, so that the engine knows exactly what the file holds. Records are
//! encoded by the caller's thread into a bounded buffer and written by a thread of their own. What
//! does not fit is counted, and a gap record stands for it as soon as there is room again.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};

use crate::capture::{Body, Clock, Gap, Header, Message, Record, SyncMarker, Writer};
use crate::time::Nanos;

/// Bytes that may wait for the disk.
pub const MAX_QUEUED_BYTES: usize = 64 << 20;

/// Writes one capture.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
    writer: Writer,
    seq: u64,
    lost: Option<Loss>,
}

/// Records that did not fit, up to now.
#[derive(Debug, Clone, Copy)]
struct Loss {
    first_seq: u64,
    count: u64,
    bytes: u64,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    bytes: Vec<u8>,
    closed: bool,
    failed: Option<io::Error>,
}

impl Recorder {
    /// Creates the file and writes the header. Refuses an existing file unless `force`.
    pub fn create(
        path: &Path,
        force: bool,
        marker: SyncMarker,
        header: Header,
        see: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Recorder> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(force).create_new(!force);
        refuse_existing(path, force)?;
        let file =
            options.open(path).with_context(|| format!("cannot write {}", path.display()))?;
        Self::start(path, file, MAX_QUEUED_BYTES, marker, header, see)
    }

    /// Records to anything that can be written, with room for `limit` waiting bytes.
    pub fn start(
        path: &Path,
        file: impl Write + Send + 'static,
        limit: usize,
        marker: SyncMarker,
        header: Header,
        see: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Recorder> {
        let queue = Arc::new(Queue { state: Mutex::default(), changed: Condvar::new(), limit });
        let drained = Arc::clone(&queue);
        let thread = std::thread::Builder::new()
            .name("lagtape-writer".to_owned())
            .spawn(move || drained.drain(file))
            .context("cannot start the writing thread")?;
        let writer = Writer::new(marker);
        writer.begin(&mut queue.lock().bytes);
        let mut recorder = Recorder {
            path: path.to_owned(),
            queue,
            thread: Some(thread),
            writer,
            seq: 0,
            lost: None,
        };
        let start = header.start;
        recorder.put(start, 0, Body::Header(header), see);
        Ok(recorder)
    }

    /// Where the capture is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Records a message of the session.
    pub fn message(&mut self, t: Nanos, message: Message<'_>, see: &mut dyn FnMut(&Record<'_>)) {
        self.put(t, 0, Body::Message(message), see);
    }

    /// Records a reading of both clocks.
    pub fn clock(&mut self, t: Nanos, utc: String, see: &mut dyn FnMut(&Record<'_>)) {
        self.put(t, 0, Body::Clock(Clock { monotonic: t, utc }), see);
    }

    /// Records anything. What the file cannot take is not shown to `see` either.
    pub fn put(&mut self, t: Nanos, conn: u32, body: Body<'_>, see: &mut dyn FnMut(&Record<'_>)) {
        self.close_gap(t, see);
        let record = Record { seq: self.seq, t, conn, body };
        self.seq += 1;
        if self.lost.is_none() && self.offer(&record) {
            see(&record);
        } else {
            self.lose(&record);
        }
    }

    /// Writes a gap record for what was lost, if there is room by now.
    fn close_gap(&mut self, t: Nanos, see: &mut dyn FnMut(&Record<'_>)) {
        let Some(lost) = self.lost else { return };
        let gap = Gap {
            first_seq: lost.first_seq,
            count: lost.count,
            bytes: lost.bytes,
            reason: "the disk was slower than the stream".to_owned(),
        };
        let record = Record { seq: self.seq, t, conn: 0, body: Body::Gap(gap) };
        if self.offer(&record) {
            self.lost = None;
            self.seq += 1;
            see(&record);
        }
    }

    fn lose(&mut self, record: &Record<'_>) {
        let bytes = match &record.body {
            Body::Message(message) => message.payload.len() as u64,
            _ => 0,
        };
        let lost = self.lost.get_or_insert(Loss { first_seq: record.seq, count: 0, bytes: 0 });
        lost.count += 1;
        lost.bytes += bytes;
    }

    /// Encodes a record for the writing thread, if there is room.
    fn offer(&mut self, record: &Record<'_>) -> bool {
        let mut state = self.queue.lock();
        if state.failed.is_some() || state.bytes.len() >= self.queue.limit {
            return false;
        }
        self.writer.write(record, &mut state.bytes);
        self.queue.changed.notify_one();
        true
    }

    /// Whether everything recorded so far has been handed to the disk.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.lock().bytes.is_empty()
    }

    /// Why writing stopped, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.queue.lock().failed.as_ref().map(|error| {
            format!(
                "cannot write {}: {error}; what was written before is kept",
                self.path.display()
            )
        })
    }

    /// Writes the end record and waits for the disk: what came last is never lost to a slow one.
    pub fn finish(
        mut self,
        t: Nanos,
        reason: String,
        see: &mut dyn FnMut(&Record<'_>),
    ) -> Result<()> {
        self.queue.wait_for_room();
        self.close_gap(t, see);
        self.queue.wait_for_room();
        let end = self.writer.end(Some(reason));
        self.put(t, 0, Body::End(end), see);
        self.close();
        match self.failure() {
            Some(failure) => bail!(failure),
            None => Ok(()),
        }
    }

    fn close(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been printed; the file is as far as it came.
            let _ = thread.join();
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the writing thread has taken enough, or has given up. That thread and the caller
    /// are the only ones who wait, and never both.
    fn wait_for_room(&self) {
        let mut state = self.lock();
        while state.bytes.len() >= self.limit && state.failed.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what comes until the queue is closed or the file fails.
    fn drain(&self, mut file: impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.bytes.is_empty() && !state.closed {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.bytes.is_empty() {
                return;
            }
            std::mem::swap(&mut state.bytes, &mut batch);
            self.changed.notify_one();
            drop(state);
            if let Err(error) = file.write_all(&batch).and_then(|()| file.flush()) {
                let mut state = self.lock();
                state.failed = Some(error);
                state.bytes = Vec::new();
                self.changed.notify_one();
                return;
            }
            batch.clear();
        }
    }
}

/// Refuses a file that exists, unless `force`, and one whose folder does not.
pub fn refuse_existing(path: &Path, force: bool) -> Result<()> {
    if !force && path.symlink_metadata().is_ok() {
        bail!("{} exists already; use --force to replace it, or name another file", path.display());
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            bail!("cannot write {}: there is no folder {}", path.display(), folder.display())
        }
        _ => Ok(()),
    }
}

/// Opens the default output: `captures/<UTC>.lagtape`, the folder made if need be.
pub fn default_path() -> Result<PathBuf> {
    let folder = Path::new("captures");
    std::fs::create_dir_all(folder)
        .context("cannot make the folder captures; name a file with -o")?;
    Ok(folder.join(format!("{}.lagtape", super::clock::utc_file_name())))
}
