//! A tunnel on the way resets the connection: no close, and what was under way is lost.

use super::{Incident, Parameter, Unit, on_link};
use crate::family::FAMILIES;
use crate::peer::interval::Interval;
use crate::peer::server::{EarlyEnding, SessionEnding};

/// Nothing passes up to the reset, however long before the session the links were made.
const AFTERWARDS_S: f64 = 1.0;

pub(super) const INCIDENT: Incident = Incident {
    name: "tunnel-reset",
    class: "tunnel-reset",
    also: &[],
    summary: "the connection is reset on its way",
    shows: "the capture ends with a broken connection (1006), perhaps after a silence",
    families: &FAMILIES,
    parameters: &[
        Parameter { name: "at", default: 12.0, unit: Unit::Time, meaning: "when" },
        Parameter {
            name: "stalled",
            default: 0.0,
            unit: Unit::Time,
            meaning: "how long nothing passes before it",
        },
    ],
    lags: false,
    spell: |values| {
        Some(Interval { at_s: values.get("at") - values.get("stalled"), for_s: f64::INFINITY })
    },
    apply: |values, setup| {
        let (at_s, for_s) = (values.get("at"), values.get("stalled"));
        if for_s > 0.0 {
            let begins_s = on_link(at_s - for_s, setup);
            for link in [&mut setup.up, &mut setup.down] {
                link.outages.push(Interval { at_s: begins_s, for_s: for_s + AFTERWARDS_S });
            }
        }
        setup.faults.ending = Some(EarlyEnding { at_s, how: SessionEnding::Reset });
    },
};
