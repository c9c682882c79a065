//! What to do, as flags.

use crate::scenario::advice::{Advice, Wording};

/// The words of the command line.
pub const FLAGS: Wording = Wording(flags);

fn flags(advice: Advice) -> String {
    match advice {
        Advice::OpenLoop => "ask for --open-loop".to_owned(),
        Advice::RecordLonger => "record for some seconds or ask for --open-loop".to_owned(),
        Advice::OnlyMoveListener => "ask with --op, --rate or --skew-ppm alone".to_owned(),
        Advice::LeaveOut(knob) => format!("leave --{knob} out"),
        Advice::AllRows => "--csv or --json has them all".to_owned(),
    }
}
