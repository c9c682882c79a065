//! The bounded buffer between a session, which never waits for the disk, and the writing thread.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::notice::{RecorderNotice, RecorderStatus};
use crate::flight::TriggerReason;

/// Notices that may wait to be taken; later ones are dropped.
const MAX_NOTICES: usize = 1000;

#[derive(Debug)]
pub(super) struct RecordQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct QueueState {
    bytes: Vec<u8>,
    /// Where each waiting record ends, counted from the beginning of the stream.
    ends: VecDeque<u64>,
    /// Bytes that the thread has taken and not yet written.
    in_flight: usize,
    status: RecorderStatus,
    closed: bool,
    requested: Vec<TriggerReason>,
    notices: Vec<RecorderNotice>,
    files: Vec<PathBuf>,
}

impl QueueState {
    fn waiting(&self) -> usize {
        self.bytes.len() + self.in_flight + self.ends.len() * size_of::<u64>()
    }
}

/// What the queue has for the writing thread.
pub(super) enum QueueWork {
    /// Bytes in the batch, or requests for incidents, or only a time-out.
    Work(Vec<TriggerReason>),
    /// The queue is closed and empty.
    Over,
}

impl RecordQueue {
    pub fn new(limit: usize) -> Self {
        RecordQueue { state: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record that `encode` appends, if there is room. After a loss, half the queue has to be
    /// free, so that a disk that is slightly too slow leaves few long gaps and not many short ones.
    pub fn offer(&self, after_loss: bool, encode: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.lock();
        if state.waiting() >= self.room(after_loss) {
            return false;
        }
        let before = state.bytes.len();
        encode(&mut state.bytes);
        let added = (state.bytes.len() - before) as u64;
        let end = state.status.offered_bytes + added;
        state.status.offered_bytes = end;
        state.ends.push_back(end);
        self.changed.notify_all();
        true
    }

    fn room(&self, after_loss: bool) -> usize {
        if after_loss { self.limit.div_ceil(2) } else { self.limit }
    }

    /// Waits until there is room again, or the disk fails.
    pub fn wait_for_room(&self, after_loss: bool) {
        let mut state = self.lock();
        while state.waiting() >= self.room(after_loss) && state.status.failing.is_none() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub fn request_incident(&self, why: TriggerReason) {
        self.lock().requested.push(why);
        self.changed.notify_all();
    }

    pub fn notify(&self, notice: RecorderNotice) {
        let mut state = self.lock();
        if state.notices.len() < MAX_NOTICES {
            state.notices.push(notice);
        }
    }

    pub fn take_notices(&self) -> Vec<RecorderNotice> {
        std::mem::take(&mut self.lock().notices)
    }

    pub fn status(&self) -> RecorderStatus {
        let state = self.lock();
        let waiting_bytes = state.waiting() as u64;
        RecorderStatus { waiting_bytes, file_count: state.files.len(), ..state.status.clone() }
    }

    /// The disk's error, while it refuses writes.
    pub fn failing(&self) -> Option<String> {
        self.lock().status.failing.clone()
    }

    /// Records that wait to be written.
    pub fn waiting_records(&self) -> u64 {
        self.lock().ends.len() as u64
    }

    pub fn change_files(&self, change: impl FnOnce(&mut Vec<PathBuf>)) {
        change(&mut self.lock().files);
    }

    pub fn files(&self) -> Vec<PathBuf> {
        self.lock().files.clone()
    }

    pub fn change_status(&self, change: impl FnOnce(&mut RecorderStatus)) {
        change(&mut self.lock().status);
        self.changed.notify_all();
    }

    /// Closes the queue: no more records follow.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for something to do, for `patience` at most. Moves what waits into `batch`, which has to
    /// be empty.
    pub fn next(&self, batch: &mut Vec<u8>, patience: Duration) -> QueueWork {
        let mut state = self.lock();
        if state.bytes.is_empty() && state.requested.is_empty() && !state.closed {
            let waited = self.changed.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.bytes.is_empty() && state.requested.is_empty() && state.closed {
            return QueueWork::Over;
        }
        std::mem::swap(&mut state.bytes, batch);
        state.in_flight = batch.len();
        QueueWork::Work(std::mem::take(&mut state.requested))
    }

    /// Counts bytes that the thread is done with.
    pub fn done(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        let mut state = self.lock();
        state.in_flight -= bytes;
        state.status.written_bytes += bytes as u64;
        while state.ends.front().is_some_and(|end| *end <= state.status.written_bytes) {
            state.ends.pop_front();
            state.status.written += 1;
        }
        self.changed.notify_all();
    }

    /// Waits, unless the queue is closed.
    pub fn pause(&self, pause: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(queue: &RecordQueue, after_loss: bool, len: usize) -> bool {
        queue.offer(after_loss, |out| out.resize(out.len() + len, 0))
    }

    #[test]
    fn what_is_being_written_still_takes_room() {
        let queue = RecordQueue::new(100);
        assert!(offer(&queue, false, 90));
        let mut batch = Vec::new();
        assert!(matches!(queue.next(&mut batch, Duration::ZERO), QueueWork::Work(_)));
        // 90 bytes in flight, and the end of the record.
        assert!(offer(&queue, false, 1) && !offer(&queue, false, 1));
        queue.done(90);
        assert!(offer(&queue, false, 1));
    }

    #[test]
    fn records_take_room_however_short() {
        let queue = RecordQueue::new(100);
        let taken = (0..100).take_while(|_| offer(&queue, false, 1)).count();
        assert_eq!(taken, 12, "each has a byte and its end");
    }

    #[test]
    fn half_of_it_is_free_before_records_are_taken_after_a_loss() {
        let queue = RecordQueue::new(100);
        assert!(offer(&queue, false, 42) && !offer(&queue, true, 1));
        let mut batch = Vec::new();
        queue.next(&mut batch, Duration::ZERO);
        queue.done(42);
        assert!(offer(&queue, true, 41) && offer(&queue, true, 1));
    }

    #[test]
    fn a_closed_queue_is_over_when_it_is_empty() {
        let queue = RecordQueue::new(100);
        assert!(!queue.is_closed() && offer(&queue, false, 1));
        queue.close();
        assert!(queue.is_closed());
        let mut batch = Vec::new();
        assert!(matches!(queue.next(&mut batch, Duration::ZERO), QueueWork::Work(_)));
        batch.clear();
        assert!(matches!(queue.next(&mut batch, Duration::ZERO), QueueWork::Over));
        // Who has closed it waits for nothing.
        queue.pause(Duration::from_secs(1_000));
        assert!(matches!(RecordQueue::new(1).next(&mut batch, Duration::ZERO), QueueWork::Work(_)));
    }

    #[test]
    fn records_are_written_once_their_last_byte_is() {
        let queue = RecordQueue::new(1_000);
        assert!(offer(&queue, false, 10) && offer(&queue, false, 20));
        queue.next(&mut Vec::new(), Duration::ZERO);
        for (done, written, waiting) in [(9, 0, 2), (0, 0, 2), (1, 1, 1), (19, 1, 1), (1, 2, 0)] {
            queue.done(done);
            assert_eq!((queue.status().written, queue.waiting_records()), (written, waiting));
        }
    }

    #[test]
    fn notices_are_bounded_and_taken_once() {
        let queue = RecordQueue::new(1);
        (0..MAX_NOTICES + 9).for_each(|_| queue.notify(RecorderNotice::Losing));
        assert_eq!(queue.take_notices().len(), MAX_NOTICES);
        assert!(queue.take_notices().is_empty());
    }
}
