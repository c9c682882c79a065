//! `import`: a session that something else recorded, as a capture.

use std::path::Path;

use anyhow::Result;

pub use crate::edge::har::import_har;
pub use crate::edge::import::{ImportSummary, import};

/// Imports a folder with a session log, or one session of a HAR file, and returns how many messages
/// the capture has.
pub(crate) fn import_any(
    from: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<u64> {
    match from.is_dir() {
        true => Ok(import(from, out, force)?.end.messages),
        false => import_har(from, session, out, force),
    }
}
