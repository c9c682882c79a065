//! The server handles every report in its turn and falls behind the client's cadence, so that it
//! acts on positions ever older.

use super::{Incident, Parameter, REFINING, Unit};

pub(super) const INCIDENT: Incident = Incident {
    name: "stale-playhead",
    class: "stale-playhead",
    also: &[],
    summary: "the server works off reports slower than they come",
    shows: "tick_ms is normal and reports are fresh, but leads fall steadily",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "per-s",
            default: 24.0,
            unit: Unit::Number,
            meaning: "reports handled a second; 30 come",
        },
        Parameter { name: "at", default: 0.0, unit: Unit::Time, meaning: "when it begins" },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.policy.intake.backlog_per_s = Some(values.get("per-s"));
        setup.policy.intake.backlog_from_s = values.get("at");
        setup.policy.lead.transport = None;
        setup.policy.clock.use_client_time = false;
    },
};
