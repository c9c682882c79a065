//! The writing thread: moves records from the queue to a [`FileSink`].
//!
//! A failing disk is reported at once and tried again, and what it did not take waits, so that the
//! files have no holes. When the recorder is closed, there is one last try.

use std::io;
use std::time::Duration;

use super::disk::{OpenFile, SYNC_PERIOD, SyncPolicy};
use super::notice::RecorderNotice;
use super::queue::{QueueWork, RecordQueue};
use crate::edge::clock::MonotonicClock;
use crate::flight::TriggerReason;
use crate::time::Nanos;

/// Buffers that have grown larger than this are shrunk.
const KEPT_CAPACITY: usize = 4 << 20;

/// Knows which files the records go to.
pub(super) trait FileSink: Send {
    /// Takes whole records, and requests for incidents; is called now and then without either. Returns
    /// how many bytes it is done with, and the disk's answer. It gets the other bytes again.
    fn take(
        &mut self,
        bytes: &[u8],
        requested: &[TriggerReason],
        queue: &RecordQueue,
    ) -> (usize, io::Result<()>);

    /// Makes what was written safe from a power failure.
    fn sync(&mut self) -> io::Result<()>;

    /// Finishes and syncs the files as far as the disk lets it.
    fn close(&mut self, queue: &RecordQueue) -> io::Result<()>;
}

/// All records in one file.
pub(super) struct WholeFile {
    pub file: OpenFile,
}

impl FileSink for WholeFile {
    fn take(
        &mut self,
        bytes: &[u8],
        _: &[TriggerReason],
        _: &RecordQueue,
    ) -> (usize, io::Result<()>) {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn close(&mut self, _: &RecordQueue) -> io::Result<()> {
        self.file.sync_as_agreed()
    }
}

/// Reports a panic of the thread, for which others would wait forever.
struct Guard<'a> {
    queue: &'a RecordQueue,
    what: String,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = "lagtape's writing thread broke off, which is a bug".to_owned();
            self.queue.notify(RecorderNotice::DiskFails {
                what: self.what.clone(),
                error: error.clone(),
                stops: false,
            });
            self.queue.change_status(|status| status.failing = Some(error));
        }
    }
}

/// The writing thread.
pub(super) struct WriterThread {
    pub sink: Box<dyn FileSink>,
    pub sync: SyncPolicy,
    /// Pause between two tries at a disk that fails.
    pub retry: Duration,
    /// What is written, as notices call it.
    pub what: String,
}

impl WriterThread {
    /// Writes until the queue is closed and empty, or closed and the disk takes nothing.
    pub fn run(mut self, queue: &RecordQueue) {
        let _guard = Guard { queue, what: self.what.clone() };
        let clock = MonotonicClock::start();
        let mut synced = clock.now();
        let mut batch = Vec::new();
        let mut at = 0;
        let mut requested = Vec::new();
        loop {
            if at == batch.len() {
                at = 0;
                batch.clear();
                batch.shrink_to(KEPT_CAPACITY);
                match queue.next(&mut batch, SYNC_PERIOD) {
                    QueueWork::Work(more) => requested.extend(more),
                    QueueWork::Over => break,
                }
            }
            let was_closed = queue.is_closed();
            let (taken, written) = self.sink.take(&batch[at..], &requested, queue);
            requested.clear();
            at += taken;
            let result = written.and_then(|()| self.sync_if_due(&clock, &mut synced));
            self.note(&result, queue);
            queue.done(taken);
            if result.is_err() {
                if was_closed && taken == 0 && at < batch.len() {
                    // That was the last try, and what waits is lost.
                    return;
                }
                queue.pause(self.retry);
            }
        }
        let closed = self.sink.close(queue);
        self.note(&closed, queue);
    }

    fn sync_if_due(&mut self, clock: &MonotonicClock, synced: &mut Nanos) -> io::Result<()> {
        let now = clock.now();
        let due = match self.sync {
            SyncPolicy::None => false,
            SyncPolicy::Interval => now.0 - synced.0 >= SYNC_PERIOD.as_nanos() as u64,
            SyncPolicy::Record => true,
        };
        if due {
            *synced = now;
            self.sink.sync()?;
        }
        Ok(())
    }

    /// Reports when the disk begins to fail, and when it works again.
    fn note(&self, result: &io::Result<()>, queue: &RecordQueue) {
        let was_failing = queue.failing().is_some();
        match result {
            Err(error) => {
                let error = error.to_string();
                if !was_failing {
                    queue.notify(RecorderNotice::DiskFails {
                        what: self.what.clone(),
                        error: error.clone(),
                        stops: false,
                    });
                }
                queue.change_status(|status| status.failing = Some(error));
            }
            Ok(()) if was_failing => {
                queue.change_status(|status| status.failing = None);
                queue.notify(RecorderNotice::DiskIsBack { what: self.what.clone() });
            }
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    /// A sink whose first sync fails. While it does, the last record comes and the queue is closed.
    struct LateEnd {
        queue: Arc<RecordQueue>,
        /// Bytes of a record that are taken.
        takes: usize,
        is_synced: bool,
        closed: Arc<Mutex<bool>>,
    }

    impl FileSink for LateEnd {
        fn take(
            &mut self,
            bytes: &[u8],
            _: &[TriggerReason],
            _: &RecordQueue,
        ) -> (usize, io::Result<()>) {
            let taken = self.takes.min(bytes.len());
            self.takes -= taken;
            let is_full = taken < bytes.len();
            (taken, if is_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) })
        }

        fn sync(&mut self) -> io::Result<()> {
            if std::mem::replace(&mut self.is_synced, true) {
                return Ok(());
            }
            assert!(self.queue.offer(false, |out| out.extend_from_slice(b"the end")));
            self.queue.close();
            Err(io::ErrorKind::Other.into())
        }

        fn close(&mut self, _: &RecordQueue) -> io::Result<()> {
            *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = true;
            Ok(())
        }
    }

    /// What becomes of a record that comes while a sync fails that nothing else came with.
    #[track_caller]
    fn check_late_end(takes: usize, expected_closed: bool, expected_waiting: u64) {
        let queue = Arc::new(RecordQueue::new(1_000));
        let closed = Arc::new(Mutex::new(false));
        // So that there is something to do without a record.
        queue.request_incident(TriggerReason::Asked);
        let sink = LateEnd {
            queue: Arc::clone(&queue),
            takes,
            is_synced: false,
            closed: Arc::clone(&closed),
        };
        let (sync, retry) = (SyncPolicy::Record, Duration::from_secs(1_000));
        WriterThread { sink: Box::new(sink), sync, retry, what: "x".to_owned() }.run(&queue);
        let closed = *closed.lock().unwrap_or_else(PoisonError::into_inner);
        assert_eq!((closed, queue.waiting_records()), (expected_closed, expected_waiting));
        assert_eq!(queue.failing().is_none(), expected_closed);
    }

    #[test]
    fn what_comes_while_a_sync_fails_is_written_for_as_long_as_the_disk_takes_anything() {
        check_late_end(7, true, 0);
        check_late_end(3, false, 1);
        check_late_end(0, false, 1);
    }
}
