//! Sound records in a row, in the buffer that they were read into.

use std::ops::Range;

use super::body;
use super::format::BODY_AT;
use super::record::Record;

/// Records that stay while others are read; [`Salvage::next_batch`](super::Salvage::next_batch) finds them.
#[derive(Debug, Default)]
pub struct RecordBatch {
    pub(super) buffer: Vec<u8>,
    /// Where each lies.
    pub(super) places: Vec<Range<usize>>,
}

impl RecordBatch {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The record of this place among them.
    #[must_use]
    pub fn record(&self, at: usize) -> Record<'_> {
        let body = &self.buffer[self.places[at].clone()][BODY_AT..];
        body::decode(body).expect("the record was decoded before")
    }
}
