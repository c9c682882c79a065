//! The tracks that a recorded session swapped to: a page can only ask for what it is offered.

use std::path::Path;

use anyhow::Result;

use crate::edge::files;
use crate::peer::Outgoing;
use crate::peer::replay::{PartBody, ReplyKind, Tape, TapeReply};
use crate::wire::json::parse_object;

/// Names kept at most.
const MAX_TARGETS: usize = 256;

/// The names of the tracks that were swapped to, in the order of their first swaps.
pub(super) fn names(capture: &Path, session: u32) -> Result<Vec<String>> {
    let mut names = Vec::new();
    walk(capture, session, |name, _| {
        if names.len() < MAX_TARGETS && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        false
    })?;
    Ok(names)
}

/// The buffer that was sent for a track.
pub(super) fn buffer(capture: &Path, session: u32, wanted: &str) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    walk(capture, session, |name, halves| {
        let is_wanted = name == wanted;
        if is_wanted {
            found = Some(halves.to_vec());
        }
        is_wanted
    })?;
    Ok(found)
}

/// Shows the name and the buffer of each swap, until `show` has seen enough.
fn walk(capture: &Path, session: u32, mut show: impl FnMut(&str, &[u8]) -> bool) -> Result<()> {
    let (mut tape, mut records) = (Tape::new(session), files::open_capture(capture)?);
    let mut announced = None;
    while let Some(record) = records.next_record()? {
        for part in tape.read(&record) {
            let PartBody::Reply(TapeReply { message, kind, .. }) = part.body else { continue };
            match (kind, message) {
                (ReplyKind::SwapReady, Outgoing::Text(text)) => announced = name_of(&text),
                (ReplyKind::SwapBuffer { .. }, Outgoing::Binary(halves))
                    if announced.take().is_some_and(|name| show(&name, &halves)) =>
                {
                    return Ok(());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn name_of(swap_ready: &str) -> Option<String> {
    let fields = parse_object(swap_ready).ok()?.fields;
    fields.get("fixture_name")?.as_str().map(str::to_owned)
}
