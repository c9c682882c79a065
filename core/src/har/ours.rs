//! What `lagtape export --har` wrote, read back to the very records that it was made from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::log::{Entry, Frame};
use super::{Captured, HarError};
use crate::capture::{Body, Message, Opcode, Record, Records};
use crate::report::har_note::FrameNote;
use crate::time::Nanos;

/// What a person should know of such an import.
pub(super) const AS_RECORDED: &str =
    "records: as lagtape recorded them, from what it exported beside the messages";

/// An entry that lagtape wrote.
pub(super) struct Ours<'e, 'a> {
    /// A capture of the records that are no messages.
    records: Vec<u8>,
    frames: Vec<(&'e Frame<'a>, FrameNote)>,
}

impl<'e, 'a> Ours<'e, 'a> {
    /// `None` for an entry of another tool, and for one from which a tool has taken a part of what
    /// lagtape wrote: it is imported as any other.
    pub fn of(entry: &'e Entry<'a>) -> Option<Self> {
        let records = STANDARD.decode(&entry.ours.as_ref()?.records).ok()?;
        let noted = |frame: &'e Frame<'a>| Some((frame, frame.ours?));
        let frames = entry.frames.iter().map(noted).collect::<Option<_>>()?;
        Some(Ours { records, frames })
    }

    /// Writes all records in their order; returns how many are messages.
    pub fn write(&self, capture: &mut Captured<'_>) -> Result<u64, HarError> {
        let damaged = || {
            HarError::Unusable("what lagtape exported beside the messages is damaged".to_owned())
        };
        let unreadable = |error| HarError::Unusable(format!("{}: {error}", damaged()));
        let mut others = Records::new(&self.records[..]);
        let mut frames = self.frames.iter().peekable();
        let header = others.next_record().map_err(unreadable)?.ok_or_else(damaged)?;
        capture.put(&header)?;
        while let Some(record) = others.next_record().map_err(unreadable)? {
            while let Some((frame, note)) = frames.next_if(|(_, note)| note.seq <= record.seq) {
                put(frame, note, capture)?;
            }
            capture.put(&record)?;
        }
        frames.try_for_each(|(frame, note)| put(frame, note, capture))?;
        Ok(self.frames.len() as u64)
    }
}

fn put(frame: &Frame<'_>, note: &FrameNote, capture: &mut Captured<'_>) -> Result<(), HarError> {
    let unusable = || HarError::Unusable(format!("message {} cannot be used", note.seq));
    let direction = frame.direction.ok_or_else(unusable)?;
    let opcode = frame.opcode.ok_or_else(unusable)?;
    let data = frame.data.as_deref().unwrap_or_default();
    let decoded = match opcode {
        Opcode::Text if !note.is_base64 => None,
        _ => Some(STANDARD.decode(data).map_err(|_| unusable())?),
    };
    let bytes = decoded.as_deref().unwrap_or(data.as_bytes());
    let message = Message {
        automatic: note.automatic,
        failed: note.failed,
        compressed: note.compressed,
        whole_len: note.whole_len.filter(|len| *len >= bytes.len() as u64),
        sha256: note.sha256,
        ..Message::new(direction, opcode, bytes)
    };
    let (seq, t, conn) = (note.seq, Nanos(note.t_ns), note.conn);
    Ok(capture.put(&Record { seq, t, conn, body: Body::Message(message) })?)
}
