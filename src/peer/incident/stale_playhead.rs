//! The server handles every report in its turn and falls behind the client's cadence, so that it
//! acts on positions ever older.

use super::{Incident, Parameter, REFINING, Unit};

pub(super) const INCIDENT: Incident = Incident {
    name: "stale-playhead",
    summary: "the server works off reports slower than they come",
    shows: "tick_ms is normal and reports are fresh, but leads fall steadily",
    families: &REFINING,
    parameters: &[Parameter {
        name: "per-s",
        default: 24.0,
        unit: Unit::Number,
        meaning: "reports handled a second; 30 come",
    }],
    lags: true,
    apply: |values, setup| {
        setup.policy.intake.backlog_per_s = Some(values.get("per-s"));
        setup.policy.lead.transport = None;
        setup.policy.clock.use_client_time = false;
    },
};
