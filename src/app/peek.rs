//! Facts that several verbs need of a capture before they read all of it.

use std::path::Path;

use anyhow::{Context, Result};

use crate::capture::{Body, Direction, Header, SyncMarker};
use crate::edge::files;
use crate::event::{Event, Interpreter};
use crate::time::Nanos;

/// The header of a capture, if its first record is whole.
#[must_use]
pub fn header_of(path: &Path) -> Option<Header> {
    match files::open_capture(path).ok()?.next_record().ok()??.body {
        Body::Header(header) => Some(header),
        _ => None,
    }
}

/// When the initial buffer arrived, or the first record where none did.
pub(super) fn origin(path: &Path) -> Result<Nanos> {
    let mut records = files::open_capture(path)?;
    let mut interpreter = Interpreter::new();
    let mut first = None;
    while let Ok(Some(record)) = records.next_record() {
        first.get_or_insert(record.t);
        if let Body::Context(context) = &record.body {
            interpreter = Interpreter::resume(&context.state);
            if let Some(stream) = &context.state.stream {
                return Ok(stream.origin);
            }
        }
        if let Body::Message(message) = &record.body
            && interpreter.read(record.conn, message) == Event::InitialBuffer
        {
            return Ok(record.t);
        }
    }
    Ok(first.unwrap_or_default())
}

/// The sync marker of a capture.
pub(super) fn sync_marker_of(path: &Path) -> Result<SyncMarker> {
    let mut records = files::open_capture(path)?;
    records.next_record()?;
    records.marker().with_context(|| format!("{} is empty", path.display()))
}

/// The direction as the wire's logs name it.
pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::ClientToServer => "c2s",
        Direction::ServerToClient => "s2c",
    }
}
