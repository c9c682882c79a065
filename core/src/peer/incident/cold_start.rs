//! A cold server takes longest until the first audio, before `ready` or after it; healthy.

use super::{HEALTHY, Incident};
use crate::family::Family;

pub(super) const INCIDENT: Incident = Incident {
    name: "cold-start",
    class: HEALTHY,
    also: &[],
    summary: "a cold server takes 34 s until the first audio; healthy",
    shows: "of minimax no slice for 34 s after ready, of yue2 no ready for 34 s, and no alarm",
    families: &[Family::Yue2, Family::Minimax],
    parameters: &[],
    lags: false,
    spell: |_| None,
    apply: |_, setup| setup.faults.cold = true,
};
