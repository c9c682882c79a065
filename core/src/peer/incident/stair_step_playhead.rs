//! A coarse audio callback: the position that the client reports moves in steps.

use super::{Incident, Parameter, Unit, throughout};
use crate::family::FAMILIES;

pub(super) const INCIDENT: Incident = Incident {
    name: "stair-step-playhead",
    class: "stair-step-playhead",
    also: &[],
    summary: "the reported position moves in steps",
    shows: "playback_pos stands still and jumps by 4,096 frames; leads waver by half of that",
    families: &FAMILIES,
    parameters: &[Parameter {
        name: "frames",
        default: 4096.0,
        unit: Unit::Number,
        meaning: "length of a step in frames",
    }],
    lags: false,
    spell: throughout,
    apply: |values, setup| setup.client.position_step = Some(values.get("frames") as u32),
};
