//! What to do, as flags.

use crate::scenario::advice::{Advice, Wording, of_every_door};
use crate::scenario::knobs::Knob;

/// The words of the command line.
pub const FLAGS: Wording = Wording(flags);

/// The words of the command line to those who write scenarios as files.
pub const KEYS: Wording = Wording(keys);

fn keys(advice: Advice) -> String {
    let key = |name| Knob::named(name).ok().and_then(Knob::key).unwrap_or(name);
    match advice {
        Advice::OnlyMoveListener => "change only keys of playback".to_owned(),
        Advice::OnlyMoveListenerOpenLoop => {
            "ask with --open-loop, and change only keys of playback".to_owned()
        }
        Advice::LeaveOut(knob) => format!("leave {} out", key(knob)),
        Advice::TurnInstead(knob) => of_every_door(Advice::SetKey(key(knob))),
        other => flags(other),
    }
}

fn flags(advice: Advice) -> String {
    match advice {
        Advice::OpenLoop => "ask for --open-loop".to_owned(),
        Advice::RecordLonger => "record for some seconds or ask for --open-loop".to_owned(),
        Advice::OnlyMoveListener => "ask with --op, --rate or --skew-ppm alone".to_owned(),
        Advice::OnlyMoveListenerOpenLoop => {
            "ask with --open-loop and only --op, --rate or --skew-ppm".to_owned()
        }
        Advice::NoOpenLoop => "leave --open-loop out".to_owned(),
        Advice::TurnInstead(knob) => format!("ask what that costs in time with --{knob}"),
        Advice::AskPart(from) => format!("ask the part behind it with --from {from}"),
        Advice::RecordAnother | Advice::RecordForSeconds | Advice::SetKey(_) => {
            of_every_door(advice)
        }
        Advice::LeaveOut(knob) => format!("leave --{knob} out"),
        Advice::AllRows => "--csv or --json has them all".to_owned(),
    }
}
