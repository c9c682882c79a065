//! Which playhead an analysis measures against, where the capture leaves room for doubt.

use crate::engine::Engine;
use crate::playhead::PlayheadSource;
use crate::report::PlayheadDecision;

/// Replays once more with the playhead that the reports show, where these contradict the capture.
///
/// # Errors
/// Those of `again`.
pub fn by_evidence<R, E>(
    replay: R,
    engine: impl Fn(&R) -> &Engine,
    again: impl FnOnce(PlayheadSource) -> Result<R, E>,
) -> Result<(R, PlayheadDecision), E> {
    let source = engine(&replay).playhead_by_evidence();
    let decision = PlayheadDecision { by_evidence: source.is_some(), other_lags: None };
    Ok((source.map_or(Ok(replay), again)?, decision))
}

/// Replays once more with the reported playhead where the reports contradict an import that is said
/// to have the simulated one, and asks the other playhead where its verdict would count too. `again`
/// replays with another playhead, and reads slice headers only if it is told so.
///
/// # Errors
/// Those of `again`.
pub fn settle<R, E>(
    replay: R,
    engine: impl Fn(&R) -> &Engine,
    again: impl Fn(PlayheadSource, bool) -> Result<R, E>,
) -> Result<(R, PlayheadDecision), E> {
    let first = engine(&replay);
    let source = first.playhead_source();
    let asked = first.playhead_was_chosen();
    let has_ops = !first.facts().markers.is_empty();
    let contender = source == PlayheadSource::Simulated || asked || has_ops;
    if !first.playhead_evidence().contradicts_simulation() || !contender {
        return Ok((replay, PlayheadDecision::default()));
    }
    let shown = first.playhead_by_evidence();
    let (used, other) = match (shown, source) {
        (Some(shown), _) => (again(shown, false)?, replay),
        (None, PlayheadSource::Simulated) => (replay, again(PlayheadSource::Reported, true)?),
        (None, PlayheadSource::Reported) => (replay, again(PlayheadSource::Simulated, true)?),
    };
    let lags = |replay: &R| !engine(replay).episodes().is_empty();
    let other_lags = (lags(&other) != lags(&used)).then_some(lags(&other));
    Ok((used, PlayheadDecision { by_evidence: shown.is_some(), other_lags }))
}
