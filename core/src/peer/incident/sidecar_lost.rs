//! The sidecar of mrt2 no longer answers: slices stop, and after 8 s without a pong the server gives it
//! up (`mrt2/backend.py`@0aa43c8).

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::interval::Interval;
use crate::peer::server::{EarlyEnding, SessionEnding};

/// From the last pong of the sidecar to giving it up.
const LOST_AFTER_S: f64 = 8.0;

pub(super) const INCIDENT: Incident = Incident {
    name: "sidecar-lost",
    class: "pipeline-death",
    also: &["generation-stall"],
    summary: "the sidecar no longer answers, and the server gives it up",
    shows: "slices stop, and 8 s later an error event pipeline_error, then close 1000",
    families: &[Family::Mrt2],
    parameters: &[Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when" }],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let at_s = values.get("at");
        setup.faults.stalls.push(Interval { at_s, for_s: f64::INFINITY });
        let how = SessionEnding::SidecarLost;
        setup.faults.ending = Some(EarlyEnding { at_s: at_s + LOST_AFTER_S, how });
    },
};
