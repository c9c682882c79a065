//! A chunk of the generator changes now and then, and one slice comes a little late.

use super::{HEALTHY, Incident, Parameter, REFINING, Unit};
use crate::peer::interval::Interval;

/// Gaps at most.
const MAX_GAPS: u32 = 1_000;

pub(super) const INCIDENT: Incident = Incident {
    name: "short-gaps",
    class: HEALTHY,
    also: &[],
    summary: "a short gap at each change of a chunk; healthy",
    shows: "one gap of 0.2 s every so often, which the lead covers",
    families: &REFINING,
    parameters: &[
        Parameter { name: "at", default: 10.0, unit: Unit::Time, meaning: "when the first one is" },
        Parameter {
            name: "every",
            default: 60.0,
            unit: Unit::Time,
            meaning: "from one to the next",
        },
        Parameter { name: "gap", default: 0.2, unit: Unit::Time, meaning: "length of each" },
    ],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        let for_s = values.get("gap");
        setup.faults.stalls.extend((0..MAX_GAPS).map(|gap| Interval {
            at_s: values.get("at") + f64::from(gap) * values.get("every"),
            for_s,
        }));
    },
};
