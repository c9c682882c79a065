//! Sound records in a row, copied out of the window that they were read into.

use super::body;
use super::format::BODY_AT;
use super::record::Record;
use super::salvage::Stored;

/// Records that stay while others are read.
#[derive(Debug, Default)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl RecordBatch {
    /// Copies a record behind the others.
    pub fn push(&mut self, stored: &Stored<'_>) {
        self.bytes.extend_from_slice(stored.bytes);
        self.ends.push(self.bytes.len());
    }

    /// Forgets all of them and keeps their memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Bytes of all records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The record of this place among them.
    #[must_use]
    pub fn record(&self, at: usize) -> Record<'_> {
        let begins = at.checked_sub(1).map_or(0, |before| self.ends[before]);
        let body = &self.bytes[begins..self.ends[at]][BODY_AT..];
        body::decode(body).expect("the record was decoded before")
    }
}
