//! A throttled tab: the client handles what came only now and then.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "client-backlog",
    summary: "a throttled client applies slices in bursts",
    shows: "slices, acks and leads come in bursts a second apart",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "every",
        default: 1.0,
        unit: Unit::Time,
        meaning: "time between two turns of the client",
    }],
    lags: false,
    apply: |values, setup| setup.client.handles_every_s = values.get("every"),
};
