//! Slices are coded against the audio that the server wanted, not against what halves made of it.

use super::{Incident, REFINING, throughout};

pub(super) const INCIDENT: Incident = Incident {
    name: "mirror-drift",
    class: "mirror-drift",
    also: &[],
    summary: "deltas are coded against what was wanted and not what arrived",
    shows: "leads are healthy; the audio departs from what the server means, and does not come back",
    families: &REFINING,
    parameters: &[],
    lags: false,
    spell: throughout,
    apply: |_, setup| setup.faults.codes_against_wanted = true,
};
