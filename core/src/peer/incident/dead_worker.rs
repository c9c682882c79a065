//! The worker that composes dies: an `error` event at once, and the server closes. A piece that ends
//! by itself is another matter: nothing is said, and the socket stays.

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::server::{EarlyEnding, SessionEnding};

pub(super) const INCIDENT: Incident = Incident {
    name: "dead-worker",
    class: "pipeline-death",
    also: &[],
    summary: "the worker that composes dies, and the server closes",
    shows: "an error event pipeline_error while the frontier is still ahead, then close 1000",
    families: &[Family::Minimax],
    parameters: &[Parameter { name: "at", default: 12.0, unit: Unit::Time, meaning: "when" }],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let how = SessionEnding::WorkerDied;
        setup.faults.ending = Some(EarlyEnding { at_s: values.get("at"), how });
    },
};
