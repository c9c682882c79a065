//! The generator stops for a while: no slices, and the client goes on reporting.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::interval::Interval;

pub(super) const INCIDENT: Incident = Incident {
    name: "stall",
    summary: "the generator stops for a while",
    shows: "no slices; the audio heard ages by 1 s per s until they come again",
    families: &FAMILIES,
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when it stops" },
        Parameter { name: "for", default: 4.0, unit: Unit::Time, meaning: "for how long" },
    ],
    lags: true,
    apply: |values, setup| {
        setup.faults.stalls.push(Interval { at_s: values.get("at"), for_s: values.get("for") });
    },
};
