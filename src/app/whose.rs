//! Which playhead an analysis measures against, where the capture leaves room for doubt.

use anyhow::Result;

use crate::engine::Engine;
use crate::playhead::PlayheadSource;
use crate::report::PlayheadDecision;

/// How the software of captures begins that were made from something else's log.
const IMPORTED: &str = "imported ";

/// Replays once more with the reported playhead where the reports contradict an import that is said
/// to have the simulated one, and asks the other playhead where its verdict would count too. `again`
/// replays with another playhead, and reads slice headers only if it is told so.
pub(super) fn settle<R>(
    replay: R,
    engine: impl Fn(&R) -> &Engine,
    again: impl Fn(PlayheadSource, bool) -> Result<R>,
) -> Result<(R, PlayheadDecision)> {
    let first = engine(&replay);
    let source = first.playhead_source();
    let asked = first.playhead_was_chosen();
    let has_ops = !first.facts().markers.is_empty();
    let contender = source == PlayheadSource::Simulated || asked || has_ops;
    if !first.playhead_evidence().contradicts_simulation() || !contender {
        return Ok((replay, PlayheadDecision::default()));
    }
    let imported = first.header().is_some_and(|header| header.software.starts_with(IMPORTED));
    let by_evidence = imported && !asked && source == PlayheadSource::Simulated;
    let (used, other) = match (by_evidence, source) {
        (true, _) => (again(PlayheadSource::Reported, false)?, replay),
        (false, PlayheadSource::Simulated) => (replay, again(PlayheadSource::Reported, true)?),
        (false, PlayheadSource::Reported) => (replay, again(PlayheadSource::Simulated, true)?),
    };
    let lags = |replay: &R| !engine(replay).episodes().is_empty();
    let other_lags = (lags(&other) != lags(&used)).then_some(lags(&other));
    Ok((used, PlayheadDecision { by_evidence, other_lags }))
}
