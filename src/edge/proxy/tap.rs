//! The queue through which the observer gets copies of what is forwarded.
//!
//! Forwarding never waits for the observer: what does not fit is left out, as whole messages, and
//! counted. Nor does it wake the observer for each piece: while there is traffic, the observer visits
//! every [`ROUND`].

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::oneshot;

use super::notice::SessionOpening;
use super::relay_end::RelayEnd;
use crate::capture::Direction;
use crate::time::Nanos;
use crate::wire::websocket::Walker;

/// Bytes read at a time.
pub(super) const PIECE_LEN: usize = 64 << 10;
/// Bytes that may wait for the observer.
pub const MAX_WAITING: usize = 64 << 20;
/// Time between two visits of the observer while there is traffic.
pub const ROUND: Duration = Duration::from_millis(10);
/// Visits without traffic after which the observer sleeps until it is called.
const IDLE_ROUNDS: u32 = 20;
/// What a piece costs beside its bytes.
const ITEM_LEN: usize = 128;
/// Buffers that are kept for reuse. Allocating one costs more than copying into it.
const MAX_SPARE: usize = 256;

/// Something for the observer.
#[derive(Debug)]
pub(super) enum TapItem {
    /// A session begins. The sender reports its initial buffer to the forwarding task.
    Open(Box<SessionOpening>, oneshot::Sender<()>),
    /// Bytes of a session, as they were forwarded.
    Bytes { session: u64, direction: Direction, at: Nanos, bytes: Bytes },
    /// Messages that did not fit. The next bytes begin with a message.
    Lost { session: u64, direction: Direction, at: Nanos, loss: TapLoss },
    /// Every session is to write out what its ring holds.
    RequestIncident,
    /// A session is over.
    Shut { session: u64, at: Nanos, end: RelayEnd },
}

impl TapItem {
    fn cost(&self) -> usize {
        ITEM_LEN + if let TapItem::Bytes { bytes, .. } = self { bytes.len() } else { 0 }
    }
}

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TapLoss {
    pub messages: u64,
    pub bytes: u64,
}

/// The queue between the forwarding tasks and the observer.
#[derive(Debug)]
pub(super) struct Tap {
    state: Mutex<TapState>,
    called: Condvar,
    /// Bytes that wait or are being observed.
    held: AtomicUsize,
    limit: usize,
}

#[derive(Debug, Default)]
struct TapState {
    items: Vec<TapItem>,
    spare: Vec<BytesMut>,
    wants_call: bool,
    is_closed: bool,
    idle_rounds: u32,
}

impl Tap {
    pub fn new(limit: usize) -> Arc<Tap> {
        Arc::new(Tap {
            state: Mutex::default(),
            called: Condvar::new(),
            held: AtomicUsize::new(0),
            limit,
        })
    }

    /// Asks every session to write out what its ring holds.
    pub fn request_incidents(&self) {
        self.push(TapItem::RequestIncident);
    }

