//! Many captures or scenarios in parallel: the only room that knows rayon.
//!
//! Enters: items and a pure function of one of them. Leaves: the results in the items' order,
//! whatever the threads. A thread works on whole items; no sum is ever split between threads.

use rayon::prelude::*;

/// Threads could not be started.
#[derive(Debug, thiserror::Error)]
#[error("cannot start {threads} threads: {reason}; try fewer")]
pub struct ThreadsError {
    threads: usize,
    reason: String,
}

/// Applies `work` to every item on `threads` threads (0: one for each core), but no more than there
/// are items, and keeps the order.
pub fn map_in_order<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> R + Sync,
) -> Result<Vec<R>, ThreadsError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads.min(items.len()))
        .build()
        .map_err(|error| ThreadsError { threads, reason: error.to_string() })?;
    Ok(pool.install(|| items.par_iter().map(&work).collect()))
}
