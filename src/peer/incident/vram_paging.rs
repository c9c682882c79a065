//! The memory of the card is oversubscribed and paged: composing and rendering take a multiple
//! (docs/MINIMAX.md).

use super::{Incident, Parameter, Unit};
use crate::family::Family;
use crate::peer::interval::Interval;

pub(super) const INCIDENT: Incident = Incident {
    name: "vram-paging",
    summary: "the memory of the card is oversubscribed and paged",
    shows: "ar_ms_per_frame goes from 23 to 69 and chunk_render_ms from 513 to 1106; bursts lie 8 s apart",
    families: &[Family::Minimax],
    parameters: &[
        Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "for", default: 600.0, unit: Unit::Time, meaning: "for how long" },
    ],
    lags: true,
    apply: |values, setup| {
        setup.faults.paging = Some(Interval { at_s: values.get("at"), for_s: values.get("for") });
    },
};
