//! The model falls below real time: ticks take many times as long, and windows leave holes.

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::server::Slow;

pub(super) const INCIDENT: Incident = Incident {
    name: "slow-generation",
    class: "slow-generation",
    also: &[],
    summary: "the model falls below real time",
    shows: "tick_ms and the gaps between slices grow together; regions are never reached",
    families: &[Family::Acestep, Family::Sa3, Family::Mrt2, Family::Minimax],
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
        Parameter {
            name: "factor",
            default: 15.0,
            unit: Unit::Number,
            meaning: "times as long, ticks alone",
        },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        setup.faults.slow.push(Slow {
            interval: values.interval(),
            tick_factor: values.get("factor"),
            decode_factor: 1.0,
            pulses: None,
        });
    },
};
