//! The source is swapped, and everything goes as it should.

use super::{HEALTHY, Incident, Parameter, REFINING, SHORT_FIXTURE, Unit, swap_to};

pub(super) const INCIDENT: Incident = Incident {
    name: "swap",
    class: HEALTHY,
    also: &[],
    summary: "the source is swapped; healthy",
    shows: "a buffer after swap_ready, and raw source for about the lead",
    families: &REFINING,
    parameters: &[Parameter {
        name: "at",
        default: 8.0,
        unit: Unit::Time,
        meaning: "when the source is swapped for one of 8 s",
    }],
    lags: false,
    spell: |_| None,
    apply: |values, setup| setup.client.commands.push((values.span("at"), swap_to(SHORT_FIXTURE))),
};
