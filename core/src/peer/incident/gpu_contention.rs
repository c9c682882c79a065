//! Another load on the same GPU: ticks and decodes take many times as long, again and again.

use super::{Incident, Parameter, REFINING, Unit};
use crate::peer::interval::Pulses;
use crate::peer::server::Slow;

pub(super) const INCIDENT: Incident = Incident {
    name: "gpu-contention",
    class: "gpu-contention",
    also: &[],
    summary: "another load takes the GPU again and again",
    shows: "tick_ms rises and falls in turns, and what is heard ages with it; a saw-tooth",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "when the other load begins",
        },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
        Parameter {
            name: "every",
            default: 4.0,
            unit: Unit::Time,
            meaning: "from one burst of it to the next",
        },
        Parameter { name: "busy", default: 2.0, unit: Unit::Time, meaning: "length of a burst" },
        Parameter {
            name: "factor",
            default: 14.0,
            unit: Unit::Number,
            meaning: "times as long, ticks and decodes",
        },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        let factor = values.get("factor");
        setup.faults.slow.push(Slow {
            interval: values.interval(),
            tick_factor: factor,
            decode_factor: factor,
            pulses: Some(Pulses { every_s: values.get("every"), for_s: values.get("busy") }),
        });
    },
};
