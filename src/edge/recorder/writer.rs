//! The thread that writes: what comes from the queue goes to a [`Keeper`], which knows the files.
//!
//! A disk that fails is told at once and tried again; what it did not take waits meanwhile, so that
//! the files never miss anything in between. When the recorder is closed, there is one last try.

use std::io;
use std::time::Duration;

use super::Notice;
use super::clock::MonotonicClock;
use super::disk::{OpenFile, SYNC_PERIOD, SyncPolicy};
use super::queue::{Next, Queue};
use crate::flight::TriggerReason;
use crate::time::Nanos;

/// Buffers that have grown larger than this are given back.
const KEPT_CAPACITY: usize = 4 << 20;

/// Knows which files the records go to.
pub(super) trait Keeper: Send {
    /// Takes whole records, and asks for incidents; an empty slice only gives it the time. Says
    /// how many bytes it is done with, and what the disk said. It gets the others again.
    fn take(
        &mut self,
        bytes: &[u8],
        asked: &[TriggerReason],
        queue: &Queue,
    ) -> (usize, io::Result<()>);

    /// Hands what was written to the disk for good.
    fn sync(&mut self) -> io::Result<()>;

    /// Brings the files to their end and hands them to the disk, as far as it lets that.
    fn close(&mut self, queue: &Queue) -> io::Result<()>;
}

/// All records in one file.
pub(super) struct Whole {
    pub file: OpenFile,
}

impl Keeper for Whole {
    fn take(&mut self, bytes: &[u8], _: &[TriggerReason], _: &Queue) -> (usize, io::Result<()>) {
        self.file.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn close(&mut self, _: &Queue) -> io::Result<()> {
        self.file.sync_as_agreed()
    }
}

/// Tells of a thread that broke off: otherwise everybody would wait for it.
struct Guard<'a> {
    queue: &'a Queue,
    what: String,
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = "lagtape's writing thread broke off, which is a bug".to_owned();
            self.queue.tell(Notice::DiskFails { what: self.what.clone(), error: error.clone() });
            self.queue.change_status(|status| status.failing = Some(error));
        }
    }
}

/// The writing thread.
pub(super) struct WriterThread {
    pub keeper: Box<dyn Keeper>,
    pub sync: SyncPolicy,
    /// Time between two tries of a disk that fails.
    pub retry: Duration,
    /// What is written, for people.
    pub what: String,
}

impl WriterThread {
    /// Writes until the queue is closed and empty, or closed and the disk takes nothing.
    pub fn run(mut self, queue: &Queue) {
        let _guard = Guard { queue, what: self.what.clone() };
        let clock = MonotonicClock::start();
        let mut synced = clock.now();
        let mut batch = Vec::new();
        let mut at = 0;
        let mut asked = Vec::new();
        loop {
            if at == batch.len() {
                at = 0;
                batch.clear();
                batch.shrink_to(KEPT_CAPACITY);
                match queue.next(&mut batch, SYNC_PERIOD) {
                    Next::Work(more) => asked.extend(more),
                    Next::Over => break,
                }
            }
            let (taken, written) = self.keeper.take(&batch[at..], &asked, queue);
            asked.clear();
            at += taken;
            let result = written.and_then(|()| self.sync_if_due(&clock, &mut synced));
            self.note(&result, queue);
            queue.done(taken);
            if result.is_err() {
                if queue.is_closed() && taken == 0 {
                    // What waits is not going to be written; nothing that follows makes that good.
                    return;
                }
                queue.pause(self.retry);
            }
        }
        let closed = self.keeper.close(queue);
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
            self.keeper.sync()?;
        }
        Ok(())
    }

    /// Tells of a disk that begins to fail, and of one that is back.
    fn note(&self, result: &io::Result<()>, queue: &Queue) {
        let was_failing = queue.failing().is_some();
        match result {
            Err(error) => {
                let error = error.to_string();
                if !was_failing {
                    queue.tell(Notice::DiskFails { what: self.what.clone(), error: error.clone() });
                }
                queue.change_status(|status| status.failing = Some(error));
            }
            Ok(()) if was_failing => {
                queue.change_status(|status| status.failing = None);
                queue.tell(Notice::DiskIsBack { what: self.what.clone() });
            }
            Ok(()) => {}
        }
    }
}
