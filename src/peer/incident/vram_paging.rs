//! Memory runs out and the model pages: from a moment on every tick and decode takes longer.

use super::{Incident, Parameter, Unit};
use crate::peer::server::Slow;

pub(super) const INCIDENT: Incident = Incident {
    name: "vram-paging",
    class: "vram-paging",
    also: &[],
    summary: "memory is exhausted, and the model pages",
    shows: "tick_ms and dec_ms step up at once and stay, with the same load",
    parameters: &[
        Parameter { name: "at", default: 8.0, unit: Unit::Time, meaning: "when it begins" },
        Parameter { name: "factor", default: 2.5, unit: Unit::Number, meaning: "times as long, ticks and decodes" },
    ],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        let factor = values.get("factor");
        setup.faults.slow.push(Slow {
            interval: values.onwards(),
            tick_factor: factor,
            decode_factor: factor,
            pulses: None,
        });
    },
};
