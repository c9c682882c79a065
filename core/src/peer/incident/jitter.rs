//! Messages take now longer, now shorter, both ways; they stay in order.

use super::{HEALTHY, Incident, Parameter, Unit};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "jitter",
    class: HEALTHY,
    also: &[],
    summary: "messages take unevenly long; healthy",
    shows: "arrivals waver by up to that, and leads with them",
    families: &FAMILIES,
    parameters: &[
        Parameter {
            name: "by",
            default: 0.02,
            unit: Unit::Time,
            meaning: "most that is added to the way of a message",
        },
        Parameter {
            name: "latency",
            default: 0.01,
            unit: Unit::Time,
            meaning: "each way, at least",
        },
    ],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        for link in [&mut setup.up, &mut setup.down] {
            link.latency_s = values.get("latency");
            link.jitter_s = values.get("by");
        }
    },
};
