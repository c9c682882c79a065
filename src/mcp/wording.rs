//! What to do, as arguments of tools.

use crate::scenario::advice::{Advice, Wording, of_every_door};

/// The words for agents.
pub const ARGUMENTS: Wording = Wording(arguments);

fn arguments(advice: Advice) -> String {
    match advice {
        Advice::OpenLoop => "ask for open_loop: true".to_owned(),
        Advice::RecordLonger => "record for some seconds or ask for open_loop: true".to_owned(),
        Advice::OnlyMoveListener => {
            "ask with ops, or with rate or skew-ppm alone in set".to_owned()
        }
        Advice::OnlyMoveListenerOpenLoop => {
            "ask with open_loop: true, and only ops, or rate or skew-ppm in set".to_owned()
        }
        Advice::NoOpenLoop => "leave open_loop out".to_owned(),
        Advice::TurnInstead(knob) => format!("ask what that costs in time with {knob} in set"),
        Advice::AskPart(from) => format!("ask the part behind it with from_s: {}", from.seconds()),
        Advice::RecordAnother | Advice::RecordForSeconds | Advice::SetKey(_) => {
            of_every_door(advice)
        }
        Advice::LeaveOut(knob) => format!("leave {knob} out of set"),
        Advice::AllRows => "limit and cursor page through them all".to_owned(),
    }
}
