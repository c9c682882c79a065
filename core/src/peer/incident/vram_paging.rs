//! The memory of the card is oversubscribed and paged: from a moment on everything that is generated takes
//! a multiple. Of minimax the parts are measured (docs/MINIMAX.md).

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::server::Paging;

pub(super) const INCIDENT: Incident = Incident {
    name: "vram-paging",
    class: "vram-paging",
    also: &[],
    summary: "the memory of the card is oversubscribed and paged",
    shows: "tick_ms and dec_ms step up at once and stay, with the same load; of minimax ar_ms_per_frame goes \
            from 23 to 69, chunk_render_ms from 513 to 1106, and bursts lie 8 s apart",
    families: &[Family::Acestep, Family::Sa3, Family::Minimax],
    parameters: &[
        Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
        Parameter {
            name: "factor",
            default: 2.5,
            unit: Unit::Number,
            meaning: "times as long, ticks and decodes; minimax has its own",
        },
    ],
    lags: false,
    spell: |values| Some(values.interval()),
    apply: |values, setup| {
        let interval = values.interval();
        setup.faults.paging = Some(Paging { interval, factor: values.get("factor") });
    },
};
