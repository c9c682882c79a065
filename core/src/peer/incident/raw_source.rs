//! The generator is late after a source began: what the listener hears is the source itself.

use super::{Incident, Parameter, REFINING, SHORT_FIXTURE, Unit, swap_to};
use crate::peer::interval::Interval;

pub(super) const INCIDENT: Incident = Incident {
    name: "raw-source",
    class: "raw-source-never-covered",
    also: &[],
    summary: "the listener hears the source, since no slice covers it",
    shows: "no slice for seconds after the initial buffer, or after a swap",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "for",
            default: 5.0,
            unit: Unit::Time,
            meaning: "how long the generator makes nothing",
        },
        Parameter {
            name: "swap",
            default: 0.0,
            unit: Unit::Time,
            meaning: "when the source is swapped before that; 0: it is the first one",
        },
    ],
    lags: true,
    spell: |values| Some(Interval { at_s: values.get("swap"), for_s: values.get("for") }),
    apply: |values, setup| {
        let swap_s = values.get("swap");
        if swap_s > 0.0 {
            setup.client.commands.push((values.span("swap"), swap_to(SHORT_FIXTURE)));
        }
        // The old source's last slices go out while the new one loads.
        let load_s = if swap_s > 0.0 { setup.generator.load_ms / 1e3 } else { 0.0 };
        let interval = Interval { at_s: swap_s + load_s, for_s: values.get("for") };
        setup.faults.stalls.push(interval);
    },
};
