//! How far what comes may lie outside of what the members of an ensemble span.
//!
//! Members differ in what chance decides, and not in what was fitted. By how much more is unknown was read
//! off simulated sessions whose constants the model is not told: nine of ten of those with even seeds lay
//! no further outside (`cargo run --release --example calibration -- 20 mended`). docs/WHATIF.md has what
//! came of those with odd seeds and of the pairs of the real server.

use super::change::Change;
use super::fit::Fit;

/// Figures of an outcome: the lead's least, 5th, 50th and 95th percentile and the 95th of the staleness in
/// seconds, stale ticks, slices behind, the server's transport lead.
pub(super) type PerFigure = [f64; 8];

/// Nothing waits for a link.
const FREE: PerFigure = [0.003, 0.003, 0.003, 0.003, 0.003, 0.0, 0.0, 0.0];
/// Slices wait for a link from a moment on, …
const LINKED: PerFigure = [0.025, 0.008, 0.004, 0.015, 0.008, 2.0, 1.0, 0.0];
/// … and the listener goes elsewhere meanwhile: what a slice costs there nobody knows.
const MOVED: PerFigure = [0.25, 0.22, 0.02, 0.01, 0.01, 4.0, 8.0, 0.0];
/// The link was thin when the initial buffer passed it, so that nothing shows the server's lead without a
/// queue; for each second by which the run over the recorded link is off.
const THIN_AT_FIRST: PerFigure = [27.0, 20.0, 4.5, 32.0, 40.0, 1_000.0, 800.0, 0.0];

/// By how much the interval of each figure is wider than the members span, on either side.
pub(super) fn unknown(fit: &Fit, change: &Change) -> PerFigure {
    let waits = fit.server.queue.is_some() || !change.down.is_empty();
    let known_from_there = if fit.server.queue.is_some() || waits && change.ops.is_some() {
        MOVED
    } else if waits {
        LINKED
    } else {
        FREE
    };
    if !fit.server.link.is_some_and(|link| link.thin_at_first) {
        return known_from_there;
    }
    let error_s = fit.factual_error.lead_error_p95_s;
    std::array::from_fn(|figure| known_from_there[figure] + THIN_AT_FIRST[figure] * error_s)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::link::LinkOptions;
    use crate::scenario::model::hypothesis::tests::{queue, with_transits};
    use crate::scenario::model::{FactualError, LinkAnew};
    use crate::time::{Nanos, Span};

    #[test]
    fn the_more_is_unknown_the_wider_an_interval_is() {
        let fit = |link: Option<LinkAnew>, waited: bool| Fit {
            server: super::super::hypothesis::Hypothesis {
                link,
                queue: waited.then(queue),
                ..with_transits(&[0])
            },
            period_ns: 1,
            tick_s: 0.02,
            factual_error: FactualError { lead_error_p95_s: 0.1, ..FactualError::default() },
        };
        let down = Change { down: vec![(Span(0), LinkOptions::default())], ..Change::default() };
        let moved = Change { ops: Some(Vec::new()), ..down.clone() };
        let anew = |thin_at_first| LinkAnew { began: Nanos(0), first_bytes: 0, thin_at_first };
        assert_eq!(unknown(&fit(None, false), &Change::default()), FREE);
        assert_eq!(unknown(&fit(None, true), &Change::default()), MOVED);
        assert_eq!(unknown(&fit(None, false), &down), LINKED);
        assert_eq!(unknown(&fit(Some(anew(false)), false), &moved), MOVED);
        let p50_s = unknown(&fit(Some(anew(true)), false), &down)[2];
        assert!((p50_s - 0.454).abs() < 1e-9, "{p50_s}");
    }
}
