//! The link down becomes slower than the tape: slices come ever later, and the playhead passes the
//! frontier. The server sheds nothing and knows nothing of it.

use super::{Incident, Parameter, TAPES, Unit};

pub(super) const INCIDENT: Incident = Incident {
    name: "frontier-overtaken",
    class: "bandwidth-deficit",
    also: &[],
    summary: "the link becomes slower than a tape, whose frontier is overtaken",
    shows: "slices and pongs come ever later, and the playhead passes the frontier; the server \
            believes that it is ahead",
    families: &TAPES,
    parameters: &[
        Parameter { name: "at", default: 5.0, unit: Unit::Time, meaning: "when it becomes slow" },
        Parameter {
            name: "down",
            default: 60e3,
            unit: Unit::Rate,
            meaning: "what the link carries from then on",
        },
        Parameter {
            name: "buffer",
            default: 256e3,
            unit: Unit::Size,
            meaning: "what may wait in it",
        },
    ],
    lags: true,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.down.slow_from_s = values.get("at");
        setup.down.bytes_per_s = Some(values.get("down"));
        setup.down.buffer_bytes = Some(values.get("buffer") as u64);
    },
};
