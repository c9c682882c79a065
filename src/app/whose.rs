//! Which playhead an analysis measures against, where the capture leaves room for doubt.

use std::path::Path;

use anyhow::Result;

use super::analyze::CaptureReplay;
use crate::edge::files;
use crate::engine::Options;
use crate::playhead::PlayheadSource;
use crate::report::PlayheadDecision;
use crate::time::Span;

/// How the software of captures begins that were made from something else's log.
const IMPORTED: &str = "imported ";

/// Replays once more with the reported playhead where the reports contradict an import that is said
/// to have the simulated one, and asks the other playhead where its verdict would count too.
pub(super) fn settle(
    path: &Path,
    replay: CaptureReplay,
    options: &Options,
    at: Option<Span>,
) -> Result<(CaptureReplay, PlayheadDecision)> {
    let again = |playhead, headers_only| {
        let options = Options { playhead: Some(playhead), headers_only, ..options.clone() };
        CaptureReplay::of(files::open_stream(path)?, options, at)
    };
    let contradicted = replay.engine.playhead_evidence().contradicts_simulation();
    let has_ops = !replay.engine.facts().markers.is_empty();
    let source = replay.engine.playhead_source();
    let contender = source == PlayheadSource::Simulated || options.playhead.is_some() || has_ops;
    if !contradicted || !contender {
        return Ok((replay, PlayheadDecision::default()));
    }
    let header = replay.engine.header();
    let imported = header.is_some_and(|header| header.software.starts_with(IMPORTED));
    let by_evidence = imported && options.playhead.is_none() && source == PlayheadSource::Simulated;
    let (used, other) = match by_evidence {
        true => (again(PlayheadSource::Reported, options.headers_only)?, replay),
        false => {
            let other = match source {
                PlayheadSource::Simulated => PlayheadSource::Reported,
                PlayheadSource::Reported => PlayheadSource::Simulated,
            };
            (replay, again(other, true)?)
        }
    };
    let lags = |replay: &CaptureReplay| !replay.engine.episodes().is_empty();
    let other_lags = lags(&other);
    let other_lags = (other_lags != lags(&used)).then_some(other_lags);
    Ok((used, PlayheadDecision { by_evidence, other_lags }))
}
