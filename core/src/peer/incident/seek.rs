//! The listener seeks: slices under way land at odd leads for a round trip.

use super::{HEALTHY, Incident, Parameter, REFINING, Unit};
use crate::capture::Marker;
use crate::peer::script::ScriptedOp;

pub(super) const INCIDENT: Incident = Incident {
    name: "seek",
    class: HEALTHY,
    also: &[],
    summary: "the listener seeks; healthy",
    shows: "odd leads for about a round trip, old audio for about the lead",
    families: &REFINING,
    parameters: &[
        Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when" },
        Parameter { name: "to", default: 2.0, unit: Unit::Time, meaning: "where to" },
    ],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        let op = Marker::Seek { to_s: values.get("to") };
        setup.client.script.push(ScriptedOp { at: values.span("at"), op });
    },
};
