//! A replay of a file in which something follows the engine and picks up what it needs of every record.

use std::path::Path;

use anyhow::Result;

use super::part::SessionPart;
use crate::capture::Record;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::PlayheadDecision;
use crate::review::{self, CaptureReplay};

/// Replays a part of a capture by its moments ([`SessionPart::resolved`]), as [`review::collected`] does. What the
/// replay is for, the caller adds to its errors.
pub(super) fn collected<C>(
    path: &Path,
    part: SessionPart,
    options: &Options,
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<(CaptureReplay, C, PlayheadDecision)> {
    let open = || files::open_capture(path);
    review::collected(open, options, (part.from, part.until()), begin, step)
}

/// What could not be done where a replay failed.
pub(super) fn cannot_replay(path: &Path) -> String {
    format!("cannot replay {}", path.display())
}
