//! `import`: a session that something else recorded, as a capture.

use std::path::Path;

use anyhow::Result;

use crate::capture::{Body, ClientKind, Record};
use crate::edge::files;
use crate::edge::output::is_dash;
pub use crate::har::HarImport;
use crate::report::text::OneLine;

pub use crate::edge::har::import_har;
pub use crate::edge::import::{ImportSummary, import};
use crate::edge::transcript::TRANSCRIPT;
pub use crate::edge::transcript::import_transcript;

/// Whose client a session log was taken to be.
fn assumed_client(capture: &Path) -> Result<Option<String>> {
    let mut records = files::open_capture(capture)?;
    let Some(Record { body: Body::Header(header), .. }) = records.next_record()? else {
        return Ok(None);
    };
    let playhead = match header.client {
        ClientKind::Headless => "headless, with a simulated playhead",
        ClientKind::Foreign => "foreign, whose player is known by its reports only",
    };
    let named = header.metadata.get("client");
    let why = named.map_or("the log names none".to_owned(), |name| {
        format!("the log names \"{}\"", OneLine(name))
    });
    Ok(Some(format!("client: {playhead}; {why}")))
}

/// Imports a transcript, a folder with a session log, or one session of a HAR file.
pub(crate) fn import_any(
    from: &Path,
    session: Option<usize>,
    out: &Path,
    force: bool,
) -> Result<HarImport> {
    let is_lines = from.extension().is_some_and(|extension| extension == "jsonl");
    if is_lines || from.join(TRANSCRIPT).is_file() {
        return import_transcript(from, out, force);
    }
    match from.is_dir() {
        true => {
            let messages = import(from, out, force)?.end.messages;
            // What went to stdout cannot be read again.
            let assumed = if is_dash(out) { None } else { assumed_client(out)? };
            Ok(HarImport { messages, assumed: assumed.into_iter().collect() })
        }
        false => import_har(from, session, out, force),
    }
}
