//! The server forgets its transport lead whether or not leads allow it, and on a slow link learns it
//! anew: too little lead again and again.

use super::{Incident, Parameter, REFINING, Unit, on_link};
use crate::peer::policy::TransportPolicy;

pub(super) const INCIDENT: Incident = Incident {
    name: "transport-lead-oscillation",
    class: "transport-lead-oscillation",
    also: &["bandwidth-deficit"],
    summary: "the transport lead decays although leads are short",
    shows: "leads of a client that reports them go up and down over many seconds; clean and bad seconds alternate",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 0.0,
            unit: Unit::Time,
            meaning: "when the link becomes slow",
        },
        Parameter {
            name: "tau",
            default: 4.0,
            unit: Unit::Time,
            meaning: "time constant of the decay",
        },
        Parameter {
            name: "down",
            default: 120e3,
            unit: Unit::Rate,
            meaning: "what the link carries",
        },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let hasty = TransportPolicy {
            release_above_s: f64::MIN,
            tau_s: values.get("tau"),
            ..TransportPolicy::default()
        };
        setup.policy.lead.transport = Some(hasty);
        setup.down.bytes_per_s = Some(values.get("down"));
        setup.down.slow_from_s = on_link(values.get("at"), setup);
    },
};
