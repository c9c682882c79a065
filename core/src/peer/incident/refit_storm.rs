//! A LoRA's strength is dragged: every change refits it, and the generator hardly gets a turn.

use serde_json::{Map, json};

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::client::ClientCommand;
use crate::time::Span;

/// Changes of the strength a second.
const CHANGES_PER_S: f64 = 20.0;
/// Changes at most: an hour of dragging.
const MAX_CHANGES: u64 = 72_000;

pub(super) const INCIDENT: Incident = Incident {
    name: "refit-storm",
    class: "refit-storm",
    also: &[],
    summary: "a LoRA's strength is dragged",
    shows: "lora_str_* changes with every report, stalls repeat",
    families: &[Family::Acestep],
    parameters: &[
        Parameter { name: "at", default: 6.0, unit: Unit::Time, meaning: "when the drag begins" },
        Parameter { name: "for", default: 5.0, unit: Unit::Time, meaning: "for how long" },
        Parameter { name: "refit", default: 0.6, unit: Unit::Time, meaning: "length of one refit" },
    ],
    lags: true,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        setup.faults.refit_s = values.get("refit");
        let at = values.span("at");
        let steps = ((values.get("for") * CHANGES_PER_S) as u64).min(MAX_CHANGES);
        setup.client.commands.extend((0..steps).map(|step| {
            let mut knobs = Map::new();
            knobs.insert("lora_str_0".to_owned(), json!(step as f64 / steps as f64));
            (Span(at.0.saturating_add(step * 50_000_000)), ClientCommand::Knobs(knobs))
        }));
    },
};
