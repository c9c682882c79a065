//! The pipeline dies: an `error` event, and the server closes with 1000.

use super::{Incident, Parameter, REFINING, Unit};
use crate::peer::server::{EarlyEnding, SessionEnding};

pub(super) const INCIDENT: Incident = Incident {
    name: "pipeline-death",
    class: "pipeline-death",
    also: &[],
    summary: "the pipeline dies, and the server closes",
    shows: "an error event pipeline_error, then close 1000",
    families: &REFINING,
    parameters: &[Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when" }],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let how = SessionEnding::PipelineError;
        setup.faults.ending = Some(EarlyEnding { at_s: values.get("at"), how });
    },
};
