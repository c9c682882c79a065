//! The link down is slower than the stream: slices queue up and arrive late.

use super::{Incident, Parameter, Unit, on_link};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "thin-link",
    class: "bandwidth-deficit",
    also: &[],
    summary: "the link down is slower than the stream",
    shows: "bytes in flight grow to the window, slices are shed, leads fall and settle",
    families: &FAMILIES,
    parameters: &[
        Parameter {
            name: "down",
            default: 150e3,
            unit: Unit::Rate,
            meaning: "what the link carries",
        },
        Parameter {
            name: "buffer",
            default: 256e3,
            unit: Unit::Size,
            meaning: "what may wait in it",
        },
        Parameter {
            name: "at",
            default: 0.0,
            unit: Unit::Time,
            meaning: "when it becomes that slow",
        },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.down.bytes_per_s = Some(values.get("down"));
        setup.down.buffer_bytes = Some(values.get("buffer") as u64);
        setup.down.slow_from_s = on_link(values.get("at"), setup);
    },
};
