//! Another session takes the server: close 4001.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::server::{EarlyEnding, SessionEnding};

pub(super) const INCIDENT: Incident = Incident {
    name: "preempted",
    class: "preempted",
    also: &[],
    summary: "another session takes the server over",
    shows: "close 4001",
    families: &FAMILIES,
    parameters: &[Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when" }],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let how = SessionEnding::Preempted;
        setup.faults.ending = Some(EarlyEnding { at_s: values.get("at"), how });
    },
};
