//! A change of depth rebuilds the pipeline: one gap right after the command.

use serde_json::json;

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::Outgoing;
use crate::peer::client::ClientCommand;

pub(super) const INCIDENT: Incident = Incident {
    name: "rebuild-stall",
    class: "rebuild-stall",
    also: &[],
    summary: "a command rebuilds the pipeline",
    shows: "one gap right after set_depth",
    families: &[Family::Acestep],
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "when the command is sent",
        },
        Parameter { name: "for", default: 1.1, unit: Unit::Time, meaning: "length of the rebuild" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        setup.faults.rebuild_s = values.get("for");
        let command = json!({"type": "set_depth", "value": 2}).to_string();
        setup
            .client
            .commands
            .push((values.span("at"), ClientCommand::Send(Outgoing::Text(command))));
    },
};
