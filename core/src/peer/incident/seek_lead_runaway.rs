//! One slice in flight at a forward seek makes a modern client report a huge negative lead; the
//! server raises its transport lead to the cap and lets it decay. Nothing is faked here: it follows
//! from the controller, a link with latency and a seek.

use super::{Incident, Parameter, REFINING, Unit};
use crate::capture::Marker;
use crate::peer::interval::Interval;
use crate::peer::script::ScriptedOp;

/// How long what is heard is bad: until the listener reaches what was made after the seek.
const AUDIBLE_S: f64 = 3.2;

pub(super) const INCIDENT: Incident = Incident {
    name: "seek-lead-runaway",
    class: "seek-lead-runaway",
    also: &[],
    summary: "a forward seek throws the server's transport lead to its cap",
    shows: "slices land 3 s ahead right after the seek; about 3 s of unrendered audio play",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "when the listener seeks",
        },
        Parameter { name: "to", default: 16.0, unit: Unit::Time, meaning: "where to" },
        Parameter { name: "latency", default: 0.04, unit: Unit::Time, meaning: "each way" },
    ],
    lags: true,
    spell: |values| Some(Interval { at_s: values.get("at"), for_s: AUDIBLE_S }),
    apply: |values, setup| {
        setup.up.latency_s = values.get("latency");
        setup.down.latency_s = values.get("latency");
        setup.client.params_hz.get_or_insert(60.0);
        setup.client.script.push(ScriptedOp {
            at: values.span("at"),
            op: Marker::Seek { to_s: values.get("to") },
        });
    },
};
