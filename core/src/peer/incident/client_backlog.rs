//! A throttled tab: the client handles what came, and reports, only now and then.

use super::{Incident, Parameter, Unit, throughout};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "client-backlog",
    class: "client-backlog",
    also: &[],
    summary: "a throttled client applies slices and reports in bursts",
    shows: "slices arrive smoothly, acks, leads and params in bursts a second apart",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "every",
        default: 1.0,
        unit: Unit::Time,
        meaning: "time between two turns of the client",
    }],
    lags: false,
    spell: throughout,
    apply: |values, setup| {
        let thread = setup.client.main_thread.get_or_insert_default();
        thread.turns_every_s = values.get("every");
        thread.reports_in_turns = true;
    },
};
