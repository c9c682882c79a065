//! The client is gone and its socket is not: nothing comes of it, and nothing is read.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::interval::Pulses;
use crate::peer::main_thread::Hitches;

pub(super) const INCIDENT: Incident = Incident {
    name: "half-open",
    class: "half-open",
    also: &[],
    summary: "the client falls silent, and its connection stays",
    shows: "seen by a proxy: no message of the client from then on; the server goes on until it sheds",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "at",
        default: 12.0,
        unit: Unit::Time,
        meaning: "when it falls silent",
    }],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let onwards = values.onwards();
        let pulses = Pulses { every_s: f64::INFINITY, for_s: f64::INFINITY };
        let hitches = Hitches { interval: onwards, pulses };
        setup.client.main_thread.get_or_insert_default().hitches = Some(hitches);
        setup.client.is_seen_by_proxy = true;
    },
};
