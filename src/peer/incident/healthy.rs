//! Nothing is wrong.

use super::{HEALTHY, Incident};

pub(super) const INCIDENT: Incident = Incident {
    name: "healthy",
    class: HEALTHY,
    also: &[],
    summary: "nothing is wrong",
    shows: "leads of about 0.2 s, no stale audio",
    parameters: &[],
    lags: false,
    spell: |_| None,
    apply: |_, _| {},
};
