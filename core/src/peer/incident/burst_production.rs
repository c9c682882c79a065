//! Slices come in bursts: every tick takes either of two times.

use super::{Incident, Parameter, Unit, throughout};
use crate::family::Family;
use crate::peer::server::Bursts;

pub(super) const INCIDENT: Incident = Incident {
    name: "burst-production",
    class: "burst-production",
    also: &[],
    summary: "slices come in bursts",
    shows: "gaps of either of two lengths",
    families: &[Family::Acestep, Family::Sa3],
    parameters: &[
        Parameter { name: "short", default: 0.25, unit: Unit::Time, meaning: "the shorter tick" },
        Parameter { name: "long", default: 0.65, unit: Unit::Time, meaning: "the longer tick" },
    ],
    lags: true,
    spell: throughout,
    apply: |values, setup| {
        setup.faults.bursts =
            Some(Bursts { short_ms: values.get("short") * 1e3, long_ms: values.get("long") * 1e3 });
    },
};
