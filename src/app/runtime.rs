//! The asynchronous runtime of a session.

use anyhow::{Context, Result};

/// A runtime whose tasks share one thread.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")
}
