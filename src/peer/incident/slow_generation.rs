//! The model falls below real time: ticks take many times as long, and windows leave holes.

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::interval::Interval;
use crate::peer::server::Slow;

pub(super) const INCIDENT: Incident = Incident {
    name: "slow-generation",
    summary: "the model falls below real time",
    shows: "tick_ms and the gaps between slices grow together; regions are never reached",
    families: &[Family::Acestep, Family::Sa3, Family::Mrt2, Family::Minimax],
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
        Parameter { name: "factor", default: 15.0, unit: Unit::Number, meaning: "times as long" },
    ],
    lags: true,
    apply: |values, setup| {
        let interval = Interval { at_s: values.get("at"), for_s: values.get("for") };
        setup.faults.slow = Some(Slow { interval, factor: values.get("factor") });
    },
};
