//! What waits for the disk: a bounded buffer between a session, which never waits, and the thread
//! that writes.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Notice, Status};
use crate::flight::TriggerReason;

/// Notices that may wait to be heard; later ones are not kept.
const MAX_NOTICES: usize = 1000;

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    limit: usize,
}

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    /// Where each waiting record ends, counted from the beginning of the stream.
    ends: VecDeque<u64>,
    /// Bytes that the thread has taken and not yet written.
    in_flight: usize,
    status: Status,
    closed: bool,
    asked: Vec<TriggerReason>,
    notices: Vec<Notice>,
    files: Vec<PathBuf>,
}

impl State {
    fn waiting(&self) -> usize {
        self.bytes.len() + self.in_flight + self.ends.len() * size_of::<u64>()
    }
}

/// What the thread finds when it looks.
pub(super) enum Next {
    /// Perhaps bytes, perhaps requests, perhaps only the time.
    Work(Vec<TriggerReason>),
    /// Nothing is left, and nothing will come.
    Over,
}

impl Queue {
    pub fn new(limit: usize) -> Self {
        Queue { state: Mutex::default(), changed: Condvar::new(), limit }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a record that `encode` appends, if there is room. After a loss there has to be room
    /// for more than one, so that a disk that is hardly too slow leaves few long gaps and not many
    /// short ones.
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

    pub fn ask(&self, why: TriggerReason) {
        self.lock().asked.push(why);
        self.changed.notify_all();
    }

    pub fn tell(&self, notice: Notice) {
        let mut state = self.lock();
        if state.notices.len() < MAX_NOTICES {
            state.notices.push(notice);
        }
    }

    pub fn take_notices(&self) -> Vec<Notice> {
        std::mem::take(&mut self.lock().notices)
    }

    pub fn status(&self) -> Status {
        let state = self.lock();
        let waiting_bytes = state.waiting() as u64;
        Status { waiting_bytes, file_count: state.files.len(), ..state.status.clone() }
    }

    /// What the disk says, if it refuses what is written.
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

    pub fn change_status(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock().status);
        self.changed.notify_all();
    }

    /// Says that nothing more comes.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Waits for something to do, at most `patience`. Appends what waits to `batch`, which has to
    /// be empty.
    pub fn next(&self, batch: &mut Vec<u8>, patience: Duration) -> Next {
        let mut state = self.lock();
        if state.bytes.is_empty() && state.asked.is_empty() && !state.closed {
            let waited = self.changed.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.bytes.is_empty() && state.asked.is_empty() && state.closed {
            return Next::Over;
        }
        std::mem::swap(&mut state.bytes, batch);
        state.in_flight = batch.len();
        Next::Work(std::mem::take(&mut state.asked))
    }

    /// Notes that the thread is done with so many bytes more.
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

    /// Lets time pass, unless the queue is closed.
    pub fn pause(&self, pause: Duration) {
        let state = self.lock();
        let waited = self.changed.wait_timeout_while(state, pause, |state| !state.closed);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}
