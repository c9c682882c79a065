//! The client's audio clock runs fast.

use super::{Incident, Parameter, Unit, throughout};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "clock-skew",
    class: "clock-skew",
    also: &[],
    summary: "the client's audio clock runs at another rate",
    shows: "reported positions drift against their arrival; every report re-anchors, so leads hold",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "rate",
        default: 1.02,
        unit: Unit::Number,
        meaning: "seconds of audio a second",
    }],
    lags: false,
    spell: throughout,
    apply: |values, setup| setup.client.rate = values.get("rate"),
};
