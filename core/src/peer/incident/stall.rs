//! The generator stops for a while: no slices, and the client goes on reporting.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "stall",
    class: "generation-stall",
    also: &[],
    summary: "the generator stops for a while",
    shows: "no slices; the audio heard ages by 1 s per s until they come again",
    families: &FAMILIES,
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when it stops" },
        Parameter { name: "for", default: 4.0, unit: Unit::Time, meaning: "for how long" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        setup.faults.stalls.push(values.interval());
    },
};
