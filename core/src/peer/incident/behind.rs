//! The server aims behind the listener for a while.

use super::{Incident, Parameter, REFINING, Unit};
use crate::peer::server::Behind;

pub(super) const INCIDENT: Incident = Incident {
    name: "behind",
    class: "behind",
    also: &[],
    summary: "slices land behind the listener for a while",
    shows: "leads jump to minus the distance and back",
    families: &REFINING,
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 3.0, unit: Unit::Time, meaning: "for how long" },
        Parameter { name: "by", default: 0.8, unit: Unit::Time, meaning: "how far behind" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        let interval = values.interval();
        setup.faults.behind = Some(Behind { interval, by_s: values.get("by") });
    },
};
