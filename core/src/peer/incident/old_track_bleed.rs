//! After a swap the generator goes on for a while where it was, with what it played.

use super::{Incident, Parameter, REFINING, SHORT_FIXTURE, Unit, swap_to};

pub(super) const INCIDENT: Incident = Incident {
    name: "old-track-bleed",
    class: "old-track-bleed",
    also: &[],
    summary: "after a swap slices of the old source go on",
    shows: "slices after swap_ready continue the old positions, with leads that fit the old source",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 8.0,
            unit: Unit::Time,
            meaning: "when the source is swapped for one of 8 s",
        },
        Parameter {
            name: "for",
            default: 2.0,
            unit: Unit::Time,
            meaning: "how long the old one goes on",
        },
    ],
    lags: false,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        setup.faults.bleed_s = values.get("for");
        setup.client.commands.push((values.span("at"), swap_to(SHORT_FIXTURE)));
    },
};
