//! A replay in which something follows the engine and picks up what it needs of every record.

use std::path::Path;

use anyhow::Result;

use super::analyze::CaptureReplay;
use super::part::SessionPart;
use super::whose;
use crate::capture::Record;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::PlayheadDecision;

/// Replays a part of a capture by its moments ([`SessionPart::resolved`]). `begin` makes what picks up, and
/// `step` gives the engine a record and it what it needs of that. Where the reports contradict the playhead
/// that the capture is said to have, it is replayed once more, and what was picked up then counts. What the
/// replay is for, the caller adds to its errors.
pub(super) fn collected<C>(
    path: &Path,
    part: SessionPart,
    options: &Options,
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<(CaptureReplay, C, PlayheadDecision)> {
    let play = |options| {
        let mut collected = begin();
        let step = |engine: &mut Engine, record: &Record<'_>| step(&mut collected, engine, record);
        let records = files::open_capture(path)?;
        let replay = CaptureReplay::of_part(records, options, part.from, part.until(), step)?;
        anyhow::Ok((replay, collected))
    };
    let again = |source| play(Options { playhead: Some(source), ..options.clone() });
    let played = play(options.clone())?;
    let ((replay, collected), playheads) =
        whose::by_evidence(played, |(replay, _)| &replay.engine, again)?;
    Ok((replay, collected, playheads))
}

/// What could not be done where a replay failed.
pub(super) fn cannot_replay(path: &Path) -> String {
    format!("cannot replay {}", path.display())
}
