//! Nothing is wrong.

use super::Incident;
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "healthy",
    summary: "nothing is wrong",
    shows: "leads of about 0.2 s, no stale audio",
    families: &FAMILIES,
    parameters: &[],
    lags: false,
    apply: |_, _| {},
};
