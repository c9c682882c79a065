//! The model of a family that only appends makes less audio than is heard, as the base model of mrt2
//! does (0.93 of real time).

use super::{Incident, Parameter, TAPES, Unit};
use crate::peer::interval::Interval;
use crate::peer::server::BelowRealTime;

pub(super) const INCIDENT: Incident = Incident {
    name: "below-real-time",
    class: "slow-generation",
    also: &[],
    summary: "the generator makes less audio than is heard",
    shows: "the frontier falls steadily behind the playhead, bursts lie between stretches of the lap \
            before; the link is idle",
    families: &TAPES,
    parameters: &[
        Parameter { name: "at", default: 5.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
        Parameter { name: "rate", default: 0.93, unit: Unit::Number, meaning: "audio a second" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        let interval = Interval { at_s: values.get("at"), for_s: values.get("for") };
        let real_time = values.get("rate");
        setup.faults.below_real_time = Some(BelowRealTime { interval, real_time });
    },
};
