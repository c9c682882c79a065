//! A client asks for windows far longer than the stream needs.

use serde_json::json;

use super::{Incident, Parameter, REFINING, Unit, throughout};

pub(super) const INCIDENT: Incident = Incident {
    name: "oversize-window",
    class: "oversize-window",
    also: &[],
    summary: "the client's configuration asks for oversize windows",
    shows: "num_samples far above 17,280",
    families: &REFINING,
    parameters: &[Parameter {
        name: "window",
        default: 6.0,
        unit: Unit::Time,
        meaning: "the configuration's vae_window",
    }],
    lags: false,
    spell: throughout,
    apply: |values, setup| {
        setup.client.config.insert("vae_window".to_owned(), json!(values.get("window")));
    },
};
