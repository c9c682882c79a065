//! The listener pauses and goes on: the server runs on, and its leads climb meanwhile.

use super::{HEALTHY, Incident, Parameter, Unit};
use crate::capture::Marker;
use crate::family::FAMILIES;
use crate::peer::interval::Interval;
use crate::peer::script::ScriptedOp;
use crate::time::Span;

pub(super) const INCIDENT: Incident = Incident {
    name: "paused-player",
    class: HEALTHY,
    also: &[],
    summary: "the listener pauses for a while; healthy",
    shows: "the position stands still, or reports stop; leads climb by a second a second",
    families: &FAMILIES,
    parameters: &[
        Parameter {
            name: "at",
            default: 8.0,
            unit: Unit::Time,
            meaning: "when the listener pauses",
        },
        Parameter { name: "for", default: 5.0, unit: Unit::Time, meaning: "for how long" },
    ],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        let Interval { at_s, for_s } = values.interval();
        let ops = [(at_s, Marker::Pause), (at_s + for_s, Marker::Resume)];
        setup
            .client
            .script
            .extend(ops.map(|(at_s, op)| ScriptedOp { at: Span((at_s * 1e9).round() as u64), op }));
    },
};
