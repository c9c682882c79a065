//! The last window of the loop is not clamped, and the server's own cross-fade raises on what is left
//! of it: 769 frames for a fade of 1,200.

use super::{Incident, Parameter, REFINING, Unit};

pub(super) const INCIDENT: Incident = Incident {
    name: "loop-end-crash",
    class: "loop-end-crash",
    also: &["pipeline-death"],
    summary: "a window at the very end of the loop kills the pipeline",
    shows: "an error event pipeline_error when a slice would begin 769 frames before the end, then close 1000",
    families: &REFINING,
    parameters: &[Parameter {
        name: "at",
        default: 6.0,
        unit: Unit::Time,
        meaning: "from when on windows are not clamped",
    }],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| setup.faults.unclamped_from_s = Some(values.get("at")),
};
