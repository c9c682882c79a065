//! The worker of minimax begins a commit once the lead is low, and forgets that the commit takes longer
//! than that: music alternates with what was there before (`minimax_backend.py`@13e5f84).

use super::{Incident, throughout};
use crate::family::Family;

pub(super) const INCIDENT: Incident = Incident {
    name: "gate-on-lead-alone",
    class: "burst-production",
    also: &[],
    summary: "commits begin too late, and music alternates with silence",
    shows: "a commit every 4 s, as it should be, each a good 2 s after the one before was heard to its \
            end; ar_ms_per_frame is normal",
    families: &[Family::Minimax],
    parameters: &[],
    lags: true,
    spell: throughout,
    apply: |_, setup| setup.faults.gates_on_lead_alone = true,
};
