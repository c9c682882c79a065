//! A blocking call in the client, again and again: it neither reports nor applies, and plays on.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::interval::Pulses;
use crate::peer::main_thread::Hitches;

pub(super) const INCIDENT: Incident = Incident {
    name: "client-send-hitch",
    class: "client-send-hitch",
    also: &[],
    summary: "the client blocks again and again and stops reporting",
    shows: "gaps of params alone, at a steady period, with late slices after each; playback goes on",
    families: &FAMILIES,
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "when the first one begins",
        },
        Parameter {
            name: "for",
            default: 600.0,
            unit: Unit::Time,
            meaning: "for how long they go on",
        },
        Parameter {
            name: "every",
            default: 5.0,
            unit: Unit::Time,
            meaning: "from one to the next",
        },
        Parameter { name: "hitch", default: 2.0, unit: Unit::Time, meaning: "length of each" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        let pulses = Pulses { every_s: values.get("every"), for_s: values.get("hitch") };
        let hitches = Hitches { interval: values.interval(), pulses };
        setup.client.main_thread.get_or_insert_default().hitches = Some(hitches);
    },
};
