//! A slice on its way through a run.

use super::super::generations::Generation;
use crate::peer::pacing::Region;
use crate::time::Nanos;

/// A slice that a turn made.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeSlice<'a> {
    /// What the recording knows of the turn.
    pub generation: &'a Generation,
    pub region: Region,
    pub made: Nanos,
    /// Length of its message, known once it is sent.
    pub bytes: u64,
}

impl<'a> MadeSlice<'a> {
    /// A slice that was not sent yet.
    #[inline]
    pub fn new(generation: &'a Generation, region: Region, made: Nanos) -> Self {
        Self { generation, region, made, bytes: 0 }
    }
}
