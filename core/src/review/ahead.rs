//! Records in their order, while another thread inflates the slices that come next.
//!
//! Enters: a capture. Leaves: each record, with its delta where that was inflated already. Both threads
//! inflate. The other one leaves the caller the slices that it is about to come to, so that the caller waits
//! for few and inflates as many as the other one cannot. What is inflated does not depend on who did it, and
//! additions stay with the caller, in the order of the file. Memory is bounded by what is read together for each
//! of [`BATCHES`], by [`MOST_AUDIO`] for each of [`AHEAD`] slices, and by the longest record.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::{hint, thread};

use crate::capture::{Body, Direction, Opcode, ReadError, Record, RecordBatch, Salvage};
use crate::wire::slice::{InflatedDelta, SliceDecoder};

/// Slices that are inflated before their turn, at most: few enough to be in a processor's cache still when it
/// comes.
const AHEAD: usize = 16;
/// Bytes of audio that a delta announces at most. What announces more waits for its turn.
const MOST_AUDIO: u64 = 1 << 20;
/// Slices from the one whose turn it is to the first that is inflated ahead.
const DISTANCE: usize = 3;
/// Times that a lock is tried before its thread sleeps: about as long as a slice takes. To be woken up takes
/// longer than what is left of one.
const TRIES: usize = 1_000;
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
    let turn = &AtomicUsize::new(0);
    let mut numbered = 0;
    thread::scope(|scope| {
        let (hand, handed) = channel::<Arc<Batch>>();
        let (give_back, given_back) = channel();
        let (spare, spares) = channel();
        // The other thread is there until nothing can be handed to it any more.
        (0..AHEAD).for_each(|_| _ = spare.send(Vec::new()));
        scope.spawn(move || inflate(handed, &give_back, &spares, turn));
        let mut read = VecDeque::new();
        let mut free: Vec<Batch> = (0..BATCHES).map(|_| Batch::default()).collect();
        loop {
            while let Some(batch) = free.pop() {
                let batch = Arc::new(batch.read(records, &mut numbered)?);
                if batch.records.is_empty() {
                    break;
                }
                let _ = hand.send(Arc::clone(&batch));
                read.push_back(batch);
            }
            let Some(batch) = read.pop_front() else { return Ok(()) };
            for at in 0..batch.records.len() {
                let ahead = batch.take(at, turn);
                let was_ahead = ahead.is_some();
                let used = see(&batch.records.record(at), ahead);
                if was_ahead {
                    let _ = spare.send(used.unwrap_or_default());
                }
            }
            // It comes back at once: nothing in it is left to inflate.
            drop(batch);
            free.extend(given_back.recv().ok().and_then(Arc::into_inner));
        }
    })
}

/// Inflates what nobody has inflated, batch by batch, each into memory that it is given back.
fn inflate(
    batches: Receiver<Arc<Batch>>,
    done: &Sender<Arc<Batch>>,
    spares: &Receiver<Vec<u8>>,
    turn: &AtomicUsize,
) {
    let mut decoder = SliceDecoder::new();
    let mut spare = None;
    for batch in batches {
        for (at, slice) in batch.slices.iter().enumerate() {
            let Some(slice) = slice else { continue };
            let Some(room) = spare.take().or_else(|| spares.recv().ok()) else { return };
            spare = match slice.number < turn.load(Ordering::Relaxed) + DISTANCE {
                true => Some(room),
                false => batch.inflate(at, slice, &mut decoder, room),
            };
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
    slices: Vec<Option<AheadSlice>>,
}

/// A slice in a batch.
struct AheadSlice {
    /// Counted from the beginning of the capture.
    number: usize,
    delta: Mutex<Delta>,
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
    fn read(
        mut self,
        records: &mut Salvage<impl Read>,
        numbered: &mut usize,
    ) -> Result<Batch, ReadError> {
        records.next_batch(&mut self.records)?;
        self.slices.clear();
        for at in 0..self.records.len() {
            let is_ahead = announced(&self.records.record(at)).is_some_and(|len| len <= MOST_AUDIO);
            *numbered += usize::from(is_ahead);
            let slice = AheadSlice { number: *numbered, delta: Mutex::new(Delta::Waiting) };
            self.slices.push(is_ahead.then_some(slice));
        }
        Ok(self)
    }

    /// Inflates a delta into `room`, which is left where somebody else has done so.
    fn inflate(
        &self,
        at: usize,
        slice: &AheadSlice,
        decoder: &mut SliceDecoder,
        room: Vec<u8>,
    ) -> Option<Vec<u8>> {
        // Whoever holds it is about to inflate it.
        let Ok(mut delta) = slice.delta.try_lock() else { return Some(room) };
        match (&*delta, self.records.record(at).body) {
            (Delta::Waiting, Body::Message(message)) => {
                let ahead = InflatedDelta::of(decoder, message.payload, room);
                let is_none = ahead.is_none();
                *delta = ahead.map_or(Delta::Taken, Delta::Inflated);
                is_none.then(Vec::new)
            }
            _ => Some(room),
        }
    }

    /// What was inflated of a record whose turn it is. Waits where that is under way.
    fn take(&self, at: usize, turn: &AtomicUsize) -> Option<InflatedDelta> {
        let slice = self.slices[at].as_ref()?;
        turn.store(slice.number, Ordering::Relaxed);
        match std::mem::replace(&mut *soon(&slice.delta), Delta::Taken) {
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

/// A lock that is soon let go.
fn soon<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    for _ in 0..TRIES {
        match mutex.try_lock() {
            Ok(held) => return held,
            Err(_) => hint::spin_loop(),
        }
    }
    // Whoever broke while it held the lock has broken the whole scope.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use crate::capture::Salvage;
    use crate::engine::{Engine, Options};
    use crate::review::{CaptureReplay, Inflating};

    /// All that an engine knows of a capture, the checksum of its audio included.
    fn known(capture: &[u8], inflating: Inflating) -> String {
        let options = Options { audio_crc: true, ..Options::default() };
        let records = Salvage::new(capture);
        let replay =
            CaptureReplay::of_part(records, options, None, None, inflating, Engine::handle);
        let CaptureReplay { engine, at, .. } = replay.unwrap();
        let (digest, drift, facts) = (engine.digest(at), engine.mirror_drift(), engine.facts());
        assert!(digest.audio_crc.is_some() && digest.slices > 30, "{digest:?}");
        format!("{digest:?} {drift:?} {facts:?}")
    }

    #[test]
    fn what_is_inflated_ahead_leaves_the_same_state() {
        for capture in [
            &include_bytes!("../../../captures/healthy.lagtape")[..],
            include_bytes!("../../../captures/stall.lagtape"),
        ] {
            let in_turn = known(capture, Inflating::InTurn);
            for _ in 0..5 {
                assert_eq!(known(capture, Inflating::Ahead), in_turn);
            }
        }
    }
}
