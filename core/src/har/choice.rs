//! Which WebSocket of a HAR file is imported.

use super::HarError;
use super::log::Entry;
use crate::capture::{Message, Opcode};
use crate::event::{Event, Interpreter};

/// How many sessions there are to choose from.
pub(super) fn count(entries: &[Entry<'_>]) -> usize {
    among(entries).0.len()
}

/// The sessions of DEMON servers, or, where there are none, all WebSockets; and what to call them.
fn among<'e, 'a>(entries: &'e [Entry<'a>]) -> (Vec<&'e Entry<'a>>, &'static str) {
    let sockets: Vec<_> = entries.iter().filter(|entry| !entry.frames.is_empty()).collect();
    let sessions: Vec<_> = sockets.iter().copied().filter(|entry| is_session(entry)).collect();
    match sessions.is_empty() {
        true => (sockets, "WebSockets, none of them a session of a DEMON server,"),
        false => (sessions, "sessions"),
    }
}

/// The session to import.
pub(super) fn chosen<'e, 'a>(
    entries: &'e [Entry<'a>],
    session: Option<usize>,
) -> Result<&'e Entry<'a>, HarError> {
    let (among, what) = among(entries);
    if among.is_empty() {
        return Err(HarError::Unusable(no_messages(entries)));
    }
    match (session, &among[..]) {
        (None, [entry]) => Ok(entry),
        (None, several) => {
            let lines = (1..).zip(several).map(|(number, entry)| format!("\n  {number}: {entry}"));
            Err(HarError::Unusable(format!(
                "there are {0} {what} in it; choose one with --session 1 to --session {0}{1}",
                several.len(),
                lines.take(MAX_LISTED).collect::<String>()
            )))
        }
        (Some(number), some) => {
            number.checked_sub(1).and_then(|index| some.get(index).copied()).ok_or_else(|| {
                let count = some.len();
                HarError::Unusable(format!("it has {count} {what} and no number {number}"))
            })
        }
    }
}

/// Sessions that are listed at most.
const MAX_LISTED: usize = 20;

fn no_messages(entries: &[Entry<'_>]) -> String {
    match entries.iter().find_map(Entry::attached_frames) {
        Some(name) => format!(
            "the messages of its WebSockets are in other files, such as {name}, which is missing; \
             keep the files together, or the zip whole"
        ),
        None => "there are no WebSocket messages in it; open the developer tools before the page \
                 connects, and save all as HAR with content"
            .to_owned(),
    }
}

/// Whether a DEMON server answered.
fn is_session(entry: &Entry<'_>) -> bool {
    let mut interpreter = Interpreter::new();
    let mut texts = entry.frames.iter().filter(|frame| frame.opcode == Some(Opcode::Text));
    texts.any(|frame| {
        let (Some(direction), Some(data)) = (frame.direction, &frame.data) else { return false };
        let message = Message::new(direction, Opcode::Text, data.as_bytes());
        matches!(interpreter.read(0, &message), Event::Ready { .. } | Event::Refused { .. })
    })
}
