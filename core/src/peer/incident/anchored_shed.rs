//! The client asks for regions by position, and the server sheds them on a slow link like any other
//! slice, as servers before PR 347 do: what was asked for never arrives.

use super::{Incident, Parameter, REFINING, Unit, on_link};
use crate::peer::client::ClientCommand;
use crate::time::Span;

/// What may wait in the link.
const BUFFER_BYTES: u64 = 256_000;
/// Requests at most: an hour of two a second.
const MAX_REQUESTS: u64 = 7_200;

pub(super) const INCIDENT: Incident = Incident {
    name: "anchored-shed",
    class: "anchored-shed",
    also: &["bandwidth-deficit"],
    summary: "regions that the client asked for are shed",
    shows: "render_anchor_queue_s asks for positions at which no slice arrives; sheds go on",
    families: &REFINING,
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "when the client begins to ask",
        },
        Parameter {
            name: "every",
            default: 0.5,
            unit: Unit::Time,
            meaning: "from one request to the next",
        },
        Parameter {
            name: "down",
            default: 120e3,
            unit: Unit::Rate,
            meaning: "what the link carries",
        },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.policy.flow.sheds_asked_for = true;
        setup.down.bytes_per_s = Some(values.get("down"));
        setup.down.buffer_bytes = Some(BUFFER_BYTES);
        setup.down.slow_from_s = on_link(values.get("at"), setup);
        let every = values.span("every").0.max(1);
        setup.client.commands.extend((0..MAX_REQUESTS).map(|request| {
            let at = values.span("at").0.saturating_add(request.saturating_mul(every));
            // Steps of 0.9 s visit all of a loop of whole seconds.
            (Span(at), ClientCommand::RenderAt(vec![0.9 * request as f64]))
        }));
    },
};
