//! The piece ends by itself, because the client does not ask for one without an end; healthy.

use serde_json::{Map, json};

use super::{HEALTHY, Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::client::ClientCommand;

pub(super) const INCIDENT: Incident = Incident {
    name: "finished-piece",
    class: HEALTHY,
    also: &[],
    summary: "the piece ends by itself after 44 s; healthy",
    shows: "slices stop for good, the tape loops, the socket stays, and no alarm",
    families: &[Family::Minimax],
    parameters: &[Parameter {
        name: "at",
        default: 0.0,
        unit: Unit::Time,
        meaning: "when the client no longer asks for an endless piece",
    }],
    lags: false,
    spell: |_| None,
    apply: |values, setup| {
        let mut knobs = Map::new();
        knobs.insert("minimax_endless".to_owned(), json!(false));
        setup.client.commands.push((values.span("at"), ClientCommand::Knobs(knobs)));
    },
};
