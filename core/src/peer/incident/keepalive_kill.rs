//! The server stops handling the pongs of a client that is well, and closes with 1011.

use super::{Incident, Parameter, Unit};
use crate::family::FAMILIES;
use crate::peer::server::Deaf;

pub(super) const INCIDENT: Incident = Incident {
    name: "keepalive-kill",
    class: "keepalive-kill",
    also: &[],
    summary: "the server misses its pongs and closes",
    shows: "pings and their pongs, then close 1011 in the middle of a healthy stream",
    families: &FAMILIES,
    parameters: &[
        Parameter {
            name: "at",
            default: 6.0,
            unit: Unit::Time,
            meaning: "from when on pongs are not handled",
        },
        Parameter {
            name: "every",
            default: 5.0,
            unit: Unit::Time,
            meaning: "from a pong to the next ping; 20 s upstream",
        },
        Parameter {
            name: "within",
            default: 6.0,
            unit: Unit::Time,
            meaning: "from a ping to the close; 90 s upstream",
        },
    ],
    lags: false,
    spell: |values| Some(values.onwards()),
    apply: |values, setup| {
        setup.faults.deaf = Some(Deaf {
            ping_every_s: values.get("every"),
            pong_within_s: values.get("within"),
            from_s: values.get("at"),
        });
    },
};
