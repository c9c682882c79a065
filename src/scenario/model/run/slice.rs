//! A slice on its way through a run.

use crate::peer::pacing::Region;
use crate::time::Nanos;

/// A slice that a turn made.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeSlice {
    pub turn: usize,
    pub region: Region,
    pub made: Nanos,
    /// Length of its message, known once it is sent.
    pub bytes: u64,
}
