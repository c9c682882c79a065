//! Nobody turns a knob: after 20 s and one more lap the server stops, which is healthy. Somebody who
//! turns one later wakes it.

use super::{HEALTHY, Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::hands::turn_knob;

pub(super) const INCIDENT: Incident = Incident {
    name: "idle-pause",
    class: HEALTHY,
    also: &[],
    summary: "nobody turns a knob, and the server stops; healthy",
    shows: "no slices after 20 s and one lap, and no alarm",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "resume",
        default: 0.0,
        unit: Unit::Time,
        meaning: "when somebody turns a knob again; 0: nobody",
    }],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        setup.client.turns_knobs = false;
        if values.get("resume") > 0.0 {
            setup.client.commands.push((values.span("resume"), turn_knob(0.42)));
        }
    },
};
