//! Nobody turns a knob: after 20 s and one more lap the server stops, which is healthy. That is what
//! every server here does; the incident is only the name for looking at it.

use super::Incident;
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "idle-pause",
    summary: "nobody turns a knob, and the server stops; healthy",
    shows: "no slices after 20 s and one lap, and no alarm",
    families: &FAMILIES,
    parameters: &[],
    lags: false,
    apply: |_, _| {},
};
