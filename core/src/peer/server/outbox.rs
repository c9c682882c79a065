//! Messages and rendered slices that wait to be sent, each with the earliest time at which it may go.
//!
//! Slices wait as audio: whether one is sent, and against which audio it is coded, is decided when its
//! turn comes. At most [`Outbox::CAPACITY`] entries are held.

use std::collections::VecDeque;

use crate::peer::Outgoing;
use crate::peer::pacing::Region;
use crate::time::Nanos;

/// A slice that is rendered and not encoded.
pub(super) struct Rendered {
    pub made: Nanos,
    pub region: Region,
    pub audio: Vec<f32>,
    pub never_dropped: bool,
    pub tick_ms: f64,
    pub decode_ms: f64,
    pub generations: u32,
    /// The `params_update` that follows it, if it is sent.
    pub update: String,
}

pub(super) enum Entry {
    Message(Outgoing),
    Slice(Box<Rendered>),
}

#[derive(Default)]
pub(super) struct Outbox {
    entries: VecDeque<(Nanos, Entry)>,
}

impl Outbox {
    /// Far more than a driver that reads ever leaves waiting.
    pub const CAPACITY: usize = 4_096;
    /// Slices that wait at most; older ones make room, as the age rule would have it.
    pub const MAX_SLICES: usize = 128;
    /// The same of slices that are never shed: the queue of the real server's slice bus.
    pub const MAX_KEPT_SLICES: usize = 256;

    pub fn text(&mut self, at: Nanos, text: String) {
        self.message(at, Outgoing::Text(text));
    }

    /// Queues a message. Beyond the capacity it is forgotten: nobody is reading.
    pub fn message(&mut self, at: Nanos, message: Outgoing) {
        if self.entries.len() < Self::CAPACITY {
            self.entries.push_back((at, Entry::Message(message)));
        }
    }

    /// Queues a slice, of which at most so many wait.
    pub fn slice(&mut self, at: Nanos, slice: Rendered, most: usize) {
        let is_slice = |entry: &(Nanos, Entry)| matches!(entry.1, Entry::Slice(_));
        if self.entries.iter().filter(|entry| is_slice(entry)).count() >= most
            && let Some(oldest) = self.entries.iter().position(is_slice)
        {
            self.entries.remove(oldest);
        }
        self.entries.push_back((at, Entry::Slice(Box::new(slice))));
    }

    /// Puts a text before everything else: it belongs to the message just sent.
    pub fn text_first(&mut self, at: Nanos, text: String) {
        self.entries.push_front((at, Entry::Message(Outgoing::Text(text))));
    }

    /// Closes the connection once everything before has gone.
    pub fn close(&mut self, at: Nanos, code: u16, reason: &str) {
        let close = Outgoing::Close { code, reason: reason.to_owned() };
        self.entries.push_back((at, Entry::Message(close)));
    }

    /// Ends the connection now; what waits is lost.
    pub fn close_first(&mut self, at: Nanos, code: u16, reason: &str) {
        self.entries.clear();
        self.close(at, code, reason);
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn wake_at(&self) -> Option<Nanos> {
        self.entries.front().map(|&(at, _)| at)
    }

    pub fn pop(&mut self, now: Nanos) -> Option<Entry> {
        if self.wake_at()? > now {
            return None;
        }
        self.entries.pop_front().map(|(_, entry)| entry)
    }

    /// The slices that wait, in their order.
    pub fn slices(&mut self) -> impl Iterator<Item = &mut Rendered> {
        slices(&mut self.entries)
    }

    /// Takes everything, for a swap that must not leave slices of the old source unencoded.
    pub fn take(&mut self) -> VecDeque<(Nanos, Entry)> {
        std::mem::take(&mut self.entries)
    }
}

/// The slices among them.
pub(super) fn slices(
    entries: &mut VecDeque<(Nanos, Entry)>,
) -> impl Iterator<Item = &mut Rendered> {
    entries.iter_mut().filter_map(|(_, entry)| match entry {
        Entry::Slice(slice) => Some(&mut **slice),
        Entry::Message(_) => None,
    })
}
