//! A replay in which something follows the engine and picks up what it needs of every record.

use std::path::Path;

use anyhow::{Context, Result};

use super::analyze::CaptureReplay;
use super::whose;
use crate::capture::Record;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::PlayheadDecision;

/// Replays a capture. `begin` makes what picks up, and `step` gives the engine a record and it what it needs
/// of that. Where the reports contradict the playhead that the capture is said to have, it is replayed once
/// more, and what was picked up then counts.
pub(super) fn collected<C>(
    path: &Path,
    options: &Options,
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<(CaptureReplay, C, PlayheadDecision)> {
    let play = |options| {
        let mut collected = begin();
        let step = |engine: &mut Engine, record: &Record<'_>| step(&mut collected, engine, record);
        let replay = CaptureReplay::of_part(files::open_capture(path)?, options, None, None, step)?;
        anyhow::Ok((replay, collected))
    };
    let again = |source| play(Options { playhead: Some(source), ..options.clone() });
    let ((replay, collected), playheads) = play(options.clone())
        .and_then(|played| whose::by_evidence(played, |(replay, _)| &replay.engine, again))
        .with_context(|| format!("cannot replay {}", path.display()))?;
    Ok((replay, collected, playheads))
}
