//! Nobody turns a knob and the loop is long: generations stand still, and slices go on.

use super::{HEALTHY, Incident, REFINING};

pub(super) const INCIDENT: Incident = Incident {
    name: "settled-loop",
    class: HEALTHY,
    also: &[],
    summary: "generations stand still in a loop that has settled; healthy",
    shows: "num_gens stands still after 20 s while slices go on",
    families: &REFINING,
    parameters: &[],
    lags: false,
    spell: |_| None,
    apply: |_, setup| setup.client.turns_knobs = false,
};