    /// Ends the queue; the observer stops once it has taken everything.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.called.notify_one();
    }

    /// Hands everything that waits to the observer; `false` at the end. Waits for items if there are
    /// none, for `period` at most.
    pub fn visit(&self, items: &mut Vec<TapItem>, period: Duration) -> bool {
        items.clear();
        let mut state = self.lock();
        if state.items.is_empty() && !state.is_closed {
            state.idle_rounds = state.idle_rounds.saturating_add(1);
            state.wants_call = state.idle_rounds > IDLE_ROUNDS;
            let patience = if state.wants_call { period } else { ROUND };
            let waited = self.called.wait_timeout(state, patience);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        if !state.items.is_empty() {
            state.idle_rounds = 0;
        }
        state.wants_call = false;
        std::mem::swap(&mut state.items, items);
        !(items.is_empty() && state.is_closed)
    }

    /// Frees the room of an item that the observer is done with.
    pub fn release(&self, cost: usize) {
        self.held.fetch_sub(cost, Ordering::Relaxed);
    }

    /// Takes the memory of bytes that the observer is done with, unless somebody else still holds it.
    pub fn reuse(&self, bytes: Bytes) {
        let Ok(mut room) = bytes.try_into_mut() else { return };
        room.clear();
        if room.try_reclaim(PIECE_LEN) {
            let mut state = self.lock();
            if state.spare.len() < MAX_SPARE {
                state.spare.push(room);
            }
        }
    }

    /// The room that an item takes.
    pub fn cost(item: &TapItem) -> usize {
        item.cost()
    }

    fn has_room(&self, len: usize) -> bool {
        self.held.load(Ordering::Relaxed).saturating_add(len + ITEM_LEN) <= self.limit
    }

    /// Whether the observer has caught up enough to go on after a loss.
    fn is_relieved(&self) -> bool {
        self.held.load(Ordering::Relaxed) <= self.limit / 2
    }

    fn push(&self, item: TapItem) {
        let cost = item.cost();
        let before = self.held.fetch_add(cost, Ordering::Relaxed);
        let mut state = self.lock();
        state.items.push(item);
        // A lot has come since the last visit: call the observer.
        let mark = self.limit / 8;
        let is_much = before < mark && before + cost >= mark;
        if is_much || state.wants_call {
            state.wants_call = false;
            drop(state);
            self.called.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, TapState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The tap of one session.
#[derive(Debug)]
pub(super) struct SessionTap {
    tap: Arc<Tap>,
    session: u64,
    up: DirectionTap,
    down: DirectionTap,
}

#[derive(Debug, Default)]
struct DirectionTap {
    walker: Walker,
    loss: Option<TapLoss>,
}

impl SessionTap {
    pub fn open(
        tap: Arc<Tap>,
        opening: SessionOpening,
        buffered: oneshot::Sender<()>,
    ) -> SessionTap {
        let session = opening.session;
        tap.push(TapItem::Open(Box::new(opening), buffered));
        SessionTap { tap, session, up: DirectionTap::default(), down: DirectionTap::default() }
    }

    /// A buffer to read into, if there is one to reuse.
    pub fn spare(&self) -> Option<BytesMut> {
        self.tap.lock().spare.pop()
    }

    /// Takes bytes that were forwarded. Never waits.
    pub fn offer(&mut self, direction: Direction, at: Nanos, bytes: &Bytes) {
        let (tap, session) = (&*self.tap, self.session);
        let way = match direction {
            Direction::ClientToServer => &mut self.up,
            Direction::ServerToClient => &mut self.down,
        };
        if way.loss.is_none() && !tap.has_room(bytes.len()) {
            way.loss = Some(TapLoss::default());
        }
        let Some(kept) = way.kept(tap, bytes) else { return };
        if let Some(loss) = way.loss.take()
            && loss.bytes > 0
        {
            tap.push(TapItem::Lost { session, direction, at, loss });
        }
        if !kept.is_empty() {
            tap.push(TapItem::Bytes { session, direction, at, bytes: kept });
        }
    }

    /// Ends the session.
    pub fn shut(self, at: Nanos, end: RelayEnd) {
        let SessionTap { tap, session, up, down } = self;
        for (direction, way) in [(Direction::ClientToServer, up), (Direction::ServerToClient, down)]
        {
            if let Some(loss) = way.loss.filter(|loss| loss.messages > 0) {
                tap.push(TapItem::Lost { session, direction, at, loss });
            }
        }
        tap.push(TapItem::Shut { session, at, end });
    }
}

impl DirectionTap {
    /// The part of `bytes` that is kept: all of it, or after a loss only what follows the first end of
    /// a message at which there is room again.
    fn kept(&mut self, tap: &Tap, bytes: &Bytes) -> Option<Bytes> {
        let Some(loss) = &mut self.loss else {
            self.walker.walk(bytes);
            return Some(bytes.clone());
        };
        let mut rest = &bytes[..];
        loop {
            if self.walker.is_between() && tap.is_relieved() && tap.has_room(rest.len()) {
                let kept = bytes.slice(bytes.len() - rest.len()..);
                self.walker.walk(&kept);
                return Some(kept);
            }
            let before = rest.len();
            loss.messages += u64::from(self.walker.next_end(&mut rest));
            loss.bytes += (before - rest.len()) as u64;
            if rest.is_empty() {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::Messages;

    const DOWN: Direction = Direction::ServerToClient;
    const LIMIT: usize = 4096;

    /// A message of `len` bytes, all of them `len` modulo 256, in two frames.
    fn message(len: usize) -> Vec<u8> {
        let frame = |first: u8, len: usize| {
            let head = [first, 126, (len >> 8) as u8, len as u8];
            [&head[..], &vec![len as u8; len]].concat()
        };
        [frame(0x02, len), frame(0x80, 3)].concat()
    }

    /// Offers messages of these lengths in pieces, with visits after those pieces, and compares the
    /// lengths that come out; a loss shows as minus the number of messages.
    #[track_caller]
    fn check(lens: &[usize], piece: usize, visits: &[usize], expected: &[i64]) {
        let tap = Tap::new(LIMIT);
        let mut walker = DirectionTap::default();
        let mut observed = (Messages::new(None), Vec::new());
        let stream = Bytes::from(lens.iter().flat_map(|&len| message(len)).collect::<Vec<_>>());
        let mut session = SessionTap {
            tap: Arc::clone(&tap),
            session: 1,
            up: DirectionTap::default(),
            down: DirectionTap::default(),
        };
        for (i, at) in (0..stream.len()).step_by(piece).enumerate() {
            let bytes = stream.slice(at..stream.len().min(at + piece));
            walker.walker.walk(&bytes);
            session.offer(DOWN, Nanos(0), &bytes);
            if visits.contains(&i) {
                look(&tap, &mut observed);
            }
        }
        session.shut(Nanos(0), RelayEnd::Stopped);
        look(&tap, &mut observed);
        assert_eq!(observed.1, expected);
        assert_eq!(tap.held.load(Ordering::Relaxed), 0);
    }

    fn look(tap: &Tap, (messages, found): &mut (Messages, Vec<i64>)) {
        let mut items = Vec::new();
        assert!(tap.visit(&mut items, ROUND));
        for item in &items {
            match item {
                TapItem::Bytes { bytes, .. } => {
                    let mut rest = &bytes[..];
                    while let Some(whole) = messages.next(&mut rest) {
                        assert!(whole.payload.iter().rev().take(3).eq(&[3; 3]), "no torn message");
                        found.push(whole.len as i64 - 3);
                    }
                }
                TapItem::Lost { loss, .. } => {
                    messages.lose();
                    found.push(-(loss.messages as i64));
                }
                _ => {}
            }
            tap.release(Tap::cost(item));
        }
    }

    #[test]
    fn what_fits_is_kept() {
        check(&[100, 200, 300], 64, &[], &[100, 200, 300]);
        check(&[1000, 1000, 1000, 1000, 1000, 1000], 500, &[2, 5, 8], &[1000; 6]);
    }

    #[test]
    fn what_does_not_fit_is_left_out_as_whole_messages() {
        check(&[1000, 2000, 3000, 100], 512, &[], &[1000, 2000, -2]);
        check(&[1000, 2000, 3000, 100, 200], 512, &[9], &[1000, 2000, -1, 100, 200]);
        check(&[9000, 10, 20], 512, &[16], &[-1, 10, 20]);
        check(&[9000, 10, 20], 512, &[17], &[-3]);
    }
}
