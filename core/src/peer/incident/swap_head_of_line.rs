//! A swap to a long source: its buffer goes out whole, and the slices behind it wait.

use super::{Incident, LONG_FIXTURE, Parameter, REFINING, Unit, swap_to};

pub(super) const INCIDENT: Incident = Incident {
    name: "swap-head-of-line",
    class: "swap-head-of-line",
    also: &[],
    summary: "the buffer of a swap blocks the slices behind it",
    shows: "no slices after swap_ready while one large message arrives, then a burst with negative leads",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 8.0,
            unit: Unit::Time,
            meaning: "when the source is swapped for one of 57.6 s",
        },
        Parameter {
            name: "down",
            default: 900e3,
            unit: Unit::Rate,
            meaning: "what the link carries",
        },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.down.bytes_per_s = Some(values.get("down"));
        setup.client.commands.push((values.span("at"), swap_to(LONG_FIXTURE)));
    },
};
