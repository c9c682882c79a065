//! A replay of a file in which something follows the engine and picks up what it needs of every record.

use std::path::Path;

use anyhow::{Context, Result};

use crate::capture::Record;
use crate::edge::files;
use crate::engine::{Engine, Options};
use crate::report::PlayheadDecision;
use crate::review::{self, CaptureReplay};

/// Replays a capture, as [`review::collected`] does.
pub(super) fn collected<C>(
    path: &Path,
    options: &Options,
    begin: impl Fn() -> C,
    step: impl Fn(&mut C, &mut Engine, &Record<'_>),
) -> Result<(CaptureReplay, C, PlayheadDecision)> {
    review::collected(|| files::open_capture(path), options, begin, step)
        .with_context(|| format!("cannot replay {}", path.display()))
}
