//! Nothing is wrong.

use super::{HEALTHY, Incident};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "healthy",
    class: HEALTHY,
    also: &[],
    summary: "nothing is wrong",
    shows: "leads of about 0.2 s, no stale audio",
    families: &FAMILIES,
    parameters: &[],
    lags: false,
    spell: |_| None,
    apply: |_, _| {},
};
