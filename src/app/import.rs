//! `import`: a session that something else recorded, as a capture.

use std::path::Path;

use anyhow::Result;

pub use crate::edge::har::{HarImport, import_har};
pub use crate::edge::import::{ImportSummary, import};

/// Imports a folder with a session log, or one session of a HAR file.
pub(crate) fn import_any(
    from: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<HarImport> {
    match from.is_dir() {
        true => {
            let messages = import(from, out, force)?.end.messages;
            Ok(HarImport { messages, assumed: Vec::new() })
        }
        false => import_har(from, session, out, force),
    }
}
