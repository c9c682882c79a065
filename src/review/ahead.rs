//! Records in their order, while another thread inflates the slices that come next.
//!
//! Enters: a capture. Leaves: each record, with its delta where that was inflated already. Both threads
//! inflate: whoever comes to a slice first does it, so that neither waits for longer than one slice takes.
//! What is inflated does not depend on who did it, and additions stay with the caller, in the order of the
//! file. Memory is bounded by [`BATCH_BYTES`] and [`BATCH_AUDIO`] for each of [`BATCHES`], and the longest
//! record.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::capture::{Body, Direction, Opcode, ReadError, Record, RecordBatch, Salvage};
use crate::wire::slice::{InflatedDelta, SliceDecoder};

/// Bytes of records that are read before the first of them is handed over: some 40 slices.
const BATCH_BYTES: usize = 512 << 10;
/// Bytes of audio that the deltas of a batch announce at most. What announces more waits for its turn.
const BATCH_AUDIO: u64 = 8 << 20;
/// Batches that are read at most: the one whose turn it is, and those that come next.
const BATCHES: usize = 3;

/// Shows every record, with its delta if that was inflated; `see` returns memory for another one, if it has
/// any.
///
/// # Errors
/// The source fails, or holds no capture.
pub(super) fn each_ahead(
    records: &mut Salvage<impl Read>,
    mut see: impl FnMut(&Record<'_>, Option<InflatedDelta>) -> Option<Vec<u8>>,
) -> Result<(), ReadError> {
    let spares = &Mutex::new(Vec::new());
    thread::scope(|scope| {
        let (hand, handed) = channel::<Arc<Batch>>();
        let (give_back, given_back) = channel();
        scope.spawn(move || inflate(handed, &give_back, spares));
        let mut read = VecDeque::new();
        let mut free: Vec<Batch> = (0..BATCHES).map(|_| Batch::default()).collect();
        loop {
            while let Some(batch) = free.pop() {
                let batch = Arc::new(batch.read(records)?);
                if batch.records.is_empty() {
                    break;
                }
                // The other thread is there until nothing can be handed to it any more.
                let _ = hand.send(Arc::clone(&batch));
                read.push_back(batch);
            }
            let Some(batch) = read.pop_front() else { return Ok(()) };
            for at in 0..batch.records.len() {
                let ahead = batch.take(at);
                let spare = see(&batch.records.record(at), ahead);
                lock(spares).extend(spare.filter(|spare| spare.capacity() > 0));
            }
            // It comes back at once: nothing in it is left to inflate.
            drop(batch);
            free.extend(given_back.recv().ok().and_then(Arc::into_inner));
        }
    })
}

/// Inflates what nobody has inflated, batch by batch.
fn inflate(batches: Receiver<Arc<Batch>>, done: &Sender<Arc<Batch>>, spares: &Mutex<Vec<Vec<u8>>>) {
    let mut decoder = SliceDecoder::new();
    for batch in batches {
        for (at, delta) in batch.deltas.iter().enumerate() {
            // Whoever holds it is about to inflate it.
            let Some(mut delta) = delta.as_ref().and_then(|delta| delta.try_lock().ok()) else {
                continue;
            };
            if let Delta::Waiting = *delta
                && let Body::Message(message) = batch.records.record(at).body
            {
                let spare = lock(spares).pop().unwrap_or_default();
                let ahead = InflatedDelta::of(&mut decoder, message.payload, spare);
                *delta = ahead.map_or(Delta::Taken, Delta::Inflated);
            }
        }
        if done.send(batch).is_err() {
            return;
        }
    }
}

/// Records in a row.
#[derive(Default)]
struct Batch {
    records: RecordBatch,
    /// One for each record; `None` where there is nothing to inflate.
    deltas: Vec<Option<Mutex<Delta>>>,
}

/// What became of a delta.
enum Delta {
    Waiting,
    Inflated(InflatedDelta),
    /// Its turn has come.
    Taken,
}

impl Batch {
    /// The next records of a capture, in the memory of those before; none at its end.
    fn read(mut self, records: &mut Salvage<impl Read>) -> Result<Batch, ReadError> {
        self.records.clear();
        self.deltas.clear();
        let mut audio = 0;
        while self.records.bytes() < BATCH_BYTES
            && let Some(stored) = records.next_stored()?
        {
            self.records.push(&stored);
            let announced = announced(&stored.record).filter(|len| audio + len <= BATCH_AUDIO);
            audio += announced.unwrap_or(0);
            self.deltas.push(announced.map(|_| Mutex::new(Delta::Waiting)));
        }
        Ok(self)
    }

    /// What was inflated of a record whose turn it is. Waits where that is under way.
    fn take(&self, at: usize) -> Option<InflatedDelta> {
        let delta = self.deltas[at].as_ref()?;
        match std::mem::replace(&mut *lock(delta), Delta::Taken) {
            Delta::Inflated(ahead) => Some(ahead),
            Delta::Waiting | Delta::Taken => None,
        }
    }
}

/// Bytes of audio that a record announces, if it looks like a delta.
fn announced(record: &Record<'_>) -> Option<u64> {
    let Body::Message(message) = &record.body else { return None };
    let may_be = message.is_whole()
        && (message.direction, message.opcode) == (Direction::ServerToClient, Opcode::Binary);
    InflatedDelta::announced(message.payload).filter(|_| may_be)
}

/// Whoever broke while it held the lock has broken the whole scope.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
